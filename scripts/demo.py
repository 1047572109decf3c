"""See Clew at work: the real command line, on bundled sample sessions or on your own.

Everything goes into ./demo, which is made anew each time; the histories are only read. Each
command is printed as a person would type it, then its real output. In a terminal it ends with the
page of that ledger, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
DATABASE = DEMO / "clew.db"
TRAJECTORIES = DEMO / "trajectories.jsonl"
SAMPLES = ROOT / "samples" / "claude-code"
AGENT = ROOT / "samples" / "agent.py"
WORKSHOP = ROOT / "samples" / "workshop.py"
RUNNING = ROOT / "samples" / "running.py"
RUN = "from clew.cli import main; main(prog_name='clew')"
SAMPLE_SEARCHES = (["legacy_ref", "--kind", "user"], ["备份订单表"], ["copyOrders"])
MAY_FIND_NOTHING = {"audit", "checkpoint", "search", "sessions"}
LINES_SHOWN = 14
SESSIONS_LOOKED_AT = 5
WORD = re.compile(r"[A-Za-z]{6,20}")
IDENTIFIER = re.compile(r"\b(?:[a-z]+_[a-z_]{3,20}|[a-z]+[A-Z][A-Za-z]{2,20})\b")
CJK = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]{2,4}")
COMMON = frozenset(
    {"another", "because", "before", "caveat", "command", "content", "function", "general"}
    | {"messages", "please", "running", "session", "should", "something", "through", "without"}
)
"""Words of which a search says little."""
Message = dict[str, Any]


class Failed(Exception):
    """A command of the demo did not work."""


# --- running the command line ------------------------------------------------------------


def _environment() -> dict[str, str]:
    """What a program of the demo is told: which ledger, and where Clew is."""
    environment = dict(os.environ, CLEW_DB=str(DATABASE))
    if importlib.util.find_spec("clew") is None:
        environment["PYTHONPATH"] = str(ROOT / "src")
    return environment


def _process(words: list[str], *, capture: bool) -> subprocess.CompletedProcess[str]:
    sys.stdout.flush()
    return subprocess.run(
        [sys.executable, "-c", RUN, *words],
        cwd=ROOT,
        env=_environment(),
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.DEVNULL if capture else None,
        check=False,
    )


def _prompt(words: list[str]) -> None:
    shown = shlex.join(word.replace(f"{ROOT}{os.sep}", "") for word in words)
    print(f"\n\033[1m$ clew {shown}\033[0m" if sys.stdout.isatty() else f"\n$ clew {shown}")


def clew(*words: str, lines: int = 0) -> None:
    """Show a command and its output, or the first `lines` of it."""
    _prompt(list(words))
    done = _process(list(words), capture=bool(lines))
    if lines:
        _show_some(done.stdout.splitlines(), lines)
    _check(words, done.returncode)


def _check(words: tuple[str, ...], code: int) -> None:
    nothing_found = code == 1 and words[0] in MAY_FIND_NOTHING
    if code and not nothing_found:
        raise Failed(f"`clew {shlex.join(words)}` ended with exit code {code}")


def _show_some(found: list[str], lines: int) -> None:
    print("\n".join(found[:lines]))
    if len(found) > lines:
        print(f"  … and {len(found) - lines:,} more")


def ask(*words: str) -> list[Any]:
    """A command's JSON, unseen: what a person would read off the screen."""
    done = _process([*words, "--json"], capture=True)
    _check(words, done.returncode)
    return [json.loads(line) for line in done.stdout.splitlines()]


def chapter(text: str) -> None:
    """A line of explanation before what follows."""
    print(f"\n\033[33m── {text}\033[0m" if sys.stdout.isatty() else f"\n── {text}")


# --- the story ---------------------------------------------------------------------------


def text_of(message: Message) -> str:
    """The words of a message as `clew show --json` prints it."""
    return "\n".join(part["text"] for part in message["parts"] if part["type"] == "text")


def searches(sessions: list[Message], own: bool) -> list[list[str]]:
    """What to search for: on the samples known words, else frequent ones of the newest."""
    if not own:
        return [list(words) for words in SAMPLE_SEARCHES]
    words: Counter[str] = Counter()
    names: Counter[str] = Counter()
    cjk: Counter[str] = Counter()
    for session in sessions[:SESSIONS_LOOKED_AT]:
        for message in ask("show", session["id"])[0]["messages"]:
            if message["meta"] or message["summary"]:
                continue
            text = text_of(message)
            words.update(w for w in map(str.lower, WORD.findall(text)) if w not in COMMON)
            names.update(IDENTIFIER.findall(text))
            cjk.update(CJK.findall(text))
    found = [[word] for counter in (words, names, cjk) for word, _ in counter.most_common(1)]
    return found or [["the"]]


