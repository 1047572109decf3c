"""Where a server is, and whether a token may be sent there."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, quote, urlsplit

from clew import names
from clew.errors import Invalid


def checked(url: str, *, insecure: bool) -> str:
    """A server's address without a slash at its end. Raises `Invalid`, quoting no secret, for
    one that says more than where, and for one that a token would reach in clear text.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise Invalid(
            "this is no address of a server: write https://host or http://host:port"
        ) from None
    if not host or parts.query or parts.fragment:
        raise Invalid("a server's address is https://host[:port][/path], and nothing behind it")
    if parts.username is not None or parts.password is not None:
        raise Invalid("an address is no place for a secret: give the access token as token=")
    if parts.scheme.lower() == "http" and not insecure and not _is_loopback(host):
        raise Invalid(
            f"http://{parts.netloc} is not on this machine, and the access token would cross the "
            "network in clear: use https, or insecure=True where something else encrypts"
        )
    return f"{parts.scheme.lower()}://{parts.netloc}{_path(parts)}"


def _path(parts: SplitResult) -> str:
    return parts.path.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def segment(text: str, what: str) -> str:
    """A name as one part of a path. Raises `Invalid` for what no path can hold."""
    names.checked(text, what)
    if text in ("", ".", ".."):
        raise Invalid(f"{what} {text!r} cannot be asked of a server: it is no part of a path")
    return quote(text, safe="")
