"""Dataset cards: a head that a hub reads, and a body that hostile names cannot break.

`CLEW_REGENERATE=1 pytest tests/test_packages_card.py` writes the golden cards anew.
"""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from clew.clean import one_line
from clew.clean import plain as without_controls
from clew.errors import ClewError
from clew.exporters.base import segments
from clew.exporters.card import NAME_CHARS_MAX, card
from clew.exporters.formats import FORMATS
from clew.exporters.packages.parquet import COLUMNS
from clew.exporters.trajectory import trajectory
from clew.model import SessionInfo, Status
from packages_rows import HOSTILE, compacted, plain

GOLDEN = Path(__file__).parent / "golden" / "packages"
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
NASTY = st.text(min_size=1, max_size=30) | st.sampled_from(
    [
        *HOSTILE,
        "a: b",
        "- x",
        "# y",
        "yes",
        "null",
        "1.0",
        '"',
        "'",
        "\\",
        "a\n---\nb",
        "| b |",
        "`|`",
    ]
)


def manifest(format: str = "native", **more: Any) -> dict[str, Any]:
    """A manifest as an export writes it."""
    made: dict[str, Any] = {
        "schema": "clew-export/1", "clew": "0.3.0", "created": "2026-11-21T10:00:00.000Z",
        "format": format, "selection": {"project": "demo", "tiers": ["SIMPLE", "MEDIUM"]},
        "options": {
            "splits": {"train": 9.0, "test": 1.0}, "seed": "", "branches": "head",
            "near_duplicates": None, "train_shared": False, "continues": False,
            "shaping": {"segments": "whole", "reasoning": "keep", "explode": "none"},
        },
        "sessions": 1200, "rows": 1100,
        "files": [
            {"file": "out.train.jsonl", "split": "train", "rows": 1000, "bytes": 5_000_000,
             "sha256": "ab" * 32},
            {"file": "out.test.jsonl", "split": "test", "rows": 100, "bytes": 400_000,
             "sha256": "cd" * 32},
        ],
        "dropped": {"no messages": 60, "images": 40},
        "outcomes": {"success": 900, "error": 200}, "tiers": {"unknown": 1100},
        "models": {"m-large": 1000, "m|small`x": 100}, "agents": {"pi": 1100},
        "redaction": {
            "ruleset": "sha256:12ab", "key_id": "00ff00ff00ff00ff", "policy": {"email": "review"},
            "counts": {"github": 12, "email": 3}, "review": ["s1"], "verified": True,
            "independent": None,
        },
        "license": "CC-BY-4.0", "position": "sha256:00", "marks": [],
    }  # fmt: skip
    return copy.deepcopy(made | more)


def head_of(text: str) -> dict[str, Any]:
    found = re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)
    assert found is not None
    head: dict[str, Any] = yaml.safe_load(found[1])
    return head


def body_of(text: str) -> str:
    return text.split("\n---\n", 1)[1]


@pytest.mark.parametrize("format", ["native", "trl", "sts", "html"])
def test_golden_cards(format: str) -> None:
    folder = format in ("sts", "html")
    files = [{"file": "train", "split": "train", "rows": 5, "bytes": 700, "sha256": "ef" * 32}]
    text = card(manifest(format, **({"files": files, "redaction": None} if folder else {})))
    path = GOLDEN / f"card-{format}.md"
    if os.environ.get("CLEW_REGENERATE"):
        path.write_text(text)
    assert text == path.read_text()


# --- the head ------------------------------------------------------------------------------


def test_the_head_says_which_file_is_which_split() -> None:
    head = head_of(card(manifest(), name="Sessions: ours"))
    assert head["pretty_name"] == "Sessions: ours"
    assert head["license"] == "cc-by-4.0"
    assert head["task_categories"] == ["text-generation"]
    assert head["size_categories"] == ["1K<n<10K"]
    assert head["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "out.train.jsonl"},
                {"split": "test", "path": "out.test.jsonl"},
            ],
        }
    ]
    assert head["dataset_info"]["splits"] == [
        {"name": "train", "num_examples": 1000, "num_bytes": 5_000_000},
        {"name": "test", "num_examples": 100, "num_bytes": 400_000},
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, {"license": "unknown"}),
        ("mit", {"license": "mit"}),
        (" Apache-2.0 ", {"license": "apache-2.0"}),
        ("Our own: ask", {"license": "other", "license_name": "Our own: ask"}),
    ],
)
def test_the_license_is_one_that_the_hub_knows_or_other(
    given: str | None, told: dict[str, str]
) -> None:
    head = head_of(card(manifest(license=given)))
    assert {key: head[key] for key in head if key.startswith("license")} == told


