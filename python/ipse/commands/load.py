"""`ipse load`: sends a file of raw events to a server, in order, and can be interrupted at will.

A line that is refused is counted and listed, never a reason to stop. What ends a load is the
file (it cannot be read) or the server (away for too long, or no such workspace); the same
command then continues behind the last acknowledged batch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections import Counter
from operator import attrgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ipse.commands import EXIT_FAILED, EXIT_OK, CommandError, UsageError, connection
from ipse.commands.loading import places
from ipse.commands.loading import progress as progress_file
from ipse.commands.loading.bar import Bar
from ipse.commands.loading.lines import LINE_BYTES_MAX, Source, fingerprint
from ipse.commands.loading.progress import LineError, Progress

if TYPE_CHECKING:
    from ipse.commands.loading.sender import Answered

BATCH_EVENTS_MAX = 1_000
_ERRORS_PRINTED_MAX = 20
_FINGERPRINT_BYTES_MAX = 65_536
_SAVE_INTERVAL_S = 0.1

# By number of ipse.v1.Decision: the field of Progress that counts it, and the word for --out.
_DECISION_OF = attrgetter("resolution.decision")
_IS_REPEATED = attrgetter("resolution.repeated")
_DECISIONS = ("", "unresolved", "created", "attached", "already_attached", "merged")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "file", metavar="FILE", help="JSON lines, one Segment event each; plain or gzip; - is stdin"
    )
    connection.add_workspace(parser)
    connection.add_address(parser)
    parser.add_argument(
        "--batch", type=int, default=BATCH_EVENTS_MAX, metavar="N",
        help=f"events in one call, 1 to {BATCH_EVENTS_MAX} [{BATCH_EVENTS_MAX}]",
    )  # fmt: skip
    parser.add_argument(
        "--in-flight", type=int, default=1, metavar="N",
        help="calls at once [1]; more is faster where the disk is slow, and gives up the order "
        "between batches",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="FILE",
        help="write each event back with its profile id and decision, as JSON lines",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action=argparse.BooleanOptionalAction, default=True,
        help="continue where an interrupted load of this file stopped [yes]",
    )  # fmt: skip
    parser.add_argument(
        "--restart", action="store_false", dest="resume", help="the same as --no-resume"
    )
    parser.add_argument(
        "--progress-file", metavar="FILE", help="where to remember the place [FILE.ipse-progress]"
    )
    parser.add_argument(
        "--retry-seconds", type=float, default=60.0, metavar="S",
        help="how long to wait for a server that is away [60]",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="exit 1 if any line was refused")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Loads the file and prints the summary."""
    _check(arguments)
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


def _check(arguments: argparse.Namespace) -> None:
    if not 1 <= arguments.batch <= BATCH_EVENTS_MAX:
        raise UsageError(f"--batch must be from 1 to {BATCH_EVENTS_MAX}, not {arguments.batch}")
    if arguments.in_flight < 1:
        raise UsageError(f"--in-flight must be at least 1, not {arguments.in_flight}")
    if arguments.retry_seconds < 0:
        raise UsageError(f"--retry-seconds must not be negative, not {arguments.retry_seconds}")
    progress = _progress_path(arguments)
    written = [("--out", arguments.out), ("--progress-file", progress and str(progress))]
    places.check(arguments.file, [(flag, path) for flag, path in written if path])


