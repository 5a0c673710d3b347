"""`ipse profile get`: what a server holds on one person; and what corrects it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ipse.commands import EXIT_OK, UsageError, connection, correct, plain, table

if TYPE_CHECKING:
    from ipse._messages import Lookup
    from ipse.model import Profile


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds `get` and the corrections."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    get = actions.add_parser(
        "get",
        help="read one profile",
        description="Reads one profile by its id (an absorbed id finds its survivor) or by any "
        "identifier, for example email=ann@example.com.",
    )
    add_lookup(get)
    get.add_argument("--json", action="store_true", help="print one JSON object")
    connection.add_workspace(get)
    connection.add_address(get)
    get.set_defaults(act=_get)
    correct.configure(actions)


def add_lookup(parser: argparse.ArgumentParser) -> None:
    """Adds the ways to name a profile."""
    parser.add_argument("identifier", metavar="NS=VALUE", nargs="?", help="an identifier")
    parser.add_argument("--id", metavar="ID", help="a profile's id")
    parser.add_argument("--canonical-id", metavar="ID", help="a canonical id of the rules")
    parser.add_argument("--former-id", metavar="ID", help="the id in a former system")


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    return int(arguments.act(arguments))


def _get(arguments: argparse.Namespace) -> int:
    lookup = lookup_of(arguments)
    with connection.client(arguments) as client:
        profile = client.get_profile(lookup, workspace=arguments.workspace)
    print(plain.as_json(profile) if arguments.json else render(profile))
    return EXIT_OK


def render(profile: Profile) -> str:
    """The profile as text."""
    facts = [("profile", profile.profile_id), ("known", "yes" if profile.known else "no")]
    facts.append(("created", plain.shown_time(profile.created_time)))
    if profile.canonical_id:
        facts.append(("canonical id", profile.canonical_id))
    if profile.former_ids:
        facts.append(("former ids", " ".join(profile.former_ids)))
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


def lookup_of(arguments: argparse.Namespace) -> Lookup:
    """The one profile that the arguments name."""
    from ipse.model import CanonicalId, FormerId

    ways: list[Lookup] = []
    if arguments.id is not None:
        ways.append(str(arguments.id))
    if arguments.canonical_id is not None:
        ways.append(CanonicalId(arguments.canonical_id))
    if arguments.former_id is not None:
        ways.append(FormerId(arguments.former_id))
    if arguments.identifier is not None:
        ways.append(identifier_of(arguments.identifier))
    if len(ways) != 1:
        raise UsageError(
            "name one profile: either --id ID or NS=VALUE, or --canonical-id or --former-id"
        )
    return ways[0]


def identifier_of(text: str) -> tuple[str, str]:
    """An identifier as it is written."""
    namespace, equals, value = text.partition("=")
    if not equals or not namespace or not value:
        raise UsageError(
            f"{text!r} is not an identifier; write NS=VALUE, for example email=ann@example.com"
        )
    return namespace, value
