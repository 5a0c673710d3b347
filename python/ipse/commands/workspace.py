"""`ipse workspace list|delete`: the pools of people of a server."""

from __future__ import annotations

import argparse

from ipse.commands import EXIT_OK, CommandError, connection, person, plain, table


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the actions."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    listed = actions.add_parser("list", help="list the workspaces by name")
    listed.add_argument("--json", action="store_true", help="print JSON")
    listed.set_defaults(act=_list)

    delete = actions.add_parser(
        "delete",
        help="delete a workspace with all that is in it",
        description="Deletes a workspace with everyone in it, its rules and its name: from memory "
        "at once, from every file of the data directory by the next checkpoint, which the server "
        "makes promptly. The name is free again: a workspace made under it begins empty.",
    )
    delete.add_argument("name", metavar="NAME", help="the workspace")
    delete.add_argument("--confirm", metavar="NAME", help="the name once more: that it is meant")
    person.add_terms(delete)
    delete.set_defaults(act=_delete)
    for action in (listed, delete):
        connection.add_address(action)


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    return int(arguments.act(arguments))


def _list(arguments: argparse.Namespace) -> int:
    with connection.client(arguments) as client:
        workspaces = client.list_workspaces()
    if arguments.json:
        print(plain.as_json(workspaces))
        return EXIT_OK
    rows = [
        (each.name, each.profile_count, each.identifier_count, each.sequence_number)
        for each in workspaces
    ]
    print(table.render(rows, ("workspace", "profiles", "identifiers", "records")))
    return EXIT_OK


def _delete(arguments: argparse.Namespace) -> int:
    name = arguments.name
    if arguments.confirm != name and not arguments.read_only:
        raise CommandError(
            f"everyone in {name} would be gone: add `--confirm {name}` if that is meant, or "
            "`--read-only` to see how many that are"
        )
    return person.erase(
        arguments,
        lambda client, operation_id: client.delete_workspace(
            name, read_only=arguments.read_only, operation_id=operation_id
        ),
    )
