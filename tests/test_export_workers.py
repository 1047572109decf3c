"""Exports by several processes: the same bytes, whoever is killed; functions of one's own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
import exporting_aside as aside
from clew.exporting import ExportOptions, Recipe, Redaction, Selection, Splits
from clew.exporting import plan as planning
from clew.exporting import worker as working
from clew.exporting.folder import Folder
from clew.exporting.unit import Made
from clew.redaction.policy import Policy
from contract.talk import turns, user
from export_kit import garden, lines, names

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger that other processes can open: SQLite, and for some tests PostgreSQL, too."""
    if getattr(request, "param", "sqlite") == "postgres":
        return str(request.getfixturevalue("postgres_database"))
    return f"sqlite:///{tmp_path / 'ledger.db'}"


BOTH = pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def ledger(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[clew.Ledger]:
    """A ledger with a garden in it, exported in units of two sessions."""
    monkeypatch.setattr(planning, "UNIT_SESSIONS", 2)
    with clew.open(url) as opened:
        garden(opened, 11, 12)
        opened.create().extend([user("it is q8Zx71bbTr"), *turns(1)])
        opened.create().append(user("API_KEY=q8Zx71bbTr of ann@corp.com"))
        yield opened
        assert opened.verify().ok


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of its own."""
    made = tmp_path / "out"
    made.mkdir()
    return made


# --- the same bytes ----------------------------------------------------------------------

SAME = {
    "native": Recipe(),
    "chosen": Recipe(selection=Selection(agent="gardener"), near=0.9),
    "policy": Recipe(redaction=Redaction(Policy.of({"EMAIL": "block"}), known=("pleaseee",))),
    "trl": Recipe(format="trl"),
    "dpo": Recipe(format="dpo"),
}


@BOTH
@pytest.mark.parametrize("name", SAME)
def test_so_many_processes_write_the_same_bytes(ledger: clew.Ledger, out: Path, name: str) -> None:
    made = []
    for workers in (1, 3 if name == "native" else 2):
        options = ExportOptions(workers=workers)
        done = ledger.export(SAME[name], output=out / str(workers), options=options)
        made.append((done.sha256, done.bytes, done.rows, done.dropped, done.redactions))
    assert made[0] == made[1]


def test_splits_are_the_same_by_several(ledger: clew.Ledger, out: Path) -> None:
    made = []
    for workers in (1, 2):
        splits = Splits({"a": 1, "b": 1})
        options = ExportOptions(splits=splits, workers=workers, branches=True)
        done = ledger.export(output=out / f"{workers}.jsonl", options=options)
        made.append([(file.split, file.sha256, file.rows) for file in done.files])
    assert made[0] == made[1]


def test_a_stream_may_be_made_by_several(ledger: clew.Ledger, out: Path) -> None:
    with (out / "stream").open("wb") as stream:
        ledger.export(output=stream, options=ExportOptions(workers=2))
    ledger.export(output=out / "file")
    assert (out / "stream").read_bytes() == (out / "file").read_bytes()


def test_a_ledger_in_memory_is_for_one_process(out: Path) -> None:
    with clew.open("sqlite:///:memory:") as ledger:
        ledger.create().extend(turns(1))
        with pytest.raises(clew.Invalid, match="one worker"):
            ledger.export(output=out / "a", options=ExportOptions(workers=2))
    assert names(out) == []


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": -1}, {"engine": "cloud"}])
def test_workers_that_mean_nothing_are_an_error(
    ledger: clew.Ledger, out: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(clew.Invalid, match=next(iter(options))):
        ledger.export(output=out / "a", options=ExportOptions(**options))
    assert names(out) == []


# --- functions of one's own --------------------------------------------------------------


def test_a_verifier_in_a_module_is_asked_everywhere(ledger: clew.Ledger, out: Path) -> None:
    recipe = Recipe(verifier=aside.judge)
    digests = {
        ledger.export(recipe, output=out / str(n), options=ExportOptions(workers=n)).sha256
        for n in (1, 2)
    }
    assert len(digests) == 1
    rows = lines((out / "2").read_bytes())
    judged = [row for row in rows if row["outcome_source"] == "verifier"]
    assert {(row["outcome"], row["outcome_rule"]) for row in judged} == {("success", "judge")}
    assert 0 < len(judged) < len(rows)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("verifier", "error", "words"),
    [
        (aside.raises, clew.Invalid, "no sources of"),
        (aside.makes_up, clew.Invalid, "'fine'"),
        (aside.raises_oddly, clew.Invalid, "the jar is open"),
    ],
)
def test_a_verifier_that_raises_is_heard(
    ledger: clew.Ledger,
    out: Path,
    verifier: Any,
    error: type[Exception],
    words: str,
    workers: int,
) -> None:
    """It is named with its own words, nothing is left, and the ledger takes writes as before."""
    with pytest.raises(error, match=words):
        ledger.export(
            Recipe(verifier=verifier), output=out / "a", options=ExportOptions(workers=workers)
        )
    assert list(out.iterdir()) == []
    session = ledger.create()
    session.extend(turns(1))
    assert len(session.history()) == 2
    assert threading.active_count() < 20


def test_a_function_without_a_name_is_refused(ledger: clew.Ledger, out: Path) -> None:
    recipe = Recipe(verifier=lambda row: None)
    with pytest.raises(clew.Invalid, match="stand in a module by a name"):
        ledger.export(recipe, output=out / "a", options=ExportOptions(workers=2))
    assert list(out.iterdir()) == []
    assert ledger.export(recipe, output=out / "a").rows > 0


SCRIPT = """
import clew
from clew.exporting import ExportOptions, Recipe
def judge(row): return None
with clew.open({url!r}) as ledger:
    recipe = Recipe(verifier=judge)
    try:
        ledger.export(recipe, output={out!r} + "/a", options=ExportOptions(workers=2))
    except clew.Invalid as error:
        print(error)
    print(ledger.export(recipe, output={out!r} + "/b").rows > 0)
"""


def test_a_function_of_a_script_is_refused_in_clear_words(
    ledger: clew.Ledger, url: str, out: Path
) -> None:
    script = SCRIPT.format(url=url, out=str(out))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    said, works = done.stdout.splitlines()
    assert "judge" in said
    assert "stand in a module by a name" in said
    assert works == "True"
    assert names(out) == ["b", "b.manifest.json"]


# --- killed ------------------------------------------------------------------------------


@BOTH
def test_a_killed_process_changes_no_byte(
    ledger: clew.Ledger, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEW_TEST_DIED", str(out.parent / "died"))
    options = ExportOptions(workers=2)
    done = ledger.export(Recipe(verifier=aside.dies_once), output=out / "a", options=options)
    assert (out.parent / "died").exists()
    assert done.sha256 == ledger.export(output=out / "b").sha256


def test_processes_that_are_killed_again_and_again_are_said_and_it_can_go_on(
    ledger: clew.Ledger, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ledger.export(output=out / "whole")
    recipe = Recipe(verifier=aside.always_dies)
    with pytest.raises(clew.Unavailable, match="--resume"):
        ledger.export(recipe, output=out / "a", options=ExportOptions(workers=2))
    assert not (out / "a").exists()
    monkeypatch.setattr(aside.always_dies, "__code__", aside.raises.__code__)
    resume = ExportOptions(resume=True)
    with pytest.raises(clew.Invalid, match="no sources of"):
        ledger.export(recipe, output=out / "a", options=resume)
    assert ledger.export(output=out / "a").sha256 == whole.sha256


def test_an_interrupt_ends_all_processes_and_another_number_goes_on(
    ledger: clew.Ledger, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ledger.export(output=out / "whole")
    begun: list[int] = []
    start = subprocess.Popen.__init__

    def seen(self: subprocess.Popen[bytes], *args: Any, **options: Any) -> None:
        start(self, *args, **options)
        begun.append(self.pid)

    monkeypatch.setattr(subprocess.Popen, "__init__", seen)
    for at, first, then in ((1, 2, 1), (9, 1, 2)):
        left = [at]

        def interrupt(_: object, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

        name = out / f"a{at}"
        with pytest.raises(KeyboardInterrupt):
            ledger.export(output=name, options=ExportOptions(workers=first), on_progress=interrupt)
        assert not any(_runs(pid) for pid in begun)
        options = ExportOptions(workers=then, resume=True)
        assert ledger.export(output=name, options=options).sha256 == whole.sha256
    assert len(begun) == 2 + 2
    assert not any(_runs(pid) for pid in begun)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@BOTH
@pytest.mark.parametrize("workers", [1, 2])
def test_an_export_that_was_killed_goes_on(
    ledger: clew.Ledger, url: str, out: Path, workers: int
) -> None:
    whole = ledger.export(output=out / "whole")
    target = out / "a"
    script = f"import exporting_aside; exporting_aside.export_slowly({url!r}, {str(target)!r}, "
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}{workers})"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"under way\n"
        with pytest.raises(clew.Invalid, match="another export is writing"):
            ledger.export(output=target, options=ExportOptions(resume=True))
        process.kill()
    assert not target.exists()
    ledger.create().append(user("said meanwhile"))
    done = _as_soon_as_it_is_free(ledger, target)
    assert (done.sha256, done.rows) == (whole.sha256, whole.rows)
    assert sorted(path.name for path in out.iterdir()) == [
        *("a", "a.manifest.json", "whole", "whole.manifest.json"),
    ]


def _as_soon_as_it_is_free(ledger: clew.Ledger, target: Path) -> clew.exporting.Exported:
    """Processes that lost the one that asked them end what they are at, and hold the folder."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return ledger.export(output=target, options=ExportOptions(resume=True, workers=2))
        except clew.Invalid:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


# --- a process of the export, alone ------------------------------------------------------


def test_a_process_whose_ledger_cannot_be_opened_says_so(ledger: clew.Ledger, out: Path) -> None:
    begin = working.Begin(
        tuple(sys.path), f"sqlite:///{out}/none/x.db", Recipe(key=b"k" * 16), Folder(out)
    )
    worker = working.Worker(begin)
    try:
        for _ in range(2):
            with pytest.raises(clew.ClewError):
                worker.ask("first", Made(1))
    finally:
        worker.end()
    with pytest.raises(working.Gone):
        worker.ask("first", Made(1))


def test_what_goes_to_a_process_can_be_pickled_as_it_is() -> None:
    for recipe in SAME.values():
        assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_a_process_ends_when_nobody_asks_any_more(ledger: clew.Ledger, out: Path) -> None:
    worker = working.Worker(
        working.Begin(tuple(sys.path), ledger._database.url, Recipe(key=b"k" * 16), Folder(out))
    )
    process = worker._process
    assert process.stdin is not None
    with pytest.raises(clew.RedactionFailed):
        worker.ask("second", Made(1))
    process.send_signal(signal.SIGINT)
    process.stdin.close()
    assert process.wait(60) == 0
    worker.end()
