"""The commands of scenario files besides `observe`, as requests of the wire.

A command is its words after the name; this module reads them, and the player sends what
comes of it. It knows no server and no profile's number: `Names` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from ipse.v1 import event_pb2, identity_pb2

from tests.scenarios.clock import Clock
from tests.scenarios.text import value_of


class Names(Protocol):
    """What a story calls things by."""

    workspace: str
    clock: Clock

    def id_of(self, number: int) -> str:
        """The id of the profile with this number."""


def event(names: Names, arguments: Iterable[str]) -> event_pb2.Event:
    """What `observe`, `login`, `logout` and `link` say of an event."""
    event = event_pb2.Event(type="track")
    for argument in arguments:
        if argument.startswith("@"):
            event.timestamp.CopyFrom(_time(names, argument[1:]))
            continue
        key, separator, value = argument.partition("=")
        assert separator, f"{argument!r} is not NAME=VALUE"
        match key:
            case "id":
                event.event_id = value_of(value)
            case "type":
                event.type = value_of(value)
            case "source":
                event.source = value_of(value)
            case "key":
                event.key_namespace = value_of(value)
            case "profile":
                event.profile_id = names.id_of(int(value))
            case _ if key.startswith(("trait.", "once.")):
                set_trait(event.traits.add(), key, value)
            case _:
                event.identifiers.add(namespace=key, value=value_of(value))
    return event


def login(names: Names, arguments: list[str]) -> identity_pb2.LoginRequest:
    """`login NS=VALUE... from NS=VALUE...`"""
    own, sources = _halves(arguments)
    return identity_pb2.LoginRequest(
        workspace=names.workspace,
        event=event(names, _without_flags(own) + _options(sources)),
        anonymous_identifiers=_identifiers(sources),
        force="force" in arguments,
        read_only="read_only" in arguments,
    )


def link(names: Names, arguments: list[str]) -> identity_pb2.LinkIdentifiersRequest:
    """`link NS=VALUE... from NS=VALUE...`"""
    own, sources = _halves(arguments)
    return identity_pb2.LinkIdentifiersRequest(
        workspace=names.workspace,
        event=event(names, _without_flags(own) + _options(sources)),
        sources=_identifiers(sources),
        force="force" in arguments,
        read_only="read_only" in arguments,
    )


def logout(names: Names, arguments: list[str]) -> identity_pb2.LogoutRequest:
    """`logout NS=VALUE...`"""
    return identity_pb2.LogoutRequest(
        workspace=names.workspace,
        event=event(names, _without_flags(arguments)),
        read_only="read_only" in arguments,
    )


def modify(names: Names, arguments: list[str]) -> identity_pb2.ModifyIdentifiersRequest:
    """`modify N NS=OLD->NEW +NS=NEW -NS=OLD`"""
    request = identity_pb2.ModifyIdentifiersRequest(
        workspace=names.workspace, profile=_profile(names, arguments[0])
    )
    for argument in arguments[1:]:
        if argument[0] in "+-":
            namespace, _, value = argument[1:].partition("=")
            field = "new_value" if argument[0] == "+" else "old_value"
            request.changes.add(namespace=namespace, **{field: value_of(value)})
        elif "->" in argument:
            old, _, new = argument.partition("->")
            namespace, _, old = old.partition("=")
            request.changes.add(
                namespace=namespace, old_value=value_of(old), new_value=value_of(new)
            )
        else:
            _set_option(names, request, argument)
    return request


def merge(names: Names, arguments: list[str]) -> identity_pb2.MergeProfilesRequest:
    """`merge N from M...`"""
    request = identity_pb2.MergeProfilesRequest(
        workspace=names.workspace, target=_profile(names, arguments[0])
    )
    for argument in arguments[1:]:
        if argument.isdigit():
            request.sources.append(_profile(names, argument))
        elif argument == "force":
            request.force = True
        elif argument != "from":
            _set_option(names, request, argument)
    return request


def split(names: Names, arguments: list[str]) -> identity_pb2.SplitProfileRequest:
    """`split N NS=VALUE... [together] [all_but]`"""
    request = identity_pb2.SplitProfileRequest(
        workspace=names.workspace, profile=_profile(names, arguments[0])
    )
    for argument in arguments[1:]:
        if argument == "together":
            request.together = True
        elif argument == "all_but":
            request.keep.CopyFrom(request.identifiers.pop())
        elif argument == "read_only" or argument.startswith(("id=", "source=")):
            _set_option(names, request, argument)
        else:
            request.identifiers.append(identifier(argument))
    return request


def revert(names: Names, arguments: list[str]) -> identity_pb2.RevertMergeRequest:
    """`revert N [chain]`"""
    request = identity_pb2.RevertMergeRequest(
        workspace=names.workspace, absorbed_profile_id=names.id_of(int(arguments[0]))
    )
    for argument in arguments[1:]:
        if argument == "chain":
            request.chain = True
        else:
            _set_option(names, request, argument)
    return request


def deny(names: Names, arguments: list[str]) -> identity_pb2.DenyLinkRequest:
    """`deny NS=VALUE NS=VALUE`"""
    a, b, *options = arguments
    request = identity_pb2.DenyLinkRequest(
        workspace=names.workspace, a=identifier(a), b=identifier(b)
    )
    for option in options:
        _set_option(names, request, option)
    return request


def force(names: Names, arguments: list[str]) -> identity_pb2.ForceLinkRequest:
    """`force NS=VALUE NS=VALUE`"""
    a, b, *options = arguments
    request = identity_pb2.ForceLinkRequest(
        workspace=names.workspace, a=identifier(a), b=identifier(b)
    )
    for option in options:
        _set_option(names, request, option)
    return request


def attribute(names: Names, arguments: list[str]) -> identity_pb2.AttributeHistoryRequest:
    """`attribute M to N @START @END`"""
    source, _, destination, *options = arguments
    start, end = (_time(names, each[1:]) for each in options if each[0] == "@")
    request = identity_pb2.AttributeHistoryRequest(
        workspace=names.workspace,
        source_profile=_profile(names, source),
        destination_profile=_profile(names, destination),
        start_time=start,
        end_time=end,
    )
    for option in options:
        if option[0] != "@":
            _set_option(names, request, option)
    return request


def bring(names: Names, arguments: list[str]) -> identity_pb2.ImportProfilesRequest:
    """`import [former=ID] [created=TIME] [known] [@TIME] NS=VALUE... [trait.NAME=JSON]...`"""
    profile = identity_pb2.ImportedProfile(known="known" in arguments)
    time = None
    for argument in _without_flags(arguments):
        key, _, value = argument.partition("=")
        if argument.startswith("@"):
            time = _time(names, argument[1:])
        elif key == "former":
            profile.former_id = value_of(value)
        elif key == "created":
            profile.created_time.CopyFrom(_time(names, value))
        elif key.startswith(("trait.", "once.")):
            brought = identity_pb2.ImportedTrait(set_time=time)
            set_trait(brought.trait, key, value)
            profile.traits.append(brought)
        else:
            profile.identifiers.add(identifier=identifier(argument), attached_time=time)
    return identity_pb2.ImportProfilesRequest(
        workspace=names.workspace,
        profiles=[profile],
        source="export",
        read_only="read_only" in arguments,
    )


def identifier(argument: str) -> event_pb2.Identifier:
    """`NS=VALUE`"""
    namespace, _, value = argument.partition("=")
    return event_pb2.Identifier(namespace=namespace, value=value_of(value))


def set_trait(trait: event_pb2.Trait, key: str, value: str) -> None:
    """`trait.NAME=JSON`, or `once.NAME=JSON` for one that only counts where there is none."""
    kind, _, trait.name = key.partition(".")
    trait.set_once = kind == "once"
    _set_value(trait, json.loads(value))


def _set_value(trait: event_pb2.Trait, value: Any) -> None:
    match value:
        case None:
            pass
        case bool():
            trait.bool_value = value
        case int():
            trait.integer_value = value
        case float():
            trait.number_value = value
        case str():
            trait.string_value = value
        case _:
            trait.json_value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _set_option(names: Names, request: Any, argument: str) -> None:
    if argument == "read_only":
        request.read_only = True
    elif argument.startswith("@"):
        request.timestamp.CopyFrom(_time(names, argument[1:]))
    else:
        key, _, value = argument.partition("=")
        field = {"id": "operation_id", "source": "source"}[key]
        setattr(request, field, value_of(value))


def _time(names: Names, text: str) -> Timestamp:
    time: datetime = names.clock.read(text)
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def _profile(names: Names, number: str) -> identity_pb2.ProfileLookup:
    return identity_pb2.ProfileLookup(profile_id=names.id_of(int(number)))


_FLAGS = {"read_only", "force", "known"}
_OPTIONS = ("@", "id=", "type=", "source=", "key=", "profile=", "trait.", "once.")


def _halves(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before `from`, and after it."""
    if "from" not in arguments:
        return arguments, []
    at = arguments.index("from")
    return arguments[:at], arguments[at + 1 :]


def _without_flags(arguments: list[str]) -> list[str]:
    return [each for each in arguments if each not in _FLAGS]


def _options(arguments: list[str]) -> list[str]:
    """Those that belong to the event, though they stand among its sources."""
    return [each for each in arguments if each.startswith(_OPTIONS)]


def _identifiers(arguments: list[str]) -> list[event_pb2.Identifier]:
    return [identifier(each) for each in _without_flags(arguments) if not each.startswith(_OPTIONS)]
