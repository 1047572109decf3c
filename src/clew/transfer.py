"""Hand a conversation to another address: one transaction, nothing copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from clew import audit, canonical, checkpoints, moves, reading
from clew.db import Tx
from clew.errors import Invalid
from clew.log import Head, lock_head, save_head

if TYPE_CHECKING:
    from clew.session import Session

Address = tuple[str, str]


def transfer_unit(
    source: Session, address: Address, *, move: bool, config: Literal["source", "target"]
) -> Callable[[Tx], Session]:
    """See `Session.transfer_to`."""
    if config not in ("source", "target"):
        raise Invalid(f"config={config!r}: say whose settings hold, 'source' or 'target'")
    new_id, branch_id = canonical.new_id(), canonical.new_id()

    def unit(tx: Tx) -> Session:
        frontend, user = address
        row = tx.one("session_by_address", project=source._project, frontend=frontend, user_id=user)
        if row is not None and row[0] == source._key:
            return source
        if move:
            return _rebind(tx, source, address, row[0] if row else None)
        key = (
            row[0]
            if row
            else checkpoints.new_session(
                tx, source._project, source._actor, id=new_id, address=address
            )
        )
        _share(tx, source, key, branch_id, config)
        return source._ledger._handle(key, source._project, row[2] if row else new_id)

    return unit


def _rebind(tx: Tx, source: Session, address: Address, held_by: int | None) -> Session:
    head = source._lock(tx)
    if held_by is not None:
        tx.run("session_rebind", session=held_by, frontend=None, user_id=None)
        other = lock_head(tx, held_by)
        audit.record(tx, other, source._actor, "transfer", address_taken_by=source.id)
        save_head(tx, other)
    tx.run("session_rebind", session=source._key, frontend=address[0], user_id=address[1])
    audit.record(tx, head, source._actor, "transfer", moved_to=address[0])
    save_head(tx, head)
    return source


def _share(
    tx: Tx, source: Session, key: int, branch_id: str, config: Literal["source", "target"]
) -> None:
    token = source._lease.token if source._lease else None
    giver, taker = moves.lock_two(tx, source._key, key, token)
    kept = reading.config(tx, taker.place) if config == "target" else None
    if taker.place is not None:
        _keep_as_branch(tx, source, taker, branch_id)
    moves.adopt(tx, source._actor, giver, taker, kept)
    audit.record(tx, giver, source._actor, "transfer", to=taker.id)
    save_head(tx, giver)


def _keep_as_branch(tx: Tx, source: Session, taker: Head, branch_id: str) -> None:
    checkpoints.branch(
        tx,
        taker,
        taker.place,
        source._actor,
        id=branch_id,
        title="before the transfer",
        address=(None, None),
    )
    fresh = lock_head(tx, taker.key)
    taker.version, taker.audit_number = fresh.version, fresh.audit_number
    taker.audit_chain = fresh.audit_chain
