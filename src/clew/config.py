"""A session's settings, as a mapping. Each change is an entry on the path with the whole
config as it then stood, so a restore brings the settings of that moment back.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

from clew import names, reading
from clew.log import look_head
from clew.model import JSON

if TYPE_CHECKING:
    from clew.session import Session


class Config(MutableMapping[str, JSON]):
    """`session.config["model"] = "…"`: read from the ledger, written through."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _now(self) -> dict[str, JSON]:
        with self._session._read() as tx:
            return reading.config(tx, look_head(tx, self._session._key).place)

    def __getitem__(self, key: str) -> JSON:
        return self._now()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def __setitem__(self, key: str, value: JSON) -> None:
        names.checked(key, "a setting's name")

        def change(config: dict[str, JSON]) -> dict[str, JSON]:
            config[key] = value
            return {"set": [key]}

        self._session._change_config(change)

    def __delitem__(self, key: str) -> None:
        def change(config: dict[str, JSON]) -> dict[str, JSON]:
            del config[key]
            return {"deleted": [key]}

        self._session._change_config(change)

    def __repr__(self) -> str:
        return f"Config({self._now()!r})"
