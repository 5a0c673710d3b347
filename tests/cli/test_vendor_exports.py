"""Each preset on a file as its vendor exports it: `ipse load --preset` gives the vendor's people.

The files are written by hand from the vendors' documents, with what real exports hold: nulls,
numbers as ids, times in seconds, milliseconds and text, placeholders for ids, and a line that
cannot be read. They are loaded packed and plain, whole, by the command, into a live server.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipse as package
import pytest

from tests.cli.command import ipse
from tests.server_process import ServerProcess

EXPORTS = Path(__file__).with_name("vendor_exports")

NO_TIME = "not an RFC 3339 time such as 2024-05-01T12:30:00.000Z"
NO_SECONDS = "not a time: a number of seconds or milliseconds since 1970, or RFC 3339 text"
NO_MILLISECONDS = "not a time: a number of milliseconds since 1970, or RFC 3339 text"
UNREAD = "no namespace of the rules reads it"

ANN, ECID = "ann@example.com", "1" * 38
ANONYMOUS = "17b3a1c5-7a31-4c9e-8f3a-0c6d2f1e9a10"
ANN_OF_MPARTICLE = f"customerid: c-1, email: {ANN}, ios_idfv: idfv-1, android_aaid: gaid-1"


@dataclass
class Export:
    """A file and what must come of it."""

    preset: str
    file: str
    people: list[str]
    """The identifiers of each profile, strongest first, with `*` before one that is known."""
    traits: dict[str, Any]
    """Of the profile that holds ann's e-mail or id, as below."""
    errors: list[tuple[int, int, str]]
    """Line, event (0 where each line is one) and message."""
    ann: str = ""
    refused: dict[str, int] = field(default_factory=dict)
    not_read: list[str] = field(default_factory=list)
    has_ids: bool = True
    """Whether its events have ids."""


def mparticle(preset: str, ann: int, people: list[str], plan: str = "gold") -> Export:
    return Export(
        preset=f"mparticle-{preset}",
        file="mparticle.jsonl",
        people=people,
        ann=people[ann],
        traits={"$FirstName": "Ann", "plan": plan, "tags": ["a", "b"]},
        errors=[(7, 0, f"events[0].data.timestamp_unixtime_ms: {NO_MILLISECONDS}")],
        not_read=[f"user_identities.snapchat: {UNREAD}"],
    )


