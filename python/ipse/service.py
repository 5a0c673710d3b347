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

from ipse import _native, _status
from ipse._calls import ADMIN, IDENTITY
from ipse._tally import Tally
from ipse._threads import Shared, Turns
from ipse._waiters import SyncWaiters
from ipse.errors import Code
from ipse.telemetry import AUDIT_LOGGER
from ipse.v1 import admin_pb2, identity_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ipse._native import Engine
    from ipse.settings import ServerSettings

    _Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]
    _Answer: TypeAlias = Callable[
        [str, bytes, float | None, bytes | None], Awaitable[tuple[int, bytes]]
    ]
    _Decided: TypeAlias = tuple[int, int, bytes]
    _EngineCall: TypeAlias = Callable[[str, bytes, int | None, bytes | None], _Decided]

BACKUP_METHOD: Final = f"/{ADMIN}/Backup"
CHECKPOINT_METHOD: Final = f"/{ADMIN}/Checkpoint"
LIST_METHOD: Final = f"/{IDENTITY}/ListProfiles"
# How long these take is up to the patterns in the rules that they are sent.
COMPILING_METHODS: Final = frozenset(
    {f"/{ADMIN}/CreateWorkspace", f"/{ADMIN}/SetRules", f"/{ADMIN}/ValidateRules"}
)
# What their requests ask for may be long, and the engine works on it in turns: beside the loop the
# loop's own calls get in between.
BATCH_METHODS: Final = frozenset(
    f"/{IDENTITY}/{name}"
    for name in (
        "ResolveEvents",
        "BatchGetProfiles",
        "TranslateIdentities",
        "ListProfiles",
        "ImportProfiles",
    )
)
# They read files: the log, or the register of backups for a receipt.
READING_METHODS: Final = frozenset(
    {
        f"/{IDENTITY}/ExportPerson",
        f"/{IDENTITY}/DeleteProfile",
        f"/{IDENTITY}/ForgetIdentifier",
        f"/{ADMIN}/DeleteWorkspace",
    }
)
_METHODS: Final = {
    f"/{service.full_name}/{method.name}": method
    for service in (
        identity_pb2.DESCRIPTOR.services_by_name["IdentityService"],
        admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
    )
    for method in service.methods
}
# Every write can be tried with `read_only`, except the making of a workspace.
WRITING_METHODS: Final = frozenset(
    name for name, method in _METHODS.items() if "read_only" in method.input_type.fields_by_name
) | {f"/{ADMIN}/CreateWorkspace"}

_IDENTITY_METHODS: Final = frozenset(name for name in _METHODS if name.startswith(f"/{IDENTITY}/"))
AUDITED_METHODS: Final = frozenset(name for name, role in _native.methods() if role == "admin")

_PREFIX: Final = "/ipse.v1."
_AUTHORIZATION: Final = "authorization"
_RECOVERING: Final = "it is recovering"
_SHUTTING_DOWN: Final = "it is shutting down"
_FAILED: Final = "it has failed and is stopping; it recovers at its next start"
_WAKE_BYTES_MAX: Final = 65_536
_SHORT_BATCH_BYTES_MAX: Final = 1_024
# What is smaller is bounded by how many calls there may be.
_HELD_ANSWER_BYTES_MIN: Final = 64 * 1_024
_STATUS_CODES: Final = {int(code.value[0]): code for code in grpc.StatusCode}

_log = logging.getLogger("ipse.service")
_audit_log = logging.getLogger(AUDIT_LOGGER)


