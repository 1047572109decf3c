"""A lease: one owner writes to a session until it expires. The fencing token that goes with
it is checked inside every write, so that an owner whose lease was taken over cannot write.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from clew import canonical, names
from clew.db import Tx
from clew.errors import Invalid, Leased
from clew.log import lock_head

if TYPE_CHECKING:
    from clew.session import Session


SECONDS_MAX = 366 * 86_400


class Lease:
    """Held from construction until `release`, expiry or the end of the `with` block."""

    def __init__(self, session: Session, holder: str, seconds: float) -> None:
        names.checked(holder, "holder", empty=False)
        self._session = session
        self.holder = holder
        self.token: int | None = None
        self._take(seconds)

    @classmethod
    def held(cls, session: Session, token: int, holder: str = "") -> Lease:
        """The lease whose fencing token somebody has from before, taken or not since."""
        lease = cls.__new__(cls)
        lease._session, lease.holder, lease.token = session, holder, token
        return lease

    def _take(self, seconds: float) -> None:
        if not 0 < seconds <= SECONDS_MAX:
            raise Invalid(f"seconds={seconds!r}: a lease lasts for more than 0 and up to a year")
        until = canonical.now_ms() + int(seconds * 1000)

        def unit(tx: Tx) -> int:
            head = lock_head(tx, self._session._key, lease=self.token)
            mine = head.lease_until_ms is not None and head.lease_token == self.token
            token = head.lease_token if mine else head.lease_token + 1
            tx.run(
                "head_lease",
                session=head.key,
                holder=self.holder,
                token=token,
                until_ms=until,
            )
            return token

        self.token = self._session._write(unit)

    def renew(self, seconds: float = 60.0) -> None:
        """Hold on longer. Raises `Leased` when somebody else took over meanwhile."""
        held = self.token
        self._take(seconds)
        if self.token != held:
            self.release()
            raise Leased(f"the lease on session {self._session.id} had expired and was taken over")

    def release(self) -> None:
        """Let others write. Does nothing when the lease is not ours any more."""

        def unit(tx: Tx) -> None:
            row = tx.one("head_get", session=self._session._key)
            if row is not None and row[15] == self.token:
                tx.run(
                    "head_lease",
                    session=self._session._key,
                    holder=None,
                    token=row[15],
                    until_ms=None,
                )

        self._session._write(unit)
        self._session._lease = None

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