SEGMENT_PEOPLE = [
    (
        f"*user_id: 97, email: {ANN}, anonymous_id: a-1, anonymous_id: b5f8d2, ios.id: B5372DB0, "
        "ios.push_token: ff15bc0c"
    ),
    "*user_id: 98",
    "email: bob@example.com",
    "android.id: and-9, android.idfa: aaid-9, anonymous_id: a-3",
]
EXPORTED = [
    Export(
        preset="segment",
        file="segment.jsonl",
        people=SEGMENT_PEOPLE,
        traits={"email": ANN, "name": "Ann", "age": 34, "address": {"city": "Kyiv"}},
        errors=[
            (8, 0, f"timestamp: {NO_TIME}"),
            (9, 0, "EOF while parsing a string at line 1 column 36"),
        ],
        refused={"blocked_value": 2, "value_limit": 2},
        not_read=[
            "context.externalIds[].collection: collection is not users",
            "userId: empty string",
        ],
    ),
    # The anonymous profile of the phone converts; who signs in on it next is somebody else.
    mparticle(
        "conversion",
        0,
        [f"*{ANN_OF_MPARTICLE}", "*customerid: 2002, ios_idfv: idfv-1", "ios_idfv: idfv-1"],
    ),
    # A new login id begins a profile; the phone without login stays the anonymous one's.
    mparticle(
        "link",
        1,
        ["ios_idfv: idfv-1", f"*{ANN_OF_MPARTICLE}", "*customerid: 2002, ios_idfv: idfv-1"],
    ),
    mparticle(
        "isolation",
        1,
        ["ios_idfv: idfv-1", f"*{ANN_OF_MPARTICLE}", "*customerid: 2002, ios_idfv: idfv-1"],
    ),
    # The strongest identity that is known finds the profile: of a new customer, the phone.
    mparticle(
        "best-match",
        0,
        [
            ANN_OF_MPARTICLE.replace("c-1,", "c-1, customerid: 2002,"),
        ],
        plan="free",
    ),
    Export(
        preset="esputnik",
        file="esputnik_events.json",
        # The push token moved to the contact that used it last; an e-mail does not.
        people=[
            f"*external_id: c-1, email: {ANN}",
            "*external_id: c-2, phone: 380501234567, mobile_token: push-1",
        ],
        traits={},
        errors=[(36, 4, f"occurred: {NO_TIME}")],
        refused={"value_limit": 1},
        has_ids=False,
    ),
    Export(
        preset="esputnik",
        file="esputnik_contacts.json",
        people=[
            f"*external_id: c-1, email: {ANN}, phone: 380671112233, system_id: 19999991",
            "system_id: 19999992, mobile_token: push-9",
        ],
        traits={"20355": "gold", "first_name": "Ann", "language": "uk", "town": "Kyiv"},
        errors=[],
        not_read=[f"channels[].type=viber: {UNREAD}"],
    ),
    Export(
        preset="mixpanel-simplified",
        file="mixpanel.jsonl",
        # The device stays with its first user; $identify without a user id is nobody's verb.
        people=[
            "*user_id: user-1, device_id: dev-1, device_id: dev-2",
            "*user_id: 12345",
            "*user_id: user-2",
            "*user_id: user-3",
        ],
        ann="user_id: user-1,",
        traits={"$email": ANN, "$last_seen": "2024-05-01T12:00:00", "plan": "gold"},
        errors=[(8, 0, f"properties.time: {NO_SECONDS}")],
        refused={"blocked_value": 1, "value_limit": 1},
    ),
    Export(
        preset="mixpanel-original",
        file="mixpanel_original.jsonl",
        people=[
            "distinct_id: 13bbf7943e5841a5a4b34b1e8e2a5b01",
            f"*distinct_id: {ANONYMOUS}, distinct_id: user-1, distinct_id: {ANN}",
            "distinct_id: user-2",
            "distinct_id: user-3, distinct_id: user-4",
        ],
        traits={"$name": "Ann", "plan": "gold"},
        errors=[
            (9, 0, "$merge joins exactly two ids, and $distinct_ids has more"),
            (10, 0, "$merge joins exactly two ids, and $distinct_ids has fewer"),
            (11, 0, f"properties.time: {NO_SECONDS}"),
        ],
        # An $anon_id that is somebody's, one that is no UUID, an alias that is used.
        refused={"known_source": 1, "source_shape": 1, "source_used": 1},
    ),
    Export(
        preset="posthog",
        file="posthog.jsonl",
        people=[
            "*distinct_id: anon-1, distinct_id: ann, distinct_id: crm-7",
            "*distinct_id: bob, distinct_id: bobby",
            "distinct_id: 4711",
        ],
        ann="distinct_id: ann,",
        traits={"$initial_referrer": "$direct", "email": ANN, "plan": "gold"},
        errors=[(9, 0, f"timestamp: {NO_TIME}")],
        refused={"blocked_value": 1, "known_source": 1},
        # 400 characters are within PostHog's bound; of four bytes each they are over ours.
        not_read=["distinct_id: value is longer than 1024 bytes", "properties: string"],
    ),
    Export(
        preset="adobe",
        file="adobe.json",
        # The device went to bob, whose login is the latest; two CRMIDs on one event are nobody's.
        people=[f"*crmid: ann, email: {ANN}", f"*crmid: bob, ecid: {ECID}"],
        traits={"email": ANN, "name": {"firstName": "Ann"}},
        errors=[(40, 6, f"timestamp: {NO_TIME}")],
        refused={"ambiguous_event": 2},
        not_read=[f"identityMap.LoyaltyId: {UNREAD}"],
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("vendors") / "data") as running:
        yield running


def load(server: ServerProcess, file: Path, workspace: str, preset: str) -> dict[str, Any]:
    names = ["--preset", preset, "--workspace", workspace, "--address", server.address]
    done = ipse("load", *names, "--json", file)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def workspace_of(export: Export) -> str:
    return f"{export.preset}-{export.file.partition('.')[0]}".replace("_", "-")


@pytest.mark.parametrize("export", EXPORTED, ids=workspace_of)
def test_an_export_gives_the_people_of_its_vendor(
    server: ServerProcess, tmp_path: Path, export: Export
) -> None:
    workspace = workspace_of(export)
    file = tmp_path / f"{export.file}.gz"
    file.write_bytes(gzip.compress((EXPORTS / export.file).read_bytes()))
    summary = load(server, file, workspace, export.preset)
    assert said(summary) == (export.errors, export.refused, sorted(export.not_read))
    with package.Client(server.address) as client:
        people = {shown(profile): profile for profile in client.list_profiles(workspace=workspace)}
        assert list(people) == export.people
        (ann,) = [who for who in people if (export.ann or ANN) in who]
        assert dict(people[ann].traits) == export.traits
        before = client.get_workspace(workspace).state_hash
        # The same file again, not packed.
        again = load(server, EXPORTS / export.file, workspace, export.preset)
        if export.has_ids:
            assert said(again) == said(summary)
            assert client.get_workspace(workspace).state_hash == before
        else:
            # An event that cannot be told to be the same is judged by what is held now: the token
            # that went on is kept out, which is a thing to remember. Nobody is changed by it.
            assert said(again)[0] == said(summary)[0]
        still = {shown(each): each for each in client.list_profiles(workspace=workspace)}
        assert list(still) == export.people
        assert dict(still[ann].traits) == export.traits
    assert not list(EXPORTS.glob("*.ipse-progress"))


BATCHES: dict[str, list[Any]] = {
    "segment": [
        {"batch": [{"type": "track", "userId": "a"}, {"type": "page", "anonymousId": "b"}]},
        {"batch": [], "sentAt": "2024-05-01T12:00:00Z"},
    ],
    "posthog": [
        {
            "api_key": "phc_x",
            "batch": [
                {"event": "buy", "properties": {"distinct_id": "a"}},
                {"event": "buy", "distinct_id": "b"},
            ],
        },
        {"next": None, "results": [{"id": "e-9", "event": "buy", "distinct_id": "b"}]},
    ],
    "mixpanel-simplified": [
        {"page": 0, "results": [{"$distinct_id": "a", "$properties": {}}]},
        [{"event": "Buy", "properties": {"distinct_id": "b", "time": 1714564800}}],
    ],
    "mixpanel-original": [
        [{"event": "Buy", "properties": {"distinct_id": "a", "time": 1714564800}}],
        {"results": [{"$distinct_id": "b", "$properties": {}}], "page": 0},
    ],
    "esputnik": [
        {"events": [{"eventTypeKey": "x", "params": [{"name": "email", "value": "a"}]}]},
        {"contacts": [{"channels": [{"type": "email", "value": "b"}]}], "dedupeOn": "email"},
    ],
    # A batch of mParticle's is one event, also where it stands alone.
    "mparticle-link": [
        [{"events": [{"data": {}}, {"data": {}}], "user_identities": {"customer_id": "a"}}],
        {"events": [{"data": {}}, {"data": {}}], "user_identities": {"customer_id": "b"}},
    ],
}


@pytest.mark.parametrize("preset", BATCHES)
def test_bodies_of_a_vendors_calls_are_read(
    server: ServerProcess, tmp_path: Path, preset: str
) -> None:
    workspace = f"{preset}-bodies"
    for number, body in enumerate(BATCHES[preset]):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(body, indent=1 if number else None))
        summary = load(server, file, workspace, preset)
        assert (summary["errors"], summary["unresolved"]) == (0, 0)
    with package.Client(server.address) as client:
        people = [shown(each) for each in client.list_profiles(workspace=workspace)]
    assert [who[-1] for who in people] == ["a", "b"]


