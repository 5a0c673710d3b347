"""The embedded resolver: durable, exclusive, and safe to share between threads."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal

import ipse
import pytest
from ipse import Event, Resolver

ANN = Event(
    identifiers={"email": "ann@example.com", "anonymous_id": "a-1"}, traits={"plan": "gold"}
)


def test_what_was_answered_is_there_after_a_close(engine_dir: Path) -> None:
    with Resolver(engine_dir) as resolver:
        answer = resolver.resolve(ANN)
        profile = resolver.get_profile(profile_id=answer.profile_id)
        state_hash = resolver.get_workspace().state_hash
    with Resolver(str(engine_dir)) as resolver:
        assert resolver.get_profile(profile_id=answer.profile_id) == profile
        assert resolver.get_workspace().state_hash == state_hash
        recovery = resolver.stats().recovery
        assert recovery.clean_shutdown
        assert recovery.snapshot_file_name
        assert recovery.replayed_record_count == 0


def test_what_was_answered_is_there_after_a_crash(engine_dir: Path) -> None:
    program = """
import os, sys, ipse
resolver = ipse.Resolver(sys.argv[1])
for number in range(20):
    resolver.resolve(ipse.Event(identifiers={"user_id": f"u-{number}"}))
print(resolver.get_workspace().state_hash, flush=True)
os._exit(9)
"""
    command = [sys.executable, "-c", program, str(engine_dir)]
    crashed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert crashed.returncode == 9, crashed.stderr
    with Resolver(engine_dir) as resolver:
        info = resolver.get_workspace()
        assert info.profile_count == 20
        assert info.state_hash == crashed.stdout.strip()
        assert not resolver.stats().recovery.clean_shutdown


def test_in_memory_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Resolver() as resolver:
        assert resolver.resolve(ANN).decision is ipse.Decision.CREATED
    with Resolver() as resolver:
        assert resolver.resolve(ANN).decision is ipse.Decision.CREATED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sync", ["always", "interval", "off"])
def test_every_sync_policy_keeps_what_a_close_saw(
    engine_dir: Path, sync: Literal["always", "interval", "off"]
) -> None:
    with Resolver(engine_dir, sync=sync, sync_interval_ms=10) as resolver:
        resolver.resolve(ANN)
        assert resolver.stats().sync == sync
    with Resolver(engine_dir) as resolver:
        assert resolver.resolve(ANN).decision is ipse.Decision.ALREADY_ATTACHED


def test_a_directory_has_one_owner(engine_dir: Path) -> None:
    with Resolver(engine_dir), pytest.raises(ipse.OpenError, match=str(engine_dir)):
        Resolver(engine_dir)
    with Resolver(engine_dir):
        pass


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("hello")
    with pytest.raises(ipse.OpenError, match="file"):
        Resolver(file)


def test_closing_twice_is_harmless(engine_dir: Path) -> None:
    resolver = Resolver(engine_dir)
    resolver.close()
    resolver.close()


def test_an_exception_inside_with_closes_too(engine_dir: Path) -> None:
    with pytest.raises(ipse.NotFound), Resolver(engine_dir) as resolver:
        resolver.get_profile(profile_id=resolver.resolve(ANN).profile_id + "0")
    with Resolver(engine_dir) as resolver:
        assert resolver.get_workspace().profile_count == 1


def test_a_checkpoint_on_request(engine_dir: Path) -> None:
    with Resolver(engine_dir) as resolver:
        resolver.resolve(ANN)
        written = resolver.checkpoint()
        assert (engine_dir / written.file_name).stat().st_size == written.size_bytes
        assert written.log_position == resolver.stats().log_position


def test_threads_may_share_one(engine_dir: Path) -> None:
    with Resolver(engine_dir) as resolver:

        def resolve(number: int) -> None:
            for step in range(25):
                resolver.resolve(Event(identifiers={"anonymous_id": f"a-{number}-{step}"}))

        threads = [threading.Thread(target=resolve, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert resolver.get_workspace().profile_count == 200
        assert resolver.stats().commit_group_count < 200
