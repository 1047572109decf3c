"""Native rows as Parquet: they come back byte for byte, and other programs can filter by them.

`CLEW_REGENERATE=1 pytest tests/test_packages_parquet.py` writes the golden columns anew.
"""

from __future__ import annotations

import builtins
import json
import os
import stat
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.exporters.base import line
from clew.exporters.packages import parquet
from packages_rows import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

pq = pytest.importorskip("pyarrow.parquet", reason="pip install 'clew[parquet]'")


def written(tmp_path: Path, made: list[dict[str, Any]]) -> Path:
    target = tmp_path / "sessions.parquet"
    parquet.write(map(line, made), target)
    return target


# --- round trip ----------------------------------------------------------------------------

WORDS = st.text(max_size=20) | st.sampled_from(
    ["\u2028", "a\x85b", '{"a": 1}', "\x00", "\U0001f9f5"]
)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [*(column.field for column in parquet.COLUMNS), *parquet.DOCUMENTS, "notes", "redaction"]
)
ROWS = st.lists(st.dictionaries(NAMES | WORDS, VALUES, max_size=9), max_size=4)


@given(made=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_row_holds_it_comes_back_byte_for_byte(
    tmp_path: Path, made: list[dict[str, Any]]
) -> None:
    target = written(tmp_path, made)
    assert list(map(line, parquet.rows(target))) == list(map(line, made))


def test_native_rows_come_back_byte_for_byte(tmp_path: Path) -> None:
    made = rows()
    assert list(map(line, parquet.rows(written(tmp_path, made)))) == list(map(line, made))


def test_arguments_keep_their_types_and_get_no_keys_of_other_tools(tmp_path: Path) -> None:
    calls = [
        {"id": "c1", "function": {"name": "Read", "arguments": {"line": 1690, "flags": ["a"]}}},
        {"id": "c2", "function": {"name": "Bash", "arguments": {"line": "1690"}}},
    ]
    made = [{"messages": [{"role": "assistant", "tool_calls": calls}], "tools": []}]
    [back] = parquet.rows(written(tmp_path, made))
    assert back["messages"][0]["tool_calls"] == calls


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    first = written(tmp_path, rows()).read_bytes()
    assert written(tmp_path, rows()).read_bytes() == first


# --- columns -------------------------------------------------------------------------------

GOLDEN = Path(__file__).parent / "golden" / "packages" / "columns.json"


def test_golden_columns(tmp_path: Path) -> None:
    table = pq.read_table(written(tmp_path, rows()[:2]))
    shown = {
        "schema": [f"{field.name}: {field.type}" for field in table.schema],
        "rows": table.to_pylist(),
    }
    text = json.dumps(shown, indent=1, default=str) + "\n"
    if os.environ.get("CLEW_REGENERATE"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_columns_say_what_the_row_says(tmp_path: Path) -> None:
    made = rows()[0] | {"split": "train", "redaction": {"ruleset": "sha256:x", "n": 3}}
    [found] = pq.read_table(written(tmp_path, [made])).to_pylist()
    assert found["session_id"] == made["session_id"]
    assert found["branch_id"] == made["branch_id"]
    assert found["title"] == made["title"]
    assert found["agent"] == made["agent"]
    assert found["outcome"] == made["outcome"]
    assert found["outcome_source"] == made["outcome_source"]
    assert found["model"] == made["model_used"]
    assert found["provider"] == made["provider_used"]
    assert found["tokens_in"] == made["tokens_in"] > 0
    assert found["tier"] == made["tier"]
    assert found["split"] == "train"
    assert found["redaction_n"] == 3
    assert found["n_messages"] == len(made["messages"])
    assert found["n_tool_calls"] == len(made["tool_calls"]) > 0
    assert found["started_at"] == datetime.fromisoformat(made["started_at"])
    assert found["started_at"].tzinfo is not None
    assert json.loads(found["messages"]) == made["messages"]
    assert json.loads(found["tools"]) == made["tools"]
    assert json.loads(found["extra"]) == made | {"messages": None, "tools": None}


def test_times_are_microseconds_in_utc_whatever_the_rows_hold(tmp_path: Path) -> None:
    made = [{"started_at": "2026-05-03T10:11:12.345Z"}, {"started_at": "2026-05-03T12:11:12+02:00"}]
    table = pq.read_table(written(tmp_path, made))
    assert str(table.schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    assert table.column("started_at").to_pylist() == [
        datetime(2026, 5, 3, 10, 11, 12, 345_000, tzinfo=UTC),
        datetime(2026, 5, 3, 10, 11, 12, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", 7),
        ("tokens_in", 2**63),
        ("tokens_in", True),
        ("tokens_in", 1.5),
        ("cost_usd", "0.1"),
        ("started_at", "yesterday"),
        ("started_at", "2026-05-03T10:11:12"),
        ("started_at", "0001-01-01T00:00:00+23:00"),
        ("messages", "none"),
        ("messages", None),
        ("redaction", [1]),
    ],
)
def test_what_does_not_fit_a_column_is_null_there_and_kept(
    tmp_path: Path, field: str, value: Any
) -> None:
    made = [{"session_id": "s1", field: value}]
    target = written(tmp_path, made)
    [found] = pq.read_table(target).to_pylist()
    names = {"messages": "n_messages", "redaction": "redaction_n"}
    assert found[names.get(field, field)] is None
    assert list(parquet.rows(target)) == made


@pytest.mark.parametrize(
    ("made", "segment"),
    [
        ({"messages": [{"segment": 2}, {"segment": 2}]}, 2),
        ({"messages": [{"segment": 0}, {"segment": 1}]}, None),
        ({"messages": [{"segment": 0}], "segment": 4}, 4),
        ({"messages": []}, None),
    ],
)
def test_the_segment_is_told_when_a_row_is_of_one(
    tmp_path: Path, made: dict[str, Any], segment: int | None
) -> None:
    [found] = pq.read_table(written(tmp_path, [made])).to_pylist()
    assert found["segment"] == segment


# --- the file ------------------------------------------------------------------------------


def test_the_file_names_its_schema_and_is_packed_with_zstd(tmp_path: Path) -> None:
    with pq.ParquetFile(written(tmp_path, rows())) as file:
        assert file.schema_arrow.metadata[b"clew.schema"] == b"clew-parquet/1"
        about = file.metadata.row_group(0)
        columns = {
            about.column(n).path_in_schema: about.column(n) for n in range(about.num_columns)
        }
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert columns["outcome"].is_stats_set, "readers skip row groups by it"
    assert not columns["messages"].is_stats_set, "a conversation's text has no business there"


def test_an_empty_export_is_a_table_without_rows(tmp_path: Path) -> None:
    target = written(tmp_path, [])
    assert pq.read_table(target).num_rows == 0
    assert list(parquet.rows(target)) == []
    assert list(parquet.values(target)) == []


def test_row_groups_end_by_rows_and_by_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [{"session_id": f"s{n}", "messages": [{"content": "x" * 1000}]} for n in range(1030)]
    with pq.ParquetFile(written(tmp_path, made)) as file:
        counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert counts == [512, 512, 6]
    monkeypatch.setattr(parquet, "GROUP_BYTES_MAX", 100 * len(line(made[0])))
    target = written(tmp_path, made[:250])
    with pq.ParquetFile(target) as file:
        counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert sum(counts) == 250
    assert max(counts) <= 100
    assert list(parquet.rows(target)) == made[:250]


def test_memory_is_bounded_by_a_row_group_not_by_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES_MAX", 200_000)
    data = line({"session_id": "s", "messages": [{"content": "x" * 20_000}]})
    target = tmp_path / "sessions.parquet"
    parquet.write([data], target)  # what is loaded once is not what is measured
    peaks = []
    for count in (50, 500):
        tracemalloc.start()
        parquet.write((data for _ in range(count)), target)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no modes")
    assert stat.S_IMODE(written(tmp_path, rows()).stat().st_mode) == 0o600


def test_after_an_error_there_is_no_file(tmp_path: Path) -> None:
    target = tmp_path / "sessions.parquet"

    def breaks() -> Iterator[bytes]:
        yield line({"session_id": "s1"})
        raise RuntimeError("the disk of the source is gone")

    with pytest.raises(RuntimeError):
        parquet.write(breaks(), target)
    assert not target.exists()


@pytest.mark.parametrize("data", [b"[1]\n", b"{broken\n", b"7\n"])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Invalid, match="line 2 is no row"):
        parquet.write([b"{}\n", data], tmp_path / "sessions.parquet")
    assert not (tmp_path / "sessions.parquet").exists()


def test_a_row_that_no_column_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "LINE_BYTES_MAX", 10)
    with pytest.raises(Invalid, match=r"row 1 has .* leave that session out"):
        written(tmp_path, [{"session_id": "a long one"}])


def test_without_pyarrow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Invalid, match=r"pip install 'clew\[parquet\]'"):
        parquet.write([b"{}\n"], tmp_path / "sessions.parquet")


