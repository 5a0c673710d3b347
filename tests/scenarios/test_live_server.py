"""The scenario files over gRPC against a live server; `crash` is a kill -9."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios import text
from tests.scenarios.player import Player
from tests.server_process import ServerProcess

_FILES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, transport: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("scenarios"), transport=transport) as server:
        yield server


@pytest.mark.parametrize("path", _FILES, ids=[path.stem for path in _FILES])
def test_story(server: ServerProcess, path: Path) -> None:
    player = Player(server)
    problems = []
    for block in text.read(path):
        actual = player.play(block)
        if actual != block.expected:
            problems.append(_difference(path, block, actual))
    assert not problems, "\n\n" + "\n\n".join(problems)


def test_there_are_stories() -> None:
    assert _FILES


def _difference(path: Path, block: text.Block, actual: list[str]) -> str:
    expected = "\n".join(f"  {line}" for line in block.expected)
    found = "\n".join(f"  {line}" for line in actual)
    return f"{path.name}:{block.line}: expected\n{expected}\ngot\n{found}"
