"""The OTLP/HTTP receiver: traces from any OpenTelemetry exporter, and ours on the way out.

A request is inflated, read and mapped in a thread, then recorded in one unit per session; the
units of concurrent requests share commits. The answer comes after the commit, so that what was
acknowledged is on disk, and sending a span again changes nothing. Errors are google.rpc.Status
in the encoding of the request; a span that cannot be taken costs none of its neighbours.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import ModuleType
from weakref import WeakKeyDictionary

import msgspec

import clew
from clew import telemetry, wire
from clew.aio import AsyncLedger, AsyncSession
from clew.errors import ClewError, Conflict, Invalid, Stale
from clew.model import Span
from clew.otlp import jsonform, mapping, protobuf, writing
from clew.otlp.model import SPANS_MAX, TRACE_CHARS, Problem, Refusals
from clew.otlp.model import Answer as Told
from clew.server import logs, problems
from clew.server.answer import Answer, Headers
from clew.server.call import Call, Handles
from clew.server.paging import page, place
from clew.server.problems import Refused
from clew.session import Session
from clew.telemetry import Address, Kept, Known, Recent, Report, Reports, Target

TRACES_MAX = 10_000
"""Traces of which it is remembered where their spans went."""
SESSIONS_MAX = SPANS_MAX
"""No fewer than one request can name."""
PIECE_BYTES = 1 << 20

PROTOBUF = protobuf.CONTENT_TYPE
JSON = jsonform.CONTENT_TYPE
MEDIA_TYPES = (JSON, PROTOBUF)
_FORMS: dict[bytes, ModuleType] = {PROTOBUF.encode(): protobuf, JSON.encode(): jsonform}
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 413: 3, 415: 3, 429: 8, 500: 13, 503: 14}
"""The canonical code of google.rpc.Status for a status of HTTP."""


async def traces(call: Call, body: bytes) -> Answer:
    """Spans to record: POST /v1/traces."""
    return await _answered(call, lambda form: _taken(call, body, form))


async def logs_ignored(call: Call, body: bytes) -> Answer:
    """Exporters send all signals to one place: logs are read by nobody here."""
    del body
    return await _answered(call, _nothing)


async def metrics_ignored(call: Call, body: bytes) -> Answer:
    """The same for metrics."""
    del body
    return await _answered(call, _nothing)


async def _nothing(form: ModuleType) -> Told:
    del form
    return Told()


async def _answered(call: Call, take: Callable[[ModuleType], Awaitable[Told]]) -> Answer:
    """An answer, good or bad, in the encoding of the request."""
    form = _FORMS.get(_media_type(call), jsonform)
    content_type = form.CONTENT_TYPE.encode()
    try:
        if _media_type(call) not in _FORMS:
            raise Refused("unsupported-media-type", f"send {PROTOBUF} or {JSON}")
        told = await take(form)
        return Answer(form.encode_answer(told), content_type=content_type)
    except (Refused, ClewError) as error:
        plain = problems.answer(error, call.request)
        message = str(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours: told to the log, by its place
        logs.fault(call.request, "/v1/traces", error)
        plain = problems.answer(error, call.request)
        message = f"a fault in Clew itself: the server's log says more under {call.request}"
    status = 400 if plain.status == 422 else plain.status
    problem = Problem(_CODES.get(status, 2), message)
    return Answer(form.encode_problem(problem), status, content_type, plain.headers)


def _media_type(call: Call) -> bytes:
    return call.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


# --- taking spans in -----------------------------------------------------------------------


async def _taken(call: Call, body: bytes, form: ModuleType) -> Told:
    encoding = call.headers.get(b"content-encoding", b"").strip().lower()
    limit = call.server.settings.otlp_bytes_max
    receiver = _receiver(call)
    reports, refused = await asyncio.to_thread(_read, receiver, body, encoding, limit, form)
    await receiver.record(reports, refused)
    if refused.count:
        logs.fact(logging.WARNING, "spans refused", count=refused.count, request=call.request)
    return Told(refused.count, refused.message)


def _read(
    receiver: Receiver, body: bytes, encoding: bytes, limit: int, form: ModuleType
) -> tuple[list[Report], Refusals]:
    """What a body holds. Raises `Refused`, `Invalid`."""
    plain = inflated(body, encoding, limit)
    if not plain:
        return [], Refusals()
    request = form.decode_request(plain)
    refused: Refusals = request.refused
    if refused.count and not request.spans and "/v1/logs" in refused.message:
        raise Invalid(refused.message)
    reports = []
    for told in mapping.mapped(request.spans):
        try:
            reports.append(receiver.reports.of(told))
        except Invalid as error:
            refused.add(str(error), told.id[TRACE_CHARS:])
    return reports, refused


def inflated(body: bytes, encoding: bytes, limit: int) -> bytes:
    """A body as it was before it was packed, piece by piece, so that what grows beyond `limit`
    bytes is refused before it is there. Raises `Refused`.
    """
    if encoding in (b"", b"identity"):
        out = body
    elif encoding == b"gzip":
        out = _unpacked(body, 31, limit)
    elif encoding == b"deflate":
        # The name stands for zlib's format; some send the bare stream, which begins otherwise.
        wrapped = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
        out = _unpacked(body, 15 if wrapped else -15, limit)
    else:
        raise Refused("unsupported-media-type", "pack the body with gzip or deflate, or not at all")
    if len(out) > limit:
        raise _too_large(limit)
    return out


def _unpacked(body: bytes, window: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    rest = body
    try:
        while rest:
            unpack = zlib.decompressobj(window)
            while not unpack.eof:
                piece = unpack.decompress(rest, PIECE_BYTES)
                rest = unpack.unconsumed_tail
                size += len(piece)
                if size > limit:
                    raise _too_large(limit)
                pieces.append(piece)
                if not piece and not rest and not unpack.eof:
                    raise Refused("malformed", "the packed body ends in the middle")
            rest = unpack.unused_data  # gzip may come in several members
    except zlib.error as error:
        raise Refused("malformed", f"the body cannot be unpacked ({error})") from None
    return b"".join(pieces)


def _too_large(limit: int) -> Refused:
    return Refused(
        "too-large", f"a request holds at most {limit:,} bytes, unpacked: send smaller batches"
    )


# --- to the sessions -----------------------------------------------------------------------

_receivers: WeakKeyDictionary[Handles, Receiver] = WeakKeyDictionary()


def _receiver(call: Call) -> Receiver:
    """One for each caller's view of the ledger."""
    handles = call._handles
    found = _receivers.get(handles)
    if found is None:
        found = _receivers[handles] = Receiver(call.ledger)
    return found


