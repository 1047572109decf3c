"""A dataset card: the `README.md` that stands beside an export on a hub, from its manifest.

The head is YAML as the Hugging Face Hub reads it (its `datasetcard.md`, and `Features` of the
`datasets` library from 4.7 on, which has a type for JSON): license, tags, which file is which
split, and the type of every column, so that no reader has to guess it from the first rows. Names
of models, agents and files are other people's words: they are quoted there and escaped below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from clew.clean import one_line, plain
from clew.exporters.formats import FORMATS
from clew.exporters.packages.parquet import COLUMNS, DOCUMENTS
from clew.exporters.packages.prose import code, escaped, fenced, heading
from clew.words import exact, plural, size

if TYPE_CHECKING:
    from clew.model import JSON

SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
LICENSES: Final = frozenset(
    """
    apache-2.0 mit openrail bigscience-openrail-m cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0
    cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0
    cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
    cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 odc-by odbl pddl gpl gpl-2.0 gpl-3.0
    agpl-3.0 lgpl-3.0 bsd bsd-2-clause bsd-3-clause mpl-2.0 epl-2.0 eupl-1.2 isc unlicense wtfpl
    etalab-2.0 gfdl other unknown
    """.split()  # noqa: SIM905 - a list to be read
)
"""Licenses that the Hub has a name for; any other is `other`, with its own name beside it."""
SHOWN_MAX: Final = 20
"""Of a table that other people's names make long, so many lines."""
NAME_CHARS_MAX: Final = 100

_FOLDERS: Final = {"sts": ".jsonl", "atif": ".json", "markdown": ".md", "html": ".html"}
"""Formats with a file for each session, and how it ends."""
_READ: Final = frozenset({"markdown", "html"})
"""Formats for people: no library loads them."""
_NATIVE: Final[dict[str, str]] = {
    "schema": "string", "session_id": "string", "branch_id": "string", "branch": "string",
    "root_session_id": "string", "title": "string", "agent": "string", "forked_from": "string",
    "spawned_by": "string", "subagents": "[json]", "messages": "[json]", "segments": "[json]",
    "tools": "[json]", "tools_source": "string", "tool_calls": "[json]", "outcome": "string",
    "outcome_rule": "string", "outcome_source": "string", "tier": "string",
    "complexity_score": "float64", "model_used": "string", "provider_used": "string",
    "tokens_in": "int64", "tokens_out": "int64", "tokens_cache_read": "int64",
    "tokens_cache_write": "int64", "tokens_reasoning": "int64", "cost_usd": "float64",
    "latency_ms": "float64", "started_at": "string", "ended_at": "string", "split": "string",
    "notes": "json", "redaction": "json",
}  # fmt: skip
_LABELS: Final = {"segment": "int64", "parent": "int64", "turn": "int64", "step": "int64"}
_PAIR: Final = {"prompt": "[json]", "chosen": "[json]", "rejected": "[json]", "tools": "[json]"}
_COLUMNS: Final[dict[str, dict[str, str]]] = {
    "native": _NATIVE,
    "parquet": {
        **{one.name: {"time": "timestamp[us, tz=UTC]"}.get(one.type, one.type) for one in COLUMNS},
        **dict.fromkeys(DOCUMENTS, "string"),
    },
    "trl": {"messages": "[json]", "tools": "[json]", "session_id": "string"},
    "openai": {"messages": "[json]", "tools": "[json]", "parallel_tool_calls": "bool"},
    "openai-preference": {
        "input": "json",
        "preferred_output": "[json]",
        "non_preferred_output": "[json]",
    },
    "sharegpt": {"conversations": "[json]", "session_id": "string"},
    "llama-factory": {"conversations": "[json]", "system": "string", "tools": "string"},
    "anthropic": {"system": "string", "messages": "[json]", "tools": "[json]"},
    "dpo": _PAIR,
    "kto": {"prompt": "[json]", "completion": "[json]", "label": "bool", "tools": "[json]"},
}
_LIMITS: Final = (
    "What a session ended with (`outcome`) is judged by rules from what its tools reported, unless "
    "`outcome_source` says otherwise: that no tool failed does not prove that the work was right.",
    "Schemas of tools marked `inferred` were made from the calls of their own row: they describe "
    "the sample, not the tool.",
    "Images and files are named, with their digests, not included.",
    "Reasoning that its provider sealed is not included.",
    "What models wrote may fall under the terms of who provides them, and what tools read under "
    "the rights of whoever wrote it. This card grants nothing that its publisher does not have.",
)


def card(manifest: Mapping[str, Any], *, name: str | None = None) -> str:
    """The card of an export: Markdown with a YAML head. `manifest` is the JSON of a manifest
    (schema `clew-export/1`), `name` what the dataset is called.
    """
    title = one_line(plain(name or ""), NAME_CHARS_MAX) or f"Agent sessions ({manifest['format']})"
    blocks = [
        f"---\n{_yaml(_head(manifest, title))}---",
        heading(1, title),
        *_about(manifest),
        *_files(manifest),
        *_choice(manifest),
        *_contents(manifest),
        *_redaction(manifest),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _LIMITS),
        *_loading(manifest),
    ]
    return "\n\n".join(blocks) + "\n"


