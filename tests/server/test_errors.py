"""Exceptions: one for each code, with all that a status says."""

from __future__ import annotations

import ipse
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from ipse import _native, errors
from ipse.errors import Code

KINDS = {
    Code.INVALID_ARGUMENT: ipse.InvalidArgument,
    Code.NOT_FOUND: ipse.NotFound,
    Code.ALREADY_EXISTS: ipse.AlreadyExists,
    Code.FAILED_PRECONDITION: ipse.FailedPrecondition,
    Code.UNIMPLEMENTED: ipse.Unimplemented,
    Code.UNAVAILABLE: ipse.Unavailable,
    Code.CANCELLED: ipse.Unavailable,
    Code.RESOURCE_EXHAUSTED: ipse.ResourceExhausted,
    Code.DEADLINE_EXCEEDED: ipse.DeadlineExceeded,
    Code.INTERNAL: ipse.InternalError,
}


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
def test_each_code_has_its_exception(code: Code, kind: type[ipse.IpseError]) -> None:
    error = errors.from_code(code, "what was wrong")
    assert type(error) is kind
    assert error.code is code


def test_a_code_without_an_exception_of_its_own_is_still_ours() -> None:
    error = errors.from_code(Code.DATA_LOSS, "damaged")
    assert type(error) is ipse.IpseError
    assert error.code is Code.DATA_LOSS
    assert errors.from_code(99, "?").code is Code.UNKNOWN


def test_a_refusal_and_a_failure_are_told_apart() -> None:
    assert issubclass(ipse.NotFound, ipse.Refused)
    assert issubclass(ipse.Unavailable, ipse.Failed)
    assert not issubclass(ipse.InternalError, (ipse.Refused, ipse.Failed))


def test_a_status_gives_reason_field_metadata_and_delay() -> None:
    violation = BadRequest.FieldViolation(field="event.timestamp", description="too new")
    error = errors.from_status_bytes(
        _status_bytes(
            Code.INVALID_ARGUMENT,
            ErrorInfo(reason="INVALID_FIELD", domain="ipse", metadata={"bound": "7"}),
            BadRequest(field_violations=[violation]),
            RetryInfo(retry_delay=Duration(nanos=50_000_000)),
        )
    )
    assert error.reason == "INVALID_FIELD"
    assert error.metadata == {"bound": "7"}
    assert error.field == "event.timestamp"
    assert error.retry_delay_s == 0.05
    assert str(error) == "INVALID_FIELD: what was wrong"


@pytest.mark.parametrize(
    ("refusal", "code", "reason"),
    [
        (_native.not_serving("recovering"), Code.UNAVAILABLE, "NOT_SERVING"),
        (_native.waiting_calls_full(7, 8), Code.RESOURCE_EXHAUSTED, "WRITE_QUEUE_FULL"),
        (
            _native.message_too_large("request", "b_max", 1, 2),
            Code.INVALID_ARGUMENT,
            "LIMIT_EXCEEDED",
        ),
        (_native.bug("4711"), Code.INTERNAL, "INTERNAL"),
    ],
)
def test_what_the_server_refuses_itself_reads_like_the_engines_refusals(
    refusal: tuple[int, bytes], code: Code, reason: str
) -> None:
    error = errors.from_status_bytes(refusal[1])
    assert refusal[0] == code == error.code
    assert error.reason == reason
    for value in error.metadata.values():
        assert value in error.message
    assert (error.retry_delay_s is not None) == (reason == "WRITE_QUEUE_FULL")


def test_a_bound_is_named_with_the_keys_that_the_engine_uses() -> None:
    for _, payload in (
        _native.waiting_calls_full(7, 8),
        _native.message_too_large("request", "b_max", 7, 8),
    ):
        error = errors.from_status_bytes(payload)
        assert (error.metadata["bound"], error.metadata["found"]) == ("7", "8")


def test_a_status_is_cut_to_what_metadata_carries_and_keeps_its_reason() -> None:
    violations = [
        BadRequest.FieldViolation(field=f"rules[{line}]", description="wrong " * 20)
        for line in range(500)
    ]
    info = ErrorInfo(reason="INVALID_RULES", domain="ipse")
    payload = _status_bytes(Code.INVALID_ARGUMENT, info, BadRequest(field_violations=violations))
    message, details = _native.fitted_status(payload)
    assert message == "what was wrong"
    assert len(details) < 4_096
    assert errors.from_status_bytes(details).reason == "INVALID_RULES"


def test_a_status_that_fits_is_sent_as_it_is() -> None:
    _, payload = _native.bug("4711")
    assert _native.fitted_status(payload)[1] == payload


def _status_bytes(code: Code, *details: Message) -> bytes:
    packed = []
    for detail in details:
        packed.append(Any())
        packed[-1].Pack(detail)
    status = Status(code=int(code), message="what was wrong", details=packed)
    return bytes(status.SerializeToString())