class Receiver:
    """Finds the session of each span, and records."""

    def __init__(self, ledger: AsyncLedger) -> None:
        self.reports = Reports()
        self._ledger = ledger
        self._histories: Recent[int, Known] = Recent(telemetry.KNOWN_MAX)
        self._targets: Recent[Address, Target] = Recent(SESSIONS_MAX)
        self._traces: Recent[str, Target] = Recent(TRACES_MAX)

    async def record(self, reports: Sequence[Report], refused: Refusals) -> None:
        """Record all that can be; what cannot is told in `refused`. Raises what keeps any from
        being recorded: then the sender tries again, and nothing is stored twice.
        """
        by_address: dict[Address, list[Report]] = {}
        for report in reports:
            by_address.setdefault(telemetry.address(report.told), []).append(report)
        await self._locate(by_address)
        groups: dict[int, tuple[Target, list[Report]]] = {}
        for address, group in by_address.items():
            target = self._targets[address]
            groups.setdefault(target.session._key, (target, []))[1].extend(group)
        kept = await asyncio.gather(
            *(self._unit(target, group, refused) for target, group in groups.values())
        )
        await self._elsewhere([pair for one in kept for pair in one.elsewhere], refused)

    async def _locate(self, groups: Mapping[Address, Sequence[Report]]) -> None:
        """Have a target for every address, those that are not known by one look and one commit."""
        wanted = []
        for address, group in groups.items():
            known = self._targets.use(address)
            if known is None and address[0] == telemetry.TRACE_FRONTEND:
                known = self._traces.use(group[0].told.trace)
            if known is None or known.session._closed:
                wanted.append(telemetry.wanted(address, group))
            else:
                self._targets.keep(address, known)
        if wanted:
            found = await asyncio.to_thread(telemetry.located, self._ledger.sync, wanted)
            for one, target in zip(wanted, found, strict=True):
                self._targets.keep(one.address, target)

    async def _unit(self, target: Target, group: Sequence[Report], refused: Refusals) -> Kept:
        session = AsyncSession(target.session)
        unit = telemetry.recorder(target.session, group, self._histories, talk=target.talk)
        try:
            kept = await session._later(session._queue()._write(unit))
        except Stale as error:
            self._forget(target)
            _refuse(refused, group, error)
            return Kept([])
        except (Invalid, Conflict) as error:
            if len(group) == 1:
                _refuse(refused, group, error)
                return Kept([])
            # One of them is to blame: each for itself, none at a neighbour's cost.
            alone = (self._unit(target, [report], refused) for report in group)
            return Kept([pair for one in await asyncio.gather(*alone) for pair in one.elsewhere])
        for report in group:
            self._traces.keep(report.told.trace, target)
        return kept

    async def _elsewhere(self, pairs: Sequence[tuple[int, Report]], refused: Refusals) -> None:
        """Spans that an earlier request put into another session: they end there."""
        groups: dict[int, list[Report]] = {}
        for key, report in pairs:
            groups.setdefault(key, []).append(report)
        for key, group in groups.items():
            target = await asyncio.to_thread(telemetry.located_by_key, self._ledger.sync, key)
            if target is None:
                gone = Invalid("the span belongs to a session that is gone")
                _refuse(refused, group, gone)
            else:
                await self._unit(target, group, refused)

    def _forget(self, target: Target) -> None:
        for address in [address for address, one in self._targets.items() if one is target]:
            del self._targets[address]
        for trace in [trace for trace, one in self._traces.items() if one is target]:
            del self._traces[trace]


def _refuse(refused: Refusals, group: Sequence[Report], error: Exception) -> None:
    for report in group:
        refused.add(str(error), report.told.id[TRACE_CHARS:])


# --- giving spans out ----------------------------------------------------------------------


async def exported(call: Call) -> Answer:
    """A page of a session's spans as an OTLP request, with their bodies. The header
    `Clew-Next` holds the cursor of the next page where there is one.
    """
    query: wire.PageQuery = call.query
    session = await call.session()
    after = place(query.cursor, tuple[int])
    found = await session.spans(after=after[0] if after else 0, limit=query.limit + 1)
    cut = page(found, query.limit, lambda span: (span.sequence,))
    body = await asyncio.to_thread(_export, session.sync, cut.items)
    headers: Headers = ((b"clew-next", cut.next.encode()),) if cut.next else ()
    return Answer(body, headers=headers)


def _export(session: Session, listed: Sequence[Span]) -> bytes:
    whole = [_whole(session, span.id) for span in listed]
    info = session.info
    outside = info.user if info.frontend == telemetry.FRONTEND else None
    spans = writing.written(whole, conversation=outside, version=clew.__version__)
    return jsonform.encode_request(spans)


def _whole(session: Session, id: str) -> Span:
    span = session.span(id)
    return msgspec.structs.replace(span, input=telemetry.resolved(session, span.input))