def compacted(sessions: list[Message]) -> tuple[Message, Message] | None:
    """A session that was compacted, and the checkpoint made before it; the longest first."""
    made = ask("audit", "list", "--action", "checkpoint", "--limit", "10000")
    owners = {record["session"] for record in made if record["facts"]["reason"] != "manual"}
    for session in sorted(sessions, key=lambda each: -each["messages"]):
        if session["id"] in owners:
            checkpoints = ask("checkpoint", "list", session["id"])
            found = [c for c in checkpoints if c["post"] is not None and c["pre"] is not None]
            if found:
                return session, found[-1]
    return None


def back_before_compaction(session: Message, checkpoint: Message) -> str:
    """Branch where the session stood before it was compacted; gives what came back."""
    id, at = session["id"][:16], checkpoint["id"][:16]
    head = f"{session['head']['session'][:16]}:{session['head']['seq']}"
    chapter("This session was compacted. A checkpoint was kept before it:")
    clew("checkpoint", "list", id)
    chapter("What came after that checkpoint:")
    clew("checkpoint", "diff", id, at, head, lines=LINES_SHOWN)
    chapter("Go back: a new session that stands before the compaction. Nothing is copied.")
    clew("checkpoint", "branch", id, at, "--title", "before the compaction")
    branch = ask("sessions", "--limit", "1")[0]["id"][:16]
    return compare_views(id, branch)


def compare_views(id: str, branch: str) -> str:
    """Find a message that a model no longer sees in the session, and sees in its branch."""
    narrow = json.dumps(ask("show", id, "--view", "anthropic"), ensure_ascii=False)
    wide = json.dumps(ask("show", branch, "--view", "anthropic"), ensure_ascii=False)
    for message in ask("show", branch)[0]["messages"]:
        text = text_of(message).strip()
        words = json.dumps(text, ensure_ascii=False)[1:-1]
        if message["role"] != "user" or message["meta"] or not words:
            continue
        if words in wide and words not in narrow:
            return show_lost(id, branch, text, words, (narrow, wide))
    return "every message of the branch is in both views."


def show_lost(id: str, branch: str, text: str, words: str, views: tuple[str, str]) -> str:
    """Print both views around the message that the compaction lost."""
    short = " ".join(text.split())[:240]
    chapter("What a model sees of each: the request that would be sent.")
    _prompt(["show", id, "--view", "anthropic"])
    print(f"  {len(views[0]):,} characters; the message below is not among them")
    _prompt(["show", branch, "--view", "anthropic"])
    print(f"  {len(views[1]):,} characters, and there it is:")
    print(f"  … {words[:240]} …")
    return (
        f"the compaction had lost this for the model, and the branch has it again:\n    “{short}”"
    )


