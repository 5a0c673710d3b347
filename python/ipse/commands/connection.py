"""How the client commands name a server, what they show it, and a workspace."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipse.commands import CommandError, UsageError

if TYPE_CHECKING:
    from ipse._transport import Way
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
    add_security(parser)


def add_security(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of encryption and of the token."""
    group = parser.add_argument_group(
        "security", "The token is that of --token-file, else of the environment (IPSE_TOKEN)."
    )
    group.add_argument("--token-file", metavar="FILE", help="a file that holds the token alone")
    group.add_argument(
        "--tls",
        action=argparse.BooleanOptionalAction,
        help="encrypt; --no-tls: send the token as it is, also to another machine",
    )
    group.add_argument(
        "--tls-ca",
        metavar="FILE",
        default=os.environ.get("IPSE_TLS_CA", ""),
        help="encrypt, and trust who signed the server's certificate (environment: IPSE_TLS_CA)",
    )
    for flag, metavar, text in (
        ("--tls-certificate", "FILE", "encrypt, and show this certificate"),
        ("--tls-key", "FILE", "the key of that certificate"),
        ("--tls-server-name", "NAME", "encrypt, and expect the server's certificate to be NAME's"),
    ):
        group.add_argument(flag, metavar=metavar, default="", help=text)


def security(arguments: argparse.Namespace) -> dict[str, Any]:
    """The encryption and the token that the arguments ask for, as a client takes them."""
    from ipse._transport import Tls

    tls = Tls(
        ca=arguments.tls_ca,
        certificate=arguments.tls_certificate,
        key=arguments.tls_key,
        server_name=arguments.tls_server_name,
    )
    asked = arguments.tls if arguments.tls is not None else (tls != Tls() or None)
    return {"tls": tls if asked else asked, "token": _token(arguments.token_file)}


def way(arguments: argparse.Namespace, address: str | None = None) -> Way:
    """The way to the server that the arguments name, for commands that dial by themselves."""
    from ipse._transport import Way
    from ipse.errors import ConfigError

    try:
        return Way(arguments.address if address is None else address, **security(arguments))
    except ConfigError as wrong:
        raise UsageError(_flagged(wrong)) from None


def _token(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError as failure:
        raise UsageError(f"--token-file {path}: {failure.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--token-file {path}: holds no token") from None


def _flagged(wrong: Exception) -> str:
    return str(wrong).replace("with tls=False", "with --no-tls")


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
    from ipse.errors import ConfigError, Unavailable

    secured = security(arguments)
    try:
        opened = clients.Client(arguments.address, **secured)
    except ConfigError as wrong:
        raise UsageError(_flagged(wrong)) from None
    with opened as connected:
        try:
            yield connected
        except Unavailable as failure:
            if failure.reason:
                raise
            # With TLS the reason may be a certificate, which only gRPC's own words tell.
            why = f" ({failure.message})" if secured["tls"] else ""
            raise CommandError(
                f"no server answers at {arguments.address}{why}; start one with 'ipse serve', or "
                "name another with --address"
            ) from None
