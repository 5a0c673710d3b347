"""The two ways of calling ipse that tests compare: embedded, and a server over gRPC.

`Resolver` and `Client` have one surface. What a test needs beside it is to stop whatever
serves the calls and to start it again from disk.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import ipse
from ipse import Client, Profile, Resolver

from tests.server_process import ServerProcess

Pair = tuple[str, str]


class Target:
    """One way of making calls. `call` has the surface; the rest is life and death."""

    name: str
    call: Resolver | Client

    def profile(self, workspace: str, profile_id: str) -> Profile | None:
        """A profile with all its identifiers; None if there is none of that id."""
        try:
            return self.call.get_profile(profile_id=profile_id, workspace=workspace)
        except ipse.NotFound:
            return None

    def owner(self, workspace: str, identifier: Pair) -> str | None:
        """The id of the profile that holds an identifier; None if none does."""
        try:
            return self.call.get_profile(identifier=identifier, workspace=workspace).profile_id
        except ipse.NotFound:
            return None

    def restart(self) -> None:
        """Stops in good order and starts again from disk."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives everything back."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Embedded(Target):
    """The engine inside this process."""

    name = "embedded"

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.resolver = Resolver(data_dir)
        self.call = self.resolver

    def restart(self) -> None:
        self.resolver.close()
        self.resolver = Resolver(self.data_dir)
        self.call = self.resolver

    def close(self) -> None:
        self.resolver.close()


class OverGrpc(Target):
    """A server of its own, called with the client."""

    name = "grpc"

    def __init__(self, data_dir: Path) -> None:
        self.server = ServerProcess(data_dir)
        self.server.start()
        self.client = Client(self.server.address)
        self.call = self.client

    def restart(self) -> None:
        self.server.stop()
        self.server.start()
        self.client.wait_until_ready()

    def close(self) -> None:
        self.client.close()
        self.server.close()
