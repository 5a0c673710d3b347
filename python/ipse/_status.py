"""Refusals that the server makes itself, as serialised google.rpc.Status; and how one is sent.

The engine makes all others. Everything that leaves here has one ErrorInfo with a reason of
`ipse.v1.ErrorReason`, and no text that an exception wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import (
    ErrorInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from ipse.errors import DOMAIN, Code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

DETAILS_KEY: Final = "grpc-status-details-bin"

# A stock client refuses more than 8 KiB of metadata, and then its user sees neither code nor
# reason. Message and details travel in it both, the details in base64.
_MESSAGE_CHARACTERS_MAX: Final = 1_000
_DETAILS_BYTES_MAX: Final = 4_096

QUEUE_FULL_RETRY_MS: Final = 50
"""About what a slow disk needs for one commit group."""


def not_serving(why: str) -> tuple[int, bytes]:
    """Refuse because the engine is not there: recovering, draining, or its log failed."""
    return _refusal(Code.UNAVAILABLE, "NOT_SERVING", f"the server is not serving: {why}")


def queue_full(waiting_calls_max: int) -> tuple[int, bytes]:
    """Refuse because too many calls wait for the disk."""
    return _refusal(
        Code.RESOURCE_EXHAUSTED,
        "WRITE_QUEUE_FULL",
        f"waiting_calls_max = {waiting_calls_max} calls wait for the disk; retry after the delay",
        metadata={"limit": "waiting_calls_max", "maximum": str(waiting_calls_max)},
        retry_ms=QUEUE_FULL_RETRY_MS,
    )


def too_large(what: str, limit: str, maximum: int, actual: int) -> tuple[int, bytes]:
    """Refuse because a request or response has more bytes than a bound allows."""
    return _refusal(
        Code.INVALID_ARGUMENT,
        "LIMIT_EXCEEDED",
        f"the {what} has {actual} bytes, more than {limit} = {maximum}; ask for less at a time",
        metadata={"limit": limit, "maximum": str(maximum), "actual": str(actual)},
    )


def internal(incident: str) -> tuple[int, bytes]:
    """Confess a bug; the server's log explains the id."""
    return _refusal(
        Code.INTERNAL,
        "INTERNAL",
        f"an internal error; the server's log has it under the id {incident}",
        metadata={"id": incident},
    )


def message_of(payload: bytes) -> tuple[str, bytes]:
    """Read the message of a Status, and cut both to what fits into metadata."""
    status = Status.FromString(payload)
    if len(payload) <= _DETAILS_BYTES_MAX and len(status.message) <= _MESSAGE_CHARACTERS_MAX:
        return status.message, payload
    status.message = status.message[:_MESSAGE_CHARACTERS_MAX]
    while status.ByteSize() > _DETAILS_BYTES_MAX and len(status.details) > 1:
        # ErrorInfo comes first: a program needs the reason more than every violation.
        del status.details[-1]
    return status.message, status.SerializeToString()


def _refusal(
    code: Code,
    reason: str,
    message: str,
    *,
    metadata: Mapping[str, str] | None = None,
    retry_ms: int | None = None,
) -> tuple[int, bytes]:
    details: list[Message] = [ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)]
    if retry_ms is not None:
        details.append(RetryInfo(retry_delay=Duration(nanos=retry_ms * 1_000_000)))
    status = Status(code=code, message=message, details=map(_packed, details))
    return int(code), status.SerializeToString()


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
