"""What the server makes of a log that a crash tore, or that was damaged afterwards.

Torn is not corrupt: behind what is known to have been synced, a broken tail is set aside
and reported; at or before it, the server refuses to start and names file and byte.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

from tests.crash import segments
from tests.seeds import announce
from tests.server_process import ServerProcess

_SEEDS = range(3)
_EVENTS = 30
_CANNOT_OPEN = 74
"""The exit code of a server whose data directory cannot be opened."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with thirty events, each a group of its own, as a kill leaves it."""
    data_dir = tmp_path_factory.mktemp("killed") / "data"
    with ServerProcess(data_dir) as server:
        for number in range(_EVENTS):
            answer = server.identity.ResolveEvent(_request(number)).resolution
            assert answer.created
    return data_dir


@pytest.fixture
def data_dir(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "data"))


@pytest.fixture
def server(data_dir: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(data_dir)
    yield server
    server.close()


def test_an_undamaged_log_is_whole(server: ServerProcess) -> None:
    server.start()
    assert _known(server) == list(range(_EVENTS))
    recovery = _recovery(server)
    assert recovery.torn_bytes == 0
    assert not recovery.clean_shutdown


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("how", ["truncated", "zeroed"])
def test_a_torn_tail_is_set_aside_and_reported(
    server: ServerProcess, data_dir: Path, seed: int, how: str
) -> None:
    """The last group is cut anywhere, as if it had never been synced: it alone is gone."""
    segment = segments.newest(data_dir)
    last = segments.frames(segment)[-1]
    cut = random.Random(seed).randrange(last.offset + 1, last.end - 8)
    announce(f"seed {seed}: {segment.name} {how} from byte {cut}")
    content = segment.read_bytes()
    tail = b"" if how == "truncated" else bytes(len(content) - cut)
    segment.write_bytes(content[:cut] + tail)

    server.start()
    assert _known(server) == list(range(_EVENTS - 1))
    assert _recovery(server).torn_bytes > 0
    assert list(data_dir.glob("*.torn"))
    assert "torn" in server.log()
    _check_it_goes_on(server)


@pytest.mark.parametrize("seed", _SEEDS)
def test_garbage_behind_the_last_group_costs_nothing(
    server: ServerProcess, data_dir: Path, seed: int
) -> None:
    segment = segments.newest(data_dir)
    end = segments.frames(segment)[-1].end
    garbage = random.Random(seed).randbytes(1 + random.Random(seed).randrange(500))
    announce(f"seed {seed}: {len(garbage)} bytes of garbage at byte {end} of {segment.name}")
    content = bytearray(segment.read_bytes())
    content[end : end + len(garbage)] = garbage
    segment.write_bytes(content)

    server.start()
    assert _known(server) == list(range(_EVENTS))
    assert _recovery(server).torn_bytes > 0
    _check_it_goes_on(server)


@pytest.mark.parametrize("seed", range(6))
def test_damage_to_what_was_synced_refuses_to_start(
    server: ServerProcess, data_dir: Path, seed: int
) -> None:
    chance = random.Random(seed)
    segment = segments.newest(data_dir)
    all_frames = segments.frames(segment)
    synced = max(frame.synced_through for frame in all_frames)
    frame = chance.choice([each for each in all_frames if each.last_position <= synced])
    byte = chance.randrange(frame.offset, frame.end)
    bit = 1 << chance.randrange(8)
    announce(f"seed {seed}: bit {bit:#x} of byte {byte} of {segment.name} flipped")
    content = bytearray(segment.read_bytes())
    content[byte] ^= bit
    segment.write_bytes(content)
    before = _fingerprint(data_dir)

    code = server.run_to_end()
    assert code == _CANNOT_OPEN, server.log()
    assert segment.name in server.log()
    assert f"byte {frame.offset}" in server.log()
    assert _fingerprint(data_dir) == before, "a refusal to start changed the files"


def test_a_missing_segment_refuses_to_start(server: ServerProcess, data_dir: Path) -> None:
    segments.newest(data_dir).unlink()
    before = _fingerprint(data_dir)
    assert server.run_to_end() == _CANNOT_OPEN
    assert "segment" in server.log()
    assert _fingerprint(data_dir) == before


def test_a_second_server_is_refused(server: ServerProcess, data_dir: Path, tmp_path: Path) -> None:
    server.start()
    assert server.process is not None
    second = ServerProcess(data_dir, port_file=tmp_path / "second.port")
    assert second.run_to_end() == _CANNOT_OPEN
    assert str(server.process.pid) in second.log()
    assert str(data_dir) in second.log()
    assert _known(server) == list(range(_EVENTS)), "the first server is not disturbed"


def _check_it_goes_on(server: ServerProcess) -> None:
    """What is written after the repair is there after the next start."""
    assert server.identity.ResolveEvent(_request(1_000)).resolution.created
    expected = _known(server)
    server.kill()
    server.start()
    assert _known(server) == expected
    assert _recovery(server).torn_bytes == 0
    found = identity_pb2.ProfileLookup(identifier=_identifier(1_000))
    server.identity.GetProfile(identity_pb2.GetProfileRequest(lookup=found))


def _identifier(number: int) -> event_pb2.Identifier:
    return event_pb2.Identifier(namespace="email", value=f"person-{number}@example.com")


def _request(number: int) -> identity_pb2.ResolveEventRequest:
    event = event_pb2.Event(event_id=f"event-{number}", identifiers=[_identifier(number)])
    return identity_pb2.ResolveEventRequest(event=event)


def _known(server: ServerProcess) -> list[int]:
    """The events whose profile is there."""
    request = identity_pb2.BatchGetProfilesRequest()
    for number in range(_EVENTS):
        request.lookups.add(identifier=_identifier(number))
    results = server.identity.BatchGetProfiles(request).results
    return [number for number, result in enumerate(results) if result.HasField("profile")]


def _recovery(server: ServerProcess) -> admin_pb2.RecoveryStats:
    recovery: admin_pb2.RecoveryStats = server.admin.GetStats(admin_pb2.GetStatsRequest()).recovery
    return recovery


def _fingerprint(data_dir: Path) -> dict[str, str]:
    """Every file but the lock, whose text is whoever tried last."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(data_dir.iterdir())
        if path.name != "LOCK"
    }
