"""Files of traces, as the OpenTelemetry Collector's file exporter and others write them.

JSON Lines of export requests (`{"resourceSpans": [...]}`), one such JSON document or a list of
them, or protobuf: one request, or many of which each stands behind its length in four bytes, most
significant first (the exporter's `format: proto`).
Source: github.com/open-telemetry/opentelemetry-collector-contrib, exporter/fileexporter.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from clew.errors import Invalid
from clew.otlp import jsonform, protobuf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from clew.otlp.model import Request

JSON_SUFFIXES: Final = (".jsonl", ".ndjson", ".json")
PROTOBUF_SUFFIXES: Final = (".pb", ".binpb", ".otlp")
BEGIN_BYTES: Final = 512
HEAD_BYTES: Final = 256 << 10
LINE_BYTES_MAX: Final = 64 << 20
DOCUMENT_BYTES_MAX: Final = 256 << 20
"""What is no JSON Lines is read at once, if it is not larger."""
LENGTH_BYTES: Final = 4

_BEGIN = re.compile(rb'[\s\xef\xbb\xbf\[]*+\{\s*+"resource(?:Spans|Logs|Metrics|Profiles)"\s*+:')
_OTHERS = re.compile(rb'[\s\xef\xbb\xbf]*+\{\s*+"resource(?:Logs|Metrics|Profiles)"\s*+:')
_SPANS: Final = b'"resourceSpans"'
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"


class Found(NamedTuple):
    """A request in a file, and where it stands; or why what stands there is none."""

    at: int
    length: int
    request: Request | None
    note: str | None = None


def identify(path: Path) -> bool:
    """True for a file that begins with spans, in JSON or protobuf."""
    try:
        with path.open("rb") as file:
            if path.suffix in JSON_SUFFIXES:
                head = file.read(BEGIN_BYTES)
                if _BEGIN.match(head) is None:
                    return False
                return _SPANS in head or _SPANS in head + file.read(HEAD_BYTES)
            if path.suffix in PROTOBUF_SUFFIXES:
                return any(found.request for found in _of_protobuf(_whole(file)))
    except (OSError, Invalid):
        return False
    return False


def is_named_so(name: str) -> bool:
    """Whether a file is named as one of traces may be: cheap."""
    return name.endswith(JSON_SUFFIXES + PROTOBUF_SUFFIXES)


def discover(root: Path) -> Iterator[Path]:
    """The files of traces at or below `root`, by their names."""
    if root.is_file():
        files = [root]
    else:
        names = (Path(at, n) for at, _, files in os.walk(root) for n in files if is_named_so(n))
        files = sorted(names)
    yield from (path for path in files if identify(path))


def read(path: Path) -> Iterator[Found]:
    """The requests in a file, in their order. A bad one costs only itself.

    Raises `OSError`, and `Invalid` for a document that is too large.
    """
    with path.open("rb") as file:
        if path.suffix in PROTOBUF_SUFFIXES:
            yield from _of_protobuf(_whole(file))
            return
        first = file.readline(LINE_BYTES_MAX).strip(_BLANK)
        file.seek(0)
        if not first.endswith(b"}"):
            found = _of_document(file)
            if found:
                yield from found
                return
            file.seek(0)
        yield from _of_lines(file)


def _whole(file: BinaryIO) -> bytes:
    data = file.read(DOCUMENT_BYTES_MAX + 1)
    if len(data) > DOCUMENT_BYTES_MAX:
        raise Invalid(f"it has more than {DOCUMENT_BYTES_MAX:,} bytes: not read")
    return data


# --- JSON --------------------------------------------------------------------------------


def _of_lines(file: BinaryIO) -> Iterator[Found]:
    at = 0
    while line := file.readline(LINE_BYTES_MAX):
        if text := line.strip(_BLANK):
            found = _of_json(text, at)
            torn = not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX
            if found.note is not None and torn:
                found = found._replace(note=f"ends in {len(line)} bytes of an incomplete line")
            yield found
        at += len(line)


def _of_json(body: bytes, at: int) -> Found:
    if _OTHERS.match(body):
        return Found(at, len(body), None, "logs, metrics or profiles: only spans are read")
    try:
        return Found(at, len(body), jsonform.decode_request(body))
    except Invalid as error:
        return Found(at, len(body), None, str(error))


def _of_document(file: BinaryIO) -> list[Found]:
    """The requests of one JSON document; none when it is not one, or not whole."""
    data = _whole(file).strip(_BLANK)
    if data.startswith(b"["):
        try:
            each = msgspec.json.decode(data, type=list[msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
        return [_of_json(bytes(raw), 0) for raw in each]
    found = _of_json(data, 0)
    return [found] if found.request is not None else []


# --- protobuf ----------------------------------------------------------------------------


def _of_protobuf(data: bytes) -> Iterator[Found]:
    """Requests behind their lengths, or else one request."""
    if int.from_bytes(data[:LENGTH_BYTES], "big") > len(data) - LENGTH_BYTES:
        yield _of_message(data, 0)
        return
    at = 0
    while at < len(data):
        begin = at + LENGTH_BYTES
        end = begin + int.from_bytes(data[at:begin], "big")
        if end > len(data):
            note = f"ends in {len(data) - at} bytes of an incomplete request"
            yield Found(at, len(data) - at, None, note)
            return
        yield _of_message(data[begin:end], at)
        at = end


def _of_message(body: bytes, at: int) -> Found:
    try:
        return Found(at, len(body), protobuf.decode_request(body))
    except Invalid as error:
        return Found(at, len(body), None, str(error))
