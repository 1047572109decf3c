"""The caller's face of spans: three lines around a tool, a model call or a turn.

    with session.turn({"role": "user", "content": "read it"}) as turn:
        with turn.tool("read_file", {"path": "a.txt"}, call_id="call_1") as call:
            call.output = read("a.txt")

The start is on disk before the body runs, the end before the block is left. An exception is
recorded and goes on. The ledger failing never fails the tool: the loss is counted, logged and
told by `Ledger.stats`. The same objects work under `async with`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, cast

import msgspec

from clew import shapes
from clew.canonical import now_us
from clew.drafts import message_draft
from clew.model import JSON, Outcome
from clew.moves import ANY
from clew.spans import SpanDraft

if TYPE_CHECKING:
    from clew.running import Running
    from clew.session import RawMessage

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("clew.trace")
_current: ContextVar[Call | None] = ContextVar("clew_span", default=None)
"""The innermost span of this task: what starts next is its child."""


class Denied(Exception):
    """Raise it inside a span to end it as `denied`: somebody or some rule said no."""


class Call:
    """One span around a block. `output` is what came out; `set` adds what else is known."""

    __slots__ = (
        *("_began", "_ended", "_outer", "_parent", "_session", "_started_ns", "_stored"),
        *("_values", "error", "id", "kind", "name", "outcome", "output"),
    )

    def __init__(self, session: Running, kind: str, name: str, values: dict[str, Any]) -> None:
        self._session = session
        self.kind = kind
        self.name = name
        self.id = ""
        self.output: JSON = None
        self.outcome: str | None = None
        """Set it to end otherwise than the block says: `denied`, `timeout`, …"""
        self.error: str | None = None
        self._values = values
        self._ended: dict[str, Any] = {}
        self._stored = False
        self._began = 0
        self._started_ns = 0
        self._outer: Token[Call | None] | None = None

    def set(self, **facts: Any) -> None:
        """Facts that are known only now (see `clew.Span` for the names); stored with the end."""
        self._ended.update(facts)

    # --- the block ---

    def __enter__(self) -> Self:
        draft = self._begin()
        if draft is not None:
            try:
                self._session._write(self._session._start_unit(draft))
                self._stored = True
            except Exception as error:  # noqa: BLE001 - see the head of this file
                self._lost("start", error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._session._write(self._end(error))
        except Exception as lost:  # noqa: BLE001
            self._lost("finish", lost)

    async def __aenter__(self) -> Self:
        draft = self._begin()
        if draft is not None:
            session = self._session
            try:
                await session._ledger._arun(session._start_unit(draft), session._key)
                self._stored = True
            except Exception as error:  # noqa: BLE001
                self._lost("start", error)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._session._ledger._arun(self._end(error), self._session._key)
        except Exception as lost:  # noqa: BLE001
            self._lost("finish", lost)

    def _begin(self) -> SpanDraft | None:
        outer = _current.get()
        if outer is not None:
            self._values.setdefault("parent", outer.id)
        self._outer = _current.set(self)
        self._began = now_us()
        self._started_ns = time.perf_counter_ns()
        try:
            draft = self._draft()
        except Exception as error:  # noqa: BLE001
            self._lost("start", error)
            return None
        self.id = draft.id
        self._session._ledger._runs.began(draft.id)
        return draft

    def _draft(self) -> SpanDraft:
        values = {**self._values, "started_us": self._began}
        if values.get("input") is not None:
            values["input"] = as_value(values["input"])
        return SpanDraft(self.kind, self.name, values, self.id, fresh=not self.id)

    def _end(self, error: BaseException | None) -> Any:
        latency = (time.perf_counter_ns() - self._started_ns) / 1e6
        if self._outer is not None:
            _current.reset(self._outer)
        self._session._ledger._runs.ended(self.id)
        changes = {**self._ended, "latency_ms": latency, **_how(self, error)}
        if self.output is not None:
            changes["output"] = as_value(self.output)
        if self._stored:
            return self._session._update_unit(self.id, changes)
        # Its start was not stored: tell the whole now, so that no call is missing for ever.
        self._values = {**self._values, **changes}
        return self._session._start_unit(self._draft())

    def _lost(self, what: str, error: Exception) -> None:
        self._session._ledger._runs.failures += 1
        log.warning(
            "clew: the %s of %s span %s in session %s was not recorded: %s: %s",
            *(what, self.kind, self.id, self._session.id, type(error).__name__, error),
        )


def _how(call: Call, error: BaseException | None) -> dict[str, Any]:
    """How a block ended, from what was raised in it and what was set."""
    if error is None:
        ended: dict[str, Any] = {"outcome": call.outcome or ("error" if call.error else "ok")}
        return ended | ({"error": call.error} if call.error else {})
    kinds: dict[str, tuple[type[BaseException], ...]] = {
        "denied": (Denied,),
        "cancelled": (asyncio.CancelledError, KeyboardInterrupt),
        "timeout": (TimeoutError,),
    }
    found = (str(name) for name, kind in kinds.items() if isinstance(error, kind))
    outcome = call.outcome or next(found, str(Outcome.ERROR))
    told = call.error or str(error) or type(error).__name__
    return {"outcome": outcome, "error": told, "error_type": type(error).__name__}


def as_value(value: Any) -> JSON:
    """A value as JSON holds it; what JSON has no form for, by its `repr`."""
    if value is None or isinstance(value, str | bool | int):
        return value
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_shown))
    except (TypeError, ValueError, RecursionError, OverflowError, UnicodeError):
        return repr(value)


def _shown(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) else repr(value)


class ModelCall(Call):
    """A model call. Tell its tokens with `usage` or hand the provider's answer to `read`."""

    __slots__ = ()

    def first_token(self) -> None:
        """The first piece of the answer has come."""
        took = (time.perf_counter_ns() - self._started_ns) / 1e6
        self._ended.setdefault("first_token_ms", took)

    def usage(
        self,
        *,
        input: int,
        output: int,
        cache_read: int = 0,
        cache_write: int = 0,
        reasoning: int = 0,
        cost: float | None = None,
    ) -> None:
        """Tokens: `input` without what the cache gave or took, `output` with `reasoning`."""
        self.set(
            tokens_in=input,
            tokens_out=output,
            cache_read=cache_read,
            cache_write=cache_write,
            reasoning=reasoning,
            cost=cost,
        )

    def read(self, response: Any) -> None:
        """Take tokens, model and id from a provider's answer (a dict or an SDK's object)."""
        value = as_value(response)
        if not isinstance(value, dict):
            return
        message = shapes.decode(shapes.sniff(value), value)
        used = message.usage
        if used is not None:
            self.usage(
                input=used.input,
                output=used.output,
                cache_read=used.cache_read,
                cache_write=used.cache_write,
                reasoning=used.reasoning,
                cost=used.cost,
            )
            self.set(response_id=used.key or message.id, model=used.model or message.model)


