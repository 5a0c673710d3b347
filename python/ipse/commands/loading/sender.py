"""Sends batches in the order of the file and waits out a server that is away.

Order matters: two events of one person may decide differently the other way round. gRPC promises
no order between calls in flight, so by default the next batch is sent only when the one before
it is answered; reading the file and recording answers go on meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic

import grpc

from ipse._transport import Way, error_of
from ipse.commands import CommandError
from ipse.commands.loading.wire import BatchT, ResponseT, Wire

_CALL_TIMEOUT_S = 60.0
_PAUSE_S_MIN = 0.05
_PAUSE_S_MAX = 2.0
# A deadline that passed says nothing about the write; sending again is harmless, see `Sender`.
_RETRIED = (
    grpc.StatusCode.UNAVAILABLE,
    # Nobody here cancels a call: a server that stops does.
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
_RETRIED_REASONS = (
    "WRITE_QUEUE_FULL",
    "STORAGE_FULL",
    "NOT_SERVING",
    "DEADLINE_EXCEEDED",
)
_RESPONSE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(slots=True)
class Answered(Generic[BatchT, ResponseT]):
    """A batch and the result of each of its items."""

    batch: BatchT
    response: ResponseT


@dataclass(slots=True)
class _Sent(Generic[BatchT]):
    batch: BatchT
    request: bytes
    # None if the batch is empty: it has only lines that cannot be sent.
    call: Future[bytes] | None


class Sender(Generic[BatchT, ResponseT]):
    """One connection, at most `in_flight` batches on it.

    A batch that got no answer is sent again as it was: an event that comes again by its message
    id gets its recorded answer, and one without an id teaches nothing the second time; a profile
    that is imported again by its former id is there already.
    """

    def __init__(
        self, wire: Wire[BatchT, ResponseT], way: Way, in_flight: int, retry_s: float
    ) -> None:
        self._wire = wire
        self._address = way.address
        self._metadata = way.metadata
        self._in_flight = in_flight
        self._retry_s = retry_s
        options = [
            ("grpc.max_receive_message_length", _RESPONSE_BYTES_MAX),
            # Without these a restarted server is found again only after many seconds.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.enable_retries", 0),
        ]
        self._channel = way.channel(options)
        self._call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            wire.method
        )
        # gRPC's own futures begin a thread for each call; these threads stay.
        self._callers = ThreadPoolExecutor(in_flight, "ipse-load")
        self._sent: deque[_Sent[BatchT]] = deque()
        self.retries = 0

    def send(self, batch: BatchT) -> Answered[BatchT, ResponseT] | None:
        """Sends the batch; first waits for the oldest one and returns it, if the flight is full.

        The wait comes before, so that the caller records an answer while the next batch is away.
        """
        answered = self._wait() if len(self._sent) >= self._in_flight else None
        request = self._wire.encode(batch)
        call = None if batch.is_empty else self._start(request)
        self._sent.append(_Sent(batch, request, call))
        return answered

    def drain(self) -> Iterator[Answered[BatchT, ResponseT]]:
        """The batches that are still in flight, in order; none after a failure."""
        while self._sent:
            yield self._wait()

    def close(self) -> None:
        """Ends the connection; what is in flight is given up."""
        self._channel.close()
        self._callers.shutdown()

    def _wait(self) -> Answered[BatchT, ResponseT]:
        sent = self._sent.popleft()
        try:
            return Answered(sent.batch, self._response(sent))
        except BaseException:
            # What is in flight behind this batch must not count as loaded: order would be lost.
            self._sent.clear()
            raise

    def _response(self, sent: _Sent[BatchT]) -> ResponseT:
        pause_s, give_up = _PAUSE_S_MIN, None
        while True:
            asked_s = 0.0
            try:
                payload = b"" if sent.call is None else sent.call.result()
            except grpc.RpcError as failure:
                trouble = self._trouble(failure)
                # A server with too much to do says when it will have caught up.
                asked_s = error_of(failure).retry_delay_s or 0.0
            else:
                response = self._wire.parse(payload)
                trouble = _refused_for_now(self._wire.refusals(response))
                if not trouble:
                    return response
            give_up = give_up or time.monotonic() + self._retry_s
            pause_s = max(pause_s, asked_s)
            if time.monotonic() + pause_s > give_up:
                refused = f"{self._address} did not take {self._wire.items}"
                raise CommandError(
                    f"{refused} for {self._retry_s:g} s ({trouble}); "
                    "start the server, then run the same command again to continue"
                )
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_S_MAX)
            self.retries += 1
            sent.call = self._start(sent.request)

    def _start(self, request: bytes) -> Future[bytes]:
        return self._callers.submit(
            self._call, request, timeout=_CALL_TIMEOUT_S, metadata=self._metadata
        )

    def _trouble(self, failure: grpc.RpcError) -> str:
        """What the server or the way to it suffers from; raises if waiting cannot help."""
        code, text = failure.code(), " ".join((failure.details() or "").split())
        if code in _RETRIED:
            return f"{code.name}: {text}"
        raise CommandError(f"{self._address} refused the load with {code.name}: {text}")


def _refused_for_now(refusals: Iterable[tuple[str, str]]) -> str:
    """Why an item has to be sent again; empty if all are answered for good."""
    passing = (refusal for refusal in refusals if refusal[0] in _RETRIED_REASONS)
    return next((f"{reason}: {message}" for reason, message in passing), "")
