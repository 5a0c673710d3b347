"""`ipse import`: brings the profiles of another system, from a file, in order.

A line that is refused, and an identifier that a rule keeps out, is counted and written to a file
of rejects, never a reason to stop. The same command continues an import that was interrupted, and
an import that is repeated changes nothing: a profile is known again by its former id.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ipse.commands import CommandError, UsageError, connection
from ipse.commands.importing.rows import FORMATS, Row, open_rows
from ipse.commands.loading import run as running
from ipse.commands.loading.progress import LineError, Place
from ipse.commands.loading.verdicts import KEPT_OUT, rule_of
from ipse.commands.loading.wire import Wire, encode_import

if TYPE_CHECKING:
    from ipse.commands.importing.batches import ImportBatch
    from ipse.commands.loading.sender import Answered
    from ipse.v1 import identity_pb2

    _Answered: TypeAlias = Answered[ImportBatch, identity_pb2.ImportProfilesResponse]

REJECTS_SUFFIX: Final = ".rejects.jsonl"
BAD_LINE: Final = "BAD_LINE"

_METHOD: Final = "/ipse.v1.IdentityService/ImportProfiles"
_SOURCE_BYTES_MAX: Final = 128
# Decisions and verdicts by their numbers in ipse.v1.
_CREATED: Final = 2
_COUNTED_VERDICTS: Final = {1: "attached", 2: "already_attached", 5: "attached"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.description = (
        "Brings the profiles of another system, one a line. JSON lines: former_id, created_time, "
        "known, identifiers {namespace: value, [values] or [{value, time}]}, traits, trait_times. "
        "CSV and Parquet: columns former_id, created_time, known, id:NAMESPACE (again for "
        "another value), ids:NAMESPACE (a JSON array), trait:NAME (text), json:NAME (JSON). "
        "Times are RFC 3339."
    )
    parser.add_argument(
        "file", metavar="FILE", help="JSON lines or CSV, plain or gzip, or Parquet; - is stdin"
    )
    connection.add_workspace(parser)
    connection.add_address(parser)
    parser.add_argument(
        "--format", choices=FORMATS, dest="kind", help="what the file is [by its name]"
    )
    parser.add_argument(
        "--source", metavar="NAME", help="where the profiles come from, kept as evidence [FILE]"
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="COLUMN",
        help="a column or field to leave out; may come again",
    )  # fmt: skip
    parser.add_argument(
        "--rejects", metavar="FILE",
        help="write what was refused, with line and reason, as JSON lines "
        f"[FILE{REJECTS_SUFFIX}]",
    )  # fmt: skip
    parser.add_argument(
        "--read-only", action="store_true", help="say what would happen, and write nothing"
    )
    running.add_arguments(parser, "profiles")


def run(arguments: argparse.Namespace) -> int:
    """Imports the file and prints the report."""
    if arguments.read_only and arguments.preset:
        raise UsageError("--read-only writes nothing, and --preset may create a workspace")
    rejects = _rejects_path(arguments)
    running.check(arguments, [("--rejects", rejects)] if rejects else [])
    bringing = Import(arguments, rejects)
    try:
        bringing.run()
    except KeyboardInterrupt:
        message = f"interrupted behind line {bringing.progress.line}; {bringing.how_to_continue()}"
        raise CommandError(message, exit_code=130) from None
    finally:
        bringing.close()
    bringing.print_report()
    progress = bringing.progress
    accepted = progress.created + progress.updated + progress.unchanged
    return bringing.exit_code(accepted, progress.refused)


@dataclass(slots=True)
class ImportProgress(Place):
    """Profiles by what became of them, and identifiers by theirs."""

    profiles: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    attached: int = 0
    already_attached: int = 0
    refused: int = 0
    refused_by_rule: dict[str, int] = field(default_factory=dict)
    ignored_traits: int = 0


class Import(running.Run["ImportBatch", "identity_pb2.ImportProfilesResponse", ImportProgress]):
    """One run over a file of profiles."""

    OUT_FLAG = "--rejects"
    ITEMS = "profiles"

    def __init__(self, arguments: argparse.Namespace, rejects: str | None) -> None:
        self._ignored = frozenset(arguments.ignore)
        self._rows = open_rows(arguments.file, arguments.kind, self._ignored)
        progress = ImportProgress(workspace=arguments.workspace)
        super().__init__(arguments, self._rows, progress, rejects)
        self._closing.callback(self._rows.close)
        if arguments.read_only:
            # Nothing is brought, so there is no place to continue from.
            self._progress_path = None

    def run(self) -> None:
        """Brings every profile that is left."""
        super().run()
        rejects = self._out_path and Path(self._out_path)
        if rejects and not self._arguments.rejects and not self.progress.out_bytes:
            # Nobody asked for an empty file.
            rejects.unlink(missing_ok=True)

    def print_report(self) -> None:
        """What became of profiles and identifiers."""
        report, progress = self._report(), self.progress
        if self._arguments.json:
            print(json.dumps(report))
            return
        self.print_errors()
        would = "would be " if self._arguments.read_only else ""
        print(
            f"{progress.profiles} profiles in {report['seconds']} s "
            f"({report['profiles_per_second']} profiles/s): {would}{progress.created} created, "
            f"{progress.updated} updated, {progress.unchanged} unchanged, {progress.errors} errors"
        )
        print(
            f"identifiers: {would}{progress.attached} attached, {progress.already_attached} "
            f"already attached, {progress.refused} refused{_by_rule(progress.refused_by_rule)}"
        )
        if progress.ignored_traits:
            print(f"traits: {progress.ignored_traits} ignored: the profile's are newer")
        if report["rejects"]:
            print(f"what was refused is in {report['rejects']}")

    def _wire(self) -> Wire[ImportBatch, identity_pb2.ImportProfilesResponse]:
        from ipse.v1 import identity_pb2

        arguments = self._arguments
        source = _source(arguments)

        def encode(batch: ImportBatch) -> bytes:
            return encode_import(
                arguments.workspace, batch.profiles, source, read_only=arguments.read_only
            )

        return Wire(
            method=_METHOD,
            encode=encode,
            parse=identity_pb2.ImportProfilesResponse.FromString,
            refusals=_refusals,
            items=self.ITEMS,
        )

    def _batches(self) -> Iterator[ImportBatch]:
        from ipse.commands.importing.batches import batches

        return batches(self._rows, self.progress.line, self._arguments.batch, self._ignored)

    def _items(self) -> int:
        return self.progress.profiles

    def _count(self, answered: _Answered) -> None:
        _check_length(answered)
        progress = self.progress
        for row in answered.batch.rejected:
            progress.add_error(LineError(row.line, BAD_LINE, row.trouble))
        progress.profiles += len(answered.batch.profiles)
        for row, result in zip(answered.batch.rows, answered.response.results, strict=True):
            if result.HasField("error"):
                error = result.error
                progress.add_error(LineError(row.line, error.reason, error.message, error.field))
            else:
                _count_profile(progress, result.resolution)

    def _written(self, answered: _Answered) -> bytes:
        _check_length(answered)
        lines = [
            {"line": row.line, "reason": BAD_LINE, "message": row.trouble, "record": row.text}
            for row in answered.batch.rejected
        ]
        for row, result in zip(answered.batch.rows, answered.response.results, strict=True):
            lines += _rejects(row, result)
        lines.sort(key=_line_of)
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def _report(self) -> dict[str, Any]:
        seconds, pace = self.pace()
        progress = self.progress
        return {
            "file": self._arguments.file,
            "workspace": progress.workspace,
            "read_only": self._arguments.read_only,
            "lines": progress.line,
            "first_line": self._first_line,
            "profiles": progress.profiles,
            "seconds": seconds,
            "profiles_per_second": pace,
            "created": progress.created,
            "updated": progress.updated,
            "unchanged": progress.unchanged,
            "identifiers": {
                "attached": progress.attached,
                "already_attached": progress.already_attached,
                "refused": progress.refused,
                "refused_by_rule": progress.refused_by_rule,
            },
            "ignored_traits": progress.ignored_traits,
            "rejects": self._out_path if progress.out_bytes else None,
            **self.errors_summary(),
        }


def _rejects_path(arguments: argparse.Namespace) -> str | None:
    if arguments.rejects is not None:
        return str(arguments.rejects)
    if arguments.file == "-" or arguments.read_only:
        # Without a name beside which to write, or a wish to, the report has to do.
        return None
    return f"{arguments.file}{REJECTS_SUFFIX}"


def _source(arguments: argparse.Namespace) -> str:
    if arguments.source is not None:
        return str(arguments.source)
    name = "" if arguments.file == "-" else Path(arguments.file).name
    return name if len(name.encode(errors="surrogateescape")) <= _SOURCE_BYTES_MAX else ""


def _refusals(
    response: identity_pb2.ImportProfilesResponse,
) -> Iterator[tuple[str, str]]:
    errors = (result.error for result in response.results if result.HasField("error"))
    return ((error.reason, error.message) for error in errors)


def _check_length(answered: _Answered) -> None:
    results, profiles = answered.response.results, answered.batch.profiles
    if len(results) != len(profiles):
        raise CommandError(
            f"the server answered {len(results)} of {len(profiles)} profiles; "
            "it does not speak this version of ipse.v1"
        )


def _count_profile(progress: ImportProgress, resolution: identity_pb2.Resolution) -> None:
    changed = resolution.recorded or any(
        _COUNTED_VERDICTS.get(each.verdict) == "attached" for each in resolution.verdicts
    )
    if resolution.decision == _CREATED:
        progress.created += 1
    elif changed:
        progress.updated += 1
    else:
        progress.unchanged += 1
    counts = Counter(int(each.verdict) for each in resolution.verdicts)
    for verdict, name in _COUNTED_VERDICTS.items():
        setattr(progress, name, getattr(progress, name) + counts[verdict])
    progress.ignored_traits += len(resolution.ignored_traits)
    for each in resolution.verdicts:
        if each.verdict in KEPT_OUT:
            rule = rule_of(each)
            progress.refused += 1
            progress.refused_by_rule[rule] = progress.refused_by_rule.get(rule, 0) + 1


def _rejects(row: Row, result: identity_pb2.ImportProfilesResult) -> Iterator[dict[str, Any]]:
    """What of a profile was refused: all of it, some identifiers, or some traits."""
    if result.HasField("error"):
        error = result.error
        yield {
            "line": row.line,
            "reason": error.reason,
            "message": error.message,
            "record": row.text,
        }
        return
    for each in result.resolution.verdicts:
        if each.verdict in KEPT_OUT:
            yield {
                "line": row.line,
                "reason": rule_of(each).upper(),
                "message": "a rule keeps this identifier off the profile; the rest was brought",
                "namespace": each.identifier.namespace,
                "value": each.raw_value or each.identifier.value,
                "profile_id": result.resolution.profile_id,
                "limit_namespace": each.limit_namespace,
                "limit": each.limit,
                "collided_profile_id": each.collided_profile_id,
            }
    for ignored in result.resolution.ignored_traits:
        yield {
            "line": row.line,
            "reason": _trait_reason(ignored).upper(),
            "message": "the profile's value of this trait stays; the rest was brought",
            "trait": ignored.name,
            "profile_id": result.resolution.profile_id,
        }


def _trait_reason(ignored: identity_pb2.IgnoredTrait) -> str:
    from ipse.model.words import TRAIT_REASONS

    reason = TRAIT_REASONS.get(ignored.reason)
    return str(reason) if reason else "unknown"


def _line_of(reject: dict[str, Any]) -> int:
    return int(reject["line"])


def _by_rule(counts: dict[str, int]) -> str:
    if not counts:
        return ""
    return f" ({', '.join(f'{count} {rule}' for rule, count in sorted(counts.items()))})"
