"""The blocking client of a server. Knows messages and gRPC, never the engine."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, TypeVar

import grpc
from grpc_health.v1 import health_pb2

from ipse import _transport, _watch
from ipse._sync import SyncCalls
from ipse.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from ipse._calls import Call
    from ipse.model import ChangeKind, WatchedChanges

T = TypeVar("T")


class Client(SyncCalls):
    """One connection to a server; may be shared by threads. Close it, or use `with`.

    `timeout_s` bounds each call, retries included; a checkpoint or a backup gets longer. `tls`:
    True, or a Tls, encrypts; `token` is what `ipse token create` printed, if None that of the
    environment's IPSE_TOKEN. A token goes to another machine only encrypted, or with `tls=False`.
    """

    __slots__ = ("_channel", "_metadata", "_methods", "_timeout_s")

    def __init__(
        self,
        address: str = _transport.DEFAULT_ADDRESS,
        *,
        timeout_s: float = _transport.DEFAULT_TIMEOUT_S,
        tls: _transport.Tls | bool | None = None,
        token: str | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        way = _transport.Way(address, tls=tls, token=token)
        self._metadata = way.metadata
        self._channel = way.channel(_transport.CHANNEL_OPTIONS)
        self._methods: dict[str, grpc.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        self._channel.close()

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the server takes writes; DeadlineExceeded if it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not self._follow_health(max(deadline - time.monotonic(), 0)):
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"the server was not ready within {timeout_s:g} s")

    def watch_changes(
        self,
        after_sequence_number: int | None = None,
        *,
        workspace: str = "",
        kinds: Iterable[ChangeKind | str] = (),
        namespaces: Iterable[str] = (),
        heartbeat_s: int = 0,
        resume: bool = True,
    ) -> Iterator[WatchedChanges]:
        """Follow what changes in a workspace: what each record changed, in order, without end.

        After a number (0: from the beginning), else from now on; `kinds` and `namespaces` say of
        which changes and of whose identifiers, empty: of all. What comes first says where it
        begins, and what has no records that nothing was to tell for `heartbeat_s` (0: 15 s). Keep
        its `sequence_number` with what you made of it, and go on after that another time: nothing
        is passed over. With `resume` a server that is away is waited for, once it has answered.
        FailedPrecondition if a record is kept no longer. One who takes nothing for a minute while
        there is something to take is called again, too, or gets ResourceExhausted.
        """
        watching = _watch.Watching(
            after_sequence_number,
            workspace,
            kinds,
            namespaces,
            heartbeat_s=heartbeat_s,
            resume=resume,
        )
        stream: grpc.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            _watch.METHOD
        )
        while True:
            messages = stream(watching.request(), metadata=self._metadata)
            try:
                yield from map(watching.read, messages)
            except grpc.RpcError as failure:
                time.sleep(watching.pause_s(_transport.error_of(failure)))
            finally:
                messages.cancel()

    def _follow_health(self, timeout_s: float) -> bool:
        """Follow the server's health until it is ready, or the stream ends without that."""
        watch: grpc.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            _transport.HEALTH_WATCH
        )
        request = health_pb2.HealthCheckRequest(service=_transport.READY_SERVICE)
        statuses = watch(request.SerializeToString(), timeout=timeout_s, wait_for_ready=True)
        try:
            for payload in statuses:
                status = health_pb2.HealthCheckResponse.FromString(payload).status
                if status == health_pb2.HealthCheckResponse.SERVING:
                    return True
        except grpc.RpcError as failure:
            if not _transport.is_passing(failure):
                raise _transport.error_of(failure) from None
        finally:
            statuses.cancel()
        return False

    def _carry(self, call: Call[T]) -> T:
        request = call.request.SerializeToString()
        deadline = time.monotonic() + (call.timeout_s or self._timeout_s)
        for attempt in itertools.count(1):
            time_left_s = deadline - time.monotonic()
            try:
                payload = self._method(call.method)(
                    request, timeout=time_left_s, metadata=self._metadata
                )
            except grpc.RpcError as failure:
                error = _transport.error_of(failure)
                pause_s = _transport.pause_s(error, attempt, deadline - time.monotonic())
                if pause_s is None:
                    raise error from None
                time.sleep(pause_s)
            else:
                return call.parse(payload)
        raise AssertionError("attempts are counted without end")

    def _method(self, name: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        method = self._methods.get(name)
        if method is None:
            method = self._methods[name] = self._channel.unary_unary(name)
        return method
