"""`ipse load`: sends a file of raw events to a server, in order, and can be interrupted at will.

A line that is refused is counted and listed, never a reason to stop. What ends a load is the
file (it cannot be read) or the server (away for too long, or no such workspace); the same
command then continues behind the last acknowledged batch.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from ipse.commands import CommandError, connection
from ipse.commands.loading import run as running
from ipse.commands.loading.answers import Answers
from ipse.commands.loading.lines import LINE_BYTES_MAX, Batch, Source
from ipse.commands.loading.progress import LineError, Progress
from ipse.commands.loading.verdicts import rule_name
from ipse.commands.loading.wire import Wire, encode_workspace

if TYPE_CHECKING:
    from ipse.commands.loading.sender import Answered

    _Answered: TypeAlias = Answered[Batch, Answers]

_METHOD = "/ipse.v1.IdentityService/ResolveEvents"
# What an export writes where there is nothing.
_ABSENT = "null"
_POSITION = re.compile(r"\[\d+\]")
_PLACES_MAX = 1_000
# By number of ipse.v1.Decision: the field of Progress that counts it, and the word for --out.
_DECISIONS = ("", "unresolved", "created", "attached", "already_attached", "merged")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="raw events as the workspace's mapping reads them: JSON lines, an array, or batches "
        "as `batches` of the mapping names them; plain or gzip; - is stdin",
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
    return load.outcome()


class Load(running.Run[Batch, Answers, Progress]):
    """One run over a file of events."""

    OUT_FLAG = "--out"
    ITEMS = "events"

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._source = Source(arguments.file, batch_fields=self._batch_fields)
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
        self._print_left_out()
        counts = ", ".join(f"{getattr(self.progress, name)} {name}" for name in _DECISIONS[1:])
        print(
            f"{self.progress.events} events in {summary['seconds']} s "
            f"({summary['events_per_second']} events/s): "
            f"{counts.replace('_', ' ')}, {self.progress.errors} errors"
        )

    def outcome(self) -> int:
        """The exit code; says so if the file does not seem to be what the rules read."""
        progress = self.progress
        accepted = sum(getattr(progress, name) for name in _DECISIONS[1:])
        if accepted and accepted == progress.unresolved:
            workspace = progress.workspace
            print(
                f"ipse: no event has an identifier that the rules of workspace {workspace} keep; "
                f"'ipse rules get --workspace {workspace}' prints them",
                file=sys.stderr,
            )
        return self.exit_code(accepted, refused=0)

    def _print_left_out(self) -> None:
        """What of the events was not read or not kept, most frequent first."""
        progress = self.progress
        if progress.refused_by_rule:
            rules = sorted(progress.refused_by_rule.items())
            by_rule = ", ".join(f"{count} {rule}" for rule, count in rules)
            print(f"identifiers kept out by a rule: {by_rule}", file=sys.stderr)
        places = sorted(progress.not_read.items(), key=lambda item: (-item[1], item[0]))
        for place, count in places[: running.ERRORS_PRINTED_MAX]:
            print(f"not read in {count} events: {place}", file=sys.stderr)
        if len(places) > running.ERRORS_PRINTED_MAX:
            left = len(places) - running.ERRORS_PRINTED_MAX
            print(f"... and {left} more places", file=sys.stderr)

    def _batch_fields(self) -> frozenset[str]:
        """The fields that make an object a batch, by the rules in force."""
        from ipse.errors import IpseError

        arguments = self._arguments
        try:
            with connection.client(arguments) as client:
                client.wait_until_ready(arguments.retry_seconds)
                rules = client.get_rules(workspace=arguments.workspace)
        except IpseError:
            # What is wrong is what the first batch is told.
            return frozenset()
        names = tomllib.loads(rules.toml).get("mapping", {}).get("batches", [])
        return frozenset([names] if isinstance(names, str) else names)

    def _wire(self) -> Wire[Batch, Answers]:
        workspace = encode_workspace(self._arguments.workspace)
        return Wire(
            method=_METHOD,
            encode=lambda batch: b"".join((workspace, *batch.parts)),
            parse=Answers.read,
            refusals=Answers.refusals,
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
            what = "event" if batch.positions else "line"
            message = f"the {what} is longer than {LINE_BYTES_MAX} bytes; send less with this event"
            progress.add_error(LineError(number, "LIMIT_EXCEEDED", message))
        answers = answered.response
        for name, count in zip(_DECISIONS[1:], answers.decisions[1:], strict=True):
            setattr(progress, name, getattr(progress, name) + count)
        progress.repeated += answers.repeated
        progress.events += answers.events
        for rule, count in answers.kept_out.items():
            _add(progress.refused_by_rule, rule_name(rule), count)
        for (path, reason), count in answers.ignored.items():
            if reason != _ABSENT:
                _add(progress.not_read, f"{_POSITION.sub('[]', path)}: {reason}", count)
        for at, reason, message, field in answers.errors:
            event = batch.positions[at] if batch.positions else 0
            line = batch.line_numbers[at]
            progress.add_error(LineError(line, reason, message, field, event))

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
            "refused_by_rule": progress.refused_by_rule,
            "not_read": progress.not_read,
            **self.errors_summary(),
        }


def _add(counts: dict[str, int], key: str, count: int) -> None:
    """Counts it; what is new when there is no room stands under one name."""
    if key not in counts and len(counts) >= _PLACES_MAX:
        key = "other places"
    counts[key] = counts.get(key, 0) + count


def _check_length(answered: _Answered) -> None:
    found, sent = answered.response.events, len(answered.batch.line_numbers)
    if found != sent:
        raise CommandError(
            f"the server answered {found} of {sent} events; "
            "it does not speak this version of ipse.v1"
        )


def _written_back(answered: _Answered) -> bytes:
    """The lines of `--out`: an accepted event is put in as the bytes that it came as."""
    from ipse.v1 import identity_pb2

    batch, parts = answered.batch, []
    response = identity_pb2.ResolveEventsResponse.FromString(answered.response.payload)
    for event, number, result in zip(
        batch.events, batch.line_numbers, response.results, strict=True
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
