"""The reference names everything that is public, inherited or not."""

from __future__ import annotations

from pathlib import Path

import pytest

import clew
from clew import frames
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
