"""Write the exports that `tests/trainers` reads: `python make_exports.py FOLDER`, where Clew is."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import clew
import recorded
from clew.exporters.shaping import Shaping
from clew.exporting import ExportOptions, Recipe

FOLDERS = ("atif", "sts")
LINES = (
    "native",
    "trl",
    "openai",
    "openai-preference",
    "sharegpt",
    "llama-factory",
    "anthropic",
    "dpo",
    "kto",
)


def main(folder: Path) -> None:
    """Record the sessions and export them in every format."""
    ledger = folder / "ledger.db"
    ledger.unlink(missing_ok=True)
    recorded.record(ledger)
    with clew.open(ledger) as open_:
        for name in (*LINES, *FOLDERS, "parquet"):
            suffix = {"parquet": ".parquet"}.get(name, "" if name in FOLDERS else ".jsonl")
            _export(open_, Recipe(format=name), folder / f"{name}{suffix}")
        serial = Shaping(parallel="serialise", reasoning="drop")
        _export(open_, Recipe(format="trl", shaping=serial), folder / "trl-serial.jsonl")
        turns = Shaping(explode="turn")
        _export(open_, Recipe(format="trl", shaping=turns), folder / "trl-turns.jsonl")


def _export(ledger: clew.Ledger, recipe: Recipe, target: Path) -> None:
    done = ledger.export(recipe, output=target, options=ExportOptions(overwrite=True))
    print(f"{target.name}: {done.rows} rows, left out {done.dropped}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
