"""`--engine ray` on a cluster that lives as long as the export, with two workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

import clew
from clew.errors import Invalid, RedactionFailed, Unavailable
from clew.exporting import ExportOptions, Recipe, Redaction
from cluster import harm, kit
from contract.talk import user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clew.exporters.base import Row

pytestmark = kit.needs_ray
RAY = ExportOptions(engine="ray", workers=2)


def _export(url: str, path: Path, recipe: Recipe | None = None) -> clew.Exported:
    with clew.open(url) as ledger:
        return ledger.export(recipe or Recipe(redaction=None), output=path, options=RAY)


def test_two_workers_give_the_bytes_of_one_process(
    stored: str, plain: Path, tmp_path: Path
) -> None:
    before = dict(os.environ), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    path = tmp_path / "ray.jsonl"
    done = _export(stored, path)
    assert done.rows == kit.SESSIONS
    assert path.read_bytes() == plain.read_bytes()
    assert kit.manifest(path) == kit.manifest(plain)
    assert sorted(p.name for p in tmp_path.glob(".*")) == [], "leavings"
    after = dict(os.environ), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert after == before, "Ray takes signals and environment of the process it is used in"
    assert "ray" not in sys.modules


def test_the_same_from_postgresql_redacted(postgres_database: str, tmp_path: Path) -> None:
    kit.fill(postgres_database, 150)
    with clew.open(postgres_database) as ledger:
        secret = "sk-ant-api03-" + "Ab3xY9_kLmN0pQrS" * 5 + "tUvWxYz-Q1w2E3r-A1AA"
        for number in (3, 149):  # found in one unit, replaced in all
            text = f"the key is {secret}" if number == 3 else f"again {secret}"
            ledger.get(ledger.sessions(limit=200)[number].id).append(user(text))
        ledger.export(Recipe(), output=tmp_path / "plain.jsonl")
    _export(postgres_database, tmp_path / "ray.jsonl", Recipe())
    data = (tmp_path / "ray.jsonl").read_bytes()
    assert data == (tmp_path / "plain.jsonl").read_bytes()
    assert secret.encode() not in data
    told = [kit.manifest(tmp_path / f"{name}.jsonl") for name in ("plain", "ray")]
    assert told[0]["redaction"] == told[1]["redaction"]
    assert sum(told[0]["redaction"]["counts"].values()) >= 2


def test_processes_that_are_killed_cost_no_row_and_double_none(
    stored: str, plain: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ray.jsonl"
    _export(stored, path, Recipe(redaction=None, verifier=harm.dies_at_words))
    assert harm.done() == {str(number) for number in kit.DEADLY}, "a process was to be killed each"
    assert len(set(kit.ids(path))) == len(kit.ids(path)) == kit.SESSIONS
    assert path.read_bytes() == plain.read_bytes()


def test_nor_those_that_are_killed_in_the_second_pass(
    stored: str, plain: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ray.jsonl"
    _export(stored, path, Recipe(redaction=None, verifier=harm.dies_in_the_second_pass))
    assert len(harm.done()) >= 2, "processes were to be killed"
    assert path.read_bytes() == plain.read_bytes()


def test_a_unit_that_kills_every_process_ends_the_export(stored: str, tmp_path: Path) -> None:
    path = tmp_path / "ray.jsonl"
    with pytest.raises(Unavailable, match=r"lost a unit 6 times .*fewer workers"):
        _export(stored, path, Recipe(redaction=None, verifier=harm.dies_always))
    assert not path.exists()
    (kept,) = tmp_path.glob(".*")  # to go on with
    assert not list(kept.glob(".token*"))


@pytest.mark.parametrize(
    ("verifier", "error", "words"),
    [
        (harm.is_wrong, Invalid, "the verifier says 'splendid'"),
        (harm.finds_a_secret, RedactionFailed, "found 1 secrets"),
        (harm.has_an_error, ZeroDivisionError, "somebody's own"),
    ],
)
def test_an_error_in_a_task_is_what_it_was(
    verifier: Callable[[Row], str | None],
    error: type[Exception],
    words: str,
    stored: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=words) as told:
        _export(stored, tmp_path / "ray.jsonl", Recipe(redaction=None, verifier=verifier))
    assert type(told.value) is error
    assert list(tmp_path.glob("*ray.jsonl*")) == []


def test_nobody_else_reaches_it_and_nothing_of_it_stays(
    stored: str, plain: Path, tmp_path: Path
) -> None:
    seen: dict[str, set[str]] = {}

    def look(_progress: object) -> None:
        for driver in kit.children(os.getpid()):
            session = kit.of_session(driver)
            if any("raylet" in line for line in session.values()) and not seen:
                seen["at"] = kit.listening(list(session))
                seen["left"] = {str(driver)}

    with clew.open(stored) as ledger:
        ledger.export(
            Recipe(redaction=None), output=tmp_path / "ray.jsonl", options=RAY, on_progress=look
        )
    assert seen["at"] == {"127.0.0.1"}
    (driver,) = seen["left"]
    assert kit.until(lambda: not kit.of_session(int(driver)))


def test_when_the_process_that_speaks_with_ray_is_killed_the_export_can_go_on(
    stored: str, plain: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(_progress: object) -> None:
        for driver in () if killed else kit.children(os.getpid()):
            if any("raylet" in line for line in kit.of_session(driver).values()):
                os.kill(driver, signal.SIGKILL)
                killed.append(driver)

    path = tmp_path / "ray.jsonl"
    recipe = Recipe(redaction=None, verifier=harm.slow)
    with clew.open(stored) as ledger:
        with pytest.raises(Unavailable, match="--resume"):
            ledger.export(recipe, output=path, options=RAY, on_progress=kill)
        assert not path.exists()
        assert kit.until(lambda: not kit.of_session(killed[0])), "processes that nobody ended"
        ledger.export(recipe, output=path, options=structs.replace(RAY, resume=True))
    assert path.read_bytes() == plain.read_bytes()


def _command(url: str, *more: str, verifier: str = "") -> list[str]:
    chosen = ["--verifier", verifier] if verifier else []
    return [
        sys.executable, "-c", "from clew.cli import main; main()",
        "export", "--db", url, "--raw", "--engine", "ray", "--workers", "2", *chosen, *more,
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_standard_output_holds_the_rows_alone(stored: str, plain: Path) -> None:
    done = subprocess.run(
        _command(stored, "-o", "-"), env=_environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == plain.read_bytes()
    assert b"ray" not in done.stderr.lower(), done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_export_that_is_ended_leaves_no_process_and_goes_on(
    number: signal.Signals, stored: str, plain: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ray.jsonl"
    command = _command(stored, "-o", str(path), verifier="cluster.harm:slow")
    exporting = subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE)
    parts = tmp_path / ".ray.jsonl.partial"
    kit.until(lambda: list(parts.glob("000001.*")) or exporting.poll() is not None)
    (driver,) = kit.children(exporting.pid)
    exporting.send_signal(number)
    _, said = exporting.communicate(timeout=kit.WAIT_SECONDS)
    assert exporting.returncode != 0
    assert kit.until(lambda: not kit.of_session(driver)), "processes of Ray that nobody ended"
    assert b"Traceback" not in said, said
    assert not path.exists()

    again = subprocess.run(
        [*command, "--resume"], env=_environment(), capture_output=True, check=False
    )
    assert again.returncode == 0, again.stderr
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [json.loads(line) for line in plain.read_text().splitlines()]
    assert list(tmp_path.glob(".*")) == []


def test_the_redaction_of_a_task_does_not_depend_on_others(stored: str, tmp_path: Path) -> None:
    recipe = Recipe(redaction=Redaction(names=("begin 7",)))
    with clew.open(stored) as ledger:
        ledger.export(recipe, output=tmp_path / "plain.jsonl")
    _export(stored, tmp_path / "ray.jsonl", recipe)
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "plain.jsonl").read_bytes()
