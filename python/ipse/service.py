"""Carries requests to the engine and answers back, as bytes. Decides nothing about identity.

    request bytes ─> Engine.call ─> (position, code, payload)
                        │ position is synced                 ─> answer
                        │ not yet ─> wait ─> one wake-up of the event loop for each commit group
                        └ code is not 0                      ─> status with details

One call of the engine per RPC, no decoding in Python, no thread hand-over: what is done here is
paid for by every event. Only the calls that compile patterns, that read the log or write a
snapshot, and long batches go to a thread: nothing else may wait for them. An answer never leads
the disk. Once the engine has decided, the write commits; a caller that goes away only loses the
answer. No exception's text reaches a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, cast

import grpc

from ipse import _native
from ipse._services import ADMIN
from ipse._threads import Shared, Turns
from ipse._waiters import SyncWaiters
from ipse._watching import Watchers
from ipse.errors import Code
from ipse.telemetry import audit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ipse._carrier import Absence
    from ipse._native import Engine
    from ipse.settings import ServerSettings

    _Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]
    _Answer: TypeAlias = Callable[
        [str, bytes, float | None, bytes | None], Awaitable[tuple[int, bytes]]
    ]
    _Decided: TypeAlias = tuple[int, int, bytes]
    _EngineCall: TypeAlias = Callable[[str, bytes, int | None, bytes | None], _Decided]

_METHODS: Final = {name: (role, effect, way) for name, role, effect, way in _native.methods()}
WRITING_METHODS: Final = frozenset(
    name for name, (_, effect, _) in _METHODS.items() if effect == "writes"
)
AUDITED_METHODS: Final = frozenset(
    name for name, (role, _, _) in _METHODS.items() if role == "admin"
)
_CROWDED_METHODS: Final = frozenset(name for name in _METHODS if not name.startswith(f"/{ADMIN}/"))

_PREFIX: Final = "/ipse.v1."
_AUTHORIZATION: Final = "authorization"
_WAKE_BYTES_MAX: Final = 65_536
_DETAILS_KEY: Final = "grpc-status-details-bin"
_STATUS_CODES: Final = {int(code.value[0]): code for code in grpc.StatusCode}

_log = logging.getLogger("ipse.service")


class Service(grpc.GenericRpcHandler):
    """All methods of `ipse.v1`. Not serving until `attach`, and not again after `end`.

    Belongs to the event loop that makes it. `look_after` is called when the engine may be such
    that it cannot go on.
    """

    def __init__(self, settings: ServerSettings, look_after: Callable[[], None]) -> None:
        self._settings = settings
        self._look_after = look_after
        self._loop = asyncio.get_running_loop()
        self._waiters = SyncWaiters(self._loop, settings.waiting_calls_max)
        self._engine: Engine | None = None
        # Without tokens nobody looks at the metadata of a call.
        self._asks_for_tokens = bool(settings.tokens)
        # What carries a call is the state: no call asks whether there is an engine.
        self._absence: Absence = "recovering"
        self._call: _EngineCall = _not_serving(self._absence)
        self._synced: Callable[[], int] = _nothing_synced
        self._wake_fd = -1
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        self.tally = _native.Tally()
        """What was answered."""
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._turns = {way: Turns(way) for way in ("batch", "compile", "files", "backup")}
        self._checkpoint: Shared[_Decided] = Shared("checkpoint")
        self._watchers = Watchers()
        # Why those who watch are to end.
        self._ending: asyncio.Future[Absence] = self._loop.create_future()

    def attach(self, engine: Engine) -> None:
        """Begin to serve."""
        self._engine = engine
        self._wake_fd = engine.wake_fd()
        self._loop.add_reader(self._wake_fd, self._on_wake, engine)
        self._synced = engine.synced
        self._call = engine.call

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls and wait for those in flight, but not longer than this."""
        self._call = _not_serving("shutting_down")
        self._end_watchers("shutting_down")
        self._idle.clear()
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), grace_s)

    def end(self, absence: Absence) -> None:
        """Stop to serve; calls that still wait are told so."""
        self._absence = absence
        self._call = _not_serving(absence)
        self._end_watchers(absence)
        self._synced = _nothing_synced
        if self._engine is not None:
            self._loop.remove_reader(self._wake_fd)
            self._engine = None
        self._waiters.fail()

    async def check_caller(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """End a call that is not the engine's to answer, if its caller has no token."""
        if not self._asks_for_tokens:
            return
        if self._engine is None:
            refusal: tuple[int, bytes] | None = _native.not_serving(self._absence)
        else:
            refusal = self._engine.check_caller(None, _authorization_of(context))
        if refusal is not None:
            await _abort(context, *refusal)

    @property
    def calls_in_flight(self) -> int:
        """How many calls are being answered or wait for the disk."""
        return self._in_flight

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Find the handler of a method; every name below `ipse.v1` has one.

        The engine knows which exist, and refuses the others with METHOD_NOT_FOUND.
        """
        method = handler_call_details.method
        handler = self._handlers.get(method)
        if handler is None and method.startswith(_PREFIX):
            handler = self._handler(method)
            # Names that callers make up must not fill the memory.
            if method in _METHODS:
                self._handlers[method] = handler
        return handler

    def _handler(self, method: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        if self._way_of(method) == "watch":
            return grpc.unary_stream_rpc_method_handler(functools.partial(self._stream, method))
        carry = self._carry_audited if method in AUDITED_METHODS else self._carry
        behaviour: Callable[[bytes, _Context], Awaitable[bytes]] = functools.partial(
            carry, method, self._answer_of(method)
        )
        return grpc.unary_unary_rpc_method_handler(behaviour)

    @staticmethod
    def _way_of(method: str) -> str:
        _, _, way = _METHODS.get(method, ("", "", "short"))
        return way

    def _answer_of(self, method: str) -> _Answer:
        way = self._way_of(method)
        if way == "checkpoint":
            return self._answer_checkpoint
        if way in {"batch", "list"}:
            return functools.partial(self._answer_batch, way)
        if way in self._turns:
            return functools.partial(self._answer_in_turn, self._turns[way])
        return self._answer

    async def _carry(
        self, method: str, answer: _Answer, request: bytes, context: _Context
    ) -> bytes:
        self._in_flight += 1
        began_s = time.perf_counter()
        code = int(Code.CANCELLED)
        try:
            authorization = _authorization_of(context) if self._asks_for_tokens else None
            code, payload = await _guarded(
                method, answer, request, context.time_remaining(), authorization
            )
        finally:
            # Who has the answer finds it counted.
            self.tally.count(method, code, time.perf_counter() - began_s)
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
        if code == Code.INTERNAL:
            # The bug may have left the graphs half changed: then this was the last call.
            self._look_after()
        if code:
            # gRPC keeps the exception, and that this frame, until the garbage collector comes by:
            # not with all that was sent.
            request = b""
            await _abort(context, code, payload)
        self._hold_until_taken(len(payload), context)
        return payload

    async def _stream(self, method: str, request: bytes, context: _Context) -> None:
        """Answer a call without end; it ends as one that is refused."""
        await self._carry(method, functools.partial(self._watch, context), request, context)

    async def _watch(
        self,
        context: _Context,
        method: str,
        request: bytes,
        _time_left_s: float | None,
        authorization: bytes | None,
    ) -> tuple[int, bytes]:
        if self._engine is None or self._ending.done():
            absence = self._ending.result() if self._ending.done() else self._absence
            return _native.not_serving(absence)
        watch = self._engine.watch(method, request, authorization)
        if isinstance(watch, tuple):
            return watch
        carrying = asyncio.ensure_future(self._watchers.carry(watch, context.write))
        awaited: set[asyncio.Future[Any]] = {carrying, self._ending}
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if carrying.done():
                return carrying.result()
            return _native.not_serving(self._ending.result())
        finally:
            carrying.cancel()
            # gRPC keeps this frame of a call that ended: not with its place.
            del watch, carrying, awaited

    def _end_watchers(self, absence: Absence) -> None:
        if not self._ending.done():
            self._ending.set_result(absence)

    async def _carry_audited(
        self, method: str, answer: _Answer, request: bytes, context: _Context
    ) -> bytes:
        outcome = Code.INTERNAL

        async def told(
            method: str, request: bytes, time_left_s: float | None, authorization: bytes | None
        ) -> tuple[int, bytes]:
            nonlocal outcome
            try:
                code, payload = await answer(method, request, time_left_s, authorization)
            except asyncio.CancelledError:
                outcome = Code.CANCELLED
                raise
            outcome = Code(code)
            return code, payload

        try:
            return await self._carry(method, told, request, context)
        finally:
            self._audit(method, request, context, outcome)

    def _audit(self, method: str, request: bytes, context: _Context, outcome: Code) -> None:
        """Write down who asked for what, and never a value of a request."""
        token = workspace = None
        if self._engine is not None:
            authorization = _authorization_of(context)
            token, workspace = self._engine.audited(method, request, authorization)
        audit(token, workspace, method, context.peer(), outcome.name)

    async def _answer(
        self,
        method: str,
        request: bytes,
        time_left_s: float | None,
        authorization: bytes | None,
    ) -> tuple[int, bytes]:
        writes = method in WRITING_METHODS
        refusal = self._refuse_crowd(method) or self._refuse_at_the_door(request, writes=writes)
        if refusal is not None:
            return refusal
        decided = self._call(method, request, _milliseconds(time_left_s), authorization)
        return await self._when_synced(decided, writes=writes)

    async def _answer_batch(
        self,
        way: str,
        method: str,
        request: bytes,
        time_left_s: float | None,
        authorization: bytes | None,
    ) -> tuple[int, bytes]:
        is_short = way == "batch" and len(request) <= _native.SHORT_BATCH_BYTES_MAX
        if is_short or self._engine is None:
            return await self._answer(method, request, time_left_s, authorization)
        # Nobody is put in the line who may not be.
        refused = self._refuse_caller(method, authorization)
        if refused is not None:
            return refused
        size, engine = len(request), self._engine
        refusal = engine.join_line(size, _milliseconds(time_left_s))
        if refusal is not None:
            return refusal
        leave = functools.partial(engine.leave_line, size)
        return await self._answer_in_turn(
            self._turns["batch"], method, request, time_left_s, authorization, on_end=leave
        )

    async def _answer_in_turn(
        self,
        turns: Turns,
        method: str,
        request: bytes,
        time_left_s: float | None,
        authorization: bytes | None,
        *,
        on_end: Callable[[bool], None] | None = None,
    ) -> tuple[int, bytes]:
        writes = method in WRITING_METHODS
        refusal = self._refuse_at_the_door(request, writes=writes)
        # Nobody waits for the turns of callers who have none.
        refusal = refusal or self._refuse_caller(method, authorization)
        if refusal is not None:
            if on_end is not None:
                on_end(False)
            return refusal
        deadline_s = None if time_left_s is None else time.monotonic() + time_left_s

        def call() -> _Decided:
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            return self._call(method, request, _milliseconds(left_s), authorization)

        return await self._when_synced(await turns.run(call, on_end), writes=writes)

    async def _answer_checkpoint(
        self,
        method: str,
        request: bytes,
        time_left_s: float | None,
        authorization: bytes | None,
    ) -> tuple[int, bytes]:
        if request:
            # The message has no fields. Whatever this is, no other caller shares its answer.
            return await self._answer_in_turn(
                self._turns["compile"], method, request, time_left_s, authorization
            )
        refusal = self._refuse_caller(method, authorization)
        if refusal is not None:
            # The answer is shared: it must not be with one who could not have asked.
            return refusal
        time_left_ms = _milliseconds(time_left_s)
        if time_left_ms is not None and time_left_ms <= 0:
            # Refused without being looked at, so that nothing blocks.
            return self._call(method, request, time_left_ms, authorization)[1:]
        work = functools.partial(self._call, method, request, None, authorization)
        _, code, payload = await self._checkpoint.run(work)
        return code, payload

    async def _when_synced(self, decided: _Decided, *, writes: bool) -> tuple[int, bytes]:
        """Wait for the disk if the answer rests on what is not there yet."""
        position, code, payload = decided
        if position > self._synced():
            if self._engine is None:
                # It went while a thread was in it; nobody would end the waiting.
                return _native.not_serving(self._absence)
            # A write was let in at the door and is decided: it waits however many others do.
            if self._waiters.full and not writes:
                return _native.waiting_calls_full(
                    self._settings.waiting_calls_max, len(self._waiters)
                )
            with self._held(len(payload)):
                synced = await self._waiters.wait(position)
            if not synced:
                return _native.not_serving(self._absence)
        if len(payload) > self._settings.response_bytes_max and not writes:
            return self._response_too_large(payload)
        return code, payload

    @contextlib.contextmanager
    def _held(self, size: int) -> Iterator[None]:
        """Count what is kept for a caller, if it is much."""
        engine = self._engine if size >= _native.HELD_ANSWER_BYTES_MIN else None
        if engine is None:
            yield
            return
        engine.hold(size)
        try:
            yield
        finally:
            engine.release(size)

    def _hold_until_taken(self, size: int, context: _Context) -> None:
        """Count an answer until its caller has read it: one who is slow may never."""
        engine = self._engine if size >= _native.HELD_ANSWER_BYTES_MIN else None
        if engine is None:
            return
        engine.hold(size)

        def taken(_context: object) -> None:
            engine.release(size)

        # The stubs ask for a subclass of theirs.
        context.add_done_callback(cast("Any", taken))

    def _refuse_crowd(self, method: str) -> tuple[int, bytes] | None:
        """Refuse those who come while there are enough in flight; never who administers."""
        bound = self._settings.calls_in_flight_max
        if self._in_flight <= bound or self._engine is None or method not in _CROWDED_METHODS:
            return None
        return self._engine.crowded(self._in_flight, bound)

    def _refuse_at_the_door(self, request: bytes, *, writes: bool) -> tuple[int, bytes] | None:
        """Refuse before anything is decided, while that costs nothing."""
        settings = self._settings
        if len(request) > settings.message_bytes_max:
            return _native.message_too_large(
                "request", "message_bytes_max", settings.message_bytes_max, len(request)
            )
        if self._waiters.full and writes:
            return _native.waiting_calls_full(settings.waiting_calls_max, len(self._waiters))
        return None

    def _refuse_caller(self, method: str, authorization: bytes | None) -> tuple[int, bytes] | None:
        """Refuse one without the token for it, before anything else is done for it."""
        if not self._asks_for_tokens or self._engine is None:
            return None
        return self._engine.check_caller(method, authorization)

    def _response_too_large(self, payload: bytes) -> tuple[int, bytes]:
        """Refuse to send what a read would answer; a write's answer is bound by its request."""
        bound = self._settings.response_bytes_max
        return _native.message_too_large("response", "response_bytes_max", bound, len(payload))

    def _on_wake(self, engine: Engine) -> None:
        # Emptied before `synced` is read: a group that ends in between wakes the loop again.
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_fd, _WAKE_BYTES_MAX)
        self._waiters.release(engine.synced())
        self._watchers.wake()
        if engine.failure() is not None:
            self._look_after()


