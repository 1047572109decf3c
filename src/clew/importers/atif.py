"""ATIF: trajectories of agents, one JSON document each, with those of sub-agents inside.

A document is written anew for each step, or once at the end. It has no place of its own: it is
read where it is named.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from clew.canonical import canonical, content_id, parse
from clew.errors import Invalid
from clew.importers import packed, rows
from clew.importers.atif_records import (
    FORMAT,
    OBSERVED,
    RESULTS,
    classify,
    decode,
    is_copied,
    model_of,
    results,
    step_of,
    total_of,
    usage_of,
)
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title, text, time_ms
from clew.model import JSON, Origin, Record
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "atif"
formats: tuple[str, ...] = (FORMAT, RESULTS, OBSERVED)

HEAD_BYTES: Final = 256 << 10
DOCUMENT_BYTES_MAX: Final = 256 << 20
"""A larger document is not read."""
NESTED_MAX: Final = 8
"""Levels of sub-agents of sub-agents that are read."""
DIGEST_BYTES: Final = 4
RANK_PROMPT: Final = 1

_VERSION = re.compile(rb'"schema_version"\s*+:\s*+"(ATIF-v)?1\.\d{1,2}(\.\d{1,2})?"')
_KEYS = (b'"steps"', b'"agent"')
_LISTS = ("steps", "subagent_trajectories")


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """None: such files have no place of their own. Name the file or its folder."""
    del home, env
    return []


def identify(path: Path) -> bool:
    """True for a `.json` file that begins as a trajectory."""
    if path.suffix != ".json":
        return False
    try:
        with packed.plain(path) as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return _VERSION.search(head) is not None and all(key in head for key in _KEYS)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    files = [root] if root.is_file() else sorted(_walk(root))
    yield from (path for path in files if identify(path))


def _walk(root: Path) -> Iterator[Path]:
    for folder, _folders, files in os.walk(root):
        yield from (Path(folder, file) for file in files if file.endswith(".json"))


@contextmanager
def look(path: Path) -> Iterator[Trajectories]:
    """See `Store.look`. Raises `Invalid` for a document that is not whole."""
    with packed.plain(path) as file:
        data = file.read(DOCUMENT_BYTES_MAX + 1)
    if len(data) > DOCUMENT_BYTES_MAX:
        raise Invalid(f"it has more than {DOCUMENT_BYTES_MAX:,} bytes: not read")
    try:
        found = Trajectories(path.stem, parse(data, into=dict[str, msgspec.Raw]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"it is no whole JSON object ({error})") from None
    yield found


def open(path: Path, thread: str, state: bytes | None = None) -> StepReader:
    """See `Store.open`."""
    del path
    return StepReader(Origin(mended(thread), name)).resumed(state)


class _Trajectory(msgspec.Struct):
    """One of the document, with what is known of who began it."""

    facts: dict[str, JSON]
    steps: list[bytes]
    parent: str | None
    call: str | None


class Trajectories:
    """See `base.Look`: the trajectory of a document and those inside it."""

    def __init__(self, stem: str, document: dict[str, msgspec.Raw]) -> None:
        self._found: dict[str, _Trajectory] = {}
        self._add(stem, document, None, {}, 0)

    def threads(self) -> Iterator[Thread]:
        """See `Look.threads`."""
        for thread, found in self._found.items():
            said = content_id(canonical(found.facts) + b"\n".join(found.steps))
            yield Thread(thread, (len(found.steps), int.from_bytes(said[:7], "big")))

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`."""
        found = self._found[thread]
        facts = {"trajectory": found.facts, "parent": found.parent, "call": found.call}
        counted = any(b'"metrics"' in step for step in found.steps)
        yield Item("trajectory", msgspec.json.encode({**facts, "counted": counted}), aside=True)
        place = {"trajectory": thread, "model": model_of(found.facts)}
        for number, step in enumerate(found.steps, 1):
            told = {**place, "number": number, "step": msgspec.Raw(step)}
            yield Item(str(number), msgspec.json.encode(told))

    def _add(
        self,
        stem: str,
        document: dict[str, msgspec.Raw],
        parent: str | None,
        calls: dict[str, str],
        depth: int,
    ) -> None:
        steps = [msgspec.json.format(raw, indent=-1) for raw in _each(document, "steps")]
        inner: list[bytes] = []
        rest: list[bytes] = []
        for raw in _each(document, "subagent_trajectories"):
            (inner if raw.startswith(b"{") and depth < NESTED_MAX else rest).append(raw)
        facts = {key: parse(bytes(raw)) for key, raw in document.items() if key not in _LISTS}
        if rest:
            facts["subagent_trajectories"] = [parse(raw) for raw in rest]
        identity = text(facts, "trajectory_id")
        thread = _name(facts, identity or stem, steps)
        call = calls.get(identity or "")
        self._found.setdefault(thread, _Trajectory(facts, steps, parent, call))
        spawned = _spawned(steps) if inner else {}
        for number, raw in enumerate(inner, 1):
            sub = parse(raw, into=dict[str, msgspec.Raw])
            self._add(f"{stem}-{number}", sub, thread, spawned, depth + 1)


