"""Opening a ledger: what a URL names, and where the user's own one lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from clew import audit, tokens
from clew.db import Settings, connect
from clew.db.database import Durability
from clew.errors import Invalid
from clew.ledger import Ledger

if TYPE_CHECKING:
    from clew.prices import Prices


def default_url() -> str:
    """`CLEW_DB`, else a file in the user's data folder (XDG, macOS or Windows custom)."""
    named = os.environ.get("CLEW_DB")
    if named:
        return as_url(named)
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return as_url(str(base / "clew" / "clew.db"))


def as_url(text: str) -> str:
    """A ledger URL of what a person wrote: a URL as it is, a path as `sqlite:///path`."""
    if "://" in text:
        return text
    if text == ":memory:":
        return "sqlite:///:memory:"
    return f"sqlite:///{quote(str(Path(text).expanduser().absolute()))}"


def open(
    url: str | os.PathLike[str] | None = None,
    *,
    project: str | None = None,
    durability: Durability = "full",
    read_only: bool = False,
    search: bool | None = None,
    actor: str | None = None,
    count_tokens: tokens.Counter = tokens.count_message,
    max_checkpoints: int | None = None,
    prices: Prices | str | os.PathLike[str] | None = None,
    token: str | None = None,
    insecure: bool = False,
) -> Ledger:
    """Open a ledger, making it where there is none.

    `url` is `sqlite:///path`, `postgresql://…` or a path; by default the user's own ledger.
    `https://host` is the ledger of a server (`clew serve`): give an access `token`, or set
    CLEW_TOKEN. The verbs are the same; how the ledger is kept is the server's, so of the options
    only `project` and `read_only` hold there. A token goes over `http://` to this machine only,
    unless `insecure`.
    `project` confines the handle: it sees and makes sessions of that project only.
    `durability` is `full` (acknowledged means on disk) or `normal` (a power cut may take the
    newest commits). `search` turns the full-text index on or off for good; `None` leaves it.
    `count_tokens` estimates a message; `max_checkpoints` hides older ones (default: all stay);
    `prices` are a list of your own, over ours (see `clew.prices`).

    Raises `Invalid` for a URL that names no ledger, `Unavailable` when it cannot be reached,
    `Damaged` when the file is no ledger, `Unauthorized` when a server does not take the token.
    """
    if durability not in ("full", "normal"):
        raise Invalid(f"durability={durability!r}: say 'full' or 'normal'")
    name = as_url(os.fspath(url)) if url is not None else default_url()
    if is_remote(name):
        _refuse(
            durability=durability != "full",
            search=search is not None,
            actor=actor is not None,
            count_tokens=count_tokens is not tokens.count_message,
            max_checkpoints=max_checkpoints is not None,
            prices=prices is not None,
        )
        from clew import remote

        return remote.connect(
            name, token=token, project=project, read_only=read_only, insecure=insecure
        )
    if token is not None:
        raise Invalid("token= is for a server (https://…): a file or database takes none")
    settings = Settings(durability=durability, read_only=read_only)
    database = connect(name, settings)
    return Ledger(
        database,
        project=project,
        search=search,
        actor=actor or audit.default_actor(),
        count_tokens=count_tokens,
        max_checkpoints=max_checkpoints,
        prices=prices,
    )


def is_remote(url: str) -> bool:
    """True for the URL of a server."""
    return url.lower().startswith(("http://", "https://"))


def _refuse(**given: bool) -> None:
    said = [name for name, told in given.items() if told]
    if said:
        raise Invalid(
            f"{', '.join(f'{name}=' for name in said)} cannot be chosen for a server's ledger: the "
            "server decides that for all who ask it, and acts in the name of the access token"
        )
