"""Redaction of a stream: JSON lines, one JSON document, or text.

The input is read three times from a temporary file: to learn what is secret in it (a value may
be found in line 900 that stands in line 1 without its key), to replace, and, what was made of
it, to look again. Only then is anything written; when that look finds something, nothing is.

JSON stays JSON: a changed string is written anew, and every other byte of its line stays as it
was, so `1.0`, `1e400`, repeated keys and the order of keys survive. A line that is no JSON is
text. Text is searched in blocks of lines, so that keys of many lines are seen whole.
"""

from __future__ import annotations

import json
import os
import re
import struct
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, TYPE_CHECKING, NamedTuple

from clew.errors import Invalid, RedactionFailed
from clew.redaction.policy import Action
from clew.redaction.wide import Widened, encoding, narrowed

if TYPE_CHECKING:
    from clew.model import JSON
    from clew.redaction.engine import Redactor

BLOCK_BYTES = 1 << 18
"""So much text is searched at once."""
KEPT_BYTES = 1 << 15
"""A block does not end within a key that began less than this before its end."""
LINE_BYTES_MAX = 1 << 26
DOCUMENT_BYTES_MAX = 1 << 28
COPY_BYTES = 1 << 20
PASSES_MAX = 8
_HEADER = struct.Struct("<?Q")


class Form(StrEnum):
    """What the input is taken for."""

    AUTO = "auto"
    """Each line for itself: JSON when it is an object or an array; or one document."""
    TEXT = "text"
    JSONL = "jsonl"
    JSON = "json"


@dataclass
class Filtered:
    """What was done: replacements by rule, what a policy left as it was, records, and lines of JSON
    lines that were none.
    """

    rules: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    records: int = 0
    bad_lines: int = 0
    review: int = 0
    """Records in which something was found that the policy wants looked at."""
    not_spread: int = 0
    """Values too many to be remembered: replaced only where a rule finds them."""


class _Record(NamedTuple):
    data: bytes
    json: bool
    line: int
    bad: bool = False


def redact_stream(source: IO[bytes], target: IO[bytes], redactor: Redactor, form: Form) -> Filtered:
    """Copy `source` to `target` with everything replaced that `redactor` finds.

    Raises `Invalid` for an input that is not of the form and `RedactionFailed` when the policy
    blocks something in it or a last look still finds something; nothing is written then.
    """
    with (
        tempfile.TemporaryFile() as came,
        tempfile.TemporaryFile() as narrow,
        tempfile.TemporaryFile() as made,
    ):
        _copy(source, came)
        wide = encoding(came)
        spool = narrow if wide else came
        if wide:
            narrowed(came, narrow, wide)
        spool.seek(0, os.SEEK_END)
        whole = _whole(spool, form)
        learned = _learnt(spool, whole, form, redactor)
        final = redactor.fresh()
        final.learn(learned.learned_state())
        done = Filtered()
        for record in _records(spool, whole, form):
            _write(made, record, final, done)
        if final.learned != learned.learned:
            raise RedactionFailed("replacing brought more to light each time; nothing was written")
        _look_again(made, final)
        _give(made, Widened(target, wide) if wide else target)
        target.flush()
        done.not_spread = max(learned.not_spread, final.not_spread)
        return done


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while piece := source.read(COPY_BYTES):
        target.write(piece)


def _learnt(spool: IO[bytes], whole: bool, form: Form, redactor: Redactor) -> Redactor:
    """A redactor that knows everything which is secret somewhere in the input."""
    learner = redactor.fresh()
    for _ in range(PASSES_MAX):
        before = learner.learned
        for record in _records(spool, whole, form):
            learner.redact(_value(record))
        if learner.learned == before:
            break
    return learner


# --- records -------------------------------------------------------------------------------


def _whole(spool: IO[bytes], form: Form) -> bool:
    """Is the input one JSON document of several lines? Raises `Invalid` when it has to be one."""
    size = spool.tell()
    spool.seek(0)
    if form in (Form.TEXT, Form.JSONL) or (form is Form.AUTO and size > DOCUMENT_BYTES_MAX):
        return False
    if form is Form.AUTO and not _opens_a_document(spool):
        return False
    spool.seek(0)
    try:
        json.loads(spool.read())
    except RecursionError:
        if form is Form.JSON:
            raise Invalid(
                "the input is nested too deep to be read as JSON; give --as text"
            ) from None
        return False
    except ValueError as error:
        if form is Form.JSON:
            raise Invalid(f"the input is no JSON document: {error}") from None
        return False
    return True


def _opens_a_document(spool: IO[bytes]) -> bool:
    """Does it begin like a document whose first line is not the whole of it?"""
    for line in _lines(spool):
        if line.strip():
            return line.lstrip()[:1] in (b"{", b"[") and not _parses(line)
    return False


