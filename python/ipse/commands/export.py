"""`ipse export`: what a warehouse needs to follow people, as CSV or JSON lines.

Reads page by page and writes as it reads, so that an id map of any size takes the same memory. What
the list of profiles cannot tell is said aloud, never left out in silence. Writes nothing to the
server.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from ipse.commands import EXIT_OK, CommandError, connection, output, plain

if TYPE_CHECKING:
    from ipse.client import Client
    from ipse.model import Profile

Row: TypeAlias = "tuple[str | int, ...]"

COLUMNS: Final = {
    "id_map": ("id", "kind", "profile_id"),
    "attributions": (
        "source_profile_id", "destination_profile_id", "start_time", "end_time",
        "sequence_number",
    ),
}  # fmt: skip
FORMATS: Final = ("csv", "json")

_READ_MASKS: Final = {
    "id_map": ("absorbed_profile_ids", "merge_count", "former_ids"),
    "attributions": ("attributions",),
}
# How many former ids or attributions a profile lists at most.
_LISTED_MAX: Final = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.description = (
        "Writes a table for the warehouse. id_map: every id that was ever given out (kind "
        "current or absorbed) or brought in (former), and the profile that it leads to now. "
        "attributions: the history of one profile that counts as another's, each once; the ids "
        "are those of the day, and id_map leads from them to the current ones."
    )
    parser.add_argument("what", choices=tuple(COLUMNS), help="the table")
    connection.add_workspace(parser)
    connection.add_address(parser)
    parser.add_argument(
        "--format", choices=FORMATS, default="csv", dest="kind",
        help="CSV with a header, or JSON lines [csv]",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="where to write [standard output]")


def run(arguments: argparse.Namespace) -> int:
    """Writes the table; fails behind it if there is more than profiles list."""
    with connection.client(arguments) as client:
        # Asked before the file is opened: a name that is wrong must not empty it.
        before = client.get_workspace(arguments.workspace)
        cut = _write(client, arguments)
        after = client.get_workspace(arguments.workspace)
    if after.absorbed_profile_count != before.absorbed_profile_count:
        print(
            "ipse: profiles were merged meanwhile: what is theirs may be there twice, or not at "
            "all; export again when fewer are",
            file=sys.stderr,
        )
    if cut:
        raise CommandError(
            f"not everything of {len(cut)} profiles is there, for a profile lists at most "
            f"{_LISTED_MAX} ids or attributions of a kind; the first is {cut[0]}"
        )
    return EXIT_OK


def _write(client: Client, arguments: argparse.Namespace) -> list[str]:
    """Writes every row; returns the profiles that have more than they list."""
    rows_of = _id_map if arguments.what == "id_map" else _Attributions()
    line_of = _csv if arguments.kind == "csv" else _json(COLUMNS[arguments.what])
    cut = []
    with output.opened(arguments.out) as out:
        if arguments.kind == "csv":
            out.write(_csv(COLUMNS[arguments.what]))
        mask = _READ_MASKS[arguments.what]
        for profile in client.list_profiles(workspace=arguments.workspace, read_mask=mask):
            out.writelines(map(line_of, rows_of(profile)))
            if _is_cut(profile):
                cut.append(profile.profile_id)
    return cut


def _id_map(profile: Profile) -> Iterator[Row]:
    current = profile.profile_id
    yield current, "current", current
    for absorbed in profile.absorbed_profile_ids:
        yield absorbed, "absorbed", current
    for former in profile.former_ids:
        yield former, "former", current


class _Attributions:
    """Rows of attributions, each once.

    Both ends of one show it, and either may be absorbed by now, or list too many: so what was
    written is remembered, instead of looking for one end.
    """

    def __init__(self) -> None:
        self._written: set[int] = set()

    def __call__(self, profile: Profile) -> Iterator[Row]:
        for each in profile.attributions:
            if each.sequence_number in self._written:
                continue
            self._written.add(each.sequence_number)
            yield (
                each.source_profile_id,
                each.destination_profile_id,
                plain.shown_time(each.start_time),
                plain.shown_time(each.end_time),
                each.sequence_number,
            )


def _is_cut(profile: Profile) -> bool:
    """Whether it has more than it lists; only of absorbed ids is the true number known."""
    return (
        profile.merge_count > len(profile.absorbed_profile_ids)
        or len(profile.former_ids) >= _LISTED_MAX
        or len(profile.attributions) >= _LISTED_MAX
    )


def _csv(row: Row) -> str:
    return ",".join(map(_quoted, row)) + "\n"


def _quoted(value: str | int) -> str:
    # The csv module of Python 3.11 leaves a carriage return bare where lines end without one.
    text = str(value)
    if any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _json(columns: tuple[str, ...]) -> Callable[[Row], str]:
    def line(row: Row) -> str:
        return json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n"

    return line
