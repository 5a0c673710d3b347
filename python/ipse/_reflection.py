"""gRPC reflection under both of its names: `grpc.reflection.v1alpha` and `grpc.reflection.v1`.

The two are one protocol; the library offers only the older name. The newer one's descriptor is
the older one's under another package, so that tools can describe the service that they talk to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

# Imported for their descriptors, which reflection finds in the default pool: the errors are in
# no service's signature, and tools decode the details of a status with them.
from google.rpc import error_details_pb2  # isort: skip
from ipse.v1 import admin_pb2, errors_pb2, history_pb2, identity_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    _Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_V1ALPHA: Final = "grpc.reflection.v1alpha"
_V1: Final = "grpc.reflection.v1"
_V1_FILE: Final = "grpc/reflection/v1/reflection.proto"
_SERVICE: Final = "ServerReflection"
_METHOD: Final = "ServerReflectionInfo"


def services() -> list[str]:
    """List the services that this server shows."""
    return [
        identity_pb2.DESCRIPTOR.services_by_name["IdentityService"].full_name,
        admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name,
        history_pb2.DESCRIPTOR.services_by_name["HistoryService"].full_name,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        f"{_V1ALPHA}.{_SERVICE}",
        f"{_V1}.{_SERVICE}",
    ]


def handlers(
    check_caller: Callable[[_Context], Awaitable[None]],
) -> Iterable[grpc.GenericRpcHandler]:
    """Make the handlers of both names around one servicer; `check_caller` ends calls it refuses."""
    _describe_v1()
    servicer = reflection.aio.ReflectionServicer(services())

    async def answers(requests: AsyncIterator[Any], context: _Context) -> AsyncIterator[Any]:
        await check_caller(context)
        async for answer in servicer.ServerReflectionInfo(requests, context):
            yield answer

    method = grpc.stream_stream_rpc_method_handler(
        answers,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return [
        grpc.method_handlers_generic_handler(f"{package}.{_SERVICE}", {_METHOD: method})
        for package in (_V1ALPHA, _V1)
    ]


def descriptors() -> bytes:
    """Give the files of all services, of the details of errors, and all that these need."""
    _describe_v1()
    pool = descriptor_pool.Default()
    wanted = [pool.FindFileContainingSymbol(name) for name in services()]
    wanted += [errors_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR]
    found = FileDescriptorSet()
    seen: set[str] = set()
    while wanted:
        file = wanted.pop()
        if file.name not in seen:
            seen.add(file.name)
            file.CopyToProto(found.file.add())
            wanted.extend(file.dependencies)
    return found.SerializeToString()


def _describe_v1() -> None:
    """Put the descriptor of `grpc.reflection.v1` into the default pool; again is harmless."""
    older = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(older)
    text = text_format.MessageToString(older).replace(_V1ALPHA, _V1)
    newer = text_format.Parse(text, FileDescriptorProto())
    newer.name = _V1_FILE
    descriptor_pool.Default().AddSerializedFile(newer.SerializeToString())
