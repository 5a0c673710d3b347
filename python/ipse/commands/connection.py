"""How the client commands name a server and a workspace."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ipse.commands import CommandError

if TYPE_CHECKING:
    from ipse.client import Client

DEFAULT_ADDRESS = "127.0.0.1:4773"


def add_address(parser: argparse.ArgumentParser) -> None:
    """Adds `--address`."""
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        default=os.environ.get("IPSE_ADDRESS", DEFAULT_ADDRESS),
        help=f"the server (environment: IPSE_ADDRESS) [{DEFAULT_ADDRESS}]",
    )


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
