"""Keeping a ledger: checks, retention, back-ups, the index."""

from __future__ import annotations

from clew import retention, wire
from clew.errors import NotFound
from clew.server.call import Call
from clew.server.problems import Refused
from clew.verify import Report


async def check(call: Call, body: wire.VerifyRequest) -> Report:
    """When anything is wrong the ledger takes no further writes."""
    return await call.ledger.verify(audit_only=body.audit_only)


async def collect(call: Call, body: wire.DryRun) -> retention.Collected:
    """What the rules let go."""
    return await call.ledger.gc(dry_run=body.dry_run, now_ms=body.now_ms)


async def retain(call: Call, body: wire.Retention) -> wire.Retention:
    """A rule; it removes nothing by itself. Raises `NotFound` for another project than the
    token's.
    """
    name, own = call.path["project"], call.ledger.sync._project_name
    if own not in (None, name):
        raise NotFound(f"no project {name!r} in this ledger")
    rule = retention.Rule(
        max_age_days=body.max_age_days,
        max_bytes=body.max_bytes,
        checkpoint_days=body.checkpoint_days,
    )
    await call.ledger.retain(name, rule)
    return body


async def reindex(call: Call) -> wire.Count:
    """How many entries the index now covers."""
    return wire.Count(await call.ledger.reindex())


async def index(call: Call) -> wire.Count:
    """How many entries were added to it."""
    return wire.Count(await call.ledger.index_now())


async def sweep(call: Call) -> wire.Count:
    """How many there were."""
    return wire.Count(await call.ledger.sweep())


async def sync(call: Call) -> wire.Health:
    """Answered when it is on disk."""
    await call.ledger.sync_to_disk()
    return wire.Health("ok")


async def backup(call: Call, body: wire.BackupRequest) -> wire.BackupMade:
    """Only a name comes from the caller: the folder is the server's."""
    folder = call.server.settings.backups
    if folder is None:
        raise Refused("forbidden", "this server has no folder for back-ups: see clew serve")
    made = await call.ledger.backup(folder / body.name)
    return wire.BackupMade(made.name, made.stat().st_size)
