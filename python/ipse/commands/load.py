"""`ipse load`: sends a file of raw events to a server, in order, and can be interrupted at will.

A line that is refused is counted and listed, never a reason to stop. What ends a load is the
file (it cannot be read) or the server (away for too long, or no such workspace); the same
command then continues behind the last acknowledged batch.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from ipse.commands import EXIT_FAILED, EXIT_OK, CommandError, connection
from ipse.commands.loading import run as running
from ipse.commands.loading.lines import LINE_BYTES_MAX, Batch, Source
from ipse.commands.loading.progress import LineError, Progress
from ipse.commands.loading.wire import Wire, encode_raw_events

if TYPE_CHECKING:
    from ipse.commands.loading.sender import Answered
    from ipse.v1 import identity_pb2

    _Answered: TypeAlias = Answered[Batch, identity_pb2.ResolveEventsResponse]

_METHOD = "/ipse.v1.IdentityService/ResolveEvents"
# By number of ipse.v1.Decision: the field of Progress that counts it, and the word for --out.
_DECISION_OF = attrgetter("resolution.decision")
_IS_REPEATED = attrgetter("resolution.repeated")
_DECISIONS = ("", "unresolved", "created", "attached", "already_attached", "merged")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="JSON lines, one raw event each, as the workspace's mapping reads it; plain or gzip; "
        "- is stdin",
    )
    connection.add_workspace(parser)
    connection.add_address(parser)
    parser.add_argument(
        "--out", metavar="FILE",
        help="write each event back with its profile id and decision, as JSON lines",
    )  # fmt: skip
    running.add_arguments(parser, "events")


def run(arguments: argparse.Namespace) -> int:
    """Loads the file and prints the summary."""
    running.check(arguments, [("--out", arguments.out)] if arguments.out else [])
    load = Load(arguments)
    try:
        load.run()
    except KeyboardInterrupt:
        message = f"interrupted behind line {load.progress.line}; {load.how_to_continue()}"
        raise CommandError(message, exit_code=130) from None
    finally:
        load.close()
    load.print_summary()
    refused = arguments.strict and load.progress.errors
    return EXIT_FAILED if refused else EXIT_OK


class Load(running.Run[Batch, "identity_pb2.ResolveEventsResponse", Progress]):
    """One run over a file of events."""

    OUT_FLAG = "--out"
    ITEMS = "events"

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._source = Source(arguments.file)
        progress = Progress(workspace=arguments.workspace)
        super().__init__(arguments, self._source, progress, arguments.out)
        self._closing.callback(self._source.close)

    def print_summary(self) -> None:
        """The counts on stdout; the refused lines too, or on stderr beside JSON."""
        summary = self._summary()
        if self._arguments.json:
            print(json.dumps(summary))
            return
        self.print_errors()
        counts = ", ".join(f"{getattr(self.progress, name)} {name}" for name in _DECISIONS[1:])
        print(
            f"{self.progress.events} events in {summary['seconds']} s "
            f"({summary['events_per_second']} events/s): "
            f"{counts.replace('_', ' ')}, {self.progress.errors} errors"
        )

    def _wire(self) -> Wire[Batch, identity_pb2.ResolveEventsResponse]:
        from ipse.v1 import identity_pb2

        workspace = self._arguments.workspace
        return Wire(
            method=_METHOD,
            response=identity_pb2.ResolveEventsResponse,
            encode=lambda batch: encode_raw_events(workspace, batch.events),
            items=self.ITEMS,
        )

    def _batches(self) -> Iterator[Batch]:
        progress = self.progress
        return self._source.batches(self._arguments.batch, progress.offset, progress.line)

    def _items(self) -> int:
        return self.progress.events

    def _written(self, answered: _Answered) -> bytes:
        _check_length(answered)
        return _written_back(answered)

    def _count(self, answered: _Answered) -> None:
        _check_length(answered)
        batch, progress = answered.batch, self.progress
        for number in batch.oversized_line_numbers:
            message = f"the line is longer than {LINE_BYTES_MAX} bytes; send less with this event"
            progress.add_error(LineError(number, "LIMIT_EXCEEDED", message))
        results = answered.response.results
        # Counted without a Python loop: this is most of what a load costs here.
        counts = Counter(map(_DECISION_OF, results))
        for number, name in enumerate(_DECISIONS[1:], start=1):
            setattr(progress, name, getattr(progress, name) + counts[number])
        progress.repeated += sum(map(_IS_REPEATED, results))
        progress.events += len(batch.events)
        if counts[0]:
            self._list_errors(answered)

    def _list_errors(self, answered: _Answered) -> None:
        results = answered.response.results
        for number, result in zip(answered.batch.line_numbers, results, strict=True):
            if result.HasField("error"):
                error = result.error
                self.progress.add_error(LineError(number, error.reason, error.message, error.field))

    def _summary(self) -> dict[str, object]:
        seconds, pace = self.pace()
        progress = self.progress
        return {
            "file": self._arguments.file,
            "workspace": progress.workspace,
            "lines": progress.line,
            "first_line": self._first_line,
            "events": progress.events,
            "seconds": seconds,
            "events_per_second": pace,
            **{name: getattr(progress, name) for name in (*_DECISIONS[1:], "repeated")},
            **self.errors_summary(),
        }


def _check_length(answered: _Answered) -> None:
    results, events = answered.response.results, answered.batch.events
    if len(results) != len(events):
        raise CommandError(
            f"the server answered {len(results)} of {len(events)} events; "
            "it does not speak this version of ipse.v1"
        )


def _written_back(answered: _Answered) -> bytes:
    """The lines of `--out`: an accepted event is put in as the bytes that it came as."""
    batch, parts = answered.batch, []
    for event, number, result in zip(
        batch.events, batch.line_numbers, answered.response.results, strict=True
    ):
        if result.HasField("error"):
            error = {"reason": result.error.reason, "message": result.error.message}
            refused = {"profile_id": None, "decision": "error", "line": number, "error": error}
            text = event.decode("utf-8", "replace")
            parts.append(json.dumps(refused | {"event_text": text}).encode() + b"\n")
            continue
        profile = result.resolution.profile_id
        quoted = f'"{profile}"' if profile else "null"
        word = _DECISIONS[result.resolution.decision]
        head = f'{{"profile_id": {quoted}, "decision": "{word}", "event": '
        parts += (head.encode(), event, b"}\n")
    return b"".join(parts)
