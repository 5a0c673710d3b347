"""`ipse watch`: what changes in a workspace, a line each, as it happens."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ipse.commands import EXIT_OK, connection, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipse.model import Change, ChangedRecord, WatchedChanges


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--after",
        metavar="N",
        type=_number,
        help="begin after this sequence number, 0: with the oldest record [with what comes]",
    )
    parser.add_argument(
        "--until-now",
        action="store_true",
        help="end with the newest record, instead of waiting for more; needs --after",
    )
    parser.add_argument(
        "--kinds",
        metavar="KIND,...",
        type=_words,
        default=(),
        help="of these changes only: created, merged, attached, transferred, removed, split, "
        "displaced, evicted, expired, erased, trait_set, rules_set, reverted",
    )
    parser.add_argument(
        "--namespaces",
        metavar="NAME,...",
        type=_words,
        default=(),
        help="of identifiers, of those of these namespaces only",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each record")
    connection.add_workspace(parser)
    connection.add_address(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what it is told until it is interrupted, or all is told that it was to wait for."""
    with connection.client(arguments) as client:
        told = client.watch_changes(
            arguments.after,
            workspace=arguments.workspace,
            kinds=arguments.kinds,
            namespaces=arguments.namespaces,
        )
        until = None
        for changes in told:
            for line in _lines(changes, as_json=arguments.json):
                # Whoever reads this along is not to wait for more.
                print(line, flush=True)
            until = changes.newest_sequence_number if until is None else until
            if arguments.until_now and changes.sequence_number >= until:
                break
    return EXIT_OK


def _lines(told: WatchedChanges, *, as_json: bool) -> Iterator[str]:
    for record in told.records:
        if as_json:
            yield plain.as_json(record, indent=None)
        else:
            yield from (_line(record, change) for change in record.changes)


def _line(record: ChangedRecord, change: Change) -> str:
    profiles = " -> ".join(filter(None, (change.before_profile_id, change.after_profile_id)))
    words = [
        f"{record.sequence_number}",
        plain.shown_time(record.log_time),
        change.kind,
        profiles,
        _what(record, change),
        _cause(record),
    ]
    return "  ".join(filter(None, words))


def _what(record: ChangedRecord, change: Change) -> str:
    if change.identifier is not None:
        return f"{change.identifier.namespace}={change.identifier.value}"
    if change.trait_name is not None:
        return f"{change.trait_name}={plain.as_json(change.trait_value, indent=None)}"
    return f"version {record.rules_version}" if change.kind == "rules_set" else ""


def _cause(record: ChangedRecord) -> str:
    if record.event_time is None:
        return ""
    source = f"from {record.source}" if record.source else ""
    return f"({' '.join(filter(None, (record.kind, record.event_id, source)))})"


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("is less than 0")
    return number


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))
