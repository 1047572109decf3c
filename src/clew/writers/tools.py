"""Which tool of one agent is which of another's.

A call is read as what it does (`Use`), whatever agent made it, and said again with the tool that
the other agent has for that. A call that does more than the other tool can say, and one of a tool
that it does not have, is no call any more: the caller puts it into words.

The names and arguments are those of Claude Code 2.1.197, Codex 0.169.0, Gemini CLI 0.61.0,
OpenCode 1.18.33 and pi 0.73.1, as each sends them to its model; of what older versions and other
programs call the same things, the usual ones.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from clew.model import JSON, ToolCall
from clew.shapes import base

Arguments = dict[str, JSON]
PATCH_BEGINS: Final = "*** Begin Patch"


class Shell(msgspec.Struct, frozen=True):
    """Run a command line, in a folder."""

    command: str
    folder: str | None = None


class Read(msgspec.Struct, frozen=True):
    """Read a file: `limit` lines from line `offset` on (from 1)."""

    path: str
    offset: int | None = None
    limit: int | None = None


class Write(msgspec.Struct, frozen=True):
    """Write a whole file."""

    path: str
    content: str


class Edit(msgspec.Struct, frozen=True):
    """Replace texts in a file, each once or, with `every`, one of them wherever it stands."""

    path: str
    changes: tuple[tuple[str, str], ...]
    every: bool = False


class Patch(msgspec.Struct, frozen=True):
    """Change files by a patch in Codex's form."""

    text: str


class List(msgspec.Struct, frozen=True):
    """Tell what is in a folder."""

    path: str


class Search(msgspec.Struct, frozen=True):
    """Look for a pattern in files."""

    pattern: str
    path: str | None = None
    include: str | None = None


class Find(msgspec.Struct, frozen=True):
    """Look for files by name."""

    pattern: str
    path: str | None = None


class Fetch(msgspec.Struct, frozen=True):
    """Get a page of the web, to answer a question with it."""

    url: str
    prompt: str | None = None


class Ask(msgspec.Struct, frozen=True):
    """Search the web."""

    query: str


class Plan(msgspec.Struct, frozen=True):
    """The list of what is to do: what, and `pending`, `in_progress`, `completed` or other."""

    steps: tuple[tuple[str, str], ...]


Use = Shell | Read | Write | Edit | Patch | List | Search | Find | Fetch | Ask | Plan


# --- reading -----------------------------------------------------------------------------


def use_of(call: ToolCall) -> Use | None:
    """What a call does; `None` for a tool that is not known, or that is called otherwise."""
    reader = _READERS.get(call.name) or _READERS.get(call.name.lower())
    if reader is None:
        return None
    text = base.free_text(call.arguments)
    return reader({"input": text} if text is not None else base.as_object(call.arguments))


def _text(given: Arguments, *names: str) -> str | None:
    return next((v for name in names if isinstance(v := given.get(name), str) and v), None)


def _number(given: Arguments, *names: str) -> int | None:
    return next((v for name in names if type(v := given.get(name)) is int and v >= 0), None)


def _path(given: Arguments) -> str | None:
    return _text(given, "file_path", "filePath", "path", "absolute_path", "filename")


def _folder(given: Arguments) -> str | None:
    return _text(given, "path", "dir_path", "directory", "workdir", "cwd")


def _shell(given: Arguments) -> Use | None:
    command = given.get("command", given.get("cmd"))
    if isinstance(command, list):
        command = _joined(command)
    folder = _text(given, "workdir", "working_directory", "dir_path", "directory", "cwd")
    return Shell(command, folder) if isinstance(command, str) and command else None


def _joined(words: list[JSON]) -> str | None:
    """A command in words: the script of `bash -lc SCRIPT`, else the words as they are typed."""
    if not words or not all(isinstance(word, str) for word in words):
        return None
    if len(words) == 3 and words[1] in ("-c", "-lc"):
        return str(words[2])
    return shlex.join(words)


def _read(given: Arguments) -> Use | None:
    path = _path(given)
    if path is None:
        return None
    offset, limit = _number(given, "offset", "start_line"), _number(given, "limit")
    end = _number(given, "end_line")
    if end is not None and limit is None:
        limit = max(end - (offset or 1) + 1, 0)
    return Read(path, offset, limit)


def _write(given: Arguments) -> Use | None:
    path, content = _path(given), given.get("content", given.get("contents"))
    return Write(path, content) if path and isinstance(content, str) else None


_PAIRS: Final = (("old_string", "new_string"), ("oldString", "newString"), ("oldText", "newText"))