@pytest.mark.parametrize(
    ("rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (10_000_000, "n>10M")],
)
def test_size_categories(rows: int, category: str) -> None:
    assert head_of(card(manifest(rows=rows)))["size_categories"] == [category]


@pytest.mark.parametrize("format", FORMATS)
def test_the_tag_of_the_trace_viewer_is_given_to_what_it_reads_only(format: str) -> None:
    tags = head_of(card(manifest(format)))["tags"]
    assert ("format:agent-traces" in tags) == (format == "sts")


def _one(file: str, split: str | None = None, rows: int = 5) -> dict[str, Any]:
    return {"file": file, "split": split, "rows": rows, "bytes": 9, "sha256": "ab"}


@pytest.mark.parametrize(
    ("format", "files", "told"),
    [
        ("native", [_one("out.jsonl")], [("train", "out.jsonl")]),
        ("atif", [_one("out.jsonl")], [("train", "out.jsonl")]),
        ("atif", [_one("out")], [("train", "*.json")]),
        ("sts", [_one("out")], [("train", "*.jsonl")]),
        ("sts", [_one("test", "test")], [("test", "test/*.jsonl")]),
        ("native", [_one("a b.jsonl", "dev-1")], [("dev_1", "a b.jsonl")]),
        ("native", [_one("a", "train"), _one("b", "test", 0)], [("train", "a")]),
    ],
)
def test_paths_are_those_seen_from_the_card(
    format: str, files: list[dict[str, Any]], told: list[tuple[str, str]]
) -> None:
    [config] = head_of(card(manifest(format, files=files)))["configs"]
    assert [(one["split"], one["path"]) for one in config["data_files"]] == told


def test_an_export_without_rows_names_no_files() -> None:
    head = head_of(card(manifest(files=[_one("out.jsonl", rows=0)], rows=0)))
    assert "configs" not in head
    assert "dataset_info" not in head


@pytest.mark.parametrize("format", ["markdown", "html"])
def test_what_is_to_be_read_is_not_loaded(format: str) -> None:
    text = card(manifest(format))
    assert head_of(text)["viewer"] is False
    assert "configs" not in head_of(text)
    assert "load_dataset" not in text


# --- the columns ---------------------------------------------------------------------------

KINDS: dict[str, Any] = {
    "string": str, "int64": int, "float64": (int, float), "bool": bool, "json": object,
}  # fmt: skip


@pytest.mark.parametrize(
    "format", [name for name, shape in FORMATS.items() if shape.lines and name != "atif"]
)
def test_every_column_that_a_format_writes_is_declared_with_its_type(format: str) -> None:
    features = {
        one["name"]: one for one in head_of(card(manifest(format)))["dataset_info"]["features"]
    }
    shape, seen = FORMATS[format], 0
    for made in (plain(), compacted()):
        try:
            out = [made] if shape.each is None else [shape.each(made)]
            if shape.family is not None:
                told = (each.made for each in shape.family([made]))
                out = [each for each in told if isinstance(each, dict)]
        except ClewError:
            continue  # not every session can be said in every format
        for row in out:
            seen += 1
            for key, value in row.items():
                feature = features[key]
                if value is None:
                    continue
                if "list" in feature:
                    assert isinstance(value, list), key
                else:
                    assert isinstance(value, KINDS[feature["dtype"]]), key
    assert seen or format in ("openai-preference", "dpo"), "pairs need two branches"


def test_the_native_columns_are_those_that_are_written() -> None:
    session = SessionInfo(
        id="s1", project="demo", title=None, status=Status.OPEN, frontend=None, user=None,
        agent=None, head=None, entries=0, messages=0, created_ms=0, updated_ms=0,
        forked_from=None, spawned_by=None,
    )  # fmt: skip
    features = head_of(card(manifest()))["dataset_info"]["features"]
    assert {one["name"] for one in features} == set(trajectory(session, segments([])))


def test_the_columns_of_parquet_are_those_of_the_file() -> None:
    features = head_of(card(manifest("parquet")))["dataset_info"]["features"]
    names = [*(column.name for column in COLUMNS), "messages", "tools", "extra"]
    assert [one["name"] for one in features] == names
    assert {"name": "started_at", "dtype": "timestamp[us, tz=UTC]"} in features
    assert {"name": "messages", "dtype": "string"} in features


@pytest.mark.parametrize(
    ("format", "shaping", "more", "less"),
    [
        ("native", {"segments": "split"}, {"segment", "parent"}, set()),
        ("native", {"explode": "turn"}, {"turn"}, set()),
        ("native", {"reasoning": "explode"}, {"turn"}, set()),
        ("trl", {"explode": "turn"}, {"prompt", "completion"}, {"messages"}),
        ("trl", {}, {"messages"}, {"prompt"}),
    ],
)
def test_shaping_changes_the_columns(
    format: str, shaping: dict[str, str], more: set[str], less: set[str]
) -> None:
    head = head_of(card(manifest(format, options={"shaping": shaping})))
    names = {one["name"] for one in head["dataset_info"]["features"]}
    assert more <= names
    assert not less & names


# --- the body ------------------------------------------------------------------------------


def test_the_body_tells_what_was_taken_and_what_was_not() -> None:
    text = body_of(card(manifest()))
    for told in (
        "1,200 sessions", "1,100 rows", "0.3.0", "2026-11-21T10:00:00.000Z",
        "| `out.train.jsonl` | train | 1,000 | 5.0 MB |", "| project | `demo` |",
        "| tiers | `SIMPLE, MEDIUM` |", "| splits.train | `9.0` |",
        "| shaping.segments | `whole` |",
        "| no messages | 60 |", "| success | 900 | 81.8 % |", "| m-large | 1,000 | 90.9 % |",
        "| m\\|small\\`x | 100 | 9.1 % |", "| Rules | `sha256:12ab` |",
        "| Policy for email | review |",
        "| github | 12 |", "read back and searched again",
    ):  # fmt: skip
        assert told in text, told
    assert "seed" not in text, "what was left as it is says nothing"


def test_without_redaction_it_warns() -> None:
    text = card(manifest(redaction=None))
    assert "**Not redacted.**" in text
    assert "replaced before anything was written" not in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"verified": False}, "**not** searched again"),
        ({"independent": 0}, "A second, independent scanner found nothing either."),
    ],
)
def test_it_says_how_redaction_was_checked(changes: dict[str, Any], told: str) -> None:
    assert told in card(manifest(redaction=manifest()["redaction"] | changes))


