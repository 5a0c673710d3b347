"""What tests share: a data directory, a server in its own process, a client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ipse
import pytest

from tests.server_process import ServerProcess


@pytest.fixture
def engine_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """`ipse serve` with its defaults, shared by the tests of a module."""
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[ipse.Client]:
    """A client of `server`."""
    with ipse.Client(server.address) as connected:
        yield connected
