"""`ipse stats`: the figures of a server."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ipse.commands import EXIT_OK, connection, plain, table

if TYPE_CHECKING:
    from ipse.model import Stats


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    connection.add_address(parser)


def run(arguments: argparse.Namespace) -> int:
    """Reads the figures and prints them."""
    with connection.client(arguments) as client:
        stats = client.stats()
    print(plain.as_json(stats) if arguments.json else _render(stats))
    return EXIT_OK


def _render(stats: Stats) -> str:
    recovery = stats.recovery
    begun = recovery.snapshot_file_name or "the log"
    facts = [
        ("version", stats.version),
        ("serving since", plain.shown_time(stats.started_time)),
        (
            "recovery",
            f"{recovery.seconds:.3f} s: {begun}, {recovery.replayed_record_count} records",
        ),
        ("stopped cleanly before", "yes" if recovery.clean_shutdown else "no"),
        ("torn bytes set aside", recovery.torn_bytes),
        ("records in the log", stats.log_position),
        ("of these synced", stats.synced_log_position),
        ("commit groups", stats.commit_group_count),
        ("log bytes written", stats.log_bytes),
        ("log bytes since snapshot", stats.log_bytes_since_snapshot),
        ("oldest record kept", f"{stats.oldest_log_position}{_since(stats)}"),
        ("log bytes on disk", stats.log_file_bytes),
        ("of these history", stats.history_bytes),
        ("disk full", "yes: writes are refused" if stats.storage_full else "no"),
        ("sync", stats.sync),
        ("identifiers", _bounded(stats.identifier_count, stats.identifiers_max)),
        ("memory bytes", _bounded(stats.memory_bytes, stats.memory_bytes_max)),
    ]
    workspaces = [
        (
            each.name,
            each.profile_count,
            each.absorbed_profile_count,
            _bounded(each.identifier_count, each.identifiers_max),
            _bounded(each.memory_bytes, each.memory_bytes_max),
            each.largest_profile_identifier_count,
            each.link_count,
            each.sequence_number,
            each.rules_version,
        )
        for each in stats.workspaces
    ]
    counts = ("profiles", "absorbed", "identifiers", "bytes", "largest", "links", "records")
    header = ("workspace", *counts, "rules")
    return table.render(facts) + "\n\n" + table.render(workspaces, header)


def _since(stats: Stats) -> str:
    oldest = stats.oldest_log_time
    return "" if oldest is None else f", of {plain.shown_time(oldest)}"


def _bounded(count: int, bound: int) -> str:
    return f"{count} of {bound}" if bound else str(count)