def _each(document: dict[str, msgspec.Raw], key: str) -> list[bytes]:
    """The elements of a list; what is none has no elements."""
    raw = bytes(document.get(key, b"")).strip()
    found = parse(raw, into=list[msgspec.Raw]) if raw.startswith(b"[") else []
    return [bytes(each).strip() for each in found]


def _name(facts: dict[str, JSON], own: str, steps: list[bytes]) -> str:
    """What a trajectory is known by. The id of the run is shared by what continues it, and ids
    that people write repeat: the first step tells them apart.
    """
    first = content_id(steps[0] if steps else b"")[:DIGEST_BYTES].hex()
    run = text(facts, "session_id")
    return mended(f"{run}/{own}~{first}" if run else f"{own}~{first}")


def _spawned(steps: list[bytes]) -> dict[str, str]:
    """The call that began each sub-agent, by the id of its trajectory."""
    found: dict[str, str] = {}
    for step in (parse(step) for step in steps if b"subagent_trajectory_ref" in step):
        for result in results(step)[0] if isinstance(step, dict) else []:
            told = result.get("subagent_trajectory_ref")
            for ref in told if isinstance(told, list) else [told]:
                identity = text(ref, "trajectory_id") if isinstance(ref, dict) else None
                if identity is not None:
                    found[identity] = result["source_call_id"]
    return found


class StepReader(rows.ItemReader):
    """Reads one trajectory."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        if item.aside:
            self._begin(value, record)
            return []
        step = step_of(value)
        record.kind, record.role, record.note = classify(value)
        record.time_ms = time_ms(step.get("timestamp"))
        record.usage = usage_of(value)
        self.origin.model = text(step, "model_name") or self.origin.model
        if record.role == "user" and "titled" not in self.facts and not is_copied(step):
            set_title(record, decode(value).text, RANK_PROMPT)
            self.facts["titled"] = record.title is not None
        answers, others = results(step)
        behind = [rows.beside(record, RESULTS, "results")] if answers else []
        if others:
            behind.append(rows.beside(record, OBSERVED, "observed", "context"))
        return behind

    def _begin(self, value: dict[str, JSON], record: Record) -> None:
        """What the document says of the trajectory."""
        facts, origin = value.get("trajectory"), self.origin
        document = facts if isinstance(facts, dict) else {}
        origin.parent, origin.parent_call = text(value, "parent"), text(value, "call")
        origin.kind = "subagent" if origin.parent else "main"
        origin.model = model_of(document) or origin.model
        agent = document.get("agent")
        origin.version = text(agent, "version") if isinstance(agent, dict) else None
        if value.get("counted") is False:
            record.usage = total_of(document, f"atif:{origin.native_id}")
