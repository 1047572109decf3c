"""An export in words, as a URL has it: the same export comes out of them again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as other

import clew
from clew.exporters.formats import FORMATS
from clew.exporters.outcome import OUTCOMES
from clew.exporters.shaping import Shaping
from clew.exporting import TIERS, Recipe, Redaction, Selection, asked
from clew.redaction.policy import Policy

_words = st.text(min_size=1, max_size=12)
_names = st.lists(_words, max_size=3).map(tuple)


def _maybe(some: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), some)


def _some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=3).map(tuple)


def _range(top: int) -> st.SearchStrategy[tuple[int, int]]:
    ends = st.tuples(st.integers(0, top), st.integers(0, top))
    return ends.map(lambda both: (min(both), max(both)))


_selections = st.builds(
    Selection,
    since=_maybe(st.one_of(st.just("7d"), st.integers(0, 10**13))),
    until=_maybe(st.just("1d")),
    project=_maybe(_words),
    agent=_maybe(_words),
    sessions=_names,
    label=_maybe(_words),
    query=_maybe(_words),
    tiers=_some(TIERS),
    complexity=_maybe(_range(100)),
    outcomes=_some(OUTCOMES),
    models=_names,
    providers=_names,
    tools=_names,
    tokens=_maybe(st.one_of(_range(9000), st.tuples(st.integers(0, 9000), st.none()))),
)
_shapings = st.builds(
    Shaping,
    segments=st.sampled_from(["whole", "split"]),
    reasoning=st.sampled_from(["keep", "last", "drop", "explode"]),
    parallel=st.sampled_from(["keep", "serialise", "drop"]),
    explode=st.sampled_from(["none", "turn", "step"]),
    max_tokens=_maybe(st.integers(1, 10**6)),
    keep_steps=st.integers(1, 9),
    result_tokens=_maybe(st.integers(50, 10**6)),
    tiers=_some((*TIERS, "own")),
    models=_names,
    providers=_names,
    recorded_tools_only=st.booleans(),
)
_policies = st.dictionaries(
    st.sampled_from(["EMAIL", "SECRET", "email", "github"]),
    st.sampled_from(["warn", "redact", "review", "block"]),
)
_recipes = st.builds(
    Recipe,
    format=st.sampled_from(sorted(FORMATS)),
    selection=_selections,
    shaping=_shapings,
    redaction=_maybe(_policies.map(lambda actions: Redaction(Policy.of(actions)))),
    near=_maybe(st.floats(0.01, 1)),
    train_shared=st.booleans(),
)


@given(_recipes)
def test_an_export_in_words_is_the_same_export(recipe: Recipe) -> None:
    since = recipe.selection.since
    wanted = other(recipe.selection, since=None if since is None else str(since))
    assert asked.recipe(asked.asked(recipe)) == replace(recipe, selection=wanted)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(verifier=lambda row: None),
        Recipe(summarise=lambda messages: ""),
        Recipe(outcome_rules=(lambda messages, pairs: None,)),
        Recipe(redaction=Redaction(names=("Ann",))),
        Recipe(redaction=Redaction(known=("open-sesame",))),
        Recipe(redaction=Redaction(detectors=(lambda text: (),))),
    ],
)
def test_what_is_not_said_in_words_is_refused(recipe: Recipe) -> None:
    """Never left out in silence."""
    with pytest.raises(clew.Invalid, match="server"):
        asked.asked(recipe)
