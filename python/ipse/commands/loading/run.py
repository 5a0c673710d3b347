"""One run over a file: batches out in order, answers recorded, the place kept to continue from.

What is read, what is sent and what an answer counts as is for the commands to say; that nothing
is recorded before it is acknowledged, and nothing acknowledged is lost, is kept here.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Generic, TypeVar

from ipse.commands import EXIT_FAILED, EXIT_OK, CommandError, UsageError
from ipse.commands.loading import places
from ipse.commands.loading import progress as progress_file
from ipse.commands.loading.bar import Bar, Measured
from ipse.commands.loading.lines import fingerprint
from ipse.commands.loading.progress import Place
from ipse.commands.loading.wire import BatchT, ResponseT

if TYPE_CHECKING:
    from ipse.commands.loading.sender import Answered
    from ipse.commands.loading.wire import Wire

BATCH_ITEMS_MAX = 1_000
ERRORS_PRINTED_MAX = 20
_FINGERPRINT_BYTES_MAX = 65_536
_SAVE_INTERVAL_S = 1.0

PlaceT = TypeVar("PlaceT", bound=Place)


def add_arguments(parser: argparse.ArgumentParser, items: str) -> None:
    """Adds the arguments of every command that sends a file."""
    parser.add_argument(
        "--preset", metavar="NAME",
        help="create the workspace with the rules of this preset, if there is none; see "
        "'ipse rules presets'",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, default=BATCH_ITEMS_MAX, metavar="N",
        help=f"{items} in one call, 1 to {BATCH_ITEMS_MAX} [{BATCH_ITEMS_MAX}]",
    )  # fmt: skip
    parser.add_argument(
        "--in-flight", type=int, default=1, metavar="N",
        help="calls at once [1]; more is faster where the disk is slow, and gives up the order "
        "between batches",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action=argparse.BooleanOptionalAction, default=True,
        help="continue where an interrupted run over this file stopped [yes]",
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
    parser.add_argument("--strict", action="store_true", help="exit 1 if anything was refused")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def check(arguments: argparse.Namespace, written: list[tuple[str, str]]) -> None:
    """Refuses arguments that cannot be meant; `written` are flags and the files they name."""
    if not 1 <= arguments.batch <= BATCH_ITEMS_MAX:
        raise UsageError(f"--batch must be from 1 to {BATCH_ITEMS_MAX}, not {arguments.batch}")
    if arguments.in_flight < 1:
        raise UsageError(f"--in-flight must be at least 1, not {arguments.in_flight}")
    if arguments.retry_seconds < 0:
        raise UsageError(f"--retry-seconds must not be negative, not {arguments.retry_seconds}")
    if arguments.preset is not None:
        from ipse.commands import presets

        presets.text(arguments.preset)
    if path := progress_path(arguments):
        written = [*written, ("--progress-file", str(path))]
    places.check(arguments.file, written)


def progress_path(arguments: argparse.Namespace) -> Path | None:
    """Where the place is remembered; None if it could not be found again."""
    if not Path(arguments.file).is_file():
        # Standard input or a pipe: it cannot be read again from a place.
        return None
    return Path(arguments.progress_file or arguments.file + progress_file.SUFFIX)


class CannotWriteError(CommandError):
    """A file that the run writes cannot be written."""


class Run(ABC, Generic[BatchT, ResponseT, PlaceT]):
    """One run over a file. `progress` is what it has done so far, in earlier runs too."""

    OUT_FLAG: ClassVar[str]
    ITEMS: ClassVar[str]

    def __init__(
        self, arguments: argparse.Namespace, source: Measured, progress: PlaceT, out: str | None
    ) -> None:
        self._arguments = arguments
        self._progress_path = progress_path(arguments)
        self._out_path = out
        progress.out = out and str(Path(out).resolve())
        self.progress = progress
        self._out: IO[bytes] | None = None
        self._bar = Bar(source, sys.stderr, self.ITEMS)
        self._started = time.monotonic()
        self._saved = 0.0
        self._first_line = 1
        self._items_before = 0
        self._retries = 0
        self._closing = contextlib.ExitStack()

    @abstractmethod
    def _wire(self) -> Wire[BatchT, ResponseT]:
        """How a batch is sent."""

    @abstractmethod
    def _batches(self) -> Iterator[BatchT]:
        """What is left to send."""

    @abstractmethod
    def _count(self, answered: Answered[BatchT, ResponseT]) -> None:
        """Counts what the answers say in `progress`."""

    @abstractmethod
    def _written(self, answered: Answered[BatchT, ResponseT]) -> bytes:
        """What the answers add to the file that the command writes."""

    @abstractmethod
    def _items(self) -> int:
        """How many items were sent, in earlier runs too."""

    def run(self) -> None:
        """Sends everything that is left."""
        self._continue()
        self._open_out()
        self._prepare()
        self._send()
        if self._progress_path is not None:
            self._progress_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes files and connection."""
        self._closing.close()

    def how_to_continue(self) -> str:
        """What a person does after an interruption."""
        if self._progress_path is None:
            return f"{self._arguments.file} cannot be read again, so it cannot be continued"
        return "run the same command again to continue"

    def pace(self) -> tuple[float, int]:
        """How long this run took, in seconds, and how many items it sent in each."""
        seconds = time.monotonic() - self._started
        sent = self._items() - self._items_before
        return round(seconds, 3), round(sent / seconds) if seconds else 0

    def print_errors(self) -> None:
        """The first of the refused lines, on stderr."""
        errors = self.progress.error_list[:ERRORS_PRINTED_MAX]
        for error in errors:
            event = f", event {error.event}" if error.event else ""
            print(f"line {error.line}{event}: {error.reason}: {error.message}", file=sys.stderr)
        if self.progress.errors > len(errors):
            print(f"... and {self.progress.errors - len(errors)} more lines", file=sys.stderr)

    def errors_summary(self) -> dict[str, object]:
        """The refused lines, for a program."""
        listed = self.progress.error_list
        return {
            "errors": self.progress.errors,
            "error_list": [
                {"line": e.line, "reason": e.reason, "message": e.message, "field": e.field}
                | ({"event": e.event} if e.event else {})
                for e in listed
            ],
            "errors_not_listed": self.progress.errors - len(listed),
            "retries": self._retries,
        }

    def exit_code(self, accepted: int, refused: int) -> int:
        """Failure if something was refused and nobody would take that, or nothing else was there.

        `accepted` and `refused` are what became of the items, in earlier runs too.
        """
        errors, file = self.progress.errors, self._arguments.file
        if errors and not accepted:
            print(
                f"ipse: none of the {self.ITEMS} of {file} was taken: {errors} refused",
                file=sys.stderr,
            )
            return EXIT_FAILED
        return EXIT_FAILED if self._arguments.strict and (errors or refused) else EXIT_OK

    def _prepare(self) -> None:
        arguments = self._arguments
        if arguments.preset is not None:
            from ipse.commands import presets

            presets.put_in_force(arguments, arguments.preset, arguments.retry_seconds)

    def _send(self) -> None:
        from ipse.commands import connection
        from ipse.commands.loading.sender import Sender

        arguments = self._arguments
        way = connection.way(arguments)
        sender = Sender(self._wire(), way, arguments.in_flight, arguments.retry_seconds)
        self._closing.callback(sender.close)
        try:
            for batch in self._batches():
                if answered := sender.send(batch):
                    self._record(answered)
            for answered in sender.drain():
                self._record(answered)
        except CannotWriteError:
            # Nothing may follow what could not be written.
            raise
        except CommandError:
            # A damaged file must not cost the batches before the damage.
            for answered in sender.drain():
                self._record(answered)
            raise
        finally:
            self._save(is_last=True)
            self._bar.end()
            self._retries = sender.retries

    def _continue(self) -> None:
        path = self._progress_path
        kind = type(self.progress)
        earlier = progress_file.read(path, kind) if path and self._arguments.resume else None
        if earlier is None:
            return
        if earlier.workspace != self._arguments.workspace:
            raise UsageError(
                f"{path} is of a run into workspace {earlier.workspace!r}; "
                "finish that one, or use --restart to begin anew"
            )
        if earlier.out != self.progress.out:
            flag = self.OUT_FLAG
            begun = f"with {flag} {earlier.out}" if earlier.out else f"without {flag}"
            raise UsageError(
                f"{path} is of a run that was begun {begun}; "
                "continue it in the same way, or use --restart to begin anew"
            )
        if fingerprint(self._arguments.file, earlier.fingerprint_bytes) != earlier.fingerprint:
            raise CommandError(
                f"{self._arguments.file} is not the file that {path} is about; "
                "use --restart to load it anew"
            )
        self.progress = earlier
        self._first_line, self._items_before = earlier.line + 1, self._items()
        print(f"ipse: continuing at line {earlier.line + 1}", file=sys.stderr)

    def _open_out(self) -> None:
        path = self._out_path
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
        with _writing(path):
            file = Path(path).open(mode, buffering=0)  # noqa: SIM115 -- closed by `close`
        self._out = self._closing.enter_context(file)
        if continued and Path(path).is_file():
            self._out.truncate(self.progress.out_bytes)
            self._out.seek(0, 2)

    def _out_is_short(self, path: str) -> bool:
        return Path(path).is_file() and Path(path).stat().st_size < self.progress.out_bytes

    def _record(self, answered: Answered[BatchT, ResponseT]) -> None:
        """Writes a batch out, and only then counts it and moves the place to resume from."""
        batch, progress = answered.batch, self.progress
        if self._out is not None:
            with _writing(self._out_path, f"; {self.how_to_continue()}"):
                progress.out_bytes += _write_whole(self._out, self._written(answered))
        self._count(answered)
        progress.offset, progress.line = batch.end_offset, batch.end_line
        self._save()
        self._bar.show(self._items(), self._items_before)

    def _save(self, *, is_last: bool = False) -> None:
        """Remembers the place, each second: replacing a file costs as much as a batch or two."""
        now = time.monotonic()
        is_due = is_last or now - self._saved >= _SAVE_INTERVAL_S
        if self._progress_path is None or not self.progress.offset or not is_due:
            return
        self._saved = now
        if not self.progress.fingerprint_bytes:
            length_bytes = min(self.progress.offset, _FINGERPRINT_BYTES_MAX)
            self.progress.fingerprint_bytes = length_bytes
            self.progress.fingerprint = fingerprint(self._arguments.file, length_bytes)
        with _writing(self._progress_path):
            self.progress.save(self._progress_path)


@contextlib.contextmanager
def _writing(path: str | Path | None, what_to_do: str = "") -> Iterator[None]:
    """Names the file that cannot be written."""
    try:
        yield
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise CannotWriteError(f"cannot write {path}: {reason}{what_to_do}") from None


def _write_whole(out: IO[bytes], lines: bytes) -> int:
    """Writes everything or raises; a file that is not buffered may take less at a time."""
    left = memoryview(lines)
    while left:
        left = left[out.write(left) :]
    return len(lines)
