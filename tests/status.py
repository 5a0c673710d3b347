"""Reads what a refusal carries, from the bare status of a call."""

from __future__ import annotations

from typing import Any, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def error_info(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """The one ErrorInfo of a refusal."""
    infos = []
    for detail in _details(error):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
    assert len(infos) == 1, f"{len(infos)} ErrorInfo in {error}"
    assert infos[0].domain == "ipse"
    return infos[0]


def reason_of(error: grpc.RpcError) -> str:
    """The reason of a refusal."""
    return str(error_info(error).reason)


def retry_delay_s(error: grpc.RpcError) -> int:
    """The whole seconds after which a refused call may be sent again; 0: it does not say."""
    for detail in _details(error):
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return int(retry.retry_delay.seconds)
    return 0


def _details(error: grpc.RpcError) -> list[Any]:
    call = cast("grpc.Call", error)  # what a failed call raises is both
    status = rpc_status.from_call(call)
    assert status is not None, f"{call.code()}: {call.details()} carries no status"
    return list(status.details)
