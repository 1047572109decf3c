"""Which sessions an export takes, held against what the rows and the lists themselves say."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import canonical
from clew.exporting import TIERS, ExportOptions, Recipe, Selection
from clew.exporting import selection as selecting
from export_kit import MODELS, RAW, TOOLS, WORDS, assistant, exported, garden, gave, ids, routed

from .talk import bot, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable

    from clew.model import SessionInfo


T0 = 1_700_000_000_000


def taken(ledger: clew.Ledger, **fields: Any) -> list[str]:
    """The sessions that an export takes."""
    return ids(exported(ledger, Recipe(redaction=None, selection=Selection(**fields))))


# --- any selection -----------------------------------------------------------------------


def _ranges(top: int) -> st.SearchStrategy[tuple[int, int]]:
    pair = st.tuples(st.integers(0, top), st.integers(0, top))
    return pair.map(lambda both: (min(both), max(both)))


def _several(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


def _selections(known: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    fields: dict[str, st.SearchStrategy[Any]] = {
        "agent": st.sampled_from(["gardener", "walker", "nobody"]),
        "sessions": st.lists(st.sampled_from(known), min_size=1, max_size=12).map(tuple),
        "label": st.sampled_from(["kept", "never"]),
        "query": st.sampled_from([*WORDS[:4], f"{WORDS[0]} {WORDS[1]}", "nothing-of-it"]),
        "tiers": _several(TIERS),
        "complexity": _ranges(100),
        "outcomes": _several(("success", "recovered", "incomplete", "unknown", "error")),
        "models": _several((*MODELS, "m-none")),
        "providers": _several(("anthropic", "openai", "none")),
        "tools": _several((*TOOLS, "fly")),
        "tokens": st.one_of(_ranges(20_000), st.tuples(st.integers(0, 9_000), st.none())),
        "since": st.integers(0, 400).map(lambda n: T0 + 1000 * n),
        "until": st.integers(401, 900).map(lambda n: T0 + 1000 * n),
    }
    chosen = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({n: fields[n] for n in names}))


def _fits(info: SessionInfo, row: dict[str, Any], facts: dict[str, Any], hits: set[str]) -> bool:
    """The rules of a selection, told once more."""
    tokens = [row[name] for name in ("tokens_in", "tokens_out") if row[name] is not None]
    checks: dict[str, Callable[[Any], bool]] = {
        "agent": lambda value: info.agent == value,
        "sessions": lambda value: info.id in value,
        "label": lambda value: value in facts["labels"],
        "query": lambda _: info.id in hits,
        "tiers": lambda value: not value or row["tier"] in value,
        "complexity": lambda value: _in(row["complexity_score"], *value),
        "outcomes": lambda value: not value or row["outcome"] in value,
        "models": lambda value: not value or row["model_used"] in value,
        "providers": lambda value: not value or row["provider_used"] in value,
        "tools": lambda value: not value or any(one["name"] in value for one in row["tool_calls"]),
        "tokens": lambda value: _in(sum(tokens) if tokens else None, *value),
        "since": lambda value: info.updated_ms >= value,
        "until": lambda value: info.updated_ms < value,
    }
    return all(checks[name](value) for name, value in facts["asked"].items())


def _in(value: int | None, low: int, high: int | None) -> bool:
    return value is not None and low <= value and (high is None or value <= high)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_selection_takes_what_it_says(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    clock = iter(range(T0, T0 + 10**9, 1000))
    with monkeypatch.context() as told:
        told.setattr(canonical, "now_ms", lambda: next(clock))
        made = garden(ledger, seed)
    infos = {session.id: ledger.get(session.id).info for session in made}
    rows = {id: ledger.trajectory(id) for id in infos}
    labels = {one.id: {made.label for made in one.checkpoints()} for one in made}
    asked = Recipe(redaction=None, train_shared=True)

    @settings(max_examples=25)
    @given(_selections(sorted(infos)))
    def check(fields: dict[str, Any]) -> None:
        selection = Selection(**fields)
        recipe = Recipe(redaction=None, train_shared=True, selection=selection)
        hits = set()
        if "query" in fields:
            hits = {id for id in infos if ledger.search(fields["query"], session=id, limit=1).hits}
        wanted = [
            id
            for id, row in rows.items()
            if row["messages"]
            and _fits(infos[id], row, {"labels": labels[id], "asked": fields}, hits)
        ]
        found = exported(ledger, recipe)
        assert sorted(ids(found)) == sorted(wanted)
        counted = ledger.export_count(recipe)
        assert counted.pop("rows") == len(found)
        silent_or_other = sum(counted[name] for name in counted if name != "sessions")
        assert counted["sessions"] == len(found) + silent_or_other

    check()
    assert len(exported(ledger, asked)) == sum(bool(row["messages"]) for row in rows.values())


# --- one field at a time -----------------------------------------------------------------


def test_a_count_agrees_with_the_export(ledger: clew.Ledger) -> None:
    garden(ledger, 9)
    for selection in (Selection(), Selection(tiers=("SIMPLE",)), Selection(outcomes=("success",))):
        recipe = Recipe(selection=selection)
        done = ledger.export(recipe, output=io.BytesIO())
        told = ledger.export_count(recipe)
        assert told.pop("sessions") == done.rows + sum(done.dropped.values())
        assert told == {"rows": done.rows, **done.dropped}


def test_what_is_left_out_is_counted_by_reason(ledger: clew.Ledger) -> None:
    chance = random.Random(1)
    known, unknown, silent = ledger.create(), ledger.create(), ledger.create()
    known.append(user("x"))
    routed(known, chance)
    known.start_span("model", "m", complexity=90, outcome="ok")
    known.start_span("model", "m", complexity=95, outcome="ok")
    unknown.append(user("y"))
    assert silent.info.messages == 0
    told = ledger.export_count(Recipe(selection=Selection(tiers=("SIMPLE",))))
    assert told == {
        "sessions": 3,
        "rows": 0,
        "no messages": 1,
        "other tier": 1,
        "tier unknown": 1,
    }


def test_a_session_is_named_in_short_and_one_of_no_ledger_is_an_error(
    ledger: clew.Ledger,
) -> None:
    session = ledger.create()
    session.append(user("x"))
    assert taken(ledger, sessions=(session.id[:14],)) == [session.id]
    ledger.create().append(user("y"))
    assert taken(ledger, sessions=(session.id,)) == [session.id]
    with pytest.raises(clew.NotFound):
        taken(ledger, sessions=("0" * 32,))


def test_a_project_that_is_not_there_is_an_error(ledger: clew.Ledger) -> None:
    here = ledger.create()
    there = ledger.create(project="elsewhere")
    for session in (here, there):
        session.append(user("x"))
    assert taken(ledger, project="elsewhere") == [there.id]
    assert taken(ledger) == [here.id, there.id]
    with pytest.raises(clew.NotFound, match="nowhere"):
        taken(ledger, project="nowhere")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tiers": ("HUGE",)}, "SIMPLE, MEDIUM, COMPLEX, REASONING"),
        ({"tiers": ("simple",)}, "SIMPLE"),
        ({"outcomes": ("good",)}, "success"),
        ({"complexity": (50, 40)}, "0 to 100"),
        ({"complexity": (0, 101)}, "0 to 100"),
        ({"complexity": (-1, 10)}, "0 to 100"),
        ({"tokens": (10, 5)}, "least"),
        ({"tokens": (-1, None)}, "least"),
        ({"models": ("",)}, "empty name"),
        ({"tools": ("look", "")}, "empty name"),
        ({"sessions": ("",)}, "empty name"),
        ({"since": ""}, "since is empty"),
        ({"until": ""}, "until is empty"),
        ({"agent": ""}, "agent is empty"),
        ({"query": ""}, "query is empty"),
        ({"label": ""}, "label is empty"),
        ({"project": ""}, "project is empty"),
    ],
)
def test_a_value_that_means_nothing_is_an_error(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(clew.Invalid, match=words):
        Selection(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"since": "yesterday"},
        {"until": "soon"},
        {"since": "2026-05-03", "until": "2026-05-03"},
        {"since": "1d", "until": "2d"},
        {"query": "   "},
    ],
)
def test_a_window_or_search_that_means_nothing_is_an_error(
    ledger: clew.Ledger, fields: dict[str, Any]
) -> None:
    ledger.create().append(user("x"))
    with pytest.raises(clew.Invalid):
        taken(ledger, **fields)


def test_no_session_is_lost_behind_the_first_hits_of_a_search(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "FIRST_HITS", 4)
    wanted = []
    for number in range(8):
        session = ledger.create()
        session.append(user(f"tulips {number}" if number % 2 else "weeds"))
        if number % 2:
            wanted.append(session.id)
            session.extend([user("tulips again")] * 3)
    assert taken(ledger, query="tulips") == wanted


@pytest.mark.inside
def test_a_search_that_cannot_answer_is_an_error(url: str) -> None:
    with clew.open(url, search=False) as ledger:
        ledger.create().append(user("tulips"))
        assert ledger.search("tulips").index == "disabled"
        with pytest.raises(clew.Invalid, match="disabled"):
            taken(ledger, query="tulips")


def test_what_a_model_asked_for_is_found_by_tool(ledger: clew.Ledger) -> None:
    a, b = ledger.create(), ledger.create()
    a.extend([user("x"), assistant(None, ("c1", "dig", "{}")), gave("c1"), bot("dug")])
    b.extend(turns(1))
    assert taken(ledger, tools=("dig", "fly")) == [a.id]
    assert taken(ledger, tools=("fly",)) == []


def test_a_sub_agent_is_chosen_or_not_by_itself(ledger: clew.Ledger) -> None:
    parent = ledger.create(agent="chief")
    child = ledger.create(agent="scout", spawned_by=f"{parent.id}#c1")
    for session in (parent, child):
        session.extend(turns(1))
    assert taken(ledger, agent="chief") == [parent.id]
    (row,) = exported(ledger, Recipe(redaction=None, selection=Selection(agent="chief")))
    assert row["subagents"] == [{"session_id": child.id, "call_id": "c1"}]
    (own,) = exported(ledger, Recipe(redaction=None, selection=Selection(agent="scout")))
    assert (own["root_session_id"], own["spawned_by"]) == (parent.id, f"{parent.id}#c1")


def test_erased_sessions_are_not_there(ledger: clew.Ledger) -> None:
    gone, stays = ledger.create(), ledger.create()
    for session in (gone, stays):
        session.extend(turns(1))
    ledger.erase(gone.id)
    assert taken(ledger) == [stays.id]
    assert ledger.export_count(RAW, options=ExportOptions())["sessions"] == 1
