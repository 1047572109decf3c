"""The caller's face of spans: three lines around a tool, a model call or a turn.

    with session.turn({"role": "user", "content": "read it"}) as turn:
        with turn.tool("read_file", {"path": "a.txt"}, call_id="call_1") as call:
            call.output = read("a.txt")

The start is on disk before the body runs, the end before the block is left. An exception is
recorded and goes on. The ledger failing never fails the tool: the loss is counted, logged and
told by `Ledger.stats`. The same objects work under `async with`.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from functools import partial
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, cast

import msgspec

from clew import shapes
from clew.canonical import new_id, now_us, parse
from clew.db import Tx
from clew.drafts import holds_no_number, message_draft
from clew.errors import ClewError, Invalid, Unavailable
from clew.log import BODY_BYTES_MAX
from clew.model import JSON, Outcome, Span
from clew.moves import ANY
from clew.names import mended
from clew.spans import SpanDraft, checked

if TYPE_CHECKING:
    from clew.running import Running
    from clew.session import RawMessage

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

log = logging.getLogger("clew.trace")
_current: ContextVar[Call | None] = ContextVar("clew_span", default=None)
"""The innermost span of this task: what starts next is its child."""


class Denied(Exception):
    """Raise it inside a span to end it as `denied`: somebody or some rule said no."""


class Call:
    """One span around a block. `output` is what came out; `set` adds what else is known."""

    __slots__ = (
        *(
            "_dropped",
            "_edge_ns",
            "_ended",
            "_outer",
            "_session",
            "_started_ns",
            "_stored",
            "_under",
        ),
        *("_values", "error", "id", "kind", "name", "outcome", "output", "turn"),
    )

    def __init__(
        self,
        session: Running,
        kind: str,
        name: str,
        values: dict[str, Any],
        under: Turn | None = None,
    ) -> None:
        self._session = session
        self._under = under
        self.kind = kind
        self.name = name
        self.id = ""
        self.output: JSON = None
        self.outcome: str | None = None
        """Set it to end otherwise than the block says: `denied`, `timeout`, …"""
        self.error: str | None = None
        self.turn: int | None = None
        """The turn that it belongs to, once it began."""
        self._values = values
        self._dropped: set[str] = set()
        """Facts that could not be stored."""
        self._ended: dict[str, Any] = {}
        self._stored = False
        self._started_ns = self._edge_ns = 0
        self._outer: Token[Call | None] | None = None

    def set(self, **facts: Any) -> None:
        """Facts that are known only now (see `clew.Span` for the names); stored with the end."""
        self._ended.update(facts)

    # --- the block ---

    def __enter__(self) -> Self:
        self._begin()
        runs, stage = self._session._ledger._runs, 0
        try:
            while stage < STAGES:
                try:
                    runs.check()
                    runs.ready()
                    self._began(self._session._write(partial(self._start, self._values)))
                    break
                except Exception as error:  # noqa: BLE001 - see the head of this file
                    stage = self._lost("start", error, stage)
                    self._values = self._less(self._values, stage, _BEGINS)
        except BaseException as error:
            # The block will not run, and nobody else ends what may have been stored.
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        changes, runs, stage = self._over(error), self._session._ledger._runs, 0
        while stage < STAGES:
            unit = self._ending(changes)
            try:
                runs.check()
                self._session._write(unit)
                return
            except Exception as lost:  # noqa: BLE001
                stage = self._lost("finish", lost, stage, unit)
                changes = self._less(changes, stage, _ENDS)
                self._values = self._less(self._values, stage, _BEGINS)

    async def __aenter__(self) -> Self:
        self._begin()
        runs, stage = self._session._ledger._runs, 0
        try:
            while stage < STAGES:
                try:
                    runs.check()
                    runs.ready()
                    self._began(await self._awrite(partial(self._start, self._values)))
                    break
                except Exception as error:  # noqa: BLE001
                    stage = self._lost("start", error, stage)
                    self._values = self._less(self._values, stage, _BEGINS)
        except BaseException as error:  # a cancelled task: its block will not be entered
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, GeneratorExit):  # its loop is gone: nothing can be awaited
            self.__exit__(kind, error, trace)
            return
        changes, runs, stage = self._over(error), self._session._ledger._runs, 0
        while stage < STAGES:
            unit = self._ending(changes)
            try:
                runs.check()
                await self._awrite(unit)
                return
            except Exception as lost:  # noqa: BLE001
                stage = self._lost("finish", lost, stage, unit)
                changes = self._less(changes, stage, _ENDS)
                self._values = self._less(self._values, stage, _BEGINS)

    async def _awrite(self, unit: Callable[[Tx], T]) -> T:
        self._session._check_open()
        return await self._session._ledger._arun(unit, self._session._key)

    def _begin(self) -> None:
        values = self._values
        self.id = new_id()
        outer = _current.get()
        if outer is None and self._under is not None and self._under.id:
            outer = self._under  # another thread: what it was made for is what it belongs to
        if outer is not None and "parent" not in values:
            values["parent"] = outer.id
        if self._under is not None and self._under.turn is not None:
            values.setdefault("turn", self._under.turn)
        body = values.get("input")
        if body is not None:
            values["input"] = as_body(body)  # as it is now: the block may change it
        self._outer = _current.set(self)
        values["started_us"] = now_us()
        self._started_ns = self._edge_ns = perf_counter_ns()

    def _over(self, error: BaseException | None) -> dict[str, Any]:
        """What is to be said of the end."""
        self._edge_ns = perf_counter_ns()
        latency = (self._edge_ns - self._started_ns) / 1e6
        self._leave()
        changes = {**self._ended, **_how(self, error), "latency_ms": latency}
        if self.output is not None:
            changes["output"] = as_body(self.output)
        return changes

    # --- less and less, as it is refused: all, what can be stored, that it ran ---

    def _less(self, facts: dict[str, Any], stage: int, least: frozenset[str]) -> dict[str, Any]:
        if stage == 1:
            return self._sound(facts)
        return self._kept(facts, least) if stage == 2 else facts

    def _ending(self, changes: dict[str, Any]) -> Callable[[Tx], Any]:
        if self._dropped:
            odd = changes.get("attributes")
            told = odd if isinstance(odd, dict) else {}
            changes = {**changes, "attributes": {**told, LOST: sorted(self._dropped)}}
        return partial(self._end, changes)

    def _sound(self, facts: dict[str, Any]) -> dict[str, Any]:
        """What of it can be stored, each fact by itself."""
        kept, room = {}, BODY_BYTES_MAX - HEADROOM
        for name, value in facts.items():
            size = len(bytes(value)) if isinstance(value, msgspec.Raw) else 0
            if size <= room and _is_sound(name, value):
                kept[name] = value
                room -= size
            else:
                self._dropped.add(name)
        if "outcome" in facts:
            kept.setdefault("outcome", str(Outcome.ERROR))
        return kept

    def _kept(self, facts: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
        self._dropped |= facts.keys() - names
        return {name: value for name, value in facts.items() if name in names}

    # --- the units: what is told is looked at there, off the caller's path ---

    def _start(self, values: dict[str, Any], tx: Tx) -> Span:
        draft = SpanDraft(self.kind, self.name, values, self.id, fresh=True)
        return self._session._start_unit(draft)(tx)

    def _began(self, span: Span) -> None:
        self._stored = True
        self.turn = span.turn

    def _end(self, changes: dict[str, Any], tx: Tx) -> Any:
        if self._stored:
            return self._session._update_unit(self.id, changes)(tx)
        # Its start was not stored: tell the whole now, so that no call is missing for ever.
        draft = SpanDraft(self.kind, self.name, {**self._values, **changes}, self.id)
        return self._session._start_unit(draft)(tx)

    def _leave(self) -> None:
        if self._outer is not None:
            try:
                _current.reset(self._outer)
            except ValueError:  # left in another task or thread than it was entered in
                _current.set(
                    self._outer.old_value if self._outer.old_value is not Token.MISSING else None
                )
            self._outer = None

    def _lost(
        self, what: str, error: Exception, stage: int, unit: Callable[[Tx], Any] | None = None
    ) -> int:
        """Count and log it once, without content. Gives the stage to go on with: where it was
        not what was told that was refused, the last; an end is then told later.
        """
        runs = self._session._ledger._runs
        if isinstance(error, ClewError) and not isinstance(error, Invalid):
            self._say_lost(what, error, f": {error}")
            if isinstance(error, Unavailable):
                runs.did_not_answer((perf_counter_ns() - self._edge_ns) / 1e9)
            if unit is not None:
                runs.later(self._session, unit)
            return STAGES
        if stage == 0:
            self.name = mended(str(self.name)) or self.kind
            self._sound({**self._values, **self._ended})  # finds out what it is
            names = ", ".join(sorted(self._dropped)) or "what was told"
            self._say_lost(what, error, f" of {names}")  # named, and never its value
        return stage + 1

    def _say_lost(self, what: str, error: Exception, why: str) -> None:
        self._session._ledger._runs.failures += 1
        log.warning(
            "clew: the %s of %s span %s in session %s was not recorded as told: %s%s",
            *(what, self.kind, self.id, self._session.id, type(error).__name__, why),
        )


def _is_sound(name: str, value: Any) -> bool:
    try:
        checked({name: value})
    except Exception:  # noqa: BLE001 - a value of somebody else's making
        return False
    return True


STAGES = 3
LOST = "clew.lost"
"""The attribute that names the facts of a span that could not be stored."""
HEADROOM = 64 * 1024
"""Bytes of an event that are left for what is no body."""
_BEGINS = frozenset({"call_id", "parent", "started_us", "turn"})
_ENDS = frozenset({"outcome", "error", "error_type", "latency_ms"})
KINDS: dict[str, tuple[type[BaseException], ...]] = {
    "denied": (Denied,),
    "cancelled": (KeyboardInterrupt, GeneratorExit),
    "timeout": (TimeoutError,),
}


def _how(call: Call, error: BaseException | None) -> dict[str, Any]:
    """How a block ended, from what was raised in it and what was set."""
    if error is None and call.error is None:
        return {"outcome": call.outcome or "ok"}
    told = None if call.error is None else as_text(call.error)
    if error is None:
        return {"outcome": call.outcome or "error", "error": told}
    name = type(error).__name__
    return {
        "outcome": call.outcome or _outcome_of(error),
        "error": told or as_text(error) or name,
        "error_type": mended(name),
    }


def _outcome_of(error: BaseException) -> str:
    for outcome, kinds in KINDS.items():
        if isinstance(error, kinds):
            return outcome
    # Not imported: half the time that opening a ledger takes.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        return "cancelled"
    # Those of subprocess, httpx and the providers' clients are no TimeoutError.
    timed_out = any("Timeout" in kind.__name__ for kind in type(error).__mro__)
    return "timeout" if timed_out else "error"


def as_text(value: Any) -> str:
    """A value in words, whatever its own `__str__` does."""
    try:
        return mended(str(value))
    except Exception:  # noqa: BLE001
        return ""


def as_body(value: Any) -> msgspec.Raw:
    """A value as JSON text; what JSON has no form for, by its `repr`."""
    try:
        text = _encode(value)
        if b"null" not in text or not holds_no_number(value):
            return msgspec.Raw(text)
        # NaN and the infinities, by their names.
        named = json.loads(json.dumps(_plain(value)), parse_constant=str)
        return msgspec.Raw(_encode(named))
    except Exception:  # noqa: BLE001 - a value of somebody else's making
        return _odd_body(value)


def _odd_body(value: Any) -> msgspec.Raw:
    try:  # half a character somewhere in it: JSON can say it, by its escape
        return msgspec.Raw(json.dumps(_plain(value)))
    except Exception:  # noqa: BLE001
        return msgspec.Raw(_encode(mended(_shown(value))))


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=_shown)


def _shown(value: Any) -> Any:
    try:
        dump = getattr(value, "model_dump", None)
        return dump(mode="json") if callable(dump) else repr(value)
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}>"


_encode = msgspec.json.Encoder(enc_hook=_shown).encode


class ModelCall(Call):
    """A model call. Tell its tokens with `usage` or hand the provider's answer to `read`."""

    __slots__ = ()

    def first_token(self) -> None:
        """The first piece of the answer has come."""
        took = (perf_counter_ns() - self._started_ns) / 1e6
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

    def read(self, answer: Any) -> bool:
        """Take tokens, model and id from a provider's answer (a dict or an SDK's object): of
        Anthropic, OpenAI Chat or Responses, or Gemini, whole or the last piece of a stream.
        False when it tells no tokens; never raises.
        """
        try:
            value = parse(bytes(as_body(answer)))
            used = shapes.usage_of(value) if isinstance(value, dict) else None
        except Exception:  # noqa: BLE001 - an answer of somebody else's making
            used = None
        if used is None:
            return False
        self.usage(
            input=used.input,
            output=used.output,
            cache_read=used.cache_read,
            cache_write=used.cache_write,
            reasoning=used.reasoning,
            cost=used.cost,
        )
        self.set(
            **{
                name: told
                for name, told in (("response_id", used.key), ("model", used.model))
                if told
            }
        )
        return True


