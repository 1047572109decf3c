"""The formats that an export can be written in, by name.

Each is made from native rows (`clew.exporters.trajectory`) that were shaped and redacted:
`each` turns one row into one of the format, `family` turns the rows of sessions with a common
root into as many as it likes (pairs of branches), and tells of each that it cannot say why; with
neither the native row is the format's.
What comes out is a JSON object, written as a line. `file` says how such an object becomes a file
of its own (its name and its bytes); `table` how lines become a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from clew.errors import Invalid
from clew.exporters.base import Problem as Problem
from clew.exporters.base import Row, Told
from clew.exporters.checking import anthropic as anthropic_rules
from clew.exporters.checking import atif as atif_rules
from clew.exporters.checking import native as native_rules
from clew.exporters.checking import openai as openai_rules
from clew.exporters.checking import sharegpt as sharegpt_rules
from clew.exporters.checking import sts as sts_rules
from clew.exporters.checking import trl as trl_rules
from clew.exporters.packages import html, markdown, parquet
from clew.exporters.projections import (
    anthropic,
    atif,
    llama_factory,
    openai,
    preference,
    sharegpt,
    sts,
    trl,
)

if TYPE_CHECKING:
    from clew.model import JSON


class Table(Protocol):
    """A module that writes native lines as a table, and reads their values back."""

    suffix: str

    def ready(self) -> None:
        """Raises `Invalid` when what it needs is not installed, and says how to mend that."""

    def write(self, lines: Iterable[bytes], target: Path) -> None:
        """Write a file from lines of native rows."""

    def values(self, path: Path) -> Iterator[JSON]:
        """Everything that stands in the file, decoded, to be scanned."""


class Format(msgspec.Struct, frozen=True):
    """A format. See the module."""

    name: str
    about: str
    each: Callable[[Row], Row] | None = None
    family: Callable[[Sequence[Row]], Iterator[Told]] | None = None
    check: Callable[[Row], list[Problem]] | None = None
    mend: Callable[[Row], Row] | None = None
    """Puts right what a secret that is replaced in a row of the format may have broken."""
    file: Callable[[Row], tuple[str, bytes]] | None = None
    lines: bool = True
    """Whether it can be written as JSON lines; otherwise only as files or as a table."""
    table: Table | None = None
    masks: bool = True
    """Whether it can tell its trainer which of its messages not to learn from."""
    record: bool = False
    """A record of sessions, which goes out whatever trains in it."""


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            "native",
            "Clew's own row: everything that is known",
            check=native_rules.check,
            record=True,
        ),
        Format(
            "trl",
            "messages and tools for TRL, Unsloth and Axolotl",
            each=trl.project,
            check=trl_rules.check,
            masks=False,
        ),
        Format(
            "openai",
            "lines for OpenAI's supervised fine-tuning",
            each=openai.project,
            check=openai_rules.check,
        ),
        Format(
            "openai-preference",
            "pairs of answers for OpenAI's preference tuning",
            family=preference.openai_preference,
            check=openai_rules.check_preference,
        ),
        Format(
            "atif",
            "Harbor's trajectories (ATIF v1.7), which lose nothing",
            each=atif.project,
            check=atif_rules.check,
            file=atif.file,
            record=True,
        ),
        Format(
            "sharegpt",
            "ShareGPT conversations as Hermes writes them",
            each=sharegpt.project,
            check=sharegpt_rules.check_hermes,
            masks=False,
        ),
        Format(
            "llama-factory",
            "ShareGPT conversations for LLaMA-Factory",
            each=llama_factory.project,
            check=sharegpt_rules.check_factory,
            masks=False,
        ),
        Format(
            "anthropic",
            "requests in content blocks, as Anthropic's API takes them",
            each=anthropic.project,
            check=anthropic_rules.check,
            mend=anthropic.mended,
            masks=False,
        ),
        Format(
            "sts",
            "session traces for the viewer of the Hugging Face Hub",
            each=sts.project,
            check=sts_rules.check,
            file=sts.file,
            lines=False,
            record=True,
        ),
        Format(
            "dpo",
            "pairs of answers by branches, for TRL's DPO",
            family=preference.dpo,
            check=trl_rules.check_dpo,
        ),
        Format(
            "kto",
            "answers that are good or bad, for TRL's KTO",
            family=preference.kto,
            check=trl_rules.check_kto,
        ),
        Format(
            "markdown",
            "a Markdown file for each session, to be read",
            file=markdown.file,
            lines=False,
            record=True,
        ),
        Format(
            "html",
            "a web page for each session, in one file that fetches nothing",
            file=html.file,
            lines=False,
            record=True,
        ),
        Format(
            "parquet",
            "native rows as a table, with columns to filter by",
            check=native_rules.check,
            lines=False,
            table=parquet,
            record=True,
        ),
    )
}
"""In the order in which they are told."""


def named(name: str) -> Format:
    """The format of a name. Raises `Invalid`."""
    try:
        return FORMATS[name]
    except KeyError:
        raise Invalid(f"there is no format {name!r}: choose from {', '.join(FORMATS)}") from None
