"""Refusals that the server makes itself, as serialised google.rpc.Status; and how one is sent.

The engine makes all others, and for one reason both say the same things under the same keys.
Everything that leaves here has one ErrorInfo with a reason of `ipse.v1.ErrorReason`, and no text
that an exception wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import (
    BadRequest,
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

QUEUE_FULL_RETRY_MS: Final = 100
"""A few commit groups of a slow disk. The engine asks for as much when its own queue is full."""


def not_serving(why: str) -> tuple[int, bytes]:
    """Refuse because the engine is not there: recovering, draining, or its log failed."""
    return _refusal(Code.UNAVAILABLE, "NOT_SERVING", f"the server is not serving: {why}")


def queue_full(bound: int, found: int) -> tuple[int, bytes]:
    """Refuse because too many calls, `waiting_calls_max`, wait for the disk."""
    return _refusal(
        Code.RESOURCE_EXHAUSTED,
        "WRITE_QUEUE_FULL",
        f"{found} calls wait for the disk, waiting_calls_max = {bound}: try again after the delay",
        metadata={"limit": "waiting_calls_max", "bound": str(bound), "found": str(found)},
        retry_ms=QUEUE_FULL_RETRY_MS,
    )


def too_large(what: str, limit: str, bound: int, found: int) -> tuple[int, bytes]:
    """Refuse because a request or response has more bytes than the setting `limit` allows."""
    problem = f"{found} bytes, at most {limit} = {bound} are allowed: ask for less at a time"
    return _refusal(
        Code.INVALID_ARGUMENT,
        "LIMIT_EXCEEDED",
        f"{what}: {problem}",
        metadata={"limit": limit, "bound": str(bound), "found": str(found)},
        violation=BadRequest.FieldViolation(field=what, description=problem),
    )


def internal(fault: str) -> tuple[int, bytes]:
    """Confess a bug; the server's log explains the id."""
    return _refusal(
        Code.INTERNAL,
        "INTERNAL",
        f"a bug was met; the server's log explains it under {fault}",
        metadata={"id": fault},
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
    violation: BadRequest.FieldViolation | None = None,
    retry_ms: int | None = None,
) -> tuple[int, bytes]:
    details: list[Message] = [ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)]
    if violation is not None:
        details.append(BadRequest(field_violations=[violation]))
    if retry_ms is not None:
        details.append(RetryInfo(retry_delay=Duration(nanos=retry_ms * 1_000_000)))
    status = Status(code=code, message=message, details=map(_packed, details))
    return int(code), status.SerializeToString()


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
