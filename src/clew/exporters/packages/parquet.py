"""Native rows as one Parquet file: columns to filter by, and the rows themselves as JSON text.

Arrow gives every struct the keys of all others and makes one type of many, so a call's arguments
would come back as others than the model wrote. Therefore `messages` and `tools` are UTF-8 JSON
text, and so is `extra`: the row without those two, `null` standing in their places. From these
three the row comes back byte for byte (`rows`). All other columns are drawn from it, to filter
and to sum up by; what does not fit a column's type is null there and stands in `extra`.

Needs pyarrow, which `pip install 'clew[parquet]'` brings.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from clew.errors import Invalid
from clew.model import JSON

if TYPE_CHECKING:
    from clew.exporters.base import Row

suffix = ".parquet"

SCHEMA = "clew-parquet/1"
"""Stands in the file's metadata as `clew.schema`."""
GROUP_ROWS_MAX: Final = 512
GROUP_BYTES_MAX: Final = 8 << 20
"""A row group ends at whichever comes first, so that memory is bounded whatever the rows hold."""
LINE_BYTES_MAX: Final = 1 << 30
"""Readers count the bytes of a text column in 32 bits, with a sign."""
ZSTD_LEVEL: Final = 3
DOCUMENTS: Final = ("messages", "tools", "extra")
"""The columns of JSON text."""
_INT64_MAX: Final = (1 << 63) - 1


class Column(NamedTuple):
    """A column to filter by: its name, its type in Arrow's words, and the row's field."""

    name: str
    type: str
    field: str


COLUMNS: Final = (
    Column("session_id", "string", "session_id"),
    Column("root_session_id", "string", "root_session_id"),
    Column("branch_id", "string", "branch_id"),
    Column("branch", "string", "branch"),
    Column("segment", "int64", "segment"),
    Column("title", "string", "title"),
    Column("agent", "string", "agent"),
    Column("tier", "string", "tier"),
    Column("outcome", "string", "outcome"),
    Column("outcome_rule", "string", "outcome_rule"),
    Column("outcome_source", "string", "outcome_source"),
    Column("model", "string", "model_used"),
    Column("provider", "string", "provider_used"),
    Column("complexity_score", "float64", "complexity_score"),
    Column("tokens_in", "int64", "tokens_in"),
    Column("tokens_out", "int64", "tokens_out"),
    Column("tokens_cache_read", "int64", "tokens_cache_read"),
    Column("tokens_cache_write", "int64", "tokens_cache_write"),
    Column("tokens_reasoning", "int64", "tokens_reasoning"),
    Column("cost_usd", "float64", "cost_usd"),
    Column("latency_ms", "float64", "latency_ms"),
    Column("n_messages", "int64", "n_messages"),
    Column("n_tool_calls", "int64", "n_tool_calls"),
    Column("started_at", "time", "started_at"),
    Column("ended_at", "time", "ended_at"),
    Column("split", "string", "split"),
    Column("tools_source", "string", "tools_source"),
    Column("redaction_n", "int64", "redaction_n"),
)


class _Message(msgspec.Struct):
    """What the columns need of a message."""

    tool_calls: list[msgspec.Raw] | None = None
    segment: Any = None


def ready() -> None:
    """Raises `Invalid` when pyarrow is missing."""
    _arrow()


def write(lines: Iterable[bytes], target: Path) -> None:
    """Write a file from lines of native rows, one row group at a time. An existing file is
    replaced. After an error there is none: half a table would look like a whole one.

    Raises `Invalid` when pyarrow is missing and for a line that is no row.
    """
    arrow, parquet = _arrow()
    schema = _schema(arrow)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            options = _options()
            with parquet.ParquetWriter(stream, schema, **options) as writer:
                for group in _groups(lines):
                    writer.write_table(arrow.Table.from_pydict(group, schema=schema))
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        with suppress(FileNotFoundError):
            target.unlink()
        raise


def values(path: Path) -> Iterator[JSON]:
    """What stands in the file, a row at a time: every column by its name, the documents decoded,
    times as text. Raises `Invalid` when pyarrow is missing.
    """
    for row in _read(path, [*(column.name for column in COLUMNS), *DOCUMENTS]):
        for name, value in row.items():
            if isinstance(value, datetime):
                row[name] = value.isoformat()
        for name in DOCUMENTS:
            if row[name] is not None:
                row[name] = msgspec.json.decode(row[name])
        yield row


