"""A lease on a session behind a server; its fencing token goes along with every write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew import leases, wire
from clew.errors import Invalid

if TYPE_CHECKING:
    from clew.remote.session import RemoteSession


class RemoteLease(leases.Lease):
    """Held from construction until `release`, expiry or the end of the `with` block."""

    _session: RemoteSession

    def _take(self, seconds: float) -> None:
        if not 0 < seconds <= leases.SECONDS_MAX:
            raise Invalid(f"seconds={seconds!r}: a lease lasts for more than 0 and up to a year")
        asked = wire.LeaseRequest(holder=self.holder, seconds=seconds, token=self.token)
        held = self._session._client.send(
            "POST", f"{self._session._path}/lease", wire.LeaseHeld, asked
        )
        self.token = held.token

    def release(self) -> None:
        """Let others write. Does nothing when the lease is not ours any more."""
        self._session._client.send(
            "DELETE", f"{self._session._path}/lease", wire.Head, lease=self.token, again=True
        )
        self._session._lease = None
