"""Reads what a refusal carries, from the bare status of a call."""

from __future__ import annotations

from typing import cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def error_info(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """The one ErrorInfo of a refusal."""
    call = cast("grpc.Call", error)  # what a failed call raises is both
    status = rpc_status.from_call(call)
    assert status is not None, f"{call.code()}: {call.details()} carries no status"
    infos = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
    assert len(infos) == 1, f"{len(infos)} ErrorInfo in {status}"
    assert infos[0].domain == "ipse"
    return infos[0]


def reason_of(error: grpc.RpcError) -> str:
    """The reason of a refusal."""
    return str(error_info(error).reason)
