"""Both full-text indexes find what `matches` defines, keep their marks and forget for good."""

from __future__ import annotations

import random
import stat
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import apsw
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew.db import search_sqlite
from clew.db.search_postgres import PostgresIndex
from clew.db.search_sqlite import SQLiteIndex
from clew.errors import ClewError, Invalid, Unavailable
from clew.search.documents import KINDS, SPOKEN, answers
from clew.search.index import Doc, Filters, IndexUnavailable
from clew.search.query import All, Either, Node, Words, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clew.search.index import Index, Match


def _postgres(url: str) -> PostgresIndex:
    @contextmanager
    def connect() -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection

    return PostgresIndex(connect)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    made: Index
    if request.param == "postgres":
        made = _postgres(request.getfixturevalue("postgres_database"))
    else:
        made = SQLiteIndex(
            ":memory:" if request.param == "memory" else str(tmp_path / "ledger-search")
        )
    yield made
    made.close()


def doc(
    entry: int,
    texts: str | dict[str, str],
    *,
    session: int = 1,
    project: int = 1,
    time_ms: int | None = None,
    tools: tuple[str, ...] = (),
) -> Doc:
    texts = {"user": texts} if isinstance(texts, str) else texts
    time_ms = entry * 1000 if time_ms is None else time_ms
    return Doc(entry, project, session, entry, time_ms, tools, texts)


def found(
    index: Index, query: str | Node, filters: Filters | None = None, **how: Any
) -> list[Match]:
    node = parse(query) if isinstance(query, str) else query
    asked: dict[str, Any] = {"order": "newest", "limit": 1000} | how
    return index.find(node, filters or Filters(), **asked)


def entries(
    index: Index, query: str | Node, filters: Filters | None = None, **how: Any
) -> list[int]:
    return [match.entry for match in found(index, query, filters, **how)]


# --- what is found -------------------------------------------------------------------------

WORDS = ["ab", "abc", "abd", "b", "c", "x", "Élan", "数", "据", "数据库", "fooBar", "foo", "ab_c"]
JOINTS = [" ", " ", " ", "\n", ".", "-", "/", "  ", "“"]


@st.composite
def texts(draw: st.DrawFn) -> str:
    pairs = st.tuples(st.sampled_from(WORDS), st.sampled_from(JOINTS))
    text = "".join(word + joint for word, joint in draw(st.lists(pairs, max_size=8)))
    often = draw(st.sampled_from([0, 0, 0, 0, 0, 0, 254, 600]))
    return text + "b " * often + draw(st.sampled_from(["", "x", "ab c"]))


@st.composite
def documents(draw: st.DrawFn) -> list[Doc]:
    made = []
    for entry in range(1, draw(st.integers(1, 6)) + 1):
        kinds = [*draw(st.lists(st.sampled_from(SPOKEN), max_size=1))]
        kinds += draw(st.lists(st.sampled_from(KINDS[3:]), unique=True, max_size=2))
        made.append(
            doc(
                entry,
                {kind: draw(texts()) for kind in kinds},
                session=draw(st.integers(1, 2)),
                project=draw(st.integers(1, 2)),
                time_ms=draw(st.sampled_from([0, 999, 1000, 1001, 5000])),
                tools=tuple(draw(st.lists(st.sampled_from(["Read", "read", "fs.read"])))),
            )
        )
    return made


