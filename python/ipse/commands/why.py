"""`ipse why A [B]`: how a profile came to be; why two are one person, or why they are not."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ipse.commands import EXIT_OK, connection, plain, profile
from ipse.commands.why_graph import FORMATS, Drawing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipse._messages import Lookup
    from ipse.model import (
        FoundBy,
        Hop,
        Identifier,
        KnownRefusal,
        LinkStory,
        LoggedRecord,
        Parting,
        ProfileStory,
        Resolution,
        Step,
        Trace,
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.description = (
        "Of one: the records that the profile rests on, oldest first. Of two: the shortest chain "
        "of evidence that makes them one person; or what keeps them apart, and what an event with "
        "both would do now."
    )
    what = "an identifier, as email=ann@example.com, or a profile's id"
    parser.add_argument("a", metavar="A", help=what)
    parser.add_argument("b", metavar="B", nargs="?", help="another")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--format", choices=("text", *FORMATS), default="text", help="[text]")
    connection.add_workspace(parser)
    connection.add_address(parser)


def run(arguments: argparse.Namespace) -> int:
    """Asks and prints."""
    a = _lookup(arguments.a)
    b = None if arguments.b is None else _lookup(arguments.b)
    with connection.client(arguments) as client:
        if b is None:
            story = client.explain_profile(a, workspace=arguments.workspace)
            drawn = "" if arguments.json else _profile(story, arguments.format)
            print(plain.as_json(story) if arguments.json else drawn)
        else:
            link = client.explain_link(a, b, workspace=arguments.workspace)
            drawn = "" if arguments.json else _link(link, arguments)
            print(plain.as_json(link) if arguments.json else drawn)
    return EXIT_OK


def _lookup(text: str) -> Lookup:
    return profile.identifier_of(text) if "=" in text else text


def _profile(story: ProfileStory, form: str) -> str:
    if form != "text":
        return _profile_drawing(story).as_text(form)
    count = "1 record" if story.step_count == 1 else f"{story.step_count} records"
    return "\n".join([f"profile {story.profile_id} rests on {count}", *_steps(story.steps)])


def _steps(steps: tuple[Step, ...]) -> Iterator[str]:
    for step in steps:
        yield ""
        yield _record(step.record)
        yield from (f"    {_trace(trace)}" for trace in step.traces)
        yield from (f"    {line}" for line in _verdicts(step.record.resolution))
        for undone in step.record.reverted:
            yield f"    parted {undone.absorbed_profile_id} from {undone.survivor_profile_id} again"


def _link(story: LinkStory, arguments: argparse.Namespace) -> str:
    if arguments.format != "text":
        return _link_drawing(story, arguments).as_text(arguments.format)
    names = f"{_named(arguments.a)} and {_named(arguments.b)}"
    if story.joined:
        lines = [f"{names} are one person: profile {story.a_profile_id}", "", _named(arguments.a)]
        return "\n".join([*lines, *(line for hop in story.hops for line in _hop(hop))])
    return "\n".join([f"{names} are not one person", *_apart(story, arguments)])


def _hop(hop: Hop) -> Iterator[str]:
    yield f"  | {_WAYS[hop.kind]}"
    yield f"  | {_record(hop.record)}"
    yield _spot(hop.to)


_WORDS = {"created": "created", "trait": "set trait", "former_id": "had the former id"}
_HOLDINGS = {"attached": "attached", "had": "attached (lost later)", "left": "lost"}
_WAYS = {"linked": "seen together", "held": "one holds the other", "merged": "became one profile"}


def _apart(story: LinkStory, arguments: argparse.Namespace) -> Iterator[str]:
    for name, profile_id in ((arguments.a, story.a_profile_id), (arguments.b, story.b_profile_id)):
        yield f"  {_named(name)}: {f'profile {profile_id}' if profile_id else 'on no profile'}"
    for parting in story.partings:
        yield ""
        yield f"parted: {_parted(parting)}"
        yield f"    {_record(parting.record)}"
    for refusal in story.refusals:
        yield ""
        yield _refusal(refusal)
        yield f"    {_record(refusal.record)}"
    if story.would is not None:
        yield ""
        yield f"an event with both would now be: {story.would.decision}"
        yield from (f"    {line}" for line in _verdicts(story.would))


def _parted(parting: Parting) -> str:
    sides = (", ".join(map(_pair, side)) for side in (parting.a, parting.b))
    return " from ".join(sides)


def _refusal(refusal: KnownRefusal) -> str:
    whose = f"profile {refusal.profile_id}" if refusal.profile_id else "any profile"
    return f"kept off: {_pair(refusal.identifier)} off {whose} by {refusal.rule}"


def _record(record: LoggedRecord) -> str:
    """A record in one line."""
    if record.expired or record.log_time is None:
        return f"record {record.sequence_number}, which the log keeps no longer"
    words = [f"record {record.sequence_number} of {plain.shown_time(record.log_time)}"]
    words.append(record.kind or "")
    words.extend([f"type {record.type}"] if record.type else [])
    words.extend([f"id {record.event_id}"] if record.event_id else [])
    words.extend([f"from {record.source}"] if record.source else [])
    if record.event_time is not None and record.event_time != record.log_time:
        words.append(f"happened {plain.shown_time(record.event_time)}")
    if record.resolution is not None:
        words.append(f"rules {record.resolution.rules_version}")
        words.append(f"{record.resolution.decision} {record.resolution.profile_id}".rstrip())
    return ", ".join(words)


def _verdicts(resolution: Resolution | None) -> Iterator[str]:
    """What did not go as it might have: drops, refusals, moves."""
    if resolution is None:
        return
    for verdict in resolution.verdicts:
        if verdict.rule is not None:
            yield f"{verdict.verdict} {_pair(verdict.identifier)} by {verdict.rule}"
    for moved in resolution.moves:
        to = f" to {moved.to_profile_id}" if moved.to_profile_id else ""
        yield f"{moved.cause} {_pair(moved.identifier)} from {moved.from_profile_id}{to}"


def _trace(trace: Trace) -> str:
    from ipse.model import HistoryAttribution, IdentifierLink, ProfileIdentifier, ProfileMerge

    match trace.what:
        case ProfileMerge(survivor, absorbed):
            return f"merged {absorbed} into {survivor}"
        case ProfileIdentifier(identifier=identifier):
            return f"{_HOLDINGS[trace.kind]} {_pair(identifier)}"
        case IdentifierLink(stronger, weaker):
            return f"linked {_pair(stronger)} with {_pair(weaker)}"
        case HistoryAttribution(source, destination):
            return f"attributed history of {source} to {destination}"
        case str(name):
            return f"{_WORDS[trace.kind]} {name}"
    return "something left it, or it became known or older"


def _pair(identifier: Identifier) -> str:
    return f"{identifier.namespace}={identifier.value or '(erased)'}"


def _named(text: str) -> str:
    """What was asked about, as a chain names it."""
    return text if "=" in text else f"profile {text}"


def _spot(spot: FoundBy | None) -> str:
    from ipse.model import Identifier

    return _pair(spot) if isinstance(spot, Identifier) else f"profile {spot}"


def _profile_drawing(story: ProfileStory) -> Drawing:
    """Its identifiers, and what linked them; those that no link leads to hang on the profile."""
    from ipse.model import IdentifierLink, ProfileIdentifier

    drawing, linked = Drawing(), set()
    traces = [
        (step.record.sequence_number, trace.what)
        for step in story.steps
        for trace in step.traces
        if trace.kind in ("attached", "linked")
    ]
    for number, what in traces:
        if isinstance(what, IdentifierLink):
            linked |= {_pair(what.stronger), _pair(what.weaker)}
            drawing.join(_pair(what.stronger), _pair(what.weaker), f"record {number}")
    for number, what in traces:
        if isinstance(what, ProfileIdentifier) and _pair(what.identifier) not in linked:
            held = _pair(what.identifier)
            drawing.join(f"profile {story.profile_id}", held, f"record {number}")
    return drawing


def _link_drawing(story: LinkStory, arguments: argparse.Namespace) -> Drawing:
    drawing, a, b = Drawing(), _named(arguments.a), _named(arguments.b)
    at = a
    for hop in story.hops:
        label = f"{_WAYS[hop.kind]}, record {hop.record.sequence_number}"
        drawing.join(at, _spot(hop.to), label)
        at = _spot(hop.to)
    for parting in story.partings:
        label = f"parted, record {parting.record.sequence_number}"
        drawing.join(a, b, label, dashed=True)
    for refusal in story.refusals:
        label = f"{refusal.rule}, record {refusal.record.sequence_number}"
        drawing.join(a, b, label, dashed=True)
    if not drawing.edges:
        drawing.nodes.extend(dict.fromkeys([a, b]))
    return drawing
