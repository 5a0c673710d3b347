"""What is measured once, of ours only: the bare core, replay, and `ipse load`."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from ipse.commands.bench_events import Customers

from benchmarks.compare import loadgen
from benchmarks.compare.run import say
from benchmarks.compare.systems import Ipse, Missing, tool

ROOT = Path(__file__).resolve().parents[2]
_REPLAY_BLOCKS = 300
# What a browser's SDK adds to each event; none of it says who somebody is.
_CONTEXT = (
    b'"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) '
    b'Chrome/131.0.0.0 Safari/537.36","timezone":"Europe/Berlin","screen":{"width":1920,'
    b'"height":1080,"density":2},"campaign":{"name":"autumn","source":"newsletter",'
    b'"medium":"email","term":"running shoes","content":"second link"},"referrer":{"type":"search",'
    b'"url":"https://www.example.com/search?q=running+shoes"},"locale":"en-GB"'
)


_CORE_COST = ("--release", "--locked", "-p", "ipse-core", "--example", "core_cost")


def build_core() -> None:
    """Compile what measures the core."""
    subprocess.run(["cargo", "build", *_CORE_COST], cwd=ROOT, check=True)


def core(identifiers: int) -> dict[str, Any]:
    """Decisions of the core on one thread, and its memory."""
    done = subprocess.run(
        ["cargo", "run", "--quiet", *_CORE_COST, "--", str(identifiers)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    say(f"core: {found}")
    return found


def replay(directory: Path) -> dict[str, Any]:
    """A server that is killed without a snapshot, and how quickly it is back."""
    server = Ipse(directory, "--snapshot-log-bytes", str(64 << 30))
    try:
        server.start()
        server.fill(_REPLAY_BLOCKS)
        server.kill()
        server.start()
        said = server.recovery()
        found = {
            "records": said["replayed_record_count"],
            "seconds": said["seconds"],
            "records_per_second": said["replayed_record_count"] / said["seconds"],
            "seconds_to_serve": server.start_seconds,
        }
    finally:
        server.stop()
    say(f"replay: {found}")
    return found


def load_file(directory: Path, events: int) -> dict[str, Any]:
    """`ipse load` of a plain file, it and its server pinned to one core."""
    try:
        taskset = tool("taskset")
    except Missing as reason:
        return {"missing": str(reason)}
    server = Ipse(directory)
    try:
        server.start()
        path = directory / "events.jsonl"
        bytes_per_event = _write_file(path, events)
        subprocess.run(
            [taskset, "-acp", "0", str(server.pid)], stdout=subprocess.DEVNULL, check=True
        )
        loader = [sys.executable, "-m", "ipse", "load", str(path), "--json"]
        done = subprocess.run(
            [taskset, "-c", "0", *loader, "--address", server.address],
            capture_output=True,
            check=True,
        )
        said = json.loads(done.stdout)
        if said["errors"]:
            raise RuntimeError(f"ipse load: {said['error_list']}")
        found = {
            "bytes_per_event": bytes_per_event,
            **{name: said[name] for name in ("events", "seconds", "events_per_second")},
        }
    finally:
        server.stop()
    say(f"ipse load: {found}")
    return found


def _write_file(path: Path, events: int) -> float:
    """Events of about 700 bytes; how many exactly."""
    customers = Customers(people=max(1, events // 20), seed=loadgen.SEED)
    with path.open("wb") as file:
        for event in islice(customers, events):
            file.write(event.replace(b'"locale":"en-GB"', _CONTEXT) + b"\n")
    return path.stat().st_size / events
