"""What a run over a file has done so far, so that a second run continues where it stopped.

It is kept in a small file beside the input, which is replaced as a whole, never edited, and always
speaks of acknowledged batches only. It may be a little behind them, and it is not synced: the next
run then sends a few batches again, and what comes again changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar, overload

from ipse.commands import CommandError

SUFFIX = ".ipse-progress"
ERRORS_KEPT_MAX = 1_000
_FORMAT_VERSION = 1


PlaceT = TypeVar("PlaceT", bound="Place")


@dataclass(slots=True)
class LineError:
    """A line that was refused."""

    line: int
    reason: str
    message: str
    field: str = ""
    # Which event of the file it is, from 1; 0 if that is what the line says.
    event: int = 0


@dataclass(slots=True)
class Place:
    """Where a run stands. Everything up to `line` is acknowledged or listed as an error."""

    workspace: str
    # In uncompressed bytes and in lines.
    offset: int = 0
    line: int = 0
    # Checksum of that many bytes at the beginning of the file, to know it again.
    fingerprint: int = 0
    fingerprint_bytes: int = 0
    # The file that the run writes, and its length that belongs to `line`.
    out: str | None = None
    out_bytes: int = 0
    errors: int = 0
    error_list: list[LineError] = field(default_factory=list)

    def add_error(self, error: LineError) -> None:
        """Counts the error, and lists it while there is room."""
        self.errors += 1
        if len(self.error_list) < ERRORS_KEPT_MAX:
            self.error_list.append(error)

    def save(self, path: Path) -> None:
        """Replaces the file."""
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps({"version": _FORMAT_VERSION} | asdict(self)))
        beside.replace(path)


@dataclass(slots=True)
class Progress(Place):
    """Of a load: events by what they did."""

    events: int = 0
    created: int = 0
    attached: int = 0
    already_attached: int = 0
    merged: int = 0
    unresolved: int = 0
    repeated: int = 0
    # Identifiers that were dropped or refused, by rule.
    refused_by_rule: dict[str, int] = field(default_factory=dict)
    # Places that were not read, with the reason, by the events that had them.
    not_read: dict[str, int] = field(default_factory=dict)


@overload
def read(path: Path) -> Progress | None: ...
@overload
def read(path: Path, kind: type[PlaceT]) -> PlaceT | None: ...
def read(path: Path, kind: type[Place] = Progress) -> Place | None:
    """The progress of an earlier run; None if there is none."""
    try:
        fields = json.loads(path.read_text())
        if fields.pop("version") != _FORMAT_VERSION:
            raise CommandError(f"{path} is of another version of ipse; use --restart to load anew")
        errors = [LineError(**error) for error in fields.pop("error_list")]
        return kind(**fields, error_list=errors)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as damage:
        message = f"{path} is not a progress file ({damage}); use --restart to load anew"
        raise CommandError(message) from None
