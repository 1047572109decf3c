"""What a call costs: ids with all their prefixes and versions, tiers, dates, own prices."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import clew
from clew import prices
from clew.prices import Prices, Row

MILLION = 1_000_000
FILE = Path(prices.__file__).with_name("prices.json")
ROWS = json.loads(FILE.read_text())["rows"]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-11-21T12:00")


def cost(provider: str | None, model: str | None, **used: int) -> float | None:
    used = {"at_ms": NOW, **used}
    tokens_in, tokens_out = used.pop("tokens_in", MILLION), used.pop("tokens_out", 0)
    return prices.shipped().cost(provider, model, tokens_in, tokens_out, **used)


# --- the file ----------------------------------------------------------------------------


def test_every_row_says_where_and_when_it_was_read() -> None:
    data = json.loads(FILE.read_text())
    for row in data["rows"]:
        assert row["source"] in data["sources"], row
        assert row["source"].startswith("https://"), row
        assert datetime.fromisoformat(row["date"]) <= datetime.fromisoformat(data["date"]), row
        assert row["provider"] in prices.SELLERS.values(), row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row.get('since', '')}")
def test_every_row_is_the_price_of_some_call(row: dict[str, object]) -> None:
    at = ms("2026-11-21T12:00")
    if "since" in row:
        at = int(datetime.fromisoformat(str(row["since"])).replace(tzinfo=UTC).timestamp() * 1000)
    elif any(other["model"] == row["model"] and "since" in other for other in ROWS):
        at = ms("2025-01-01T20:00")
    prompt = int(str(row.get("above_input", 0))) + 1
    paid = prices.shipped().cost(str(row["provider"]), str(row["model"]), prompt, 0, at_ms=at)
    assert paid == pytest.approx(prompt * float(str(row["input"])) / MILLION)


# --- which model is meant ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model", "dollars"),
    [
        ("anthropic", "claude-sonnet-4-6", 3.0),
        ("anthropic", "claude-opus-4-5-20251101", 5.0),
        ("anthropic", "Claude-Opus-4-5-20251101", 5.0),
        ("anthropic", "claude-opus-4-6[1m]", 5.0),
        ("anthropic", "claude-opus-4-1-20250805", 15.0),
        ("anthropic", "claude-opus-4-20250514", 15.0),
        (None, "anthropic/claude-haiku-4-5-20251001", 1.0),
        (None, "openrouter/anthropic/claude-haiku-4.5", 1.0),
        (None, "claude-haiku-4-5", 1.0),
        ("aws.bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", 1.1),
        ("anthropic", "us.anthropic.claude-haiku-4-5-20251001-v1:0", 1.1),
        (None, "bedrock/eu.anthropic.claude-opus-4-8", 5.5),
        ("bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0", 1.0),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", 3.0),
        ("bedrock", "claude-haiku-4-5", 1.1),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-5-v1:0",
            5.5,
        ),
        ("gcp.vertex_ai", "claude-haiku-4-5@20251001", 1.0),
        ("gcp.vertex_ai", "projects/p/locations/l/publishers/google/models/gemini-2.5-flash", 0.3),
        ("openai", "gpt-5-mini-2025-08-07", 0.25),
        ("openai", "gpt-4o-2024-05-13", 5.0),
        ("openai", "gpt-4o-2024-11-20", 2.5),
        ("openai", "gpt-4o-mini", 0.15),
        ("openai", "gpt-4", 30.0),
        ("openai", "gpt-4.1", 2.0),
        ("openai", "o3", 2.0),
        ("openai", "anthropic/claude-haiku-4-5", 1.0),
        ("google", "models/gemini-2.5-flash", 0.3),
        ("gcp.gemini", "gemini-2.0-flash-001", 0.1),
        ("mistral_ai", "mistral-large-2411", 2.0),
        ("mistral_ai", "mistral-large-2512", 0.5),
        ("x_ai", "grok-4", 3.0),
        ("dashscope", "qwen3.8-max", 2.0),
    ],
)
def test_an_id_is_found_by_all_its_names(provider: str | None, model: str, dollars: float) -> None:
    assert cost(provider, model, tokens_in=1000) == pytest.approx(dollars / 1000)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "gpt-4o-mini-tts"),
        ("openai", "gpt-4-32k"),
        ("openai", "gpt-4x"),
        ("openai", "gpt-3.5-turbo-0613"),
        ("openai", "o3-deep-research"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::x"),
        ("google", "gemini-2.5-flash-image"),
        ("anthropic", "claude-opus-4-9"),
        ("anthropic", "claude-opus"),
        ("anthropic", "<synthetic>"),
        ("mistral", "mistral-large"),
        ("mistral", "mistral-large-2407-instruct"),
        ("groq", "gpt-4o"),
        ("openrouter", "anthropic/claude-haiku-4-5"),
        ("azure", "gpt-4o"),
        (None, "groq/gpt-4o"),
        ("ollama", "deepseek-v4-pro"),
        ("mistral", "gpt-4o"),
        (None, None),
        (None, ""),
        ("anthropic", ""),
    ],
)
def test_what_is_not_known_costs_none(provider: str | None, model: str | None) -> None:
    assert cost(provider, model) is None
    assert cost(provider, model, tokens_in=0) is None
    assert prices.shipped().rows(provider, model) == ()


def test_a_longer_name_is_never_priced_as_a_shorter_one() -> None:
    own = Prices([Row(model="gpt-4o", provider="openai", input=1), Row(model="gpt-4", input=2)])
    assert own.cost("openai", "gpt-4o-2024-11-20", MILLION, 0) == 1
    for other in ("gpt-4o-mini", "gpt-4.1", "gpt-4o2", "xgpt-4o", "gpt-4-mini", "gpt-4o-2024"):
        assert own.cost("openai", other, MILLION, 0) is None


# --- what was used -----------------------------------------------------------------------


def test_each_kind_of_token_has_its_price() -> None:
    paid = cost(
        "anthropic",
        "claude-sonnet-4-6",
        tokens_in=1000,
        tokens_out=500,
        cache_read=20_000,
        cache_write=3_000,
        cache_write_1h=1_000,
    )
    expected = 1000 * 3 + 500 * 15 + 20_000 * 0.3 + 2_000 * 3.75 + 1_000 * 6
    assert paid == pytest.approx(expected / MILLION)


def test_an_hour_of_cache_counts_also_when_it_stands_alone() -> None:
    assert cost("anthropic", "claude-haiku-4-5", tokens_in=0, cache_write_1h=MILLION) == 2


def test_a_used_kind_without_a_price_makes_the_whole_unknown() -> None:
    assert cost("openai", "gpt-4-turbo", tokens_in=10) is not None
    assert cost("openai", "gpt-4-turbo", tokens_in=10, cache_read=1) is None
    assert cost("openai", "gpt-5", tokens_in=10, cache_write=1) is None


def test_nothing_used_costs_nothing_and_unknown_counts_cost_unknown() -> None:
    assert cost("openai", "gpt-5", tokens_in=0) == 0.0
    assert prices.shipped().cost("openai", "gpt-5", None, 5) is None
    assert prices.shipped().cost("openai", "gpt-5", 5, None) is None
    assert prices.shipped().cost("openai", "gpt-5", 8, 0, cache_read=None) == pytest.approx(1e-5)


# --- tiers, dates and hours --------------------------------------------------------------


def test_a_long_prompt_is_priced_by_its_tier_the_cache_included() -> None:
    def pro(tokens: int, cached: int = 0) -> float | None:
        return cost("google", "gemini-2.5-pro", tokens_in=tokens, cache_read=cached)

    assert pro(200_000) == pytest.approx(0.25)
    assert pro(200_001) == pytest.approx(200_001 * 2.5 / MILLION)
    assert pro(1, cached=200_000) == pytest.approx((2.5 + 200_000 * 0.25) / MILLION)
    assert cost("qwen", "qwen3-coder-plus", tokens_in=128_001) == pytest.approx(128_001 * 3e-6)


def test_a_price_that_changed_is_taken_by_the_time_of_the_call() -> None:
    before = cost("openai", "gpt-5.6-luna", tokens_in=1000, at_ms=ms("2026-07-29T23:59"))
    after = cost("openai", "gpt-5.6-luna", tokens_in=1000, at_ms=ms("2026-07-30"))
    assert before == pytest.approx(0.001)
    assert after == pytest.approx(0.0002)
    assert cost("openai", "o3", at_ms=ms("2025-06-09")) is None


def test_a_price_by_the_hour_is_unknown_in_the_hours_that_no_row_names() -> None:
    def pro(moment: str) -> float | None:
        return cost("deepseek", "deepseek-v4-pro", tokens_in=1000, at_ms=ms(moment))

    assert pro("2026-08-16T15:59") == pytest.approx(0.000435)
    assert pro("2026-11-20T04:00") == pytest.approx(0.00066)
    assert pro("2026-11-20T03:59") is None
    assert pro("2026-11-20T06:00") is None
    assert pro("2026-11-20T10:00") == pytest.approx(0.00066)


def test_without_a_time_todays_price_holds() -> None:
    own = Prices(
        [Row(model="m", input=1, since="2020-01-01"), Row(model="m", input=9, since="2999-01-01")]
    )
    assert own.cost(None, "m", MILLION, 0) == 1
    assert own.cost(None, "m", MILLION, 0, at_ms=ms("2019-12-31")) is None


# --- own prices --------------------------------------------------------------------------


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    path = tmp_path / "own.json"
    rows = [
        {"model": "claude-haiku-4-5", "provider": "anthropic", "input": 0.5, "output": 2},
        {"model": "acme/coder:7b", "provider": "groq", "input": 0.1, "output": 0.2},
        {"model": "house-model", "input": 7, "output": 7},
    ]
    path.write_text(json.dumps({"rows": rows}))
    return path


def test_own_rows_win_and_ours_stand_behind_them(own_file: Path) -> None:
    own = Prices.load(own_file)
    assert own.cost("anthropic", "claude-haiku-4-5-20251001", MILLION, 0) == 0.5
    assert own.cost("anthropic", "claude-haiku-4-5", 1, 0, cache_read=1) is None
    assert own.cost("anthropic", "claude-opus-4-5", MILLION, 0) == 5
    assert own.cost("groq", "acme/coder:7b", MILLION, MILLION) == pytest.approx(0.3)
    assert own.cost("ollama", "acme/coder:7b", MILLION, 0) is None
    assert own.cost("anyone", "house-model", MILLION, 0) == 7
    assert own.cost(None, "House-Model", MILLION, 0) == 7


def test_the_environment_names_own_prices(own_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEW_PRICES", raising=False)
    assert prices.usual() is prices.chosen(None) is prices.shipped()
    monkeypatch.setenv("CLEW_PRICES", str(own_file))
    assert prices.chosen(None).cost(None, "house-model", MILLION, 0) == 7
    assert prices.usual() is prices.usual()
    given = Prices([])
    assert prices.chosen(given) is given
    assert prices.chosen(own_file).cost(None, "house-model", MILLION, 0) == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "truncated"),
        ('{"rows": [{"model": "m", "input": -1}]}', "-1|>= 0"),
        ('{"rows": [{"model": "m", "inptu": 1}]}', "inptu"),
        ('{"rows": [{"model": "m", "since": "soon"}]}', "2026-08-31"),
        ('{"rows": [{"model": "m", "input": 1}, {"model": "M", "input": 2}]}', "two rows"),
    ],
)
def test_a_bad_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(text)
    with pytest.raises(clew.Invalid, match=told):
        Prices.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(clew.Invalid, match=r"nowhere\.json"):
        Prices.load(tmp_path / "nowhere.json")


def test_ids_from_outside_do_not_fill_the_memory() -> None:
    own = Prices([Row(model="m", input=1)])
    for number in range(10_000):
        own.cost("anthropic", f"made-up-{number}", 1, 1)
    assert len(own._found) < 10_000
    assert own.cost(None, "m", MILLION, 0) == 1
