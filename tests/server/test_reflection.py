"""Reflection under both names, so that tools can list, describe and call what this server has."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("transport")

PACKAGES = ("grpc.reflection.v1alpha", "grpc.reflection.v1")


@pytest.mark.parametrize("package", PACKAGES)
def test_services_are_listed(server: ServerProcess, package: str) -> None:
    (answer,) = _ask(server, package, ServerReflectionRequest(list_services=""))
    names = [service.name for service in answer.list_services_response.service]
    assert sorted(names) == sorted(
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "ipse.v1.AdminService",
            "ipse.v1.HistoryService",
            "ipse.v1.IdentityService",
        ]
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_listed_service_is_described(server: ServerProcess, package: str) -> None:
    (listed,) = _ask(server, package, ServerReflectionRequest(list_services=""))
    for service in listed.list_services_response.service:
        (answer,) = _ask(
            server, package, ServerReflectionRequest(file_containing_symbol=service.name)
        )
        parent, _, name = service.name.rpartition(".")
        assert (parent, name) in _services(answer)


def test_the_details_of_a_status_are_described(server: ServerProcess) -> None:
    request = ServerReflectionRequest(file_containing_symbol="google.rpc.ErrorInfo")
    (answer,) = _ask(server, PACKAGES[0], request)
    assert answer.HasField("file_descriptor_response")


def test_it_can_be_turned_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    data_dir = tmp_path_factory.mktemp("silent") / "data"
    with (
        ServerProcess(data_dir, ["--no-reflection"]) as silent,
        pytest.raises(grpc.RpcError) as caught,
    ):
        _ask(silent, PACKAGES[0], ServerReflectionRequest(list_services=""))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def _ask(
    server: ServerProcess, package: str, *requests: ServerReflectionRequest
) -> list[ServerReflectionResponse]:
    assert server.channel is not None
    ask = server.channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    return list(ask(iter(requests), timeout=10))


def _services(answer: ServerReflectionResponse) -> Iterator[tuple[str, str]]:
    for text in answer.file_descriptor_response.file_descriptor_proto:
        file = FileDescriptorProto.FromString(text)
        yield from ((file.package, service.name) for service in file.service)
