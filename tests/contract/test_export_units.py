"""Exports in units: the same bytes wherever a unit ends, splits, exports that go on, duplicates."""

from __future__ import annotations

import io
import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew.exporting import ExportOptions, Recipe, Redaction, Selection, Splits
from clew.exporting import plan as planning
from clew.redaction.policy import Policy
from export_kit import RAW, exported, garden, grown, ids, lines, names

from .talk import bot, turns, user

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.inside


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of a few sessions."""
    monkeypatch.setattr(planning, "UNIT_SESSIONS", 3)


def written(ledger: clew.Ledger, recipe: Recipe, path: Path, **options: Any) -> bytes:
    """The bytes of an export to a file."""
    ledger.export(recipe, output=path, options=ExportOptions(**options))
    return path.read_bytes()


# --- units -------------------------------------------------------------------------------


def test_where_units_end_changes_no_byte(
    ledger: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garden(ledger, 4, 14)
    secret = ledger.create()
    secret.extend([user("it is q8Zx71bbTr"), bot("noted")])
    grown(ledger.create(), random.Random(1), 2)
    ledger.create().append(user("API_KEY=q8Zx71bbTr"))
    made = set()
    for number, size in enumerate((64, 3, 1)):
        monkeypatch.setattr(planning, "UNIT_SESSIONS", size)
        made.add(written(ledger, Recipe(), tmp_path / f"{number}.jsonl"))
    (data,) = made
    assert b"q8Zx71bbTr" not in data


def test_a_unit_ends_behind_so_many_messages(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "UNIT_MESSAGES", 4)
    for _ in range(3):
        ledger.create().extend(turns(2))
    steps: list[int] = []
    ledger.export(RAW, output=io.BytesIO(), on_progress=lambda now: steps.append(now.done))
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_secret_found_in_a_later_unit_goes_from_earlier_ones(
    ledger: clew.Ledger, small: None
) -> None:
    for number in range(9):
        ledger.create().append(user(f"{number}: q8Zx71bbTr"))
    ledger.create().append(user("API_KEY=q8Zx71bbTr"))
    rows = exported(ledger, Recipe())
    assert len(rows) == 10
    assert "q8Zx71bbTr" not in json.dumps(rows)
    names = {row["messages"][0]["content"].split()[-1].removeprefix("API_KEY=") for row in rows}
    assert len(names) == 1, "one placeholder in all units"
    assert [row["redaction"]["n"] for row in rows] == [1] * 10


def test_a_look_alike_of_a_placeholder_is_told_apart_in_every_unit(
    ledger: clew.Ledger, small: None
) -> None:
    """What another unit gave out is no word of the input there."""
    ledger.create().append(user("to ann@corp.com"))
    (row,) = exported(ledger, Recipe())
    issued = row["messages"][0]["content"].removeprefix("to ")
    for _ in range(4):
        ledger.create().append(user(f"is {issued} ours?"))
    rows = exported(ledger, Recipe())
    assert rows[0]["messages"][0]["content"] == f"to {issued}"
    assert {row["messages"][0]["content"] for row in rows[1:]} != {f"is {issued} ours?"}


def test_progress_ends_at_its_total(ledger: clew.Ledger, small: None) -> None:
    garden(ledger, 8, 10)
    seen: list[Any] = []
    done = ledger.export(RAW, output=io.BytesIO(), on_progress=seen.append)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert (seen[-1].done, seen[-1].bytes) == (seen[-1].total, 2 * done.bytes)


def test_rows_are_made_one_by_one(ledger: clew.Ledger) -> None:
    """None waits for all the others: a row is looked at before the next is made."""
    for number in range(6):
        ledger.create().append(user(f"plant {number}"))
    log: list[str] = []

    def made(row: dict[str, Any]) -> None:
        log.append("made " + row["messages"][0]["content"])

    def looked(text: str) -> list[tuple[int, int, str]]:
        if text.startswith("plant"):
            log.append("looked at " + text)
        return []

    exported(ledger, Recipe(verifier=made, redaction=Redaction(detectors=(looked,))))
    first = list(dict.fromkeys(log))
    assert first == [f"{what} plant {n}" for n in range(6) for what in ("made", "looked at")]


def test_exports_at_the_same_time_keep_to_their_own_policy(
    ledger: clew.Ledger, small: None
) -> None:
    for number in range(9):
        ledger.create().append(user(f"{number}: to ann{number}@corp.com"))
    recipes = [
        Recipe(redaction=Redaction(Policy.of({"EMAIL": action})))
        for action in ("warn", "redact", "block")
    ]
    alone = [exported(ledger, recipe) for recipe in recipes]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda recipe: exported(ledger, recipe), recipes * 4))
    assert together == alone * 4
    assert [len(rows) for rows in alone] == [9, 9, 0]


# --- splits ------------------------------------------------------------------------------


def _by_split(tmp_path: Path, *splits: str) -> dict[str, list[dict[str, Any]]]:
    return {split: lines((tmp_path / f"out.{split}.jsonl").read_bytes()) for split in splits}


def test_families_never_straddle_a_split(ledger: clew.Ledger, tmp_path: Path, small: None) -> None:
    garden(ledger, 6, 40)
    splits = Splits({"train": 2, "validation": 1, "test": 1})
    done = ledger.export(
        RAW, output=tmp_path / "out.jsonl", options=ExportOptions(splits=splits, branches=True)
    )
    found = _by_split(tmp_path, "train", "validation", "test")
    assert [(one.file, one.split, one.rows) for one in done.files] == [
        (f"out.{split}.jsonl", split, len(rows)) for split, rows in found.items()
    ]
    assert all(row["split"] == split for split, rows in found.items() for row in rows)
    roots = [{row["root_session_id"] for row in rows} for rows in found.values()]
    assert sum(map(len, roots)) == len(set().union(*roots)) > 3
    whole = exported(ledger, RAW, ExportOptions(branches=True))
    assert sorted(id for rows in found.values() for id in ids(rows)) == sorted(ids(whole))
    about = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert about["options"]["splits"] == {"train": 2, "validation": 1, "test": 1}
    assert sum(file["rows"] for file in about["files"]) == about["rows"] == done.rows
    assert names(tmp_path) == [
        *("out.jsonl.manifest.json", "out.test.jsonl", "out.train.jsonl", "out.validation.jsonl"),
    ]


def test_a_session_stays_in_its_split_when_others_come(ledger: clew.Ledger, tmp_path: Path) -> None:
    options = ExportOptions(splits=Splits({"a": 1, "b": 1}, "s"), overwrite=True)
    known: dict[str, str] = {}
    for _ in range(3):
        for _ in range(6):
            ledger.create().extend(turns(1))
        ledger.export(RAW, output=tmp_path / "out.jsonl", options=options)
        now = {
            row["session_id"]: split
            for split, rows in _by_split(tmp_path, "a", "b").items()
            for row in rows
        }
        assert known.items() <= now.items()
        known = now
    assert set(known.values()) == {"a", "b"}


def test_the_seed_draws_anew_and_weights_weigh() -> None:
    roots = [f"{number:032x}" for number in range(4000)]
    one, other = Splits({"a": 90, "b": 10}, "1"), Splits({"a": 90, "b": 10}, "2")
    drawn = [one.of(root) for root in roots]
    assert 3500 < drawn.count("a") < 3700
    assert drawn != [other.of(root) for root in roots]
    assert drawn == [Splits({"a": 0.9, "b": 0.1}, "1").of(root) for root in roots]
    assert {Splits().of(root) for root in roots} == {""}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"": 1}, "name it"),
        ({"Train": 1}, "name it"),
        ({"../x": 1}, "name it"),
        ({"a": 0}, "above 0"),
        ({"a": -1}, "above 0"),
        ({"a": float("nan")}, "above 0"),
        ({"a": float("inf")}, "above 0"),
    ],
)
def test_a_split_that_means_nothing_is_an_error(weights: dict[str, float], words: str) -> None:
    with pytest.raises(clew.Invalid, match=words):
        Splits(weights)


def test_a_split_with_nothing_in_it_is_an_empty_file(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.create().extend(turns(1))
    splits = Splits({"a": 1, "b": 1})
    ledger.export(RAW, output=tmp_path / "out.jsonl", options=ExportOptions(splits=splits))
    assert sorted(map(len, _by_split(tmp_path, "a", "b").values())) == [0, 1]


def test_a_folder_has_a_folder_for_each_split(ledger: clew.Ledger, tmp_path: Path) -> None:
    for _ in range(8):
        ledger.create().extend(turns(1))
    options = ExportOptions(splits=Splits({"a": 1, "b": 1}), overwrite=True)
    ledger.export(Recipe(format="markdown"), output=tmp_path / "out", options=options)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]
    assert len(list((tmp_path / "out").glob("*/*.md"))) == 8
    with pytest.raises(clew.Invalid, match="with files in it"):
        ledger.export(Recipe(format="markdown"), output=tmp_path / "out", options=options)


# --- exports that go on from another -----------------------------------------------------


def test_an_export_goes_on_from_another(ledger: clew.Ledger, tmp_path: Path, small: None) -> None:
    sessions = []
    for _ in range(7):
        sessions.append(ledger.create())
        sessions[-1].extend(turns(1))
    ledger.export(RAW, output=tmp_path / "1.jsonl")

    def after(number: int, **more: Any) -> tuple[list[str], dict[str, int]]:
        options = ExportOptions(since_export=tmp_path / f"{number}.jsonl", **more)
        counted = ledger.export_count(RAW, options=options)
        done = ledger.export(RAW, output=tmp_path / f"{number + 1}.jsonl", options=options)
        assert counted == {"sessions": done.sessions, "rows": done.rows, **done.dropped}
        return ids(lines((tmp_path / f"{number + 1}.jsonl").read_bytes())), done.dropped

    assert after(1) == ([], {"exported before": 7})
    sessions[3].extend(turns(1, 2))
    fresh = ledger.create()
    fresh.extend(turns(1))
    assert after(2) == ([sessions[3].id, fresh.id], {"exported before": 6})
    sessions[0].undo()
    assert after(3)[1] == {"exported before": 7, "no messages": 1}
    assert after(4) == ([], {"exported before": 7, "no messages": 1})


def test_a_manifest_may_be_named_itself(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.create().extend(turns(1))
    done = ledger.export(RAW, output=tmp_path / "1.jsonl")
    assert done.manifest is not None
    assert exported(ledger, RAW, ExportOptions(since_export=done.manifest)) == []


def test_what_is_no_manifest_of_this_ledger_is_refused(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.create().extend(turns(1))
    note = tmp_path / "out.jsonl.manifest.json"

    def refused(words: str) -> None:
        options = ExportOptions(since_export=tmp_path / "out.jsonl")
        with pytest.raises(clew.Invalid, match=words):
            ledger.export(RAW, output=io.BytesIO(), options=options)
        with pytest.raises(clew.Invalid, match=words):
            ledger.export_count(RAW, options=options)

    refused("no manifest")
    note.write_text("{}")
    refused("is no manifest of an export")
    note.write_bytes(b"\xff\x00")
    refused("is no manifest of an export")
    note.unlink()
    with clew.open("sqlite:///:memory:") as other:
        other.create().extend(turns(1))
        other.export(RAW, output=tmp_path / "out.jsonl")
    refused("another ledger")
    about = json.loads(note.read_text())
    note.write_text(json.dumps({**about, "schema": "clew-export/9"}))
    refused("clew-export/9")


def test_marks_name_no_session_and_change_with_the_head(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    session = ledger.create()
    session.extend(turns(1))

    def marks(name: str) -> list[str]:
        ledger.export(RAW, output=tmp_path / name)
        made = json.loads((tmp_path / f"{name}.manifest.json").read_text())
        assert session.id not in json.dumps(made)
        return list(made["marks"])

    first = marks("1")
    assert first == marks("2")
    session.append(user("more"))
    assert len(first) == 1
    assert first != marks("3")


# --- broken off, and gone on with --------------------------------------------------------


class Stop:
    """Interrupts an export at its `at`-th step."""

    def __init__(self, at: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.left, self.error = at, error

    def __call__(self, _: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error


@pytest.mark.parametrize("form", ["native", "markdown"])
def test_an_interrupted_export_goes_on_as_if_nothing_was(
    ledger: clew.Ledger, tmp_path: Path, small: None, form: str
) -> None:
    garden(ledger, 7, 16)
    ledger.create().append(user("API_KEY=q8Zx71bbTr"))
    recipe, folder = Recipe(format=form), tmp_path / ".out.partial"
    whole = ledger.export(recipe, output=tmp_path / "whole")
    steps: list[Any] = []
    ledger.export(recipe, output=tmp_path / "again", on_progress=steps.append)
    for at in range(1, len(steps) + 1):
        with pytest.raises(KeyboardInterrupt):
            ledger.export(recipe, output=tmp_path / "out", on_progress=Stop(at))
        assert not (tmp_path / "out").exists()
        assert folder.stat().st_mode & 0o077 == 0
        ledger.create().append(user("said meanwhile"))
        options = ExportOptions(resume=True)
        done = ledger.export(recipe, output=tmp_path / "out", options=options)
        assert (done.sha256, done.rows, done.bytes) == (whole.sha256, whole.rows, whole.bytes)
        assert (done.dropped, done.redactions) == (whole.dropped, whole.redactions)
        assert not folder.exists()
        _erase(ledger, tmp_path)


def _erase(ledger: clew.Ledger, tmp_path: Path) -> None:
    """Take away what the last round added."""
    import shutil

    out = tmp_path / "out"
    shutil.rmtree(out) if out.is_dir() else out.unlink()
    (tmp_path / "out.manifest.json").unlink()
    ledger.erase(ledger.sessions(limit=1)[0].id)


@pytest.mark.parametrize("error", [RuntimeError, clew.RedactionFailed, KeyboardInterrupt])
def test_only_an_interrupt_leaves_something_to_go_on_with(
    ledger: clew.Ledger, tmp_path: Path, small: None, error: type[BaseException]
) -> None:
    garden(ledger, 7, 8)
    with pytest.raises(error):
        ledger.export(output=tmp_path / "out", on_progress=Stop(2, error))
    left = names(tmp_path)
    assert bool(left) == (error is KeyboardInterrupt)
    assert all(name.startswith(".out.partial/") for name in left)


def test_an_interrupted_stream_gets_nothing(ledger: clew.Ledger, small: None) -> None:
    garden(ledger, 7, 8)
    stream = io.BytesIO()
    with pytest.raises(KeyboardInterrupt):
        ledger.export(output=stream, on_progress=Stop(3))
    assert stream.getvalue() == b""


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        (Recipe(format="trl"), {}),
        (RAW, {}),
        (Recipe(selection=Selection(agent="gardener")), {}),
        (Recipe(near=0.9), {}),
        (Recipe(redaction=Redaction(Policy.of({"EMAIL": "warn"}))), {}),
        (Recipe(redaction=Redaction(known=("open-sesame",))), {}),
        (Recipe(), {"splits": Splits({"a": 1})}),
        (Recipe(), {"branches": True}),
    ],
)
def test_an_export_that_is_asked_otherwise_does_not_go_on(
    ledger: clew.Ledger, tmp_path: Path, small: None, recipe: Recipe, more: dict[str, Any]
) -> None:
    garden(ledger, 7, 8)
    with pytest.raises(KeyboardInterrupt):
        ledger.export(output=tmp_path / "out", on_progress=Stop(2))
    before = names(tmp_path)
    options = ExportOptions(resume=True, **more)
    with pytest.raises(clew.Invalid, match="asked for otherwise"):
        ledger.export(recipe, output=tmp_path / "out", options=options)
    assert names(tmp_path) == before
    ledger.export(output=tmp_path / "out", options=ExportOptions(resume=True))
    assert names(tmp_path) == ["out", "out.manifest.json"]


def test_without_resume_it_begins_anew(ledger: clew.Ledger, tmp_path: Path, small: None) -> None:
    garden(ledger, 7, 8)
    with pytest.raises(KeyboardInterrupt):
        ledger.export(output=tmp_path / "out", on_progress=Stop(2))
    ledger.create().append(user("said meanwhile"))
    ledger.export(output=tmp_path / "out")
    assert b"said meanwhile" in (tmp_path / "out").read_bytes()
    assert names(tmp_path) == ["out", "out.manifest.json"]


def test_there_must_be_something_to_go_on_with(ledger: clew.Ledger, tmp_path: Path) -> None:
    with pytest.raises(clew.Invalid, match="no export to go on with"):
        ledger.export(output=tmp_path / "out", options=ExportOptions(resume=True))
    assert list(tmp_path.glob(".out*")) == []


def test_two_exports_do_not_write_one_file(
    ledger: clew.Ledger, tmp_path: Path, small: None
) -> None:
    garden(ledger, 7, 4)
    refused: list[str] = []

    def another(_: Any) -> None:
        for options in (ExportOptions(), ExportOptions(resume=True), ExportOptions(overwrite=True)):
            with pytest.raises(clew.Invalid, match="another export is writing") as raised:
                ledger.export(output=tmp_path / "out", options=options)
            refused.append(str(raised.value))

    done = ledger.export(output=tmp_path / "out", on_progress=another)
    assert refused
    assert len(lines((tmp_path / "out").read_bytes())) == done.rows


# --- what is there twice -----------------------------------------------------------------


def _chapters(number: int, count: int = 30) -> list[dict[str, Any]]:
    chance = random.Random(number)
    words = [f"w{chance.randrange(400)}" for _ in range(count * 8)]
    return [
        make(" ".join(words[at : at + 8]))
        for at in range(0, len(words), 16)
        for make in (user, bot)
    ]


def test_of_sessions_that_are_alike_the_first_stays(ledger: clew.Ledger, small: None) -> None:
    kept = []
    for number in range(5):
        for _ in range(2):
            session = ledger.create()
            session.extend(_chapters(number))
            kept.append(session.id)
    recipe = Recipe(redaction=None, near=0.9)
    assert ids(exported(ledger, recipe)) == kept[::2]
    counted = ledger.export_count(recipe)
    assert counted == {"sessions": 10, "rows": 5, "much like another": 5}
    assert ids(exported(ledger)) == kept
    other = ledger.create()
    other.extend([*_chapters(0)[:-2], user("another end"), bot("and another")])
    assert other.id not in ids(exported(ledger, Recipe(redaction=None, near=0.5)))
    assert other.id in ids(exported(ledger, Recipe(redaction=None, near=1)))


@pytest.mark.parametrize("near", [0, -0.1, 1.1, float("nan")])
def test_how_alike_must_mean_something(near: float) -> None:
    with pytest.raises(clew.Invalid, match="near"):
        Recipe(near=near)


def test_what_branches_share_is_learned_once(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    aside = session.branch()
    for each in (session, aside):
        each.extend(turns(1, 3))

    def trains(recipe: Recipe) -> list[list[bool]]:
        rows = exported(ledger, recipe)
        return [[m["train"] for m in row["messages"] if m["sampled"]] for row in rows]

    assert trains(RAW) == [[True] * 3, [False, False, True]]
    assert trains(Recipe(redaction=None, train_shared=True)) == [[True] * 3] * 2
