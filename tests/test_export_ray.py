"""Export on Ray, as far as it can be looked at without Ray. On clusters: tests/cluster/."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import pickle
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew.errors import Invalid, Unavailable
from clew.exporting import ExportOptions, Recipe, unit
from clew.exporting.folder import Folder
from clew.exporting.ray_driver import Attempt, Begin, machine, record, release, work
from clew.exporting.unit import Made
from contract.talk import turns

if TYPE_CHECKING:
    from collections.abc import Callable


RAY = ExportOptions(engine="ray", workers=2)


@pytest.fixture
def filled(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with clew.open(url) as ledger:
        for _ in range(70):  # two units
            ledger.create().extend(turns(2))
    return url


@pytest.fixture
def has_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Ray were installed; nothing here comes so far that it is used."""
    _pretend(monkeypatch, "2.60.0")
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


def _pretend(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: version)


def _export(url: str, path: Path, recipe: Recipe | None = None) -> clew.Exported:
    with clew.open(url) as ledger:
        return ledger.export(recipe or Recipe(redaction=None), output=path, options=RAY)


# --- what is refused before anything begins -------------------------------------------------


def test_without_ray_it_says_how_to_get_it(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(Invalid, match=r"pip install 'clew\[ray\]'"):
        _export(filled, tmp_path / "out.jsonl")
    assert list(tmp_path.glob("*out.jsonl*")) == []


def test_a_ray_that_knows_no_token_is_refused(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, "2.51.2")
    with pytest.raises(Invalid, match=r"2\.51\.2 asks nobody for a token"):
        _export(filled, tmp_path / "out.jsonl")


@pytest.mark.usefixtures("has_ray")
def test_a_ledger_in_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="in memory"):
        _export("sqlite:///:memory:", tmp_path / "out.jsonl")


@pytest.mark.usefixtures("has_ray")
@pytest.mark.parametrize(
    ("address", "mode", "words"),
    [
        ("ray://10.0.0.1:10001", "token", "host:port"),
        ("auto", "token", "host:port"),
        ("10.0.0.1:6379", "", "RAY_AUTH_MODE=token"),
        ("10.0.0.1:6379", "disabled", "RAY_AUTH_MODE=token"),
    ],
)
def test_a_cluster_is_named_by_its_head_and_asks_for_a_token(
    address: str,
    mode: str,
    words: str,
    filled: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(Invalid, match=words):
        _export(filled, tmp_path / "out.jsonl")


@pytest.mark.usefixtures("has_ray")
def test_nobody_at_the_address_is_told(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(Unavailable, match="no Ray cluster answers"):
        _export(filled, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    assert not list(tmp_path.rglob(".token*"))


@pytest.mark.usefixtures("has_ray")
def test_a_function_without_a_name_is_told(filled: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="functions that stand in a module"):
        _export(
            filled, tmp_path / "out.jsonl", Recipe(redaction=None, verifier=lambda _row: "unknown")
        )


# --- a task ---------------------------------------------------------------------------------


def _begun(url: str, parts: Path, **other: Any) -> bytes:
    parts.mkdir(exist_ok=True)
    (parts / "token").write_text("token", encoding="ascii")
    recipe = Recipe(redaction=None)
    begin = Begin(release(), machine(), url, recipe, Folder(parts), "token")
    return pickle.dumps(begin._replace(**other))


def test_a_machine_that_is_as_it_should_be_has_nothing_to_say(filled: str, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    assert work(_begun(filled, folder), "look", None) is None
    assert sorted(path.name for path in folder.iterdir()) == ["token"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"release": ("0.0.1", "sha256:0")}, "has another Clew than 0.0.1"),
        ({"machine": "elsewhere"}, "a SQLite file of another machine: use PostgreSQL"),
        ({"token": "not-there"}, "a folder that all machines share"),
        ({"folder": Folder(Path("/nowhere/at/all"))}, "a folder that all machines share"),
    ],
)
def test_a_machine_that_cannot_do_the_work_says_why(
    other: dict[str, Any], words: str, filled: str, tmp_path: Path
) -> None:
    error = work(_begun(filled, tmp_path / "parts", **other), "look", None)
    assert isinstance(error, Invalid)
    assert words in str(error)


def test_a_folder_of_the_same_name_is_not_the_same_folder(filled: str, tmp_path: Path) -> None:
    begin = _begun(filled, tmp_path / "parts")
    (tmp_path / "parts" / "token").write_text("another export's", encoding="ascii")
    error = work(begin, "look", None)
    assert isinstance(error, Invalid)
    assert "another folder" in str(error)


def test_what_cannot_be_sent_is_told_in_words(tmp_path: Path) -> None:
    error = work(b"no pickle", "look", None)
    assert isinstance(error, pickle.UnpicklingError)


# --- two attempts at one task ---------------------------------------------------------------


def _write(folder: Attempt, stage: str, data: bytes) -> Path:
    path = folder.part(3, "train", stage)
    path.write_bytes(data)
    return path


def test_a_part_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    plain, own = Folder(tmp_path), Attempt(tmp_path, "first")
    _write(own, "first", b"rows")
    assert not plain.part(3, "train", "first").exists()
    own.keep(record(3, "first"), Made(3))
    assert plain.part(3, "train", "first").read_bytes() == b"rows"
    assert plain.kept(record(3, "first"), Made) == Made(3)
    assert len(list(tmp_path.iterdir())) == 2
    assert {stat.S_IMODE((tmp_path / record(3, "first")).stat().st_mode)} == {0o600}


def test_an_attempt_that_is_taken_for_lost_harms_no_other(tmp_path: Path) -> None:
    """One ends while the other still writes; that one is lost then. What stands is whole."""
    slow, quick = Attempt(tmp_path, "first"), Attempt(tmp_path, "first")
    _write(slow, "first", b"ro")
    _write(quick, "first", b"rows")
    quick.keep(record(3, "first"), Made(3))
    assert Folder(tmp_path).part(3, "train", "first").read_bytes() == b"rows"


def test_a_lost_attempt_that_ended_the_second_pass_has_done_it(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes away what it had read, under the eyes of the one that was begun in its place."""
    begin = _begun(filled, tmp_path / "parts")
    folder = Folder(tmp_path / "parts")
    folder.keep(record(3, "first"), Made(3))

    def gone(*_arguments: object) -> None:
        raise FileNotFoundError("000003.-.first")

    monkeypatch.setattr(unit, "second", gone)
    assert isinstance(work(begin, "second", 3), FileNotFoundError)
    folder.keep(record(3, "second"), Made(3))
    assert work(begin, "second", 3) is None


def test_what_the_first_pass_left_is_read_by_its_name(tmp_path: Path) -> None:
    own = Attempt(tmp_path, "last")
    assert own.part(3, "train", "first") == Folder(tmp_path).part(3, "train", "first")
    assert own.part(3, "train", "last") != Folder(tmp_path).part(3, "train", "last")


def test_names_are_those_of_the_units(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`record` says what `unit.first` and `unit.second` call what they leave."""
    kept: list[str] = []
    keep: Callable[[Folder, str, Any], None] = Folder.keep

    def note(self: Folder, name: str, value: Any) -> None:
        kept.append(name)
        keep(self, name, value)

    monkeypatch.setattr(Folder, "keep", note)
    with clew.open(filled) as ledger:
        ledger.export(Recipe(redaction=None), output=tmp_path / "out.jsonl")
    for task in ("first", "second"):
        assert [record(number, task) in kept for number in range(3)] == [True, True, False]
