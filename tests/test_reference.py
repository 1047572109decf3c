"""The reference names everything that is public, inherited or not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import clew
from clew import frames
from clew.prices import Prices
from clew.tracing import Call, ModelCall, Turn

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"


def headings(page: str) -> set[str]:
    lines = (PAGES / page).read_text(encoding="utf-8").splitlines()
    return {line.lstrip("# ") for line in lines if line.startswith("##")}


def test_every_public_name_has_its_place() -> None:
    told = headings("library.md") | headings("errors.md")
    assert {name for name in clew.__all__ if name != "open"} <= told
    assert "clew.open" in told


@pytest.mark.parametrize("kind", [clew.Ledger, clew.Session, Turn, Call, ModelCall])
def test_every_verb_has_its_place(kind: type) -> None:
    verbs = {name for name in dir(kind) if not name.startswith("_")}
    told = {name.partition(".")[2] for name in headings("library.md") if "." in name}
    own = {name for name in verbs if callable(getattr(kind, name))}
    assert len(own) > 0
    assert own <= told


def test_every_frame_has_its_place() -> None:
    kinds = set(frames.AnyFrame.__args__)
    assert {kind.__name__ for kind in kinds} <= headings("library.md")


def test_no_address_of_an_object_gets_in() -> None:
    assert " object at 0x" not in (PAGES / "library.md").read_text(encoding="utf-8")


def test_what_the_page_on_tracing_shows_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (PAGES.parent / "tracing.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, space)  # what a reader would run
    with space["ledger"] as ledger:
        assert ledger.trace_failures == 0
        assert {span.outcome for span in space["session"].spans()} == {"ok"}
        (prices,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
        (tmp_path / "prices.json").write_text(prices)
        assert Prices.load("prices.json").cost("acme", "my-model-latest", 1_000_000, 0) == 1.5
        assert ledger.verify().ok
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("[('turn', 'turn', 'ok'), ('model', 'claude-sonnet-4-5', 'ok')")
    assert told[1:] == ["{'a': 1, 'b': 2}", "{'mode': 'do'} 2"]
