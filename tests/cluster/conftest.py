"""A ledger on each database, what a plain export of it gives, and clusters."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clew
from clew.exporting import Recipe
from cluster import kit

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def harm_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where harms are noted."""
    folder = tmp_path / "harm"
    folder.mkdir()
    monkeypatch.setenv("CLEW_TEST_HARM", str(folder))
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def stored(tmp_path: Path) -> str:
    """The URL of a ledger in a file."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    kit.fill(url)
    return url


@pytest.fixture
def plain(stored: str, tmp_path: Path) -> Path:
    """What one process exports of it."""
    path = tmp_path / "plain.jsonl"
    with clew.open(stored) as ledger:
        ledger.export(Recipe(redaction=None), output=path)
    return path


@pytest.fixture
def cluster(harm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kit.Cluster]:
    """A cluster of one machine that asks for a token, and this process has it."""
    token = kit.new_token()
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp", ignore_cleanup_errors=True) as place:
        made = kit.Cluster(Path(place), token, harm_folder)
        monkeypatch.setenv("RAY_ADDRESS", made.address)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        yield made
        made.close()