class Turn(Call):
    """One turn, or one agent's run: the span under which its calls stand."""

    __slots__ = ("_prompt",)

    def __init__(
        self,
        session: Running,
        kind: str,
        name: str,
        values: dict[str, Any],
        prompt: Any = None,
        under: Turn | None = None,
    ) -> None:
        super().__init__(session, kind, name, values, under)
        self._prompt: RawMessage | None = prompt

    def __enter__(self) -> Self:
        if self._prompt is not None:
            self._answers(self._session._write(self._ask(self._prompt)))
        return super().__enter__()

    async def __aenter__(self) -> Self:
        if self._prompt is not None:
            self._answers(await self._awrite(self._ask(self._prompt)))
        return await super().__aenter__()

    def _ask(self, prompt: RawMessage) -> Callable[[Tx], int | None]:
        """Append the prompt; gives the turn that it begins, whoever else begins one beside it."""
        append = self._session._append_unit([message_draft(prompt)], ANY, None)

        def unit(tx: Tx) -> int | None:
            append(tx)
            return self._session._turn_of_head(tx)

        return unit

    def _answers(self, turn: int | None) -> None:
        if turn is not None:
            self._values.setdefault("turn", turn)

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
        return Call(self._session, "tool", name, values, self)

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
        return ModelCall(self._session, "model", model, values, self)

    def agent(self, name: str, input: JSON = None, **facts: Any) -> Turn:
        """The run of a sub-agent inside this turn."""
        values = {"input": input, **self._shared(facts)}
        return Turn(self._session, "agent", name, values, under=self)

    def command(self, name: str, input: JSON = None, **facts: Any) -> Call:
        """A command that the agent or a person ran."""
        values = {"input": input, **self._shared(facts)}
        return Call(self._session, "command", name, values, self)

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
    import inspect  # with asyncio, most of the time that opening a ledger would take

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise Invalid(
            f"{function!r} yields, and a call of it has run nothing yet: put the loop over it in "
            "`with turn.tool(...)`"
        )
    title = str(name or getattr(function, "__name__", "tool"))
    arguments = _arguments_of(function)

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        bound = arguments(args, kwargs)
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


def _arguments_of(
    function: Callable[..., Any],
) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """What gives the arguments of a call by name, without the object whose method it is."""
    import inspect

    try:
        signature = inspect.signature(function)
    except ValueError:  # some that are written in C have none
        return lambda args, kwargs: {"args": args, **kwargs}
    first = next(iter(signature.parameters), "")
    owner = first if first in ("self", "cls") else ""

    def arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return {}  # the function itself will say what is wrong with its arguments
        return {name: value for name, value in bound.items() if name != owner}

    return arguments