class Turn(Call):
    """One turn, or one agent's run: the span under which its calls stand."""

    __slots__ = ("_prompt",)

    def __init__(
        self, session: Running, kind: str, name: str, values: dict[str, Any], prompt: Any = None
    ) -> None:
        super().__init__(session, kind, name, values)
        self._prompt: RawMessage | None = prompt

    def __enter__(self) -> Self:
        if self._prompt is not None:
            self._session.append(self._prompt)
        return super().__enter__()

    async def __aenter__(self) -> Self:
        if self._prompt is not None:
            session = self._session
            unit = session._append_unit([message_draft(self._prompt)], ANY, None)
            await session._ledger._arun(unit, session._key)
        return await super().__aenter__()

    def tool(
        self,
        name: str,
        input: JSON = None,
        *,
        call_id: str | None = None,
        effect: Literal["none", "idempotent", "external"] | None = None,
        **facts: Any,
    ) -> Call:
        """A tool call. `effect` says whether it may be run again after a crash; `facts` are
        what else is known (`message`, `batch`, `attempt`, …).
        """
        values = {"input": input, "call_id": call_id, "effect": effect, **self._shared(facts)}
        return Call(self._session, "tool", name, values)

    def model(
        self,
        model: str,
        *,
        provider: str | None = None,
        input: JSON = None,
        **facts: Any,
    ) -> ModelCall:
        """A model call; `facts` take the routing (`tier`, `complexity`, `request_type`,
        `fallback`, `retries`) and the rest of `clew.Span`.
        """
        values = {"model": model, "provider": provider, "input": input, **self._shared(facts)}
        return ModelCall(self._session, "model", model, values)

    def agent(self, name: str, input: JSON = None, **facts: Any) -> Turn:
        """The run of a sub-agent inside this turn."""
        values = {"input": input, **self._shared(facts)}
        return Turn(self._session, "agent", name, values)

    def command(self, name: str, input: JSON = None, **facts: Any) -> Call:
        """A command that the agent or a person ran."""
        values = {"input": input, **self._shared(facts)}
        return Call(self._session, "command", name, values)

    def _shared(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        chat = self._values.get("chat")
        return {"chat": chat, **facts} if chat else dict(facts)


def traced(
    session: Running,
    function: Callable[P, R],
    *,
    name: str | None,
    effect: str | None,
) -> Callable[P, R]:
    """Record every call of a function, plain or async, as a tool span with its arguments."""
    signature = inspect.signature(function)
    title = str(name or getattr(function, "__name__", "tool"))

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        try:
            bound = dict(signature.bind(*args, **kwargs).arguments)
        except TypeError:
            bound = {}  # the function itself will say what is wrong with its arguments
        outer = _current.get()
        chat = outer._values.get("chat") if outer is not None else None
        values = {"input": bound, "effect": effect, **({"chat": chat} if chat else {})}
        return Call(session, "tool", title, values)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def arun(*args: P.args, **kwargs: P.kwargs) -> Any:
            async with call(args, kwargs) as span:
                span.output = await function(*args, **kwargs)
                return span.output

        return cast("Callable[P, R]", arun)

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with call(args, kwargs) as span:
            result = function(*args, **kwargs)
            span.output = result
            return result

    return run
