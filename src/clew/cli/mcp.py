"""`clew mcp`: the ledger as tools for an agent, over the Model Context Protocol."""

from __future__ import annotations

import signal

import click

from clew.cli.options import Setup, setup


@click.command()
@setup
@click.option("--allow-write", is_flag=True, help="Also notes, checkpoints, branches, restores.")
def mcp(setup: Setup, allow_write: bool) -> None:
    """Serve this ledger to an agent, over MCP on standard input and output.

    The agent searches its own past, reads entries from before a compaction, lists checkpoints
    and traces. It only reads, unless --allow-write. Start it from the agent's settings, for
    example: claude mcp add clew -- clew mcp
    """
    from clew.errors import Invalid

    try:
        from clew.mcp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "anyio"):
            raise
        raise Invalid(
            "the MCP server needs the MCP SDK, which is not installed: pip install 'clew[mcp]'"
        ) from error
    # A thread waits in a read of standard input: only the plain end gets past it. Nothing is
    # lost by it, an answer is given after the commit.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with setup.open(write=allow_write) as ledger:
        ledger.actor = f"mcp:{ledger.actor}"
        serve(ledger, write=allow_write)