class Load:
    """One run over a file."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._progress_path = _progress_path(arguments)
        out = arguments.out and str(Path(arguments.out).resolve())
        self.progress = Progress(workspace=arguments.workspace, out=out)
        self._source = Source(arguments.file)
        self._out: IO[bytes] | None = None
        self._bar = Bar(self._source, sys.stderr)
        self._started = time.monotonic()
        self._saved = 0.0
        self._first_line = 1
        self._events_before = 0
        self._retries = 0
        self._closing = contextlib.ExitStack()
        self._closing.callback(self._source.close)

    def run(self) -> None:
        """Sends every line that is left."""
        from ipse.commands.loading.sender import Sender

        self._continue()
        self._open_out()
        arguments = self._arguments
        sender = Sender(
            arguments.address, arguments.workspace, arguments.in_flight, arguments.retry_seconds
        )
        self._closing.callback(sender.close)
        batches = self._source.batches(arguments.batch, self.progress.offset, self.progress.line)
        try:
            for batch in batches:
                if answered := sender.send(batch):
                    self._record(answered)
            for answered in sender.drain():
                self._record(answered)
        except CommandError:
            # A damaged file must not cost the batches before the damage.
            for answered in sender.drain():
                self._record(answered)
            raise
        finally:
            self._save(is_last=True)
            self._bar.end()
            self._retries = sender.retries
        if self._progress_path is not None:
            self._progress_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes files and connection."""
        self._closing.close()

    def how_to_continue(self) -> str:
        """What a person does after an interruption."""
        if self._progress_path is None:
            return f"{self._arguments.file} cannot be read again, so the load cannot continue"
        return "run the same command again to continue"

    def print_summary(self) -> None:
        """The counts on stdout; the refused lines too, or on stderr beside JSON."""
        summary = self._summary()
        if self._arguments.json:
            print(json.dumps(summary))
            return
        errors = self.progress.error_list[:_ERRORS_PRINTED_MAX]
        for error in errors:
            print(f"line {error.line}: {error.reason}: {error.message}", file=sys.stderr)
        if self.progress.errors > len(errors):
            print(f"... and {self.progress.errors - len(errors)} more lines", file=sys.stderr)
        counts = ", ".join(f"{getattr(self.progress, name)} {name}" for name in _DECISIONS[1:])
        print(
            f"{self.progress.events} events in {summary['seconds']} s "
            f"({summary['events_per_second']} events/s): "
            f"{counts.replace('_', ' ')}, {self.progress.errors} errors"
        )

    def _continue(self) -> None:
        path = self._progress_path
        earlier = progress_file.read(path) if path and self._arguments.resume else None
        if earlier is None:
            return
        if earlier.workspace != self._arguments.workspace:
            raise UsageError(
                f"{path} is of a load into workspace {earlier.workspace!r}; "
                "finish that one, or use --restart to load the file anew"
            )
        if earlier.out != self.progress.out:
            begun = f"with --out {earlier.out}" if earlier.out else "without --out"
            raise UsageError(
                f"{path} is of a load that was begun {begun}; "
                "continue it in the same way, or use --restart to load the file anew"
            )
        if fingerprint(self._arguments.file, earlier.fingerprint_bytes) != earlier.fingerprint:
            raise CommandError(
                f"{self._arguments.file} is not the file that {path} is about; "
                "use --restart to load it anew"
            )
        self.progress = earlier
        self._first_line, self._events_before = earlier.line + 1, earlier.events
        print(f"ipse: continuing at line {earlier.line + 1}", file=sys.stderr)

    def _open_out(self) -> None:
        path = self._arguments.out
        if path is None:
            return
        continued = self.progress.out_bytes > 0
        if continued and (not Path(path).exists() or self._out_is_short(path)):
            raise CommandError(
                f"{path} no longer holds the {self.progress.out_bytes} bytes that were written; "
                "use --restart to load the file anew"
            )
        # Not buffered: what was written when a write fails is known, and nothing follows it.
        mode = "r+b" if continued else "wb"
        file = Path(path).open(mode, buffering=0)  # noqa: SIM115 -- closed by `close`
        self._out = self._closing.enter_context(file)
        if continued and Path(path).is_file():
            self._out.truncate(self.progress.out_bytes)
            self._out.seek(0, 2)

    def _out_is_short(self, path: str) -> bool:
        return Path(path).is_file() and Path(path).stat().st_size < self.progress.out_bytes

    def _record(self, answered: Answered) -> None:
        """Writes a batch out, and only then counts it and moves the place to resume from."""
        batch, progress = answered.batch, self.progress
        _check_length(answered)
        if self._out is not None:
            progress.out_bytes += _write_whole(self._out, _written_back(answered))
        self._count(answered)
        progress.offset, progress.line = batch.end_offset, batch.end_line
        self._save()
        self._bar.show(progress.events, self._events_before)

    def _count(self, answered: Answered) -> None:
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

    def _list_errors(self, answered: Answered) -> None:
        results = answered.response.results
        for number, result in zip(answered.batch.line_numbers, results, strict=True):
            if result.HasField("error"):
                error = result.error
                self.progress.add_error(LineError(number, error.reason, error.message, error.field))

    def _save(self, *, is_last: bool = False) -> None:
        """Remembers the place, ten times a second: what is sent again then is little."""
        now = time.monotonic()
        is_due = is_last or now - self._saved >= _SAVE_INTERVAL_S
        if self._progress_path is None or not self.progress.offset or not is_due:
            return
        self._saved = now
        if not self.progress.fingerprint_bytes:
            length_bytes = min(self.progress.offset, _FINGERPRINT_BYTES_MAX)
            self.progress.fingerprint_bytes = length_bytes
            self.progress.fingerprint = fingerprint(self._arguments.file, length_bytes)
        self.progress.save(self._progress_path)

    def _summary(self) -> dict[str, object]:
        seconds = time.monotonic() - self._started
        sent = self.progress.events - self._events_before
        progress = self.progress
        return {
            "file": self._arguments.file,
            "workspace": progress.workspace,
            "lines": progress.line,
            "first_line": self._first_line,
            "events": progress.events,
            "seconds": round(seconds, 3),
            "events_per_second": round(sent / seconds) if seconds else 0,
            **{name: getattr(progress, name) for name in (*_DECISIONS[1:], "repeated", "errors")},
            "error_list": [
                {"line": e.line, "reason": e.reason, "message": e.message, "field": e.field}
                for e in progress.error_list
            ],
            "errors_not_listed": progress.errors - len(progress.error_list),
            "retries": self._retries,
        }


def _progress_path(arguments: argparse.Namespace) -> Path | None:
    if not Path(arguments.file).is_file():
        # Standard input or a pipe: it cannot be read again from a place.
        return None
    return Path(arguments.progress_file or arguments.file + progress_file.SUFFIX)


def _check_length(answered: Answered) -> None:
    results, events = answered.response.results, answered.batch.events
    if len(results) != len(events):
        raise CommandError(
            f"the server answered {len(results)} of {len(events)} events; "
            "it does not speak this version of ipse.v1"
        )


def _write_whole(out: IO[bytes], lines: bytes) -> int:
    """Writes everything or raises; a file that is not buffered may take less at a time."""
    left = memoryview(lines)
    while left:
        left = left[out.write(left) :]
    return len(lines)


def _written_back(answered: Answered) -> bytes:
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
