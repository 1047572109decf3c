"""`clew serve`: the ledger for others, over HTTP and WebSocket, with an access token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.ledger import Ledger

PORT = 8787


@click.command()
@setup
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    default=PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 takes any that is free.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Serve https, with this certificate.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The certificate's key.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME[:PORT]",
    help="Another name under which it may be asked; repeatable.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Another server's pages that may ask; repeatable.",
)
@click.option(
    "--insecure-public",
    is_flag=True,
    help="Listen at a public address without TLS: something in front encrypts.",
)
@click.option(
    "--backups",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Let back-ups be asked for; they go here.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="JSON lines on standard error, without content.",
)
def serve(
    setup: Setup,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    insecure_public: bool,
    backups: Path | None,
    show: bool,
    log_level: str,
) -> None:
    """Serve the ledger over HTTP and WebSocket, and its page, to whoever has an access token.

    The first start makes a token and shows it once, in an address that opens the page signed in;
    `clew token` makes others. What is acknowledged is committed. SIGTERM answers what was
    accepted, and ends it.
    """
    from clew.cli import browser
    from clew.errors import Invalid

    setup.expect_here("a ledger is served")
    if (tls_cert is None) != (tls_key is None):
        raise Invalid("give --tls-cert and --tls-key, or neither")
    from clew.server.run import Running, check_certificate, log_to
    from clew.server.run import serve as run
    from clew.server.security import check_bind
    from clew.server.settings import ServerSettings, check_names

    check_bind(host, tls_cert is not None, insecure_public)
    if tls_cert is not None and tls_key is not None:
        check_certificate(tls_cert, tls_key)
    settings = ServerSettings(hosts=hosts, origins=origins, backups=backups)
    check_names(settings)
    log_to(None, log_level)
    with setup.open(write=True, create=True) as ledger:

        def told(url: str) -> None:
            page = _tell(ledger, url)
            if show:
                browser.show(page, lambda: output.say("clew: no browser is here: open it yourself"))

        files = None if tls_cert is None else (str(tls_cert), str(tls_key))
        running = Running(ledger, settings, host=host, port=port, certificate=files, on_start=told)
        run(running, host, port)


def _tell(ledger: Ledger, url: str) -> str:
    """Say where the server is and how to get in. Gives the page's address, with the token in it
    when that was just made: what stands behind a `#` a browser keeps to itself.
    """
    from clew import access
    from clew.canonical import now_ms

    output.say(f"clew: {ledger._database.dialect} ledger at {url}")
    made = access.first(ledger)
    page = f"{_near(url)}/"
    if made is None:
        output.say(f"clew: page at {page}")
        if all(info.state(now_ms()) != "valid" for info in access.listed(ledger)):
            output.say("clew: nobody has a valid token: `clew token create NAME` makes one")
        return page
    page += f"login#{made.token}"
    output.say(f"clew: access token, shown this once: {made.token}, or open {page}")
    return page


def _near(url: str) -> str:
    """The address for a browser on this machine of a server that listens at every address."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
