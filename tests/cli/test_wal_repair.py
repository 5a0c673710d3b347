"""`ipse wal repair`: it says what would be given up, and gives up that and nothing else.

The logs are written by the engine, damaged here, and opened by the engine afterwards.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ipse
import pytest
from ipse import Event, OpenError, Resolver

from tests.cli.command import ipse as run
from tests.cli.command import one_line
from tests.crash import segments

_EVENTS = 120
_SEGMENT_BYTES = 65_536


def _send(resolver: Resolver, first: int, last: int, padding: int = 0) -> None:
    for number in range(first, last):
        event = Event(
            identifiers={"user_id": f"u-{number}"},
            event_id=f"e-{number}",
            traits={"padding": "x" * padding},
        )
        assert resolver.resolve(event).created


def _killed(data_dir: Path, copy: Path, padding: int, checkpoint_at: int = 0) -> Path:
    """A directory as a kill leaves it: record 1 is the workspace, each event is one more."""
    resolver = Resolver(data_dir, segment_size_bytes=_SEGMENT_BYTES)
    _send(resolver, 0, checkpoint_at, padding)
    if checkpoint_at:
        resolver.checkpoint()
    _send(resolver, checkpoint_at, _EVENTS, padding)
    shutil.copytree(data_dir, copy)
    resolver.close()
    return copy


def _people(data_dir: Path) -> list[int]:
    with Resolver(data_dir, segment_size_bytes=_SEGMENT_BYTES) as resolver:
        found = []
        for number in range(_EVENTS):
            try:
                resolver.get_profile(identifier=("user_id", f"u-{number}"))
            except ipse.NotFound:
                continue
            found.append(number)
    return found


def _damage(segment: Path, offset: int) -> None:
    data = bytearray(segment.read_bytes())
    data[offset] ^= 0xFF
    segment.write_bytes(data)


def _plan(data_dir: Path) -> dict[str, object]:
    said = run("wal", "repair", data_dir, "--json")
    assert said.returncode == 1, said.stderr
    plan: dict[str, object] = json.loads(said.stdout)
    assert plan["repaired"] is False
    return plan


def _files(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.iterdir()}


@pytest.mark.parametrize(("padding", "damaged"), [(0, 0), (1_500, 0), (1_500, 1)])
def test_records_from_the_damage_on_are_given_up(
    tmp_path: Path, padding: int, damaged: int
) -> None:
    data_dir = _killed(tmp_path / "live", tmp_path / "data", padding)
    paths = sorted(data_dir.glob("segment-*.wal"))
    assert (len(paths) > 2) == bool(padding)
    frames = segments.frames(paths[damaged])
    broken = frames[len(frames) // 2]
    _damage(paths[damaged], broken.offset + 60)
    with pytest.raises(OpenError, match="corrupt"):
        Resolver(data_dir)

    before = _files(data_dir)
    plan = _plan(data_dir)
    assert (plan["file"], plan["offset"]) == (paths[damaged].name, broken.offset)
    kept = broken.first_position - 1
    # The last group is on disk too, but no later frame says so; its records count all the same.
    assert plan["last_log_position"] == kept
    assert plan["records"] == _EVENTS + 1 - kept
    readable = broken.last_position + 1
    assert plan["sequences"] == [{"workspace": 0, "first": readable, "last": _EVENTS + 1}]
    wrong = run("wal", "repair", data_dir, "--give-up", str(int(str(plan["records"])) - 1))
    assert wrong.returncode == 1
    assert "nothing was changed" in one_line(wrong.stderr)
    assert _files(data_dir) == before

    done = run("wal", "repair", data_dir, "--give-up", str(plan["records"]))
    assert done.returncode == 0, done.stderr
    aside = {path.name: path.read_bytes() for path in data_dir.glob("*.broken")}
    assert sorted(aside.values()) == sorted(before[path.name] for path in paths[damaged:])
    assert _people(data_dir) == list(range(kept - 1))
    again = run("wal", "repair", data_dir, "--give-up", "0")
    assert (again.returncode, "nothing is damaged" in again.stderr) == (1, True)
    with Resolver(data_dir, segment_size_bytes=_SEGMENT_BYTES) as resolver:
        _send(resolver, kept - 1, _EVENTS)
    assert _people(data_dir) == list(range(_EVENTS))


def test_a_snapshot_behind_the_damage_stays(tmp_path: Path) -> None:
    data_dir = _killed(tmp_path / "live", tmp_path / "data", 0, checkpoint_at=80)
    path = segments.newest(data_dir)
    broken = segments.frames(path)[10]
    _damage(path, broken.offset + 60)
    with pytest.raises(OpenError, match="corrupt"):
        Resolver(data_dir)
    plan = _plan(data_dir)
    assert (plan["last_log_position"], plan["records"]) == (81, _EVENTS - 80)
    assert run("wal", "repair", data_dir, "--give-up", str(_EVENTS - 80)).returncode == 0
    assert _people(data_dir) == list(range(80))
    assert run("wal", "verify", data_dir).returncode == 0


def test_a_missing_segment_ends_the_log(tmp_path: Path) -> None:
    data_dir = _killed(tmp_path / "live", tmp_path / "data", 1_500)
    paths = sorted(data_dir.glob("segment-*.wal"))
    last = segments.frames(paths[0])[-1].last_position
    paths[1].unlink()
    plan = _plan(data_dir)
    assert plan["last_log_position"] == last
    assert run("wal", "repair", data_dir, "--give-up", str(plan["records"])).returncode == 0
    assert _people(data_dir) == list(range(last - 1))


def test_what_is_sound_or_torn_is_not_repaired(tmp_path: Path) -> None:
    data_dir = _killed(tmp_path / "live", tmp_path / "data", 0)
    before = _files(data_dir)
    sound = run("wal", "repair", data_dir, "--give-up", "0")
    assert (sound.returncode, "nothing is damaged" in sound.stderr) == (1, True)
    path = segments.newest(data_dir)
    _damage(path, segments.frames(path)[-1].offset + 60)
    before[path.name] = path.read_bytes()
    torn = run("wal", "repair", data_dir, "--give-up", "1")
    assert (torn.returncode, "the next start repairs" in torn.stderr) == (1, True)
    assert _files(data_dir) == before