# --- the second scan -----------------------------------------------------------------------


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def test_the_scan_sees_every_value_decoded(tmp_path: Path) -> None:
    made = rows()
    found = list(parquet.values(written(tmp_path, made)))
    assert len(found) == len(made)
    for row, seen in zip(made, found, strict=True):
        json.dumps(seen)  # JSON values only
        assert set(map(repr, _leaves(row))) <= set(map(repr, _leaves(seen)))
        assert seen["title"] == row["title"], "the columns too, not the documents only"


# --- other programs ------------------------------------------------------------------------


def test_duckdb_filters_by_columns_and_opens_the_documents(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    made = rows()
    with duckdb.connect() as db:
        found = db.execute(
            "select session_id, messages::json->0->>'role', started_at at time zone 'UTC' "
            "from read_parquet(?) where outcome = ? and n_tool_calls > 0 order by session_id",
            [str(written(tmp_path, made)), made[0]["outcome"]],
        ).fetchall()
    wanted = sorted(
        (row["session_id"], row["messages"][0]["role"])
        for row in made
        if row["outcome"] == made[0]["outcome"] and row["tool_calls"]
    )
    assert [one[:2] for one in found] == wanted
    assert found[0][2] == datetime.fromisoformat(made[0]["started_at"]).replace(tzinfo=None)


def test_polars_filters_by_columns_without_reading_the_rest(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    made = rows()
    lazy = polars.scan_parquet(written(tmp_path, made))
    found = lazy.filter(polars.col("outcome") == made[0]["outcome"]).select("session_id").collect()
    assert found["session_id"].to_list() == [
        row["session_id"] for row in made if row["outcome"] == made[0]["outcome"]
    ]
