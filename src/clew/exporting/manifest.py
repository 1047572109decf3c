"""What an export was, beside what it wrote: enough to trust it, to repeat it and to go on from it.

It names no session and no secret: `marks` tell an export that goes on which sessions gave rows as
they stand, in this one or those before it, and mean nothing without the ledger.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import now_ms
from clew.errors import Invalid
from clew.exporters.base import iso

if TYPE_CHECKING:
    from clew.exporting.recipe import Recipe

SCHEMA: Final = "clew-export/1"
KEY_ID_HEX: Final = 16


class Written(msgspec.Struct):
    """One file (or folder of files) of an export. `sha256` is that of the bytes, of a folder that
    of the lines `sha256  name` of its files in order.
    """

    file: str
    split: str | None
    rows: int
    bytes: int
    sha256: str


class Redacted(msgspec.Struct):
    """How it was redacted. `key_id` tells exports whose placeholders can be joined; `left` are
    finds that the policy left as they are, `not_spread` values that were too many to be replaced
    everywhere; `review` are the sessions (by their exported ids) that the policy wants looked at;
    `independent` is what another scanner found, `None` where none was asked.
    """

    ruleset: str
    key_id: str
    policy: dict[str, str]
    counts: dict[str, int]
    left: dict[str, int]
    not_spread: int
    review: list[str]
    verified: bool
    independent: int | None = None


class Manifest(msgspec.Struct):
    """See the module. `ledger` tells exports of one ledger; `dropped` counts what gave no row, by
    reason; `position` is a digest of where every session that was taken stood.
    """

    schema: str
    clew: str
    ledger: str
    created: str
    format: str
    selection: dict[str, Any]
    options: dict[str, Any]
    sessions: int
    rows: int
    files: list[Written]
    dropped: dict[str, int]
    outcomes: dict[str, int]
    tiers: dict[str, int]
    models: dict[str, int]
    agents: dict[str, int]
    redaction: Redacted | None
    license: str | None
    position: str
    marks: list[str]


def created() -> str:
    """Now, as a manifest says it."""
    return iso(now_ms()) or datetime.now(UTC).isoformat()


def key_id(key: bytes) -> str:
    """What names a key and tells nothing of it."""
    return hmac.new(key, b"clew-export key id", hashlib.sha256).hexdigest()[:KEY_ID_HEX]


def position(marks: Sequence[str]) -> str:
    """A digest of where the sessions stood."""
    return "sha256:" + hashlib.sha256("\n".join(marks).encode()).hexdigest()


def encoded(manifest: Manifest) -> bytes:
    """As it is written: indented, its marks on one line."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def read(path: Path, key: bytes) -> Manifest:
    """The manifest beside an export, or the one that is named itself. Raises `Invalid`, also for
    one of a ledger with another key.
    """
    from clew.exporting.targets import MANIFEST

    candidates = (path, path.with_name(path.name + MANIFEST))
    found = next((one for one in candidates if one.name.endswith(MANIFEST) and one.is_file()), None)
    if found is None:
        raise Invalid(f"{path} has no manifest beside it ({candidates[1].name}): name an export's")
    try:
        manifest = msgspec.json.decode(found.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, OSError) as error:
        raise Invalid(f"{found} is no manifest of an export: {error}") from error
    if manifest.schema != SCHEMA:
        raise Invalid(f"{found} has the schema {manifest.schema!r}; this Clew reads {SCHEMA}")
    if manifest.ledger != key_id(key):
        raise Invalid(f"{found} tells of another ledger: name an export of this one")
    return manifest


def fingerprint(recipe: Recipe, **others: Any) -> str:
    """What two runs of one export have in common: a run that was broken off goes on with this."""
    told = {
        "format": recipe.format,
        "selection": msgspec.to_builtins(recipe.selection),
        "shaping": msgspec.to_builtins(recipe.shaping),
        "near": recipe.near,
        "train_shared": recipe.train_shared,
        "verifier": name_of(recipe.verifier),
        "summarise": name_of(recipe.summarise),
        "rules": [name_of(rule) for rule in recipe.outcome_rules],
        "redaction": _redaction(recipe),
        **others,
    }
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()


def _redaction(recipe: Recipe) -> Any:
    chosen, ready = recipe.redaction, recipe.redactor()
    if chosen is None or ready is None:
        return None
    secret = hmac.new(recipe.key, "\0".join((*chosen.names, "", *chosen.known)).encode(), "sha256")
    return {
        "ruleset": ready.ruleset,
        "key": key_id(recipe.key),
        "policy": chosen.policy.named(),
        "lists": secret.hexdigest(),
        "detectors": [name_of(one) for one in chosen.detectors],
    }


def name_of(function: Any) -> str | None:
    """What a function is called, with its module; `None` for none."""
    if function is None:
        return None
    return (
        f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', repr(function))}"
    )
