"""`ipse person delete|forget|export`: what someone may ask of whoever holds data on them."""

from __future__ import annotations

import argparse
import uuid
from typing import TYPE_CHECKING

from ipse.commands import EXIT_OK, connection, output, plain, profile, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipse.client import Client
    from ipse.model import ErasureReceipt


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the actions."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    delete = actions.add_parser(
        "delete",
        help="erase a profile with all that is on it",
        description="Erases the profile of an id or of any identifier, and all that it had "
        "absorbed: from memory at once, from every file of the data directory by the next "
        "checkpoint, which the server makes promptly.",
    )
    profile.add_lookup(delete)
    delete.set_defaults(act=_delete)

    forget = actions.add_parser(
        "forget",
        help="erase one identifier, whoever holds it",
        description="Erases one identifier from every profile that holds it and from every "
        "record that names it. The profiles stay, and traits that repeat its value.",
    )
    forget.add_argument("identifier", metavar="NS=VALUE", help="an identifier")
    forget.set_defaults(act=_forget)

    export = actions.add_parser(
        "export",
        help="write all that is held on someone, as lines of JSON",
        description="Writes the profile with everything on it, and every record of the log that "
        "is kept and names it, one JSON object a line.",
    )
    profile.add_lookup(export)
    export.add_argument("--output", metavar="FILE", default="-", help="where to [-, stdout]")
    export.set_defaults(act=_export)

    for action in (delete, forget):
        action.add_argument(
            "--suppress", action="store_true", help="drop the identifiers from later events, too"
        )
        add_terms(action)
    for action in (delete, forget, export):
        connection.add_workspace(action)
        connection.add_address(action)


def add_terms(action: argparse.ArgumentParser) -> None:
    """Adds what every erasure takes."""
    action.add_argument("--read-only", action="store_true", help="say what would be erased")
    action.add_argument("--now", action="store_true", help="make the files follow before this ends")
    action.add_argument("--operation-id", metavar="ID", default="", help="a repeat is harmless")
    action.add_argument("--json", action="store_true", help="print the receipt as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    return int(arguments.act(arguments))


def facts(receipt: ErasureReceipt) -> list[tuple[str, object]]:
    """The receipt as words and figures."""
    facts: list[tuple[str, object]] = [
        ("erasure", receipt.erasure or "none: this was --read-only"),
        ("time", plain.shown_time(receipt.time)),
        ("profiles", receipt.profile_count),
        ("identifiers", receipt.identifier_count),
        ("traits", receipt.trait_count),
        ("suppressed", "yes" if receipt.suppress else "no"),
        ("files", _files(receipt)),
    ]
    facts.extend(("earlier backup", backup) for backup in receipt.earlier_backups)
    return facts


def _files(receipt: ErasureReceipt) -> str:
    if not receipt.completed:
        return "follow with the next checkpoint"
    return (
        f"followed: {receipt.record_count} records in {receipt.segment_count} segments, "
        f"{receipt.file_count} files deleted"
    )


def _delete(arguments: argparse.Namespace) -> int:
    lookup = profile.lookup_of(arguments)
    return erase(
        arguments,
        lambda client, operation_id: client.delete_profile(
            lookup,
            suppress=arguments.suppress,
            workspace=arguments.workspace,
            read_only=arguments.read_only,
            operation_id=operation_id,
        ),
    )


def _forget(arguments: argparse.Namespace) -> int:
    identifier = profile.identifier_of(arguments.identifier)
    return erase(
        arguments,
        lambda client, operation_id: client.forget_identifier(
            identifier,
            suppress=arguments.suppress,
            workspace=arguments.workspace,
            read_only=arguments.read_only,
            operation_id=operation_id,
        ),
    )


def erase(arguments: argparse.Namespace, call: Callable[[Client, str], ErasureReceipt]) -> int:
    """Erases, waits for the files if that is wanted, and prints the receipt."""
    # With an id, so that the receipt can be asked for again once the files have followed.
    operation_id = arguments.operation_id or str(uuid.uuid4())
    with connection.client(arguments) as client:
        receipt = call(client, operation_id)
        if arguments.now and not arguments.read_only and not receipt.completed:
            client.checkpoint()
            receipt = call(client, operation_id)
    print(plain.as_json(receipt) if arguments.json else table.render(facts(receipt)))
    return EXIT_OK


def _export(arguments: argparse.Namespace) -> int:
    lookup = profile.lookup_of(arguments)
    path = None if arguments.output == "-" else arguments.output
    with connection.client(arguments) as client, output.opened(path) as out:
        for line in client.export_person(lookup, workspace=arguments.workspace):
            out.write(f"{line}\n")
    return EXIT_OK