# --- the head ------------------------------------------------------------------------------


def _head(manifest: Mapping[str, Any], title: str) -> dict[str, JSON]:
    tags = ["agent", "agent-traces", "tool-use", "clew"]
    if manifest["format"] == "sts":
        # The Hub's own tag for what its trace viewer reads.
        tags.append("format:agent-traces")
    rows = manifest["rows"]
    head: dict[str, JSON] = {
        "pretty_name": title,
        **_license(manifest.get("license")),
        "task_categories": ["text-generation"],
        "tags": tags,
        "size_categories": [next((name for most, name in SIZES if rows < most), "n>10M")],
    }
    if manifest["format"] in _READ:
        return head | {"viewer": False}
    # A file without rows is no split: libraries fail on one.
    full = [one for one in _written(manifest) if one["rows"]]
    if not full:
        return head
    files = [{"split": _split(one), "path": _path(manifest, one)} for one in full]
    head["configs"] = [{"config_name": "default", "data_files": files}]
    columns = _columns(manifest)
    if columns:
        splits = [
            {"name": _split(one), "num_examples": one["rows"], "num_bytes": one["bytes"]}
            for one in full
        ]
        head["dataset_info"] = {
            "features": [_feature(column, kind) for column, kind in columns.items()],
            "splits": splits,
        }
    return head


def _license(given: str | None) -> dict[str, JSON]:
    if given is None:
        return {"license": "unknown"}
    known = given.strip().lower()
    if known in LICENSES:
        return {"license": known}
    return {"license": "other", "license_name": one_line(plain(given), NAME_CHARS_MAX)}