# A profile's id over there, and an identifier that it has.
PROFILES = {
    "segment": ("use_1qaz2wsx", "user_id"),
    "mparticle-conversion": ("-7136112345678901234", "customerid"),
    "esputnik": ("19999991", "external_id"),
    "mixpanel-simplified": ("$device:dev-1", "device_id"),
    "mixpanel-original": ("user-1", "distinct_id"),
    "posthog": ("0190a000-0000-7000-8000-000000000001", "distinct_id"),
    "adobe": ("graph-1", "crmid"),
}


@pytest.mark.parametrize("preset", PROFILES)
def test_a_profile_is_brought_with_its_vendors_id(
    server: ServerProcess, tmp_path: Path, preset: str
) -> None:
    workspace = f"{preset}-profiles"
    former_id, namespace = PROFILES[preset]
    file = tmp_path / "profiles.jsonl"
    file.write_text(json.dumps({"former_id": former_id, "identifiers": {namespace: "a"}}))
    names = ["--preset", preset, "--workspace", workspace, "--address", server.address]
    done = ipse("import", *names, "--strict", file)
    assert done.returncode == 0, done.stderr
    with package.Client(server.address) as client:
        profile = client.get_profile(package.FormerId(former_id), workspace=workspace)
    assert shown(profile).endswith(f"{namespace}: a")


def said(summary: dict[str, Any]) -> tuple[list[tuple[int, int, str]], dict[str, int], list[str]]:
    """Errors, identifiers kept out by rule, and what was not read, each in one event."""
    assert set(summary["not_read"].values()) <= {1}
    errors = [
        (
            error["line"],
            error.get("event", 0),
            error["message"].removeprefix("event.raw_json").lstrip(".: "),
        )
        for error in summary["error_list"]
    ]
    return errors, summary["refused_by_rule"], sorted(summary["not_read"])


def shown(profile: package.Profile) -> str:
    names = ", ".join(str(held.identifier) for held in profile.identifiers)
    return ("*" if profile.known else "") + names