def _edit(given: Arguments) -> Use | None:
    path = _path(given)
    listed = given.get("edits")
    changes = [_change(each) for each in (listed if isinstance(listed, list) else [given])]
    if path is None or not changes or None in changes:
        return None
    every = any(given.get(name) is True for name in ("replace_all", "replaceAll", "allow_multiple"))
    each_every = any(
        isinstance(one, dict) and one.get("replace_all") is True for one in base.as_list(listed)
    )
    return Edit(path, tuple(change for change in changes if change), every or each_every)


def _change(given: JSON) -> tuple[str, str] | None:
    for old_name, new_name in _PAIRS if isinstance(given, dict) else ():
        old, new = given.get(old_name), given.get(new_name)
        if isinstance(old, str) and isinstance(new, str):
            return old, new
    return None


def _patch(given: Arguments) -> Use | None:
    text = _text(given, "input", "patch", "patchText")
    return Patch(text) if text and text.lstrip().startswith(PATCH_BEGINS) else None


def _list(given: Arguments) -> Use | None:
    return List(_folder(given) or ".")


def _search(given: Arguments) -> Use | None:
    pattern = _text(given, "pattern", "query")
    if pattern is None:
        return None
    return Search(pattern, _folder(given), _text(given, "include", "glob", "include_pattern"))


def _find(given: Arguments) -> Use | None:
    pattern = _text(given, "pattern", "glob_pattern")
    return Find(pattern, _folder(given)) if pattern else None


def _fetch(given: Arguments) -> Use | None:
    url, prompt = _text(given, "url"), _text(given, "prompt")
    return Fetch(url, prompt) if url else None


def _ask(given: Arguments) -> Use | None:
    query = _text(given, "query")
    return Ask(query) if query else None


def _plan(given: Arguments) -> Use | None:
    listed = given.get("todos", given.get("plan"))
    steps = []
    for step in base.as_list(listed):
        what = _text(step, "content", "description", "step") if isinstance(step, dict) else None
        if what is None:
            return None
        steps.append((what, _text(step, "status") or "pending"))
    return Plan(tuple(steps)) if steps else None


def _named(reader: Callable[[Arguments], Use | None], *names: str) -> dict[str, _Reader]:
    return dict.fromkeys(names, reader)


_Reader = Callable[[Arguments], Use | None]

_READERS: Final[Mapping[str, _Reader]] = {
    **_named(_shell, "bash", "exec_command", "shell", "shell_command", "local_shell"),
    **_named(_shell, "run_shell_command", "run_terminal_cmd", "execute_command", "terminal"),
    **_named(_read, "read", "read_file"),
    **_named(_write, "write", "write_file", "write_to_file"),
    **_named(_edit, "edit", "multiedit", "replace", "edit_file", "str_replace"),
    **_named(_patch, "apply_patch"),
    **_named(_list, "ls", "list_directory", "list_dir"),
    **_named(_search, "grep", "grep_search", "search_file_content"),
    **_named(_find, "glob", "find"),
    **_named(_fetch, "webfetch"),
    **_named(_ask, "websearch", "google_web_search"),
    **_named(_plan, "todowrite", "update_plan", "write_todos"),
}


_PATCHED = re.compile(r"^\*\*\* (?:Add|Update|Delete) File: (.+)$", re.MULTILINE)


def patched(text: str) -> list[str]:
    """The files that a patch in Codex's form changes."""
    return [path.strip() for path in _PATCHED.findall(text)]


# --- saying it again ---------------------------------------------------------------------


def said_by(agent: str, call: ToolCall, cwd: str | None) -> ToolCall | None:
    """The call with the agent's own tool for it; `None` where it has none, or one that cannot
    say as much. `cwd` makes a path absolute where the agent asks for that.
    """
    use, table = use_of(call), _TABLES.get(agent)
    if use is None or table is None:
        return None
    said = table(use, cwd)
    if said is None:
        return None
    name, given = said
    arguments = base.compact(
        {key: value for key, value in given.items() if value is not None}
        if isinstance(given, dict)
        else given
    )
    return ToolCall(call.id, name, arguments)


Said = tuple[str, Arguments | str]
"""A tool's name, and its arguments: an object, or free text."""


def _full(path: str | None, cwd: str | None) -> str | None:
    """A path as agents want it that take absolute ones alone."""
    if path is None or path.startswith("/") or path[1:3] in (":\\", ":/") or cwd is None:
        return path
    return posixpath.normpath(posixpath.join(cwd, path))


