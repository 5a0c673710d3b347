"""How the client commands name a server and a workspace."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ipse.commands import CommandError

if TYPE_CHECKING:
    from ipse.client import Client

DEFAULT_ADDRESS = "127.0.0.1:4773"
_PORT_MAX: Final = 65_535


def add_address(parser: argparse.ArgumentParser) -> None:
    """Adds `--address`."""
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        type=_address,
        default=os.environ.get("IPSE_ADDRESS", DEFAULT_ADDRESS),
        help=f"the server (environment: IPSE_ADDRESS) [{DEFAULT_ADDRESS}]",
    )


def _address(text: str) -> str:
    """Refuses a port that is none; gRPC would take it modulo 65,536, to somebody else's server."""
    port = text.rpartition(":")[2]
    if port.isdigit() and not 1 <= int(port) <= _PORT_MAX:
        raise argparse.ArgumentTypeError(f"port {port} is not from 1 to {_PORT_MAX}")
    return text


def add_workspace(parser: argparse.ArgumentParser) -> None:
    """Adds `--workspace`."""
    parser.add_argument(
        "--workspace", metavar="NAME", default="default", help="the workspace [default]"
    )


@contextlib.contextmanager
def client(arguments: argparse.Namespace) -> Iterator[Client]:
    """A client of the server that the arguments name; says what to do if there is none."""
    from ipse import client as clients
    from ipse.errors import Unavailable

    with clients.Client(arguments.address) as connected:
        try:
            yield connected
        except Unavailable as failure:
            if failure.reason:
                raise
            raise CommandError(
                f"no server answers at {arguments.address}; start one with 'ipse serve', or name "
                "another with --address"
            ) from None
