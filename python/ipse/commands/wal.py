"""`ipse wal dump|verify|repair DIR`: what is in the files, whether it is sound, and if it is not.

Reads only, but for a repair that is told what to give up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipse.commands import EXIT_FAILED, EXIT_OK, CommandError, table

if TYPE_CHECKING:
    from ipse import wal

EXIT_TORN = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds `verify`, `dump` and `repair`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    verify = actions.add_parser(
        "verify",
        help="judge every file",
        description="Judges every file as a start of the server would, and changes none.",
        epilog="exit codes: 0 all sound, 1 corrupt or unreadable, 2 wrong usage, "
        "3 a torn tail that the next start repairs",
    )
    verify.set_defaults(act=_verify)
    dump = actions.add_parser(
        "dump",
        help="print the records of the log",
        description="Prints the records of the log, oldest first, or the parts of snapshots.",
    )
    dump.add_argument("--snapshots", action="store_true", help="print snapshots, not the log")
    dump.add_argument(
        "--from", type=int, default=1, dest="first", metavar="N", help="first log position [1]"
    )
    dump.add_argument("--limit", type=int, metavar="N", help="most records to print [all]")
    dump.set_defaults(act=_dump)
    repair = actions.add_parser(
        "repair",
        help="give up records of a damaged log",
        description="Says which records a damaged log would have to give up to start again, and "
        "gives them up if it is told how many. They are lost for good: restore a backup if there "
        "is one. The damaged files are kept beside the others as *.broken.",
        epilog="exit codes: 0 repaired, 1 nothing was changed, 2 wrong usage",
    )
    repair.add_argument(
        "--give-up",
        type=int,
        metavar="RECORDS",
        help="give up so many records, which must be as many as are said without this",
    )
    repair.set_defaults(act=_repair)
    for action in (verify, dump, repair):
        action.add_argument("directory", metavar="DIR", type=Path, help="the data directory")
        action.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Reads the files of the directory."""
    try:
        return int(arguments.act(arguments))
    except OSError as failure:
        if isinstance(failure, BrokenPipeError):
            raise
        place = failure.filename or arguments.directory
        what = "read or repair" if arguments.action == "repair" else "read"
        raise CommandError(f"cannot {what} {place}: {failure.strerror}") from None


def _verify(arguments: argparse.Namespace) -> int:
    from ipse import wal

    found = wal.inspect(arguments.directory)
    if not found.segments and not found.snapshots and not found.files:
        raise CommandError(f"{arguments.directory} holds no files of ipse")
    if arguments.json:
        print(json.dumps(_verdicts(found), indent=2))
    else:
        rows = [(r.name, _state(r), r.role.value, r.detail) for r in found.files]
        print(table.render(rows, ("file", "state", "read by", "detail")))
        if found.is_locked:
            print("A running server holds this directory: its newest group may be half written.")
    codes = {wal.State.OK: EXIT_OK, wal.State.TORN: EXIT_TORN}
    return codes.get(found.state(), EXIT_FAILED)


def _verdicts(found: wal.Inspection) -> dict[str, Any]:
    files = [
        {
            "name": f.name,
            "state": f.state.value,
            "role": f.role.value,
            "offset": f.offset,
            "detail": f.detail,
        }
        for f in found.files
    ]
    last = max((segment.next_position - 1 for segment in found.segments), default=0)
    state = found.state().value
    return {"state": state, "locked": found.is_locked, "last_log_position": last, "files": files}


def _repair(arguments: argparse.Namespace) -> int:
    from ipse import wal

    try:
        repair = wal.plan_repair(arguments.directory)
    except wal.Unrepairable as why:
        raise CommandError(f"nothing was changed: {why}") from None
    kept: list[str] | None = None
    if arguments.give_up == repair.records:
        kept = repair.carry_out()
    if arguments.json:
        print(json.dumps(_told(repair, kept), indent=2))
    else:
        print(_loss(repair, kept))
    if arguments.give_up is not None and kept is None:
        raise CommandError(
            f"nothing was changed: {repair.records} records would be given up, "
            f"not {arguments.give_up}"
        )
    return EXIT_FAILED if kept is None else EXIT_OK


def _told(repair: wal.Repair, kept: list[str] | None) -> dict[str, Any]:
    sequences = [
        {"workspace": number, "first": first, "last": last}
        for number, (first, last) in sorted(repair.sequences.items())
    ]
    return {
        "repaired": kept is not None,
        "file": repair.file,
        "offset": repair.offset,
        "problem": repair.problem,
        "last_log_position": repair.last_position,
        "records": repair.records,
        "sequences": sequences,
        "kept": kept or [],
    }