def _records(spool: IO[bytes], whole: bool, form: Form) -> Iterator[_Record]:
    spool.seek(0)
    if whole:
        yield _Record(spool.read(), json=True, line=1)
        return
    block: list[bytes] = []
    begun = size = 0
    for number, line in enumerate(_lines(spool), 1):
        if form is not Form.TEXT and _is_json(line, form):
            if block:
                yield _Record(b"".join(block), json=False, line=begun)
                block, size = [], 0
            yield _Record(line, json=True, line=number)
            continue
        if form is Form.JSONL:
            yield _Record(line, json=False, line=number, bad=bool(line.strip()))
            continue
        begun = begun if block else number
        block.append(line)
        size += len(line)
        if size >= BLOCK_BYTES:
            text, rest = _cut(b"".join(block))
            yield _Record(text, json=False, line=begun)
            block, size, begun = [rest] if rest else [], len(rest), number
    if block:
        yield _Record(b"".join(block), json=False, line=begun)


def _cut(text: bytes) -> tuple[bytes, bytes]:
    """Where a block may end: not within a private key, rather behind an empty line."""
    begin = text.rfind(b"-----BEGIN ", len(text) - KEPT_BYTES)
    if begin > 0 and text.find(b"-----END ", begin) < 0:
        begin = text.rfind(b"\n", 0, begin) + 1
        if begin:
            return text[:begin], text[begin:]
    empty = text.rfind(b"\n\n", len(text) - KEPT_BYTES)
    return (text, b"") if empty < 0 else (text[: empty + 2], text[empty + 2 :])


def _lines(spool: IO[bytes]) -> Iterator[bytes]:
    while line := spool.readline(LINE_BYTES_MAX):
        yield line


def _is_json(line: bytes, form: Form) -> bool:
    if form is Form.AUTO and line.lstrip()[:1] not in (b"{", b"["):
        return False
    return _parses(line)


def _parses(line: bytes) -> bool:
    if b"\0" in line:  # UTF-16 is no JSON line
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


# --- one record ----------------------------------------------------------------------------


def _value(record: _Record) -> JSON:
    return _document(record.data) if record.json else _text(record.data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _document(data: bytes) -> JSON:
    """The parsed document; of a repeated key every value is kept."""
    value: JSON = json.loads(data, object_pairs_hook=_pairs)
    return value


_REPEATED = "\u2063"
"""An invisible character makes a repeated key another one."""


def _pairs(items: list[tuple[str, JSON]]) -> dict[str, JSON]:
    made: dict[str, JSON] = {}
    for name, value in items:
        key = name
        while key in made:
            key += _REPEATED
        made[key] = value
    return made


def _write(made: IO[bytes], record: _Record, redactor: Redactor, done: Filtered) -> None:
    value = _value(record)
    result = redactor.redact_row(value)
    if result.action is Action.BLOCK:
        names = ", ".join(sorted(result.rules))
        raise RedactionFailed(
            f"the policy blocks what was found in line {record.line} or below ({names}): "
            "nothing was written"
        )
    done.records += 1
    done.bad_lines += record.bad
    done.review += result.action is Action.REVIEW
    for rule, count in result.rules.items():
        (done.left if redactor.leaves(rule) else done.rules)[rule] += count
    data = record.data
    if result.value != value:
        new = result.value
        data = _json(data, value, new) if record.json else _raw(str(new))
    made.write(_HEADER.pack(record.json, len(data)) + data)


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


_TOKEN = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?Infinity|NaN|true|false|null|-?[0-9][0-9.eE+-]*', re.DOTALL
)


def _json(data: bytes, old: JSON, new: JSON) -> bytes:
    """The document with changed scalars and keys written anew, everything else as it was."""
    pieces, at = list[bytes](), 0
    for found, before, after in zip(_TOKEN.finditer(data), _leaves(old), _leaves(new), strict=True):
        if before is after or (type(before) is type(after) and before == after):
            continue
        plain = found.group().isascii()
        pieces += [data[at : found.start()], json.dumps(after, ensure_ascii=plain).encode()]
        at = found.end()
    return b"".join([*pieces, data[at:]])


def _leaves(value: JSON) -> Iterator[JSON]:
    """Keys and scalars in the order in which they are written."""
    stack: list[Iterable[JSON]] = [iter([value])]
    while stack:
        for one in stack[-1]:
            if isinstance(one, dict):
                stack.append(_members(one))
                break
            if isinstance(one, list):
                stack.append(iter(one))
                break
            yield one
        else:
            stack.pop()


def _members(value: dict[str, JSON]) -> Iterator[JSON]:
    for key, item in value.items():
        yield key
        yield item


# --- the end -------------------------------------------------------------------------------


def _made_records(made: IO[bytes]) -> Iterator[tuple[bool, bytes]]:
    made.seek(0)
    while header := made.read(_HEADER.size):
        is_json, length = _HEADER.unpack(header)
        yield is_json, made.read(length)


def _look_again(made: IO[bytes], redactor: Redactor) -> None:
    for is_json, data in _made_records(made):
        found = redactor.scan(_document(data) if is_json else _text(data))
        if found:
            raise RedactionFailed(
                f"a last look still found {found[0].rule} in what was made; nothing was written"
            )


def _give(made: IO[bytes], target: IO[bytes] | Widened) -> None:
    for _, data in _made_records(made):
        target.write(data)