def _not_serving(absence: Absence) -> _EngineCall:
    code, payload = _native.not_serving(absence)

    def refuse(
        _method: str, _request: bytes, _time_left_ms: int | None, _authorization: bytes | None
    ) -> _Decided:
        return 0, code, payload

    return refuse


def _nothing_synced() -> int:
    return 0


def _milliseconds(time_left_s: float | None) -> int | None:
    return None if time_left_s is None else int(time_left_s * 1_000)


def _authorization_of(context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
    """The metadata `authorization`; what comes more than once is joined, as HTTP has it."""
    sent = [
        value if isinstance(value, bytes) else value.encode(errors="surrogateescape")
        for key, value in context.invocation_metadata() or ()
        if key == _AUTHORIZATION
    ]
    return b", ".join(sent) if sent else None


async def _guarded(
    method: str,
    answer: _Answer,
    request: bytes,
    time_left_s: float | None,
    authorization: bytes | None,
) -> tuple[int, bytes]:
    """Answer, or confess a bug: gRPC would send the text of any exception to the client."""
    try:
        return await answer(method, request, time_left_s, authorization)
    except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 -- a panic of the engine is no `Exception`
        fault = secrets.token_hex(8)
        _log.exception("a call failed", extra={"method": method, "fault": fault})
        return _native.bug(fault)


async def _abort(
    context: grpc.aio.ServicerContext[Any, Any], code: int, payload: bytes
) -> NoReturn:
    message, details = _native.fitted_status(payload)
    await context.abort(_STATUS_CODES[code], message, ((_DETAILS_KEY, details),))
