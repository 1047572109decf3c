"""Secrets that somebody knows: in the environment, and in a list of one's own.

A known secret is replaced wherever it stands, in text, in URLs, in base64, whatever it looks
like. No message of this module holds a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clew.errors import Invalid, NotFound
from clew.redaction import judge
from clew.redaction.judge import Strength
from clew.redaction.literals import KNOWN_CHARACTERS_MIN, NAME_CHARACTERS_MIN

ENVIRONMENT_BYTES_MIN = 8
"""A shorter value of a variable could be a word of ordinary text."""
_PLACES = frozenset({"PWD", "OLDPWD"})


def from_environment(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Values of the variables whose names say that they are secret, sorted, each once.

    Paths, placeholders and values that could be words (`DB_PASSWORD=postgres`) are left out.
    """
    return sorted({value for name, value in environ.items() if _tells(name, value)})


def _tells(name: str, value: str) -> bool:
    if name in _PLACES:
        return False
    key = judge.strength(os.fsencode(name))
    data = value.encode("utf-8", "surrogatepass")
    return (
        key is not Strength.NONE
        and len(data) >= ENVIRONMENT_BYTES_MIN
        and judge.plausible_leaf(data, key)
        and judge.worth_spreading(data)
    )


def names_from_file(path: str | os.PathLike[str]) -> list[str]:
    """As `from_file`, for names of people and customers, which may be shorter."""
    return from_file(path, least=NAME_CHARACTERS_MIN)


def from_file(path: str | os.PathLike[str], *, least: int = KNOWN_CHARACTERS_MIN) -> list[str]:
    """The lines of a list, in their order, each once; blank lines and those with `#` in front
    are not values, and spaces around one do not belong to it.

    Raises `NotFound` for a file that is not there and `Invalid` for one that is not UTF-8 text,
    or a value that is too short to be searched (it names the line).
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no such list") from None
    except UnicodeDecodeError:
        raise Invalid(f"{path} is no UTF-8 text: a list has one value a line") from None
    out: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        value = line.strip()
        if not value or value.startswith("#"):
            continue
        if len(value) < least:
            raise Invalid(
                f"{path}, line {number}: a value of {len(value)} characters would replace "
                f"ordinary text; give at least {least}, or take the line out"
            )
        out[value] = None
    return list(out)
