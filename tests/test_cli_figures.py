"""`clew usage`: what calls cost, with as many digits as it takes to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import clew
from clew.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("cost", "told"),
    [(0.0048, "$0.0048"), (0.00005, "$0.000050"), (12.3456, "$12.35"), (0.0, "$0.00")],
)
def test_a_small_cost_is_not_nothing(tmp_path: Path, cost: float, told: str) -> None:
    db = tmp_path / "ledger.db"
    with clew.open(db) as ledger:
        ledger.create().start_span("model", "m", outcome="ok", tokens_in=900, cost=cost)
    result = CliRunner().invoke(main, ["--db", str(db), "usage"])
    assert result.exit_code == 0, result.stderr
    assert told in result.stdout.split()
