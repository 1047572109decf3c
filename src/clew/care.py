"""Keeping, archiving and backing up: what a ledger's owner does with whole sessions and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clew import audit, canonical
from clew.db import Tx
from clew.errors import Invalid, Stale
from clew.log import lock_head, read_head, save_head

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.session import Session


def backup(ledger: Ledger, target: Path) -> Path:
    """See `Ledger.backup`: written aside, and renamed when it is whole."""
    if ledger._scope is not None:
        raise Invalid(
            f"a backup holds every project, and this handle is confined to "
            f"{ledger._project_name!r}: open the ledger without project="
        )
    if target.exists():
        raise Invalid(f"{target} exists already: name a file that does not")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{canonical.new_id()}")
    try:
        ledger._database.backup(str(part))
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)

    def unit(tx: Tx) -> None:
        tx.run("meta_set", name=f"backup:{target.absolute()}", value=str(canonical.now_ms()))
        ledger._record(tx, "backup", file=target.name)

    if ledger._database.writable:
        ledger._run(unit, 0)
    return target


def pin(ledger: Ledger, handle: Session, pinned: bool) -> None:
    """See `Ledger.pin`."""

    def unit(tx: Tx) -> None:
        tx.run("session_pin", session=handle._key, pinned=int(pinned))
        head = read_head(tx, handle._key)
        audit.record(tx, head, ledger.actor, "pin" if pinned else "unpin")
        save_head(tx, head)

    ledger._run(unit, handle._key)


def archive(ledger: Ledger, handle: Session, archived: bool) -> None:
    """See `Ledger.archive`."""

    def unit(tx: Tx) -> None:
        if read_head(tx, handle._key).status == "erased":
            raise Stale(f"session {handle.id} is erased: there is nothing to archive")
        tx.run("session_status", session=handle._key, status="open")
        head = lock_head(tx, handle._key)
        audit.record(tx, head, ledger.actor, "archive" if archived else "unarchive")
        save_head(tx, head)
        status = "archived" if archived else "open"
        tx.run("session_status", session=handle._key, status=status)

    ledger._run(unit, handle._key)