def _columns(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a format and their types; none where files are no rows."""
    format = manifest["format"]
    columns = dict(_COLUMNS.get(format, {}))
    shaping = (manifest.get("options") or {}).get("shaping") or {}
    split = shaping.get("segments") == "split"
    exploded = shaping.get("explode", "none") != "none" or shaping.get("reasoning") == "explode"
    if format == "native" and (split or exploded):
        columns |= _LABELS
    if format == "trl" and exploded:
        columns = {"prompt": "[json]", "completion": "[json]"} | columns
        del columns["messages"]
    return columns


def _feature(column: str, kind: str) -> dict[str, JSON]:
    """As `datasets` writes one: `[json]` is a list of JSON values."""
    if kind.startswith("["):
        return {"name": column, "list": kind.strip("[]")}
    return {"name": column, "dtype": kind}


def _written(manifest: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    files: Sequence[Mapping[str, Any]] = manifest["files"]
    return files


def _split(one: Mapping[str, Any]) -> str:
    """A split's name as the Hub takes it."""
    return re.sub(r"\W", "_", one.get("split") or "train", flags=re.ASCII)


def _path(manifest: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """Where a split's data is, seen from the card."""
    suffix = _FOLDERS.get(manifest["format"])
    file = str(one["file"])
    if suffix is None or (manifest["format"] == "atif" and file.endswith((".jsonl", ".json"))):
        return file
    # The card stands in the folder; each split is a folder in that.
    return f"{file}/*{suffix}" if one.get("split") else f"*{suffix}"


_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def _yaml(value: dict[str, JSON], indent: int = 0) -> str:
    """A mapping in YAML's block style, each entry on a line of its own."""
    lines = []
    lead = " " * indent
    for key, item in value.items():
        if isinstance(item, dict):
            lines.append(f"{lead}{key}:\n{_yaml(item, indent + 2)}")
        elif isinstance(item, list):
            lines.append(f"{lead}{key}:\n" + "".join(_entry(each, indent) for each in item))
        else:
            lines.append(f"{lead}{key}: {_scalar(item)}\n")
    return "".join(lines)


def _entry(item: JSON, indent: int) -> str:
    lead = " " * indent
    if isinstance(item, dict):
        return f"{lead}- {_yaml(item, indent + 2)[indent + 2 :]}"
    return f"{lead}- {_scalar(item)}\n"


def _scalar(value: JSON) -> str:
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = plain(str(value))
    if _BARE.fullmatch(text) and text.lower() not in _WORDS:
        return text
    inside = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + inside.replace("\n", "\\n").replace("\t", "\\t") + '"'


# --- the body ------------------------------------------------------------------------------


def _about(manifest: Mapping[str, Any]) -> Iterator[str]:
    shape = FORMATS.get(manifest["format"])
    about = f" ({_text(shape.about)})" if shape is not None else ""
    yield (
        f"What LLM agents said and did in {plural(manifest['sessions'], 'session')}, as "
        f"{plural(manifest['rows'], 'row')} in the format {code(manifest['format'])}{about}. "
        f"Exported by Clew {_text(str(manifest['clew']))} on "
        f"{_text(str(manifest['created']))}."
    )


def _files(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## Files"
    yield _table(
        ("File", "Split", "Rows", "Size", "SHA-256"),
        [
            (
                _code(_path(manifest, one)),
                _text(one.get("split") or "–"),
                exact(one["rows"]),
                size(one["bytes"]),
                _code(str(one["sha256"])),
            )
            for one in _written(manifest)
        ],
    )
    if manifest["format"] in _FOLDERS:
        yield "Of a folder the SHA-256 is that of the lines `sha256  name` of its files, in order."


def _choice(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## What was taken"
    chosen = [(key, told) for key, told in _flat(manifest.get("selection") or {})]
    if chosen:
        yield _table(("Selected by", "Value"), [(_text(key), _code(told)) for key, told in chosen])
    else:
        yield "Every session."
    options = [(key, told) for key, told in _flat(manifest.get("options") or {})]
    if options:
        yield _table(("Option", "Value"), [(_text(key), _code(told)) for key, told in options])
    dropped = manifest.get("dropped") or {}
    if dropped:
        yield "Left out, by reason:"
        yield _table(("Reason", "Count"), [(_text(why), exact(n)) for why, n in _most(dropped)])


def _flat(value: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, str]]:
    """Settings that say something, those within others by a dotted name."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{under}{key}.")
        elif isinstance(item, list | tuple):
            if len(item) > SHOWN_MAX:
                yield f"{under}{key}", plural(len(item), "value")
            elif item:
                yield f"{under}{key}", ", ".join(str(each) for each in item)
        elif item is not None and item is not False and item != "":
            yield f"{under}{key}", one_line(str(item), 2 * NAME_CHARS_MAX)


def _contents(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## What is in the rows"
    for title, key in (
        ("Outcome", "outcomes"),
        ("Tier", "tiers"),
        ("Model", "models"),
        ("Agent", "agents"),
    ):
        counts = manifest.get(key) or {}
        if not counts:
            continue
        whole = sum(counts.values()) or 1
        yield _table(
            (title, "Rows", "Share"),
            [(_text(name), exact(n), f"{100 * n / whole:.1f} %") for name, n in _most(counts)],
        )


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The greatest counts first, and the rest in one."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = [(one_line(plain(name), NAME_CHARS_MAX) or "–", n) for name, n in ordered[:SHOWN_MAX]]
    rest = ordered[SHOWN_MAX:]
    return [*shown, (f"{len(rest)} others", sum(n for _, n in rest))] if rest else shown


def _redaction(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## Redaction"
    done = manifest.get("redaction")
    if done is None:
        yield (
            "**Not redacted.** These are the sessions as they were recorded: they may hold "
            "secrets, names, addresses and private code. Look through them before you give them "
            "to anybody."
        )
        return
    looked = (
        "The written files were read back and searched again, and nothing was found."
        if done.get("verified")
        else "The written files were **not** searched again."
    )
    if done.get("independent") is not None:
        looked += " A second, independent scanner found nothing either."
    yield (
        "Secrets and personal data that rules find were replaced before anything was written, "
        "each by a placeholder such as `<SECRET_3fa9c1d2>`: equal values have equal placeholders "
        f"within this dataset. {looked} Rules find what has a known shape or a telling place; "
        "names and street addresses, and passwords in plain sentences, they do not find."
    )
    rows = [("Rules", _code(str(done["ruleset"]))), ("Key", _code(str(done["key_id"])))]
    rows += [
        (f"Policy for {_text(what)}", _text(action))
        for what, action in (done.get("policy") or {}).items()
    ]
    yield _table(("", ""), rows)
    counts = done.get("counts") or {}
    if counts:
        yield _table(
            ("Replaced by", "Times"),
            [(_text(rule), exact(n)) for rule, n in _most(counts)],
        )


def _loading(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## How to load it"
    format = manifest["format"]
    if format in _READ:
        yield "The files are for people: open one in a browser or an editor."
        return
    if format == "sts":
        yield (
            "Each file is a session: a line about it, then a line for each message. The Hugging "
            "Face Hub shows them in its trace viewer. To train on sessions, export another format."
        )
        return
    yield fenced(
        "from datasets import load_dataset  # 4.7 or newer: it reads JSON columns as they are\n\n"
        'dataset = load_dataset("path/to/this/folder")',
        "python",
    )
    if format in ("parquet", "native"):
        read = "read_parquet" if format == "parquet" else "read_json_auto"
        path = str(_written(manifest)[0]["file"]).replace("'", "''") if manifest["files"] else ""
        yield fenced(
            f"select session_id, outcome, tokens_out from {read}('{one_line(path)}')", "sql"
        )
    if format == "parquet":
        yield "`messages`, `tools` and `extra` are JSON text: decode them."


def _text(text: str) -> str:
    """Somebody's words within a line of ours."""
    return escaped(text, first=False)


def _code(text: str) -> str:
    """Somebody's words as code in a table, where a bar needs an escape within code too."""
    return code(text).replace("|", "\\|")


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)