TERMS = st.builds(
    Words,
    st.lists(st.sampled_from(["ab", "abc", "b", "c", "x", "elan", "数", "据", "foo", "bar"]))
    .filter(bool)
    .map(tuple),
) | st.builds(Words, st.sampled_from([("ab",), ("b", "ab"), ("数",), ("fo",)]), st.just(True))
NODES: st.SearchStrategy[Node] = st.recursive(
    TERMS,
    lambda inner: (
        st.builds(
            All,
            st.lists(inner, min_size=1, max_size=3).map(tuple),
            st.lists(inner, max_size=2).map(tuple),
        )
        | st.builds(Either, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
KIND_SETS = st.none() | st.lists(st.sampled_from(KINDS), unique=True).map(tuple)
FILTERS = st.builds(
    Filters,
    project=st.sampled_from([None, None, 1, 2, 3]),
    session=st.sampled_from([None, None, (1,), (1, 2), ()]),
    kinds=KIND_SETS,
    tool=st.sampled_from([None, None, None, "Read", "read"]),
    since_ms=st.sampled_from([None, None, 0, 1000, 1001, -5]),
    until_ms=st.sampled_from([None, None, 1, 1000, 1001, 6000]),
)


def expected(docs: list[Doc], node: Node, filters: Filters) -> set[int]:
    return {
        each.entry
        for each in docs
        if filters.project in (None, each.project)
        and (filters.session is None or each.session in filters.session)
        and (filters.tool is None or filters.tool in each.tools)
        and (filters.since_ms is None or each.time_ms >= filters.since_ms)
        and (filters.until_ms is None or each.time_ms < filters.until_ms)
        and answers(node, each.texts, filters.kinds)
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(docs=documents(), asked=st.lists(st.tuples(NODES, FILTERS), min_size=1, max_size=6))
def test_both_orders_find_what_the_definition_says(
    index: Index, docs: list[Doc], asked: list[tuple[Node, Filters]]
) -> None:
    index.clear()
    index.add(docs, {})
    times = {each.entry: each.time_ms for each in docs}
    for node, filters in asked:
        newest = entries(index, node, filters)
        assert set(newest) == expected(docs, node, filters)
        assert len(newest) == len(set(newest))
        assert [times[entry] for entry in newest] == sorted(
            (times[entry] for entry in newest), reverse=True
        )
        assert set(entries(index, node, filters, order="rank")) == set(newest)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="ab*\"()-_ORNTD &|!<>:^{}'\\数é§¶,+", max_size=40))
def test_nothing_a_user_types_reaches_the_database_as_syntax(index: Index, text: str) -> None:
    try:
        node = parse(text)
    except Invalid:
        return
    assert entries(index, node, Filters(kinds=("user", "thinking"))) == []


@pytest.mark.parametrize(
    "query",
    [
        " ".join(f"a{i}" for i in range(200)),
        " OR ".join("b" for _ in range(200)),
        "a " + " ".join(f"-c{i}" for i in range(150)),
        "数" * 1000,
        "(x OR y z OR x w " * 8 + "a" + " -y)" * 8,
        "(a OR b -(c OR " * 4 + "d" + "))" * 4,
        "w" * 900,
    ],
    ids=lambda query: query[:20],
)
def test_large_queries_are_answered(index: Index, query: str) -> None:
    index.add([doc(1, query)], {})
    filters = Filters(kinds=("user", "tool_call"), session=tuple(range(50)), tool="x", project=1)
    assert entries(index, query, filters) == []
    assert index.find(parse(query), Filters(), order="rank", limit=1) is not None


def test_scripts_identifiers_and_paths(index: Index) -> None:
    index.add(
        [
            doc(1, "调用fooBar函数查询数据库"),
            doc(2, "see src/clew/db/search_sqlite.py, line 12"),
            doc(3, "Das Café in der Straße"),
            doc(4, "데이터베이스를 찾다 สวัสดีครับ"),
        ],
        {},
    )
    for query, entry in {
        "数据库": 1,
        '"foo bar"': 1,
        "foobar": 1,
        "search_sqlite.py": 2,
        "clew/db": 2,
        "cafe STRASSE": 3,
        "caf*": 3,
        "베이스": 4,
        "สดี": 4,
    }.items():
        assert entries(index, query) == [entry], query
    assert entries(index, "据数") == []
    assert entries(index, '"函数 foo"') == []


def test_a_word_in_a_long_text_is_found_wherever_it_stands(index: Index) -> None:
    filler = " ".join(f"w{i}" for i in range(13_000))
    index.add([doc(1, {"tool_result": f"{filler} needle in the {filler} haystack"})], {})
    assert entries(index, "needle", limit=1) == [1]
    assert entries(index, '"w11998 w11999 w12000 w12001"') == [1]
    assert entries(index, "w5") == [1]
    assert entries(index, "haystack", order="rank") == [1]


def test_the_longest_words_in_the_widest_letters_are_taken(index: Index) -> None:
    wide = " ".join("𐐨" * 120 + chr(0x10428 + i % 40) + str(i) for i in range(4_000))
    index.add([doc(1, wide), doc(2, "z" * 5_000)], {1: 2})
    assert entries(index, "z" * 900) == [2]
    assert entries(index, "𐐨" * 120 + "*") == [1]
    assert index.count() == 2


# --- order ---------------------------------------------------------------------------------


def test_newest_first_up_to_the_limit(index: Index) -> None:
    order = list(range(1, 301))
    random.Random(5).shuffle(order)
    for start in range(0, 300, 50):
        index.add([doc(entry, "same words") for entry in order[start : start + 50]], {})
    assert entries(index, "same", limit=20) == list(range(300, 280, -1))
    assert len(entries(index, "same", order="rank", limit=20)) == 20


def test_the_limit_counts_entries_and_not_passages(index: Index) -> None:
    index.add([doc(1, "b"), doc(2, "b " * 9_000), doc(3, "b " * 9_000)], {})
    assert entries(index, "b", limit=3) == [3, 2, 1]
    assert entries(index, "b", limit=2) == [3, 2]
    assert set(entries(index, "b", limit=3, order="rank")) == {1, 2, 3}


def test_rank_prefers_what_is_about_it(index: Index) -> None:
    filler = "some other words about nothing in particular " * 20
    index.add([doc(entry, filler) for entry in range(100, 140)], {})
    index.add(
        [
            doc(1, "deadlock in the deadlock detector"),
            doc(2, filler + " deadlock"),
            doc(3, {"tool_result": filler + " deadlock"}),
            doc(4, filler + " rare"),
        ],
        {},
    )
    ranked = found(index, "deadlock", order="rank")
    assert [match.entry for match in ranked] == [1, 2, 3]
    assert ranked[0].score > ranked[1].score > ranked[2].score > 0
    assert all(match.score == 0 for match in found(index, "deadlock"))


def test_a_rare_word_outweighs_a_common_one() -> None:
    index = SQLiteIndex(":memory:")
    index.add([doc(entry, "common words here") for entry in range(100, 140)], {})
    index.add([doc(1, "rare words here")], {})
    assert entries(index, "common OR rare", order="rank", limit=1) == [1]
    assert entries(index, '"common words" OR "rare words"', order="rank", limit=1) == [1]


def test_more_of_one_second_than_fit_flow_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_sqlite, "SLOT_BITS", 2)
    index = SQLiteIndex(str(tmp_path / "x"))
    for start in (0, 7, 14):
        batch = [doc(start + i, "same", time_ms=0) for i in range(7)]
        index.add([*batch, doc(100 + start, "same", time_ms=3_000)], {})
    assert len(entries(index, "same")) == 24
    assert set(entries(index, "same", Filters(until_ms=1))) == set(range(21))
    assert set(entries(index, "same", Filters(since_ms=1))) == {100, 107, 114}
    index.close()


@pytest.mark.parametrize("time_ms", [-1, 1 << 62])
def test_times_out_of_range_are_taken(index: Index, time_ms: int) -> None:
    index.add([doc(1, "word", time_ms=time_ms)], {})
    assert entries(index, "word") == [1]


# --- marks, replacing, forgetting ----------------------------------------------------------


def test_marks_go_forward_only(index: Index) -> None:
    assert index.marks() == {}
    index.add([], {1: 5, 2: 3})
    index.add([], {1: 4, 3: 1})
    assert index.marks() == {1: 5, 2: 3, 3: 1}


def test_documents_and_marks_come_together_or_not_at_all(index: Index) -> None:
    with pytest.raises(Invalid, match="user, assistant"):
        index.add([doc(1, "good"), doc(2, {"user": "two", "assistant": "voices"})], {1: 2})
    with pytest.raises((Invalid, ClewError, TypeError, OverflowError)):
        index.add([doc(1, "good"), doc(1 << 70, "no such number")], {1: 2})
    assert index.marks() == {}
    assert entries(index, "good") == []


def test_adding_again_replaces(index: Index) -> None:
    index.add([doc(1, "old words"), doc(2, "b " * 600)], {1: 2})
    index.add([doc(1, "new words"), doc(2, "short")], {1: 2})
    assert entries(index, "old") == entries(index, "b") == []
    assert entries(index, "new") == [1]
    assert index.count() == 2


def test_forgetting_clearing_and_counting(index: Index) -> None:
    index.add([doc(1, "one"), doc(2, "two " * 300), doc(3, ""), doc(4, {})], {1: 4})
    assert index.count() == 2
    index.forget([2, 77])
    assert entries(index, "two") == []
    assert entries(index, "one") == [1]
    assert index.count() == 1
    assert index.marks() == {1: 4}
    index.clear()
    assert index.marks() == {}
    assert index.count() == 0
    index.add([doc(1, "again")], {1: 1})
    assert entries(index, "again") == [1]


@pytest.mark.parametrize("merged", [False, True])
def test_what_is_forgotten_leaves_no_bytes_on_sqlite(tmp_path: Path, merged: bool) -> None:
    index = SQLiteIndex(str(tmp_path / "ledger-search"))
    secret = "hunter2zq9secret"
    for start in range(0, 400, 40):
        index.add(
            [doc(start + i, f"word{start + i} {secret if i == 3 else ''}") for i in range(40)], {}
        )
    if merged:
        index.forget([0])
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert secret.encode() in held
    index.forget([start + 3 for start in range(0, 400, 40)])
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    # FTS5 shares beginnings between neighbouring words: any tail of it would be a residue.
    assert secret[4:].encode() not in left
    assert entries(index, "word5") == [5]
    index.close()


def test_clearing_leaves_no_bytes_on_sqlite(tmp_path: Path) -> None:
    index = SQLiteIndex(str(tmp_path / "ledger-search"))
    index.add([doc(1, "hunter2zq9secret")], {})
    index.clear()
    assert b"zq9secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    index.close()


def test_what_is_forgotten_leaves_no_bytes_on_postgres(postgres_database: str) -> None:
    index = _postgres(postgres_database)
    index.add([doc(1, "hunter2zq9secret"), doc(2, "kept")], {})

    def pages() -> bytes:
        with psycopg.connect(postgres_database, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute(
                "SELECT pg_read_binary_file(pg_relation_filepath('search_doc'))"
            ).fetchone()
            assert row is not None
            return bytes(row[0])

    def others_look() -> bool:
        """Whether a transaction of somebody else's (autovacuum's, say) may still see old rows."""
        with psycopg.connect(postgres_database, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"
            ).fetchone()
            return row is not None and row[0] > 0

    assert b"zq9secret" in pages()
    until = time.monotonic() + 30
    while others_look() and time.monotonic() < until:
        time.sleep(0.05)
    index.forget([1])
    assert b"zq9secret" not in pages()
    assert b"kept" in pages()


# --- the file ------------------------------------------------------------------------------


def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    index = SQLiteIndex(str(tmp_path / "ledger-search"))
    index.add([doc(1, "word")], {})
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    index.close()


def test_it_survives_reopening_and_may_be_deleted_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger-search"
    index = SQLiteIndex(str(path))
    index.add([doc(1, "word")], {1: 1})
    index.close()
    index = SQLiteIndex(str(path))
    assert entries(index, "word") == [1]
    path.unlink()
    assert index.marks() == {}
    assert entries(index, "word") == []
    index.add([doc(1, "word")], {1: 1})
    assert entries(index, "word") == [1]
    index.close()
    index.close()


@pytest.mark.parametrize("garbage", [b"no database at all " * 999, b"SQLite format 3\0" * 999])
def test_a_damaged_file_is_told_and_mended_by_clearing(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "ledger-search"
    path.write_bytes(garbage)
    index = SQLiteIndex(str(path))
    with pytest.raises(IndexUnavailable, match="rebuild"):
        index.add([doc(1, "word")], {1: 1})
    with pytest.raises(IndexUnavailable, match="rebuild"):
        index.marks()
    index.clear()
    index.add([doc(1, "word")], {1: 1})
    assert entries(index, "word") == [1]
    index.close()


def test_damage_inside_is_told_and_mended_by_clearing(tmp_path: Path) -> None:
    path = tmp_path / "ledger-search"
    index = SQLiteIndex(str(path))
    index.add([doc(entry, f"word{entry} same " * 20) for entry in range(500)], {1: 500})
    index.close()
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    path.write_bytes(data)
    index = SQLiteIndex(str(path))
    with pytest.raises(IndexUnavailable):
        found(index, "same")
    index.clear()
    assert index.marks() == {}
    index.close()


def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger-search")
    index = SQLiteIndex(path)
    index.add([doc(1, "word")], {1: 1})
    index.close()
    _set_version(path, 7)
    index = SQLiteIndex(path)
    assert index.marks() == {}
    index.close()
    _set_version(path, 999_999)
    with pytest.raises(IndexUnavailable, match="newer"):
        SQLiteIndex(path).marks()


def _set_version(path: str, version: int) -> None:
    connection = apsw.Connection(path)
    connection.pragma("user_version", version)
    connection.close()


def test_tables_of_another_version_are_made_anew(postgres_database: str) -> None:
    index = _postgres(postgres_database)
    index.add([doc(1, "word")], {1: 1})
    for version, told in ((7, None), (999_999, "newer")):
        with psycopg.connect(postgres_database, autocommit=True) as connection:
            connection.execute(
                "UPDATE search_state SET value = %s WHERE name = 'version'", (version,)
            )
        if told is None:
            assert _postgres(postgres_database).marks() == {}
        else:
            with pytest.raises(IndexUnavailable, match=told):
                _postgres(postgres_database).marks()


def test_lost_tables_are_told(postgres_database: str) -> None:
    index = _postgres(postgres_database)
    index.add([doc(1, "word")], {1: 1})
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("DROP TABLE search_doc")
    with pytest.raises(IndexUnavailable, match="rebuild"):
        found(index, "word")
    index.clear()
    assert index.marks() == {}
    index.add([doc(1, "word")], {1: 1})
    assert entries(index, "word") == [1]


def test_a_server_that_does_not_answer_is_told() -> None:
    index = _postgres("postgresql://127.0.0.1:1/nothing")
    with pytest.raises(Unavailable, match="cannot be reached"):
        index.marks()


def test_a_closed_index_says_so(index: Index) -> None:
    index.close()
    with pytest.raises(ClewError, match="closed"):
        index.marks()


def test_frequent_words_on_postgres_are_found_by_going_back_in_time(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clew.db.search_postgres.FEW", 10)
    index = _postgres(postgres_database)
    index.add([doc(entry, "same words") for entry in range(1, 61)], {})
    assert entries(index, "same", limit=5) == [60, 59, 58, 57, 56]
    assert len(entries(index, "same", order="rank", limit=1000)) == 60


def test_readers_and_a_writer_at_once(index: Index) -> None:
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                found(index, "same words", order="rank")
                index.marks()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(0, 200, 20):
        index.add([doc(start + i, "same words") for i in range(20)], {1: start + 20})
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(entries(index, "same")) == 200


def test_pages_that_merging_left_free_are_given_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger-search"
    index = SQLiteIndex(str(path))
    rng = random.Random(3)
    for first in range(1, 2000, 200):
        docs = [
            doc(entry, " ".join(f"w{rng.randrange(5000)}" for _ in range(60)))
            for entry in range(first, first + 200)
        ]
        index.add([*docs, doc(5000 + first, "kept")], {1: first})
    index.forget(range(1, 2001))
    before = path.stat().st_size
    index.close()
    assert path.stat().st_size < before / 2
    again = SQLiteIndex(str(path))
    assert again.count() == 10
    assert len(entries(again, "kept")) == 10
    again.close()


def _parts(path: Path) -> int:
    """Of how many parts the words of a closed index consist."""
    file = apsw.Connection(str(path))
    parts = file.execute("SELECT DISTINCT segid FROM words_idx").fetchall()
    file.close()
    return len(parts)


@pytest.mark.parametrize(("most", "parts"), [(search_sqlite.SETTLED_DOCS, 1), (29, 3)])
def test_what_is_new_in_a_small_index_becomes_one_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, parts: int
) -> None:
    monkeypatch.setattr(search_sqlite, "SETTLED_DOCS", most)
    path = tmp_path / "ledger-search"
    index = SQLiteIndex(str(path))
    for start in (1, 11, 21):
        index.add([doc(n, f"zebra n{n}") for n in range(start, start + 10)], {1: start + 9})
    index.close()
    assert _parts(path) == parts
    later = SQLiteIndex(str(path))
    assert entries(later, "zebra") == list(range(30, 0, -1))
    later.add([doc(31, "zebra n31")], {1: 31})
    later.close()
    assert _parts(path) == parts + 1, "one in thirty is not worth merging all"
