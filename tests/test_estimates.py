"""Calls that told no cost: what list prices make of them, and what stays unknown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import clew
import clew.prices
from clew import stats, words
from clew.prices import Prices, Row

if TYPE_CHECKING:
    from clew import Ledger


def said(number: int, model: str, tokens: int) -> dict[str, Any]:
    """What a model said, and what it used; no cost."""
    usage = {"input_tokens": tokens, "output_tokens": 0, "cache_read_input_tokens": tokens}
    content = [{"type": "text", "text": "hi"}]
    told = {"type": "message", "role": "assistant", "content": content}
    return {**told, "id": f"msg_{number}", "model": model, "usage": usage}


def test_list_prices_are_told_apart_from_what_was_told(ledger: Ledger) -> None:
    session = ledger.create()
    session.append(said(1, "claude-sonnet-4-5", 1000))
    session.append(said(2, "claude-sonnet-4-5", 2000))
    session.append(said(3, "nobody-1", 4000))
    session.start_span(
        "model", "m", model="m-1", cost=0.25, outcome="ok", tokens_in=8, tokens_out=0
    )
    (row,) = ledger.usage(by="project")
    price = ledger.prices.cost(None, "claude-sonnet-4-5", 3000, 0, cache_read=3000)
    assert price is not None
    assert row.cost == 0.25, "an estimate is never added to what is known"
    assert row.estimated == pytest.approx(price)
    assert (row.calls, row.cost_unknown, row.estimated_calls) == (4, 3, 2)
    assert (row.told_calls, row.unpriced) == (1, 1)
    by_model = {row.key: row for row in ledger.usage(by="model")}
    assert words.spent(by_model["m-1"]) == "$0.25"
    assert words.spent(by_model["nobody-1"]) == "–", "an unknown model is not free"
    assert words.spent(by_model["claude-sonnet-4-5"]) == f"≈ {words.cost(price)} at list prices"
    assert words.spent(row) == f"$0.25 + ≈ {words.cost(price)} at list prices"


def test_each_call_is_priced_by_itself(tmp_path: Any) -> None:
    """A price that depends on the length of the prompt is that of the call, not of the sum."""
    prices = Prices(
        [
            Row("long", input=1.0, output=0, cache_read=1.0),
            Row("long", input=10.0, output=0, cache_read=10.0, above_input=5000),
        ]
    )
    with clew.open(tmp_path / "ledger.db", prices=prices) as ledger:
        session = ledger.create()
        for number, tokens in enumerate((1000, 1000, 1000, 5000)):
            session.append(said(number, "long", tokens))
        (row,) = ledger.usage(by="project")
        assert row.estimated == pytest.approx((3 * 2000 * 1.0 + 10_000 * 10.0) / 1e6)
        other = ledger.create()
        other.append(said(9, "long", 500))
        with ledger._database.read() as tx:
            alone = stats.session_usage(tx, other._key, ledger.prices)
        assert alone is not None
        assert alone.calls == 1
        assert alone.estimated == pytest.approx(0.001)


def test_too_many_calls_are_not_added_up_for_a_list(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clew.open(tmp_path / "ledger.db") as ledger:
        session = ledger.create()
        for number in range(3):
            session.append(said(number, "claude-sonnet-4-5", 10))
        with ledger._database.read() as tx:
            monkeypatch.setattr(stats, "CALLS_MAX", 3)
            assert stats.session_usage(tx, session._key, ledger.prices) is not None
            monkeypatch.setattr(stats, "CALLS_MAX", 2)
            assert stats.session_usage(tx, session._key, ledger.prices) is None
    assert words.spent(None) == "–"


def test_the_page_marks_an_estimate_as_one(server_url: str) -> None:
    with clew.open(server_url) as ledger:
        session = ledger.create()
        session.append(said(1, "claude-sonnet-4-5", 1_000_000))
        id = session.id
        silent = ledger.create(agent="silent")
        silent.append(said(2, "nobody-1", 5))
    header = {"authorization": f"Bearer {os.environ['CLEW_TOKEN']}", "accept": "text/html"}
    with httpx.Client(base_url=server_url, headers=header) as web:
        price = clew.prices.shipped().cost(
            None, "claude-sonnet-4-5", 1_000_000, 0, cache_read=1_000_000
        )
        told = f"≈ {words.cost(price)} at list prices"
        for path in ("/", "/usage", f"/sessions/{id}/timeline"):
            assert told in web.get(path).text, path
        page = web.get("/usage").text
        assert "≈ is no bill" in page
        assert "1 call without a price" in page
        assert "at list prices" not in web.get("/", params={"agent": "silent"}).text