def _codex(use: Use, cwd: str | None) -> Said | None:
    match use:
        case Shell(command, folder):
            return "exec_command", {"cmd": command, "workdir": folder}
        case Patch(text):
            return "apply_patch", text
        case Write(path, content):
            lines = "".join(f"+{line}\n" for line in content.splitlines())
            return "apply_patch", f"{PATCH_BEGINS}\n*** Add File: {path}\n{lines}*** End Patch\n"
        case Edit(path, changes, False):
            hunks = "".join(f"@@\n{_signed('-', old)}{_signed('+', new)}" for old, new in changes)
            return "apply_patch", f"{PATCH_BEGINS}\n*** Update File: {path}\n{hunks}*** End Patch\n"
    return None


def _signed(sign: str, text: str) -> str:
    return "".join(f"{sign}{line}\n" for line in text.splitlines())


def _claude(use: Use, cwd: str | None) -> Said | None:
    match use:
        case Shell(command, folder):
            return "Bash", {"command": _in(folder, command)}
        case Read(path, offset, limit):
            return "Read", {"file_path": _full(path, cwd), "offset": offset, "limit": limit}
        case Write(path, content):
            return "Write", {"file_path": _full(path, cwd), "content": content}
        case Edit(path, ((old, new),), every):
            given = {"file_path": _full(path, cwd), "old_string": old, "new_string": new}
            return "Edit", {**given, "replace_all": every}
        case Fetch(url, str(prompt)):
            return "WebFetch", {"url": url, "prompt": prompt}
        case Ask(query):
            return "WebSearch", {"query": query}
    return None


def _in(folder: str | None, command: str) -> str:
    """A command line for a tool that takes no folder."""
    return f"cd {shlex.quote(folder)} && {command}" if folder else command


def _opencode(use: Use, cwd: str | None) -> Said | None:
    match use:
        case Shell(command, folder):
            return "bash", {"command": command, "workdir": folder}
        case Read(path, offset, limit):
            return "read", {"filePath": _full(path, cwd), "offset": offset, "limit": limit}
        case List(path):
            return "read", {"filePath": _full(path, cwd)}
        case Write(path, content):
            return "write", {"content": content, "filePath": _full(path, cwd)}
        case Edit(path, ((old, new),), every):
            given = {"filePath": _full(path, cwd), "oldString": old, "newString": new}
            return "edit", {**given, "replaceAll": every}
        case Search(pattern, path, include):
            return "grep", {"pattern": pattern, "path": path, "include": include}
        case Find(pattern, path):
            return "glob", {"pattern": pattern, "path": path}
        case Fetch(url, None):
            return "webfetch", {"url": url, "format": "markdown"}
        case Plan(steps):
            todos = [{"content": what, "status": status, "priority": "medium"}
                     for what, status in steps]  # fmt: skip
            return "todowrite", {"todos": todos}
    return None


def _gemini(use: Use, cwd: str | None) -> Said | None:
    match use:
        case Shell(command, folder):
            return "run_shell_command", {"command": command, "dir_path": folder}
        case Read(path, offset, limit):
            first = offset if offset is not None else (1 if limit is not None else None)
            last = (first or 1) + limit - 1 if limit is not None else None
            given = {"file_path": _full(path, cwd), "start_line": first, "end_line": last}
            return "read_file", given
        case Write(path, content):
            return "write_file", {"file_path": _full(path, cwd), "content": content}
        case Edit(path, ((old, new),), every):
            given = {"file_path": _full(path, cwd), "old_string": old, "new_string": new}
            return "replace", {**given, "allow_multiple": every or None}
        case List(path):
            return "list_directory", {"dir_path": _full(path, cwd)}
    return _gemini_searches(use)


def _gemini_searches(use: Use) -> Said | None:
    match use:
        case Search(pattern, path, include):
            given = {"pattern": pattern, "dir_path": path, "include_pattern": include}
            return "grep_search", given
        case Find(pattern, path):
            return "glob", {"pattern": pattern, "dir_path": path}
        case Fetch(url, prompt):
            return "web_fetch", {"prompt": f"{url} {prompt or ''}".rstrip()}
        case Ask(query):
            return "google_web_search", {"query": query}
        case Plan(steps):
            todos = [{"description": what, "status": status} for what, status in steps]
            return "write_todos", {"todos": todos}
    return None


def _pi(use: Use, cwd: str | None) -> Said | None:
    match use:
        case Shell(command, folder):
            return "bash", {"command": _in(folder, command)}
        case Read(path, offset, limit):
            return "read", {"path": path, "offset": offset, "limit": limit}
        case Write(path, content):
            return "write", {"path": path, "content": content}
        case Edit(path, changes, False):
            edits = [{"oldText": old, "newText": new} for old, new in changes]
            return "edit", {"path": path, "edits": edits}
    return None


_TABLES: Final[Mapping[str, Callable[[Use, str | None], Said | None]]] = {
    "claude-code": _claude,
    "codex": _codex,
    "gemini-cli": _gemini,
    "opencode": _opencode,
    "pi": _pi,
}
