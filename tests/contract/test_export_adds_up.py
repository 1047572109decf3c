"""What an export took and left out adds up: each session gave a row or is counted with a reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from clew.exporters.formats import FORMATS
from clew.exporting import ExportOptions, Recipe
from export_kit import assistant, exported, gave

from .talk import bot, user

if TYPE_CHECKING:
    from pathlib import Path

    import clew

pytestmark = pytest.mark.inside
SECRET = "q8Zx71bbTr"


def manifest(ledger: clew.Ledger, path: Path, recipe: Recipe, **options: Any) -> dict[str, Any]:
    """That of an export to a file."""
    done = ledger.export(recipe, output=path, options=ExportOptions(**options))
    assert done.manifest is not None
    told: dict[str, Any] = json.loads(done.manifest.read_bytes())
    return told


def wanting(ledger: clew.Ledger) -> None:
    """Eight sessions, of which one answers one question twice and most cannot be said somewhere."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    ledger.create().extend([user("hello"), bot("hi")])
    ledger.create().append(user("nobody?"))
    ledger.create().append(bot("unasked"))
    ledger.create().extend([{"role": "user", "content": [picture]}, bot("a cat")])
    ledger.create().extend(
        [user("cut"), assistant(None, ("c1", "look", "{")), gave("c1"), bot("x")]
    )
    ledger.create()
    twice = ledger.create()
    twice.extend([user("which?"), bot("this")])
    twice.undo()
    twice.extend([user("which?"), bot("that")])
    left = ledger.create()
    left.extend([user("go"), assistant(None, ("c1", "look", "{}")), gave("c1"), bot("done")])
    left.undo()


@pytest.mark.parametrize("format", FORMATS)
def test_sessions_are_those_that_gave_rows_and_those_that_are_counted(
    ledger: clew.Ledger, tmp_path: Path, format: str
) -> None:
    if FORMATS[format].table is not None:
        pytest.importorskip("pyarrow")
    wanting(ledger)
    told = manifest(ledger, tmp_path / "out", Recipe(format=format))
    gave_rows = sum(told["outcomes"].values())
    assert gave_rows + sum(told["dropped"].values()) == told["sessions"] == 8
    assert [sum(told[name].values()) for name in ("tiers", "models", "agents")] == [gave_rows] * 3
    if format == "dpo":
        assert (gave_rows, told["rows"]) == (1, 1)
        assert told["dropped"] == {"no messages": 2, "no pair": 5}


def test_what_the_second_look_leaves_out_is_counted_no_more(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    for _ in range(3):
        ledger.create(agent="a").extend([user("say it once more please"), bot("so I do, gladly")])
    ledger.create(agent="b").extend([user("quite another"), bot("question, and answer")])
    told = manifest(ledger, tmp_path / "out.jsonl", Recipe(format="trl", near=0.9))
    assert told["agents"] == {"a": 1, "b": 1}
    assert told["dropped"] == {"much like another": 2}


def test_what_gave_no_row_takes_no_place_of_another(ledger: clew.Ledger, tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    said = [user("say it once more please"), bot("so I do, gladly")]
    ledger.create().extend([*said, {"role": "user", "content": [picture]}, bot("and it too")])
    ledger.create().extend([*said, bot("and it too")])
    told = manifest(ledger, tmp_path / "out.jsonl", Recipe(format="trl", near=0.9))
    assert (told["rows"], told["dropped"]) == (1, {"images": 1})


def test_an_id_that_redaction_changes_late_is_one_that_the_api_takes(ledger: clew.Ledger) -> None:
    ids = f"{SECRET}-1", f"{SECRET}-2"
    calls = [(id, "look", "{}") for id in ids]
    ledger.create().extend([user("go"), assistant(None, *calls), *map(gave, ids), bot("done")])
    ledger.create().extend([user(f"API_KEY={SECRET}"), bot("noted")])
    row, _ = exported(ledger, Recipe(format="anthropic"))
    asked, answered = row["messages"][1]["content"], row["messages"][2]["content"]
    assert [one["id"] for one in asked] == [one["tool_use_id"] for one in answered]
    assert len({one["id"] for one in asked}) == 2
    assert SECRET not in json.dumps(row)
