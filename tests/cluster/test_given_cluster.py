"""`--engine ray` on a cluster that is there: it loses a machine, or is not as it should be."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import clew
from clew.errors import Invalid, Unavailable
from clew.exporting import ExportOptions, Recipe
from cluster import harm, kit

if TYPE_CHECKING:
    from clew.exporting.job import Progress

pytestmark = kit.needs_ray
RAY = ExportOptions(engine="ray", workers=2)


def test_a_machine_that_is_lost_in_the_middle_costs_no_row(
    cluster: kit.Cluster, stored: str, plain: Path, tmp_path: Path
) -> None:
    lost = cluster.join()
    kit.until(lambda: cluster.alive() == 2)
    at: list[int] = []

    def lose(progress: Progress) -> None:
        if not at and progress.done > 0 and kit.until(lost.works):
            lost.lose()
            at.append(progress.done)

    path = tmp_path / "ray.jsonl"
    with clew.open(stored) as ledger:
        ledger.export(
            Recipe(redaction=None, verifier=harm.slow),
            output=path,
            options=RAY,
            on_progress=lose,
        )
    assert 0 < at[0] < kit.SESSIONS, "the machine was to be lost in the first pass"
    assert len(set(kit.ids(path))) == len(kit.ids(path)) == kit.SESSIONS
    assert path.read_bytes() == plain.read_bytes()
    assert kit.manifest(path) == kit.manifest(plain)
    assert kit.until(lambda: cluster.alive() == 1), "the cluster that was there stays"


def test_the_ledgers_password_is_in_nothing_that_ray_writes(
    cluster: kit.Cluster, postgres_database: str, tmp_path: Path
) -> None:
    password = "Sesame-open-4711"
    parts = urlsplit(postgres_database)
    url = parts._replace(netloc=f"postgres:{password}@{parts.hostname or ''}").geturl()
    kit.fill(url, 70)
    path = tmp_path / "ray.jsonl"
    with clew.open(url) as ledger:
        ledger.export(Recipe(redaction=None, verifier=harm.slow), output=path, options=RAY)
        with pytest.raises(Invalid):
            ledger.export(
                Recipe(redaction=None, verifier=harm.is_wrong),
                output=tmp_path / "wrong.jsonl",
                options=RAY,
            )
    assert len(kit.ids(path)) == 70
    code = (
        "import sys; from ray._raylet import GcsClient;"
        "print(GcsClient(address=sys.argv[1]).get_all_job_info())"
    )
    jobs = cluster.asked(code)
    assert "ray_driver" in jobs, "the export was to be among its jobs"
    assert password not in jobs
    logs = [one for one in cluster.folder.rglob("*") if one.is_file() and not one.is_symlink()]
    assert len(logs) > 5, "no logs found: the test looks in the wrong place"
    assert not [one for one in logs if password.encode() in one.read_bytes()]


def test_a_cluster_that_lets_in_everybody_is_refused(
    stored: str, tmp_path: Path, harm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp", ignore_cleanup_errors=True) as place:
        opened = kit.Cluster(Path(place), None, harm_folder)
        try:
            monkeypatch.setenv("RAY_ADDRESS", opened.address)
            monkeypatch.setenv("RAY_AUTH_MODE", "token")
            monkeypatch.setenv("RAY_AUTH_TOKEN", kit.new_token())
            with (
                clew.open(stored) as ledger,
                pytest.raises(Invalid, match="takes commands from everybody"),
            ):
                ledger.export(Recipe(redaction=None), output=tmp_path / "out.jsonl", options=RAY)
        finally:
            opened.close()
    assert list(tmp_path.glob("*out.jsonl*")) == []


def test_a_wrong_token_is_told(
    cluster: kit.Cluster, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", kit.new_token())
    with clew.open(stored) as ledger, pytest.raises(Invalid, match="does not take the token"):
        ledger.export(Recipe(redaction=None), output=tmp_path / "out.jsonl", options=RAY)


def test_nobody_at_the_address_is_told(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", kit.new_token())
    with clew.open(stored) as ledger, pytest.raises(Unavailable, match="no Ray cluster answers"):
        ledger.export(Recipe(redaction=None), output=tmp_path / "out.jsonl", options=RAY)


def test_functions_that_the_machines_do_not_have_are_told(
    cluster: kit.Cluster, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here").mkdir()
    (tmp_path / "only_here" / "judge_of_mine.py").write_text("def judge(row):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path / "only_here")
    import judge_of_mine  # type: ignore[import-not-found]

    with (
        clew.open(stored) as ledger,
        pytest.raises(Invalid, match=r"machine .*No module named 'judge_of_mine'"),
    ):
        ledger.export(
            Recipe(redaction=None, verifier=judge_of_mine.judge),
            output=tmp_path / "out.jsonl",
            options=RAY,
        )
