"""`ipse profile revert|split|deny|force|remove|correct`: what a person says outranks every rule.

Each is one call to the server; `correct` sends many from a file. Each line of a file has an
operation id made of it, so that sending the file again repeats nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipse.commands import EXIT_FAILED, EXIT_OK, CommandError, connection, plain, table

if TYPE_CHECKING:
    from ipse.client import Client
    from ipse.model import Resolution, RevertAnswer

    Answer = Resolution | RevertAnswer

_FORMS: Final = (
    '{"revert": ID, "chain": true}, {"split": [NS=VALUE, ...], "together": true}, '
    '{"keep": NS=VALUE}, {"deny": [A, B]}, {"force": [A, B]} or {"remove": NS=VALUE}'
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What every correction takes besides what it is about."""

    workspace: str
    read_only: bool
    operation_id: str
    source: str


def configure(actions: Any) -> None:
    """Adds the actions to those of `ipse profile`."""
    revert = actions.add_parser(
        "revert",
        help="undo a merge",
        description="Undoes the merge that retired an id. Both profiles are there again, with "
        "what they had; what came later goes where its evidence points. The next event does not "
        "join them again.",
    )
    revert.add_argument("id", metavar="ID", help="the id that the merge retired")
    revert.add_argument(
        "--chain", action="store_true", help="undo the merges that were built on it before"
    )
    revert.set_defaults(correction=lambda given: {"revert": given.id, "chain": given.chain})

    split = actions.add_parser(
        "split",
        help="take identifiers out of a profile",
        description="Takes identifiers out of the profile that holds the first of them, or with "
        "--keep all but one, into new profiles.",
    )
    split.add_argument("identifiers", metavar="NS=VALUE", nargs="*", help="what to take out")
    split.add_argument("--keep", metavar="NS=VALUE", help="instead: what stays")
    split.add_argument("--together", action="store_true", help="one new profile, not one each")
    split.set_defaults(correction=_split_given)

    for name, text in (
        ("deny", "say that two identifiers are of different people"),
        ("force", "say that two identifiers are one person's: merge their profiles"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("identifiers", metavar="NS=VALUE", nargs=2, help="one and the other")
        action.set_defaults(correction=lambda given: {given.action: given.identifiers})

    remove = actions.add_parser("remove", help="take an identifier off its profile")
    remove.add_argument("identifier", metavar="NS=VALUE", help="the identifier")
    remove.set_defaults(correction=lambda given: {"remove": given.identifier})

    many = actions.add_parser(
        "correct",
        help="do many of these, from a file",
        description=f"Does what the lines of a file say, one JSON object each: {_FORMS}. Sending "
        "the file again within a day repeats nothing.",
    )
    many.add_argument("file", metavar="FILE", help="the file")
    many.set_defaults(act=_correct_all)
    for action in (revert, split, actions.choices["deny"], actions.choices["force"], remove, many):
        action.add_argument("--read-only", action="store_true", help="say what would change")
        action.add_argument("--source", metavar="NAME", default="", help="who asks, as evidence")
        action.add_argument("--json", action="store_true", help="print JSON")
        connection.add_workspace(action)
        connection.add_address(action)
        if action is not many:
            action.add_argument(
                "--operation-id", metavar="ID", default="", help="a repeat is harmless"
            )
            action.set_defaults(act=_correct_one)


def _split_given(given: argparse.Namespace) -> dict[str, Any]:
    named = {"keep": given.keep} if given.keep else {"split": given.identifiers}
    return named | {"together": given.together}


def _correct_one(arguments: argparse.Namespace) -> int:
    terms = Terms(
        arguments.workspace, arguments.read_only, arguments.operation_id, arguments.source
    )
    call = _call(arguments.correction(arguments), terms)
    with connection.client(arguments) as client:
        answer = call(client)
    print(plain.as_json(answer) if arguments.json else _told(answer))
    return EXIT_OK


def _correct_all(arguments: argparse.Namespace) -> int:
    from ipse.errors import Refused

    calls = list(_calls_of(Path(arguments.file), arguments))
    refused = 0
    with connection.client(arguments) as client:
        for line, call in calls:
            try:
                answer = call(client)
            except Refused as refusal:
                refused += 1
                told = {"line": line, "refused": refusal.reason, "message": refusal.message}
                print(json.dumps(told) if arguments.json else f"{line}: {refusal}")
                continue
            if arguments.json:
                print(f'{{"line": {line}, "answer": {plain.as_json(answer, indent=None)}}}')
            else:
                print(f"{line}: {_summary(answer)}")
    return EXIT_FAILED if refused else EXIT_OK


def _calls_of(
    path: Path, arguments: argparse.Namespace
) -> Iterator[tuple[int, Callable[[Client], Answer]]]:
    """The calls of a file, all of which are read before the first is sent."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            correction = json.loads(line)
            # The same words elsewhere in the file mean the same thing once more.
            name = hashlib.sha256(f"{number} {line}".encode()).hexdigest()
            terms = Terms(
                arguments.workspace, arguments.read_only, f"correct-{name}", arguments.source
            )
            yield number, _call(correction, terms)
        except (CommandError, ValueError) as wrong:
            raise CommandError(f"{path}:{number}: {wrong}; nothing was sent") from None


def _call(correction: object, terms: Terms) -> Callable[[Client], Answer]:
    """The call that a correction asks for."""
    match correction:
        case {"revert": str(absorbed), **options}:
            chain = _flag(options, "chain")
            return lambda client: client.revert_merge(absorbed, chain=chain, **_kept(terms))
        case {"split": [_, *_] as identifiers, **options}:
            together = _flag(options, "together")
            taken = [_pair(each) for each in identifiers]
            return lambda client: client.split_profile(
                taken[0], taken, together=together, **_kept(terms)
            )
        case {"keep": str(keep), **options}:
            together, kept = _flag(options, "together"), _pair(keep)
            return lambda client: client.split_profile(
                kept, keep=kept, together=together, **_kept(terms)
            )
        case {"deny": [a, b], **options}:
            _none_left(options)
            one, other = _pair(a), _pair(b)
            return lambda client: client.deny_link(one, other, **_kept(terms))
        case {"force": [a, b], **options}:
            _none_left(options)
            one, other = _pair(a), _pair(b)
            return lambda client: client.force_link(one, other, **_kept(terms))
        case {"remove": str(identifier), **options}:
            _none_left(options)
            return _removal(_pair(identifier), terms)
    raise CommandError(f"is not one of {_FORMS}")


def _removal(identifier: tuple[str, str], terms: Terms) -> Callable[[Client], Answer]:
    from ipse.model import IdentifierChange

    namespace, value = identifier
    change = IdentifierChange(namespace, old_value=value)
    return lambda client: client.modify_identifiers(identifier, [change], **_kept(terms))


def _kept(terms: Terms) -> dict[str, Any]:
    return {
        "workspace": terms.workspace,
        "read_only": terms.read_only,
        "operation_id": terms.operation_id,
        "source": terms.source,
    }


def _flag(options: Mapping[Any, Any], name: str) -> bool:
    rest = dict(options)
    flag = rest.pop(name, False)
    _none_left(rest)
    if not isinstance(flag, bool):
        raise CommandError(f"{name} is neither true nor false")
    return flag


def _none_left(options: Mapping[Any, Any]) -> None:
    if options:
        raise CommandError(f"does not know {', '.join(sorted(options))}")


def _pair(text: object) -> tuple[str, str]:
    from ipse.commands.profile import identifier_of

    return identifier_of(str(text))


def _summary(answer: Answer) -> str:
    resolution = _resolution(answer)
    what = f"profile {resolution.profile_id}"
    if resolution.absorbed_profile_ids:
        what += f" absorbed {' '.join(resolution.absorbed_profile_ids)}"
    if resolution.moves:
        what += f", {len(resolution.moves)} identifiers to other profiles"
    return f"{what} ({_mark(resolution)})"


def _mark(resolution: Resolution) -> str:
    if resolution.repeated:
        return f"done before, record {resolution.sequence_number}"
    return f"record {resolution.sequence_number}" if resolution.recorded else "nothing is written"


def _resolution(answer: Answer) -> Resolution:
    from ipse.model import RevertAnswer

    return answer.resolution if isinstance(answer, RevertAnswer) else answer


def _told(answer: Answer) -> str:
    """What happened, or would, as text."""
    resolution = _resolution(answer)
    blocks = [_summary(answer)]
    if resolution.moves:
        moves = [
            (
                move.identifier.namespace,
                move.identifier.value,
                move.from_profile_id,
                move.to_profile_id or "a new profile",
            )
            for move in resolution.moves
        ]
        blocks.append(table.render(moves, ("namespace", "value", "from", "to")))
    verdicts = [
        (
            each.identifier.namespace,
            each.identifier.value,
            f"{each.verdict}{f' ({each.rule})' if each.rule else ''}",
        )
        for each in resolution.verdicts
    ]
    if verdicts:
        blocks.append(table.render(verdicts, ("namespace", "value", "verdict")))
    return "\n\n".join(blocks)
