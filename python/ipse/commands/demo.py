"""`ipse demo`: a real server, one customer's events over gRPC, a restart, the same profile."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ipse.commands import EXIT_FAILED, EXIT_OK, plain, table
from ipse.commands.child import ServerProcess
from ipse.commands.demo_events import EXPECTED_IDENTIFIERS, JOURNEY

if TYPE_CHECKING:
    from ipse.client import Client
    from ipse.model import Profile, Resolution, Stats

_PAGE = """\
ipse demo: one customer, five events, three devices and apps; one profile.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR",
        help="keep the server's files in DIR [a directory that is deleted at the end]",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo; fails if the profile is not the expected one, or not the same afterwards."""
    from ipse.client import Client

    say = _silent if arguments.json else print
    with _directories(arguments.data_dir) as (data_dir, work_dir):
        say(_PAGE)
        with ServerProcess(data_dir, work_dir) as server:
            say(f"The server listens on {server.address} and keeps its files in {data_dir}.\n")
            with Client(server.address, token="") as client:
                steps: list[tuple[Resolution, Profile]] = []
                for number, (story, raw) in enumerate(JOURNEY, start=1):
                    steps.append(_send(client, raw))
                    say(_render_step(number, story, *steps[-1]))
                before = steps[-1][1]
            stop_s = server.stop()
            say(f"The server stopped after {stop_s:.2f} s. It starts again, from disk alone.\n")
            server.start()
            with Client(server.address, token="") as client:
                after = client.get_profile(profile_id=before.profile_id)
                stats = client.stats()
            server.stop()
        say(_render_recovery(stats))
        say(_render_profile(after, {}) + "\n")
        is_same = _held(before) == _held(after) and before.traits == after.traits
        problem = _problem(before, is_same=is_same)
        say(problem or _farewell(after, arguments.data_dir))
        if arguments.json:
            result = {
                "resolutions": [resolution for resolution, _ in steps],
                "profile": after,
                "same_after_restart": is_same,
                "recovery": stats.recovery,
                "problem": problem,
            }
            print(plain.as_json(result))
    return EXIT_FAILED if problem else EXIT_OK


@contextlib.contextmanager
def _directories(data_dir: Path | None) -> Iterator[tuple[Path, Path]]:
    """The data directory, and one for what the demo itself needs."""
    with tempfile.TemporaryDirectory(prefix="ipse-demo-") as temporary:
        yield data_dir or Path(temporary, "data"), Path(temporary)


def _send(client: Client, raw: str) -> tuple[Resolution, Profile]:
    from ipse.model import Event

    resolution = client.resolve(Event.from_json(raw))
    return resolution, client.get_profile(profile_id=resolution.profile_id)


def _problem(profile: Profile, *, is_same: bool) -> str:
    """Why the demo failed; empty if it did not."""
    found = {(each.identifier.namespace, each.identifier.value) for each in profile.identifiers}
    if found != EXPECTED_IDENTIFIERS:
        return f"Not as it should be: the profile holds {sorted(found)}."
    return "" if is_same else "Not as it should be: the profile is another after the restart."


def _held(profile: Profile) -> tuple[object, ...]:
    return (profile.profile_id, profile.known, profile.created_time, profile.identifiers)


def _render_step(number: int, story: str, resolution: Resolution, profile: Profile) -> str:
    verdicts = {
        (each.identifier.namespace, each.identifier.value): each.verdict.replace("_", " ")
        for each in resolution.verdicts
    }
    decision = resolution.decision.replace("_", " ")
    recorded = (
        f"record {resolution.sequence_number}" if resolution.recorded else "nothing to record"
    )
    again = ", an answer given before" if resolution.repeated else ""
    known = "known" if resolution.known else "anonymous"
    head = f"{number}. {story}\n   decision: {decision} ({recorded}{again})"
    return (
        f"{head}; profile {resolution.profile_id}, {known}\n\n"
        + _render_profile(profile, verdicts)
        + "\n"
    )


def _render_profile(profile: Profile, verdicts: dict[tuple[str, str], str]) -> str:
    rows = [
        (
            each.identifier.namespace,
            each.identifier.value,
            plain.shown_time(each.attached_time),
            verdicts.get((each.identifier.namespace, each.identifier.value), "-"),
        )
        for each in profile.identifiers
    ]
    if verdicts:
        return table.render(rows, ("namespace", "value", "attached", "this event"), indent=3)
    return table.render([row[:3] for row in rows], ("namespace", "value", "attached"), indent=3)


def _render_recovery(stats: Stats) -> str:
    recovery = stats.recovery
    begun = f"from {recovery.snapshot_file_name}" if recovery.snapshot_file_name else "from the log"
    return (
        f"Recovery took {recovery.seconds * 1000:.1f} ms {begun}, "
        f"{recovery.replayed_record_count} records replayed. The profile now:\n"
    )


def _farewell(profile: Profile, data_dir: Path | None) -> str:
    text = (
        f"One profile, {profile.profile_id}, holds all {profile.identifier_count} identifiers, "
        "before and after the restart."
    )
    if data_dir is None:
        return f"{text}\nNext: 'ipse serve', then 'ipse load FILE' with events of your own."
    return (
        f"{text}\nNext: 'ipse wal dump {data_dir}' prints the log, "
        f"'ipse serve --data-dir {data_dir}' goes on."
    )


def _silent(_: str) -> None:
    pass