def back_to_earlier(session: Message) -> str:
    """Without a compaction: branch at an earlier turn."""
    chapter("None of these sessions was compacted; a branch can begin anywhere, so take a turn.")
    id = session["id"][:16]
    messages = ask("show", session["id"])[0]["messages"]
    prompts = [m for m in messages if m["role"] == "user" and not m["meta"] and text_of(m).strip()]
    chosen = prompts[len(prompts) // 2] if prompts else messages[0]
    at = chosen["at"][0]
    place = f"{at['session'][:16]}:{at['seq']}"
    clew("checkpoint", "branch", id, place, "--title", "another way")
    head = f"{session['head']['session'][:16]}:{session['head']['seq']}"
    chapter("What the session has beyond the branch:")
    clew("checkpoint", "diff", id, place, head, lines=LINES_SHOWN)
    return "a branch begins at an earlier turn, and the session it came from is as it was."


def live() -> None:
    """Run an agent that is killed in the middle of a tool call, and take its session up again."""
    chapter("An agent that records what it does (samples/agent.py), killed while it deploys:")
    killed = subprocess.run([sys.executable, str(AGENT)], env=_environment(), check=False)
    if killed.returncode >= 0:
        raise Failed(f"samples/agent.py ended with {killed.returncode} and was to be killed")
    id = ask("sessions", "--limit", "1")[0]["id"][:16]
    chapter("What needs care before it goes on, and the entry that mends the record:")
    clew("resume", id)
    chapter("What ran, call by call:")
    clew("trace", id)


def work() -> None:
    """Record a session with more to see on the page than words."""
    chapter("An agent that has pictures, edits and a failing test (samples/workshop.py):")
    done = subprocess.run([sys.executable, str(WORKSHOP)], env=_environment(), check=False)
    if done.returncode:
        raise Failed(f"samples/workshop.py ended with {done.returncode}")
    clew("sessions", "--agent", "workshop")


def export() -> None:
    """Write redacted trajectories and show a piece where something was replaced."""
    chapter("Training data, redacted: secrets, names and addresses get stable placeholders.")
    clew("export", "-o", str(TRAJECTORIES.relative_to(ROOT)))
    for kind in ("SECRET", "EMAIL", "IP", "[A-Z]+"):
        with TRAJECTORIES.open(encoding="utf-8") as file:
            found = (
                re.search(f".{{0,160}}<{kind}_[0-9a-f]{{6,}}>.{{0,160}}", line) for line in file
            )
            piece = next((match[0] for match in found if match), None)
        if piece is not None:
            print(f"  in the file: … {piece.strip()} …")
            return


def story(source: Path, own: bool) -> None:
    """Everything, from the import to a last word."""
    chapter(f"Bring in the histories below {source if own else source.relative_to(ROOT)}.")
    clew("import", str(source))
    sessions = [each for each in ask("sessions", "--limit", "10000") if each["messages"]]
    if not sessions:
        raise Failed(f"{source} holds sessions without a message: name a folder with others")
    chapter("What there is:")
    clew("sessions", "--limit", "10")
    chapter("Search: everything that was said, thought, called and answered.")
    for words in searches(sessions, own):
        clew("search", *words, "--limit", "3")
    found = compacted(ask("sessions", "--subagents", "--limit", "10000"))
    chosen = found[0] if found else max(sessions, key=lambda each: int(each["messages"]))
    chapter("Read a session, with its tool calls and their results (the newest messages of it):")
    clew("show", chosen["id"][:16], "--tail", "8")
    outcome = back_before_compaction(*found) if found else back_to_earlier(chosen)
    if not own:
        work()
    live()
    export()
    chapter("Does all of it still agree? Every hash, pointer and projection, derived again:")
    clew("verify")
    last_word(source, own, len(sessions), outcome)


def last_word(source: Path, own: bool, count: int, outcome: str) -> None:
    """What happened, and what to try next."""
    chapter("What happened")
    noun = "session" if count == 1 else "sessions"
    name = source if own else source.relative_to(ROOT)
    print(f"  {count:,} {noun} from {name} are in demo/clew.db; the files there were only read.")
    print(f"  {outcome[0].upper()}{outcome[1:]}")
    print("  Redacted training data is in demo/trajectories.jsonl, and the ledger verifies.")
    print("\n  Next:")
    if not own:
        print("    make demo FROM=~/.claude          the same on your own sessions")
    print("    .venv/bin/clew --db demo/clew.db show latest")
    print("    .venv/bin/clew --db demo/clew.db serve --open     the page, HTTP, OpenTelemetry")
    print("    .venv/bin/clew import             your agents' histories into your own ledger")


# --- the page ----------------------------------------------------------------------------


def watched() -> bool:
    """Whether a person sits in front of this."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def page(own: bool) -> None:
    """Serve the page of what was made, with an agent at work beside it, until Ctrl-C."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    graphical = bool(display) or sys.platform in ("darwin", "win32")
    chapter("See it: the page of this ledger. Ctrl-C ends it.")
    words = ["serve", "--port", "0", "--log-level", "warning"] + ["--open"] * graphical
    _prompt(words)
    sys.stdout.flush()
    commands = [[sys.executable, "-c", RUN, *words]]
    if not own:
        commands.append([sys.executable, str(RUNNING)])
    started = [subprocess.Popen(each, cwd=ROOT, env=_environment()) for each in commands]
    try:
        code = _until_ended(started[0])
    finally:
        for process in started[1:]:
            process.terminate()
        for process in started:
            _until_ended(process)
    if code:
        raise Failed(f"`clew {shlex.join(words)}` ended with exit code {code}")


def _until_ended(process: subprocess.Popen[bytes]) -> int:
    """Ctrl-C reaches the process too; it ends by itself."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def main() -> int:
    parser = argparse.ArgumentParser(description="See Clew at work.")
    parser.add_argument("--from", dest="source", type=Path, help="your agent's folder of sessions")
    parser.add_argument("--no-page", action="store_true", help="end without serving the page")
    given = parser.parse_args()
    source = given.source
    own = source is not None
    source = source.expanduser().absolute() if own else SAMPLES
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    try:
        story(source, own)
        if watched() and not given.no_page:
            page(own)
    except Failed as failed:
        print(f"\nThe demo stopped: {failed}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo was interrupted.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
