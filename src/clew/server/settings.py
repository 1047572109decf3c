"""How a server is set up. Every limit has a name and a default."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from clew.errors import Invalid

_HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_NAME = re.compile(_HOST)
_ORIGIN = re.compile(rf"(?P<scheme>https?)://{_HOST}", re.IGNORECASE)
_USUAL = {"http": ":80", "https": ":443"}


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `clew serve` was told; `hosts` and `origins` are exact lists."""

    hosts: tuple[str, ...] = ()
    """Names under which the server is asked, `host:port` each: all others are refused."""
    origins: tuple[str, ...] = ()
    """Web pages that may ask besides the server's own, `https://name` each."""
    body_bytes_max: int = 96 * 1024 * 1024
    """An entry of 64 MiB, as base64."""
    otlp_bytes_max: int = 64 * 1024 * 1024
    """A request of spans, packed or not."""
    backups: Path | None = None
    """The folder that back-ups may be written to; `None`: nowhere."""
    streams_per_token_max: int = 1000
    """Live streams that one token may have open."""
    subscriptions_max: int = 1000
    """Sessions that one live stream follows by name."""
    log_requests: bool = True
    token_rate: float = 5000
    """Requests a second that one token may send on average."""
    token_burst: int = 10_000
    """Requests that it may send at once."""
    address_rate: float = 10_000
    """The same for one address, with whatever tokens or none."""
    address_burst: int = 20_000
    failures_max: int = 5
    """So many wrong tokens from one address; each one more doubles the time it has to wait."""
    failure_delay_max_s: float = 60
    failure_note_s: float = 60
    """Refused addresses are put on record at most so often: guessing must not fill the ledger."""


def check_names(settings: ServerSettings) -> None:
    """Raise `Invalid` for a host or an origin that no request can bear: it would stand on its
    list and let nobody in.
    """
    for host in settings.hosts:
        if _NAME.fullmatch(host) is None:
            raise Invalid(
                f"--allow-host {host!r} is no name that is asked for: write it as in the address "
                "bar without http:// and path, ledger.example or ledger.example:8787, one an "
                "option; there are no patterns"
            )
    for origin in settings.origins:
        match = _ORIGIN.fullmatch(origin)
        if match is None or origin.endswith(_USUAL[match["scheme"].lower()]):
            raise Invalid(
                f"--allow-origin {origin!r} is no origin as browsers tell it: write "
                "https://name or http://name:3000, without a path, a closing slash or the usual "
                "port; there are no patterns"
            )
