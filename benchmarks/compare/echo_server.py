"""An empty server on grpc.aio, with the options and the event loop of ours.

python -m benchmarks.compare.echo_server PORT_FILE METHOD=ANSWER_BYTES...
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

SERVICE = "ipse.v1.IdentityService"
# Ours, as far as they can matter here.
OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 32 << 20),
    ("grpc.max_concurrent_streams", 128),
    ("grpc.http.overload_protection", 0),
)


async def serve(port_file: Path, answer_bytes: dict[str, int]) -> None:
    server = grpc.aio.server(options=OPTIONS)
    handlers = {method: handler(bytes(size)) for method, size in answer_bytes.items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    await publish(server, port_file)


def handler(answer: bytes) -> grpc.RpcMethodHandler[bytes, bytes]:
    """Bytes in, always the same bytes out."""

    async def echo(_request: bytes, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return answer

    return grpc.unary_unary_rpc_method_handler(echo)


async def publish(server: grpc.aio.Server, port_file: Path) -> None:
    """Listens, tells where, and serves until the process is ended."""
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    beside = port_file.with_suffix(".new")
    beside.write_text(str(port))
    beside.replace(port_file)
    await server.wait_for_termination()


def main() -> None:
    sizes = dict(argument.split("=") for argument in sys.argv[2:])
    serving = serve(Path(sys.argv[1]), {method: int(size) for method, size in sizes.items()})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serving)


if __name__ == "__main__":
    main()