def test_a_long_table_ends_with_the_others() -> None:
    text = card(manifest(models={f"m{n:03}": n for n in range(1, 51)}))
    assert "| m050 | 50 |" in text
    assert "| 30 others | 465 |" in text
    assert "m030" not in text


def test_many_values_are_counted() -> None:
    assert "| sessions | `500 values` |" in card(
        manifest(selection={"sessions": [f"s{n}" for n in range(500)]})
    )


@pytest.mark.parametrize("name", ["a|b.jsonl", "|", "a\\|b", "`|`"])
def test_a_bar_ends_no_cell(name: str) -> None:
    tokens = READER.parse(body_of(card(manifest(files=[_one(name)], models={name: 1}))))
    cells = [
        tokens[n + 1].children or [] for n, each in enumerate(tokens) if each.type == "td_open"
    ]
    assert [child.content for child in cells[0]] == [name], "the file, as code"
    assert any("".join(child.content for child in cell) == name for cell in cells[1:]), "the model"


@given(nasty=NASTY)
def test_no_name_breaks_the_head(nasty: str) -> None:
    made = manifest(license=nasty, files=[_one(nasty)])
    head = head_of(card(made, name=nasty))
    title = one_line(without_controls(nasty), NAME_CHARS_MAX)
    assert head["pretty_name"] == (title or "Agent sessions (native)")
    [config] = head["configs"]
    assert config["data_files"] == [{"split": "train", "path": without_controls(nasty)}]
    assert set(head) - {"license_name"} == {
        "pretty_name", "license", "task_categories", "tags", "size_categories", "configs",
        "dataset_info",
    }  # fmt: skip


@given(nasty=NASTY)
def test_no_name_breaks_the_body(nasty: str) -> None:
    made = manifest(
        models={nasty: 3}, agents={nasty: 3}, tiers={nasty: 3}, outcomes={nasty: 3},
        dropped={nasty: 3}, selection={nasty: nasty, "b": [nasty]}, options={nasty: {nasty: nasty}},
        files=[_one(nasty, nasty)], clew=nasty, created=nasty, license=nasty,
        redaction={"ruleset": nasty, "key_id": nasty, "policy": {nasty: nasty},
                   "counts": {nasty: 3}, "verified": True},
    )  # fmt: skip
    tokens = READER.parse(body_of(card(made, name=nasty)))
    inner = [child for token in tokens for child in token.children or ()]
    for token in [*tokens, *inner]:
        assert token.type not in ("html_block", "html_inline", "image", "link_open")
    headings = [
        tokens[n + 1].content
        for n, token in enumerate(tokens)
        if token.tag == "h2" and token.nesting == 1
    ]
    assert headings == [
        "Files", "What was taken", "What is in the rows", "Redaction", "Limits", "How to load it",
    ]  # fmt: skip
    counts, cells = [], 0
    for token in tokens:
        if token.type in ("th_open", "td_open"):
            cells += 1
        if token.type == "tr_close":
            counts.append(cells)
            cells = 0
    assert {5, 2, 3} == set(counts), "no row got a cell too many"
