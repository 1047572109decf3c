"""A ledger behind a server: the same verbs, asked over HTTP.

Every verb is one request, or a few for a long list; the server's answers are decoded into the
same records, and its problems raised as the same errors. Nothing is cached here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from clew.errors import Unauthorized
from clew.remote.client import Client

if TYPE_CHECKING:
    from clew.remote.ledger import RemoteLedger

TOKEN_VARIABLE = "CLEW_TOKEN"  # noqa: S105 - the name of a variable


def connect(
    url: str,
    *,
    token: str | None = None,
    project: str | None = None,
    read_only: bool = False,
    insecure: bool = False,
) -> RemoteLedger:
    """Open the ledger of a server; see `clew.open`.

    Raises `Invalid` for an address to which no token should go, `Unauthorized` when the server
    does not take the token, `Unavailable` when it does not answer.
    """
    from clew.remote.ledger import RemoteLedger

    given = token or os.environ.get(TOKEN_VARIABLE)
    if not given:
        raise Unauthorized(
            f"a server asks for an access token: give token=, or set {TOKEN_VARIABLE} "
            "(`clew token create` makes one where the ledger is)"
        )
    client = Client(url, token=given, project=project, read_only=read_only, insecure=insecure)
    try:
        return RemoteLedger(client)
    except BaseException:
        client.close()
        raise
