"""What can go wrong, as exceptions. Knows no transport: importing this never imports grpc.

IpseError                     everything below; carries code, reason, field, metadata
├── Refused                   the caller's request: sending it again unchanged cannot help
│   ├── InvalidArgument         a field, a bound, broken JSON, contradictory rules
│   ├── NotFound                no such workspace, no such profile
│   ├── AlreadyExists           the workspace exists, the event id had another event
│   ├── FailedPrecondition      other rules are in force than believed, history is not kept
│   ├── Unauthenticated         no token that the server knows
│   ├── PermissionDenied        the token's role, workspaces or source do not allow it
│   └── Unimplemented           the server has no such method
├── Failed                    the world: the same request may succeed later
│   ├── Unavailable             recovering, draining, gone, not reachable
│   │   └── LogFailed             the embedded log could not be written or synced: reopen
│   ├── ResourceExhausted       a queue or a bound on size is full; see `retry_delay_s`
│   ├── DeadlineExceeded        no answer in time; a write may still have been made
│   └── OpenError               a data directory cannot be opened
├── InternalError             a bug in the server; its log explains the id in the message
└── ConfigError               a setting is not allowed; `field` names it
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.rpc.status_pb2 import Status

DOMAIN: Final = "ipse"
"""The `domain` of every ErrorInfo that ipse sends."""

_NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})


class Code(IntEnum):
    """The codes of google.rpc.Code, which are those of gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class IpseError(Exception):
    """Anything that ipse raises on purpose.

    `message` says what was wrong, where, and what to do; the other attributes say it to a program.
    """

    code: Code = Code.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: Code | None = None,
        reason: str = "",
        field: str = "",
        metadata: Mapping[str, str] = _NO_METADATA,
        retry_delay_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.reason = reason
        """The name of a value of `ipse.v1.ErrorReason`, or empty if the transport failed."""
        self.field = field
        """The field at fault, for example `event.identifiers[1].value`, or empty."""
        self.metadata = dict(metadata)
        """What the message names, for a program."""
        self.retry_delay_s = retry_delay_s
        """How long the server asks to wait before another attempt; None: it did not ask."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.reason else self.message


class Refused(IpseError):
    """The caller's request is at fault."""


class InvalidArgument(Refused):
    """A field's value, a bound, broken JSON, contradictory rules."""

    code = Code.INVALID_ARGUMENT


class NotFound(Refused):
    """No workspace or profile of that name."""

    code = Code.NOT_FOUND


class AlreadyExists(Refused):
    """The workspace exists, or the event id belongs to another event."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(Refused):
    """The state is not the one that the caller believed."""

    code = Code.FAILED_PRECONDITION


class Unauthenticated(Refused):
    """The server asks for a token, and the one that was sent, if any, is none of its own."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(Refused):
    """The token's role, workspaces or source do not allow the call."""

    code = Code.PERMISSION_DENIED


class Unimplemented(Refused):
    """The server has no such method."""

    code = Code.UNIMPLEMENTED


class Failed(IpseError):
    """The world is at fault."""


class Unavailable(Failed):
    """The server is recovering, draining or not reachable."""

    code = Code.UNAVAILABLE


class LogFailed(Unavailable):
    """The log of an embedded resolver could not be written or synced. Open it again to recover."""


class ResourceExhausted(Failed):
    """A queue or a bound on size is full."""

    code = Code.RESOURCE_EXHAUSTED


class DeadlineExceeded(Failed):
    """No answer came in time. A write may still have been made; resolving again is harmless."""

    code = Code.DEADLINE_EXCEEDED


class OpenError(Failed):
    """A data directory cannot be opened; the message names file and byte and says what to do."""

    code = Code.UNAVAILABLE


class InternalError(IpseError):
    """A bug. The server's log explains the id in the message."""

    code = Code.INTERNAL


class ConfigError(IpseError):
    """A setting is not allowed; `field` is its name."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", field=field)


_CODES: Final = {int(code): code for code in Code}
_BY_CODE: Final[Mapping[Code, type[IpseError]]] = {
    # Callers cannot cancel through our clients: a server that goes away ended the call.
    Code.CANCELLED: Unavailable,
    Code.INVALID_ARGUMENT: InvalidArgument,
    Code.OUT_OF_RANGE: InvalidArgument,
    Code.NOT_FOUND: NotFound,
    Code.ALREADY_EXISTS: AlreadyExists,
    Code.FAILED_PRECONDITION: FailedPrecondition,
    Code.UNAUTHENTICATED: Unauthenticated,
    Code.PERMISSION_DENIED: PermissionDenied,
    Code.UNIMPLEMENTED: Unimplemented,
    Code.UNAVAILABLE: Unavailable,
    Code.RESOURCE_EXHAUSTED: ResourceExhausted,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.INTERNAL: InternalError,
}


def from_code(code: int, message: str) -> IpseError:
    """Make the exception of a status without details: the transport sent it, not ipse."""
    known = _CODES.get(code, Code.UNKNOWN)
    return _BY_CODE.get(known, IpseError)(message, code=known)


def from_status_bytes(payload: bytes) -> IpseError:
    """Make the exception of a serialised google.rpc.Status."""
    from google.rpc.status_pb2 import Status

    return from_status(Status.FromString(payload))


def from_status(status: Status) -> IpseError:
    """Make the exception of a google.rpc.Status, with all that its details say."""
    from google.rpc.error_details_pb2 import (
        BadRequest,
        ErrorInfo,
        RetryInfo,
    )

    error = from_code(status.code, status.message)
    info, request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            error.reason = info.reason
            error.metadata = dict(info.metadata)
        elif detail.Unpack(request) and request.field_violations:
            error.field = request.field_violations[0].field
        elif detail.Unpack(retry):
            error.retry_delay_s = retry.retry_delay.ToTimedelta().total_seconds()
    return error