def _loss(repair: wal.Repair, kept: list[str] | None) -> str:
    lines = [f"{repair.file} at byte {repair.offset}: {repair.problem}"]
    would = "were" if kept is not None else "would be"
    lines.append(f"records 1 to {repair.last_position} stay; {repair.records} {would} given up")
    lines += [
        f"  of workspace {number}: sequence numbers {first} to {last}, as far as can be read"
        for number, (first, last) in sorted(repair.sequences.items())
    ]
    if kept is not None:
        lines.append(f"kept aside: {', '.join(kept) or 'nothing'}")
    else:
        lines.append(
            "Restore a backup if there is one. If not, and these records may be lost for good:\n"
            f"  ipse wal repair {repair.directory} --give-up {repair.records}"
        )
    return "\n".join(lines)


def _state(report: wal.FileReport) -> str:
    place = f" at byte {report.offset}" if report.offset is not None else ""
    return f"{report.state.value}{place}"


def _dump(arguments: argparse.Namespace) -> int:
    lines = _snapshot_lines(arguments) if arguments.snapshots else _log_lines(arguments)
    limit = arguments.limit
    for number, line in enumerate(lines):
        if limit is not None and number >= limit:
            break
        print(line)
    return EXIT_OK


def _log_lines(arguments: argparse.Namespace) -> Iterator[str]:
    from ipse import wal

    names: dict[int, str] = {}
    paths = wal.segment_paths(arguments.directory)
    if not paths:
        raise CommandError(f"{arguments.directory} holds no log of ipse")
    for path in paths:
        segment = wal.read_segment(path)
        try:
            for record in wal.records(segment):
                if record["change"] == "workspace_created":
                    names[record["workspace"]] = record["name"]
                if record["log_position"] < arguments.first:
                    continue
                placed = {"segment": segment.number} | record
                yield _json(placed) if arguments.json else _line(placed, names)
        except wal.Damage as damage:
            raise CommandError(f"{path}: {damage}") from None
        if segment.damage is not None:
            hint = f"'ipse wal verify {arguments.directory}' says whether it matters"
            raise CommandError(f"{path}: {segment.damage}; {hint}")


def _snapshot_lines(arguments: argparse.Namespace) -> Iterator[str]:
    from ipse import wal

    for path in wal.snapshot_paths(arguments.directory):
        try:
            for part in wal.parts(path):
                named = {"snapshot": path.name} | part
                yield _json(named) if arguments.json else _part_line(named)
        except wal.Damage as damage:
            raise CommandError(f"{path}: {damage}") from None


def _line(record: dict[str, Any], names: dict[int, str]) -> str:
    workspace = names.get(record["workspace"], str(record["workspace"]))
    head = f"{record['log_position']} {workspace}/{record['sequence']} "
    head += f"{_time(record['log_time_ms'])} {record['change']}"
    if record["change"] == "event_resolved":
        return f"{head} {_event(record)}"
    return f"{head} " + " ".join(f"{name}={value}" for name, value in _facts(record).items())


def _facts(record: dict[str, Any]) -> dict[str, Any]:
    """What there is to say of a record that is no event."""
    match record["change"]:
        case "erased":
            rows = [each["row"] for each in record["identifiers"]]
            facts = {"profiles": record["profiles"], "identifiers": rows}
            return facts | {"suppress": record["suppress"]}
        case "erasure_completed":
            return {name: record[name] for name in ("erasure", "segments", "records", "files")}
        case "workspace_deleted":
            return {name: record[name] for name in ("profiles", "identifiers")}
        case "gone":
            return {}
        case "rules_set":
            return {"version": record["version"], "rules": f"{len(record['rules'])} bytes"}
        case _:
            return {"rules": f"{len(record['rules'])} bytes"}


def _event(record: dict[str, Any]) -> str:
    target = record["target"]
    verb = "event" if record["verb"] == "observe" else record["verb"]
    words = [record["kind"] or verb]
    words += [verb] if record["kind"] and verb != "event" else []
    words += [f"id={record['event_id']}"] if record["event_id"] else []
    words += [f"{target['decision']}"]
    words += [f"profile={target['profile']}"] if "profile" in target else []
    words += [f"absorbed={target['absorbed']}"] if "absorbed" in target else []
    for each in record["identifiers"]:
        why = f": {each['rule']}" if "rule" in each else ""
        value = each["value"]
        shown = value if isinstance(value, str) else f"erased:{value['erased']}"
        words.append(f"{each['namespace']}={shown} ({each['verdict']}{why})")
    words += [f"trait.{name}={json.dumps(value)}" for name, value in record["traits"].items()]
    words += [
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in record.get("extra", {}).items()
    ]
    return " ".join(words)


def _part_line(part: dict[str, Any]) -> str:
    head = f"{part['snapshot']} workspace {part['workspace']} {part['part']}"
    if part["part"] == "workspace":
        return f"{head} {part['name']} sequence={part['sequence']}"
    rows = next((len(value) for value in part.values() if isinstance(value, list)), 0)
    return f"{head} {rows} rows"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=_hexadecimal)


def _hexadecimal(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} is not a value of the log")


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
