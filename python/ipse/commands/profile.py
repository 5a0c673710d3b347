"""`ipse profile get`: what a server holds on one person."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ipse.commands import EXIT_OK, UsageError, connection, plain, table

if TYPE_CHECKING:
    from ipse.model import Profile


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds `get`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    get = actions.add_parser(
        "get",
        help="read one profile",
        description="Reads one profile by its id (an absorbed id finds its survivor) or by any "
        "identifier, for example email=ann@example.com.",
    )
    get.add_argument("identifier", metavar="NS=VALUE", nargs="?", help="an identifier")
    get.add_argument("--id", metavar="ID", help="a profile's id")
    get.add_argument("--json", action="store_true", help="print one JSON object")
    connection.add_workspace(get)
    connection.add_address(get)


def run(arguments: argparse.Namespace) -> int:
    """Reads the profile and prints it."""
    identifier = _identifier(arguments)
    with connection.client(arguments) as client:
        profile = client.get_profile(
            profile_id=arguments.id, identifier=identifier, workspace=arguments.workspace
        )
    print(plain.as_json(profile) if arguments.json else render(profile))
    return EXIT_OK


def render(profile: Profile) -> str:
    """The profile as text."""
    facts = [("profile", profile.profile_id), ("known", "yes" if profile.known else "no")]
    facts.append(("created", plain.shown_time(profile.created_time)))
    if profile.absorbed_profile_ids:
        facts.append(("absorbed", " ".join(profile.absorbed_profile_ids)))
    held = [
        (
            each.identifier.namespace,
            plain.shown_time(each.attached_time),
            each.sequence_number,
            each.identifier.value,
        )
        for each in profile.identifiers
    ]
    blocks = [
        table.render(facts),
        table.render(held, ("namespace", "attached", "record", "value")),
    ]
    if profile.traits:
        traits = [(name, json.dumps(v, ensure_ascii=False)) for name, v in profile.traits.items()]
        blocks.append(table.render(traits, ("trait", "value")))
    return "\n\n".join(blocks)


def _identifier(arguments: argparse.Namespace) -> tuple[str, str] | None:
    if (arguments.id is None) == (arguments.identifier is None):
        raise UsageError("name one profile: either --id ID or NS=VALUE")
    if arguments.identifier is None:
        return None
    namespace, equals, value = arguments.identifier.partition("=")
    if not equals or not namespace or not value:
        raise UsageError(
            f"{arguments.identifier!r} is not an identifier; write NS=VALUE, for example "
            "email=ann@example.com"
        )
    return namespace, value
