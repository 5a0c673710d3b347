"""What tests share: a data directory, a server in its own process, a client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ipse
import pytest

from tests.server_process import TRANSPORT_VARIABLE, TRANSPORTS, ServerProcess


@pytest.fixture
def engine_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each transport in turn, for all servers that the tests of a module start."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(TRANSPORT_VARIABLE, request.param)
        yield request.param


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, transport: str) -> Iterator[ServerProcess]:
    """`ipse serve` with its defaults, shared by the tests of a module."""
    data_dir = tmp_path_factory.mktemp("server") / "data"
    with ServerProcess(data_dir, transport=transport) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[ipse.Client]:
    """A client of `server`."""
    with ipse.Client(server.address) as connected:
        yield connected