def rows(path: Path) -> Iterator[Row]:
    """The native rows that a file was written from, equal to the byte once written as lines."""
    for found in _read(path, list(DOCUMENTS)):
        row: Row = msgspec.json.decode(found["extra"])
        for name in ("messages", "tools"):
            if found[name] is not None:
                row[name] = msgspec.json.decode(found[name])
        yield row


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise Invalid(
            f"Parquet needs pyarrow, which cannot be loaded ({error}): "
            "install it with pip install 'clew[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet


def _schema(arrow: Any) -> Any:
    types = {
        "string": arrow.string(),
        "int64": arrow.int64(),
        "float64": arrow.float64(),
        "time": arrow.timestamp("us", tz="UTC"),
    }
    fields = [arrow.field(column.name, types[column.type]) for column in COLUMNS]
    fields += [arrow.field(name, arrow.string()) for name in DOCUMENTS]
    return arrow.schema(fields, metadata={"clew.schema": SCHEMA})


def _options() -> dict[str, Any]:
    """Only the short columns get dictionaries, and the least and greatest values by which
    readers skip row groups: of a conversation neither is of use.
    """
    short = [column.name for column in COLUMNS]
    return {
        "compression": "zstd",
        "compression_level": ZSTD_LEVEL,
        "use_dictionary": short,
        "write_statistics": short,
        "coerce_timestamps": "us",
    }


def _groups(lines: Iterable[bytes]) -> Iterator[dict[str, list[Any]]]:
    group: dict[str, list[Any]] = _empty()
    count = size = 0
    for number, data in enumerate(lines, 1):
        for name, value in _row(data, number).items():
            group[name].append(value)
        count += 1
        size += len(data)
        if count >= GROUP_ROWS_MAX or size >= GROUP_BYTES_MAX:
            yield group
            group, count, size = _empty(), 0, 0
    if count:
        yield group


def _empty() -> dict[str, list[Any]]:
    return {name: [] for name in (*(column.name for column in COLUMNS), *DOCUMENTS)}


def _row(data: bytes, number: int) -> dict[str, Any]:
    """A line's values by column. The documents are the line's own bytes."""
    if len(data) > LINE_BYTES_MAX:
        raise Invalid(
            f"row {number} has {len(data)} bytes, more than a Parquet column takes: "
            "leave that session out, or write JSON lines"
        )
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise Invalid(f"line {number} is no row ({error}): write native rows") from error
    documents = {name: fields.get(name) for name in ("messages", "tools")}
    extra = b"{%b}" % b",".join(
        msgspec.json.encode(key) + b":" + (b"null" if key in documents else bytes(raw))
        for key, raw in fields.items()
    )
    facts = msgspec.json.decode(extra)
    out = _facts(facts, documents["messages"])
    for name, raw in documents.items():
        out[name] = None if raw is None else bytes(raw).decode()
    out["extra"] = extra.decode()
    return out


def _facts(facts: dict[str, Any], messages: bytes | None) -> dict[str, Any]:
    """The values to filter by."""
    redaction = facts.get("redaction")
    counted = {
        **_counts(messages),
        "redaction_n": redaction.get("n") if isinstance(redaction, dict) else None,
    }
    if facts.get("segment") is not None:
        counted["segment"] = facts["segment"]
    told = facts | counted
    return {column.name: _FITS[column.type](told.get(column.field)) for column in COLUMNS}


def _counts(messages: bytes | None) -> dict[str, Any]:
    """How many messages and calls; the segment, when all messages stand in the same."""
    try:
        found = msgspec.json.decode(messages or b"null", type=list[_Message] | None)
    except msgspec.ValidationError:
        found = None
    if found is None:
        return {"n_messages": None, "n_tool_calls": None, "segment": None}
    numbers = [message.segment for message in found]
    alone = bool(numbers) and all(number == numbers[0] for number in numbers)
    return {
        "n_messages": len(found),
        "n_tool_calls": sum(len(message.tool_calls or ()) for message in found),
        "segment": numbers[0] if alone else None,
    }


def _read(path: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file, a few at a time."""
    _, parquet = _arrow()
    with parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            # A group at a time is what `GROUP_BYTES_MAX` bounds.
            for batch in file.iter_batches(batch_size=32, row_groups=[group], columns=names):
                yield from batch.to_pylist()


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) <= _INT64_MAX else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


_FITS: Final = {"string": _string, "int64": _whole, "float64": _number, "time": _time}
