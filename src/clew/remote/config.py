"""A session's settings behind a server, as a mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clew import config, drafts, names, wire
from clew.errors import NotFound
from clew.model import JSON
from clew.remote.address import segment

if TYPE_CHECKING:
    from clew.remote.session import RemoteSession


class RemoteConfig(config.Config):
    """`session.config["model"] = "…"`: read from the server, written through."""

    _session: RemoteSession

    def _now(self) -> dict[str, JSON]:
        self._session._check_open()
        return self._session._get("/config", wire.Settings).config

    def __setitem__(self, key: str, value: JSON) -> None:
        names.checked(key, "a setting's name")
        body = {"value": exact(value)}
        path = f"/config/{segment(key, 'a setting called')}"
        self._session._write(self._session._unit("PUT", path, wire.Settings, body))

    def __delitem__(self, key: str) -> None:
        path = f"/config/{segment(key, 'a setting called')}"
        try:
            self._session._write(self._session._unit("DELETE", path, wire.Settings))
        except NotFound:
            if key in self._now():
                raise
            raise KeyError(key) from None


def exact(value: JSON) -> msgspec.Raw:
    """A value as the JSON that a ledger of this process would keep. Raises `Invalid`."""
    return msgspec.Raw(drafts._whole_numbers(value, drafts.as_json(value)))