class Service(grpc.GenericRpcHandler):
    """All methods of `ipse.v1`. Not serving until `attach`, and not again after `detach`.

    Belongs to the event loop that makes it. `on_failure` is called with the reason when the
    engine cannot go on, after every waiting call was told.
    """

    def __init__(self, settings: ServerSettings, on_failure: Callable[[str], None]) -> None:
        self._settings = settings
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._waiters = SyncWaiters(self._loop, settings.waiting_calls_max)
        self._engine: Engine | None = None
        # Without tokens nobody looks at the metadata of a call.
        self._asks_for_tokens = bool(settings.tokens)
        # What carries a call is the state: no call asks whether there is an engine.
        self._call: _EngineCall = _not_serving(_RECOVERING)
        self._synced: Callable[[], int] = _nothing_synced
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        self._gone = ""
        self.tally = Tally(frozenset(_METHODS))
        """What was answered."""
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._compiling = Turns("rules")
        self._batches = Turns("batch")
        self._reading = Turns("export")
        self._backups = Turns("backup")
        self._checkpoint: Shared[_Decided] = Shared("checkpoint")

    def attach(self, engine: Engine) -> None:
        """Begin to serve."""
        self._engine = engine
        self._loop.add_reader(engine.wake_fd(), self._on_wake, engine)
        self._synced = engine.synced
        self._call = engine.call

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls and wait for those in flight, but not longer than this."""
        self._call = _not_serving(_SHUTTING_DOWN)
        self._idle.clear()
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), grace_s)

    def detach(self, why: str = _SHUTTING_DOWN) -> None:
        """Stop to serve; calls that still wait are told so."""
        self._gone = why
        self._call = _not_serving(why)
        self._synced = _nothing_synced
        if self._engine is not None:
            self._loop.remove_reader(self._engine.wake_fd())
            self._engine = None
        self._waiters.fail()

    def look_after_engine(self) -> None:
        """Log the bugs that callers know only the ids of, and stop if the engine cannot go on."""
        if self._engine is None:
            return
        for fault, text in self._engine.take_faults():
            _log.error("a bug", extra={"fault": fault, "text": text})
        failure = self._engine.failure()
        if failure is not None:
            self.fail(failure)

    def fail(self, reason: str) -> None:
        """Stop to serve because the engine cannot go on."""
        self.detach(_FAILED)
        self._on_failure(reason)

    async def check_caller(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """End a call that is not the engine's to answer, if its caller has no token."""
        if not self._asks_for_tokens:
            return
        if self._engine is None:
            refusal: tuple[int, bytes] | None = _status.not_serving(self._gone or _RECOVERING)
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
        carry = self._carry_audited if method in AUDITED_METHODS else self._carry
        behaviour: Callable[[bytes, _Context], Awaitable[bytes]] = functools.partial(
            carry, method, self._answer_of(method)
        )
        return grpc.unary_unary_rpc_method_handler(behaviour)

    def _answer_of(self, method: str) -> _Answer:
        if method == CHECKPOINT_METHOD:
            return self._answer_checkpoint
        if method in READING_METHODS:
            return functools.partial(self._answer_in_turn, self._reading)
        if method == BACKUP_METHOD:
            return functools.partial(self._answer_in_turn, self._backups)
        if method in COMPILING_METHODS:
            return functools.partial(self._answer_in_turn, self._compiling)
        if method in BATCH_METHODS:
            return self._answer_batch
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
            if code == Code.INTERNAL:
                # The bug may have left the graphs half changed: then this was the last call.
                self.look_after_engine()
            if code:
                # gRPC keeps the exception, and that this frame, until the garbage collector comes
                # by: not with all that was sent.
                request = b""
                await _abort(context, code, payload)
            self._hold_until_taken(len(payload), context)
            return payload
        finally:
            self.tally.count(method, code, time.perf_counter() - began_s)
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

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
        who = {"token": token, "peer": context.peer(), "method": method, "workspace": workspace}
        _audit_log.info("admin call", extra={**who, "outcome": outcome.name})

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
        method: str,
        request: bytes,
        time_left_s: float | None,
        authorization: bytes | None,
    ) -> tuple[int, bytes]:
        # A thread costs more than a batch of a few. How long a list is its request does not say.
        if len(request) <= _SHORT_BATCH_BYTES_MAX and method != LIST_METHOD:
            return await self._answer(method, request, time_left_s, authorization)
        if self._engine is None:
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
            self._batches, method, request, time_left_s, authorization, on_end=leave
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
                self._compiling, method, request, time_left_s, authorization
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
                return _status.not_serving(self._gone)
            # A write was let in at the door and is decided: it waits however many others do.
            if self._waiters.full and not writes:
                return _status.queue_full(self._settings.waiting_calls_max, len(self._waiters))
            with self._held(len(payload)):
                synced = await self._waiters.wait(position)
            if not synced:
                return _status.not_serving(self._gone)
        if len(payload) > self._settings.response_bytes_max and not writes:
            return self._response_too_large(payload)
        return code, payload

    @contextlib.contextmanager
    def _held(self, size: int) -> Iterator[None]:
        """Count what is kept for a caller, if it is much."""
        engine = self._engine if size >= _HELD_ANSWER_BYTES_MIN else None
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
        engine = self._engine if size >= _HELD_ANSWER_BYTES_MIN else None
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
        if self._in_flight <= bound or self._engine is None or method not in _IDENTITY_METHODS:
            return None
        return self._engine.crowded(self._in_flight, bound)

    def _refuse_at_the_door(self, request: bytes, *, writes: bool) -> tuple[int, bytes] | None:
        """Refuse before anything is decided, while that costs nothing."""
        settings = self._settings
        if len(request) > settings.message_bytes_max:
            return _status.too_large(
                "request", "message_bytes_max", settings.message_bytes_max, len(request)
            )
        if self._waiters.full and writes:
            return _status.queue_full(settings.waiting_calls_max, len(self._waiters))
        return None

    def _refuse_caller(self, method: str, authorization: bytes | None) -> tuple[int, bytes] | None:
        """Refuse one without the token for it, before anything else is done for it."""
        if not self._asks_for_tokens or self._engine is None:
            return None
        return self._engine.check_caller(method, authorization)

    def _response_too_large(self, payload: bytes) -> tuple[int, bytes]:
        """Refuse to send what a read would answer; a write's answer is bound by its request."""
        bound = self._settings.response_bytes_max
        return _status.too_large("response", "response_bytes_max", bound, len(payload))

    def _on_wake(self, engine: Engine) -> None:
        # Emptied before `synced` is read: a group that ends in between wakes the loop again.
        with contextlib.suppress(BlockingIOError):
            os.read(engine.wake_fd(), _WAKE_BYTES_MAX)
        self._waiters.release(engine.synced())
        failure = engine.failure()
        if failure is not None:
            self.fail(failure)


def _not_serving(why: str) -> _EngineCall:
    code, payload = _status.not_serving(why)

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
        return _status.internal(fault)


async def _abort(
    context: grpc.aio.ServicerContext[Any, Any], code: int, payload: bytes
) -> NoReturn:
    message, details = _status.message_of(payload)
    await context.abort(_STATUS_CODES[code], message, ((_status.DETAILS_KEY, details),))
