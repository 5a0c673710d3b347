"""Commands and their reads, through every surface: what they do is the scenarios' business."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ipse
import pytest
from ipse import (
    CanonicalId,
    Decision,
    Event,
    FormerId,
    Identifier,
    IdentifierChange,
    IdentityTarget,
    ImportedIdentifier,
    ImportedProfile,
    ImportedTrait,
    MergeVerdict,
    MoveCause,
    Resolver,
    Rule,
    ValueChoice,
    ValueForm,
    Verdict,
)
from ipse._messages import Lookup
from ipse._sync import SyncCalls
from ipse.v1 import identity_pb2

from tests.server_process import TRANSPORTS, ServerProcess

LONG_AGO = datetime(2021, 1, 1, tzinfo=UTC)
WORKSPACE = "people"
RULES = """
[workspace]
trigger = "seen_together"
conflict = "keep_first"
canonical_id = ["user_id", "device_id"]
attribute_history = true

[namespaces.user_id]
priority = 1
kind = "person"
limit = 1
login = true

[namespaces.email]
priority = 2
kind = "person"
limit = 5
normalise = "email"

[namespaces.device_id]
priority = 3
kind = "device"
limit = "none"
canonical_prefix = "$device:"

[namespaces.kiosk]
priority = 4
kind = "device"
limit = "none"
shared = true
"""


@pytest.fixture(params=["embedded", *TRANSPORTS])
def calls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncCalls]:
    if request.param == "embedded":
        with Resolver() as resolver:
            resolver.create_workspace(WORKSPACE, rules_toml=RULES)
            yield resolver
    else:
        with (
            ServerProcess(tmp_path / "data", transport=request.param) as process,
            ipse.Client(process.address) as client,
        ):
            client.create_workspace(WORKSPACE, rules_toml=RULES)
            yield client


def person(calls: SyncCalls, **identifiers: str) -> str:
    event = Event(identifiers=dict(identifiers), timestamp=LONG_AGO)
    return calls.resolve(event, workspace=WORKSPACE).profile_id


def test_a_profile_is_found_by_whatever_names_it(calls: SyncCalls) -> None:
    ann = person(calls, user_id="u-1", email="Ann@Example.com")
    device = person(calls, device_id="d-1")
    for lookup, found in (
        (ann, ann),
        (("email", "ann@example.com"), ann),
        (Identifier("user_id", "u-1"), ann),
        (CanonicalId("u-1"), ann),
        (CanonicalId("$device:d-1"), device),
    ):
        profile = calls.get_profile(lookup, workspace=WORKSPACE)
        assert profile.profile_id == found
    assert calls.get_profile(ann, workspace=WORKSPACE).canonical_id == "u-1"
    with pytest.raises(ipse.NotFound):
        calls.get_profile(FormerId("nobody"), workspace=WORKSPACE)


def test_a_mask_reads_what_was_asked_for(calls: SyncCalls) -> None:
    ann = person(calls, user_id="u-1", email="ann@example.com")
    known = calls.get_profile(ann, workspace=WORKSPACE, read_mask=["known"])
    assert (known.profile_id, known.known, known.identifiers) == (ann, True, ())
    held = calls.get_profile(ann, workspace=WORKSPACE, read_mask=["identifiers"])
    assert len(held.identifiers) == 2
    assert not held.known
    pages = calls.get_profile_pages(
        ann, workspace=WORKSPACE, page_size=1, read_mask=["identifiers"]
    )
    assert [len(page.identifiers) for page in pages] == [1, 1]
    (several,) = calls.get_profiles([ann], workspace=WORKSPACE, read_mask=["canonical_id"])
    assert isinstance(several, ipse.Profile)
    assert (several.canonical_id, several.identifiers) == ("u-1", ())
    with pytest.raises(ipse.InvalidArgument):
        calls.get_profile(ann, workspace=WORKSPACE, read_mask=["nonsense"])


def test_a_shared_identifier_has_several_owners(calls: SyncCalls) -> None:
    ann = person(calls, user_id="u-1", kiosk="k-1")
    bob = person(calls, user_id="u-2", kiosk="k-1")
    before = calls.get_workspace(WORKSPACE)
    found = calls.lookup_profiles(("kiosk", "k-1"), workspace=WORKSPACE)
    assert [profile.profile_id for profile in found.profiles] == [ann, bob]
    assert found.profile_count == 2
    nobody = calls.lookup_profiles(("kiosk", "k-2"), workspace=WORKSPACE)
    assert (nobody.profiles, nobody.profile_count) == ((), 0)
    assert calls.get_workspace(WORKSPACE) == before


def test_profiles_are_listed_with_filters_and_in_pages(calls: SyncCalls) -> None:
    anonymous = [person(calls, device_id=f"d-{number}") for number in range(5)]
    page = calls.list_profiles_page(workspace=WORKSPACE, page_size=2)
    assert [profile.profile_id for profile in page.profiles] == anonymous[:2]
    mark = page.sequence_number
    known = [person(calls, user_id=f"u-{number}") for number in range(3)]
    following = calls.list_profiles_page(
        workspace=WORKSPACE, page_size=2, page_token=page.next_page_token
    )
    assert [profile.profile_id for profile in following.profiles] == anonymous[2:4]

    def listed(**filters: object) -> list[str]:
        found = calls.list_profiles(workspace=WORKSPACE, page_size=2, **filters)  # type: ignore[arg-type]
        return [profile.profile_id for profile in found]

    assert listed() == anonymous + known
    assert listed(known=True) == known
    assert listed(known=False) == listed(has_namespace="device_id") == anonymous
    assert listed(changed_after_sequence_number=mark) == known
    masked = next(calls.list_profiles(workspace=WORKSPACE, read_mask=["known"]))
    assert masked.identifiers == ()


def test_identities_are_translated_for_a_destination(calls: SyncCalls) -> None:
    ann = person(calls, user_id="u-1", email="ann@example.com")
    later = Event(identifiers={"user_id": "u-1", "email": "ann@example.org"})
    calls.resolve(later, workspace=WORKSPACE)
    targets = [
        IdentityTarget(("kiosk", "email")),
        IdentityTarget("email", ValueChoice.FIRST, ValueForm.SHA256),
        IdentityTarget("email", ValueChoice.ALL),
        IdentityTarget("device_id"),
    ]
    lookups: list[Lookup] = [ann, ("email", "nobody@example.com")]
    first, second = calls.translate_identities(lookups, targets, workspace=WORKSPACE)
    assert isinstance(first, ipse.TranslatedProfile)
    assert first.profile_id == ann
    hashed = hashlib.sha256(b"ann@example.com").hexdigest()
    assert [(one.namespace, one.values) for one in first.identities] == [
        ("email", ("ann@example.org",)),
        ("email", (hashed,)),
        ("email", ("ann@example.com", "ann@example.org")),
        ("", ()),
    ]
    assert isinstance(second, ipse.ItemError)
    assert second.reason == "PROFILE_NOT_FOUND"


def test_a_login_and_a_logout_with_their_ids(calls: SyncCalls) -> None:
    device = person(calls, device_id="d-1")
    event = Event(identifiers={"user_id": "u-1"}, type="login")
    sources = {"device_id": "d-1"}
    preview = calls.login(event, anonymous_identifiers=sources, workspace=WORKSPACE, read_only=True)
    assert not preview.recorded
    answer = calls.login(
        event, anonymous_identifiers=sources, workspace=WORKSPACE, operation_id="o-1"
    )
    assert answer.profile_id == device
    assert (answer.decision, answer.known) == (preview.decision, True)
    assert [one.identifier.namespace for one in answer.verdicts] == ["user_id", "device_id"]
    again = calls.login(
        event, anonymous_identifiers=sources, workspace=WORKSPACE, operation_id="o-1"
    )
    assert again.repeated
    assert again.sequence_number == answer.sequence_number
    out = Event(identifiers={"device_id": "d-1"})
    first = calls.logout(out, workspace=WORKSPACE, operation_id="o-2")
    assert first.profile_id
    assert calls.logout(out, workspace=WORKSPACE, operation_id="o-2").repeated


def test_identifiers_are_linked(calls: SyncCalls) -> None:
    ann, device = person(calls, user_id="u-1"), person(calls, device_id="d-1")
    answer = calls.link_identifiers(
        Event(identifiers={"user_id": "u-1"}), [("device_id", "d-1")], workspace=WORKSPACE
    )
    assert answer.decision is Decision.MERGED
    assert {answer.profile_id, *answer.absorbed_profile_ids} == {ann, device}


def test_identifiers_are_modified_and_the_profile_stays(calls: SyncCalls) -> None:
    ann = person(calls, user_id="u-1", email="ann@example.com")
    changes = [
        IdentifierChange("email", "ann@example.com", "ann@example.org"),
        IdentifierChange("device_id", new_value="d-1"),
        IdentifierChange("email", old_value="nobody@example.com"),
    ]
    answer = calls.modify_identifiers(
        ann, changes, workspace=WORKSPACE, operation_id="o-1", source="support"
    )
    assert answer.profile_id == ann
    assert [(one.verdict, one.rule) for one in answer.verdicts] == [
        (Verdict.REMOVED, None),
        (Verdict.ATTACHED, None),
        (Verdict.ATTACHED, None),
        (Verdict.REFUSED, Rule.NOT_ATTACHED),
    ]
    again = calls.modify_identifiers(
        ann, changes, workspace=WORKSPACE, operation_id="o-1", source="support"
    )
    assert again.repeated
    assert again.verdicts == answer.verdicts
    assert calls.get_profile(ann, workspace=WORKSPACE).values("email") == ("ann@example.org",)


def test_profiles_are_merged_with_a_verdict_for_each(calls: SyncCalls) -> None:
    ann, device = person(calls, user_id="u-1"), person(calls, device_id="d-1")
    bob = person(calls, user_id="u-2")
    sources: list[Lookup] = [("device_id", "d-1"), ann, "nobody", bob]
    preview = calls.merge_profiles(ann, sources, workspace=WORKSPACE, read_only=True)
    answer = calls.merge_profiles(ann, sources, workspace=WORKSPACE, operation_id="o-1")
    assert preview.sources == answer.sources
    assert answer.resolution.profile_id == ann
    assert [(one.profile_id, one.verdict, one.rule) for one in answer.sources] == [
        (device, MergeVerdict.MERGED, None),
        (ann, MergeVerdict.ALREADY_MERGED, None),
        ("", MergeVerdict.NOT_FOUND, None),
        (bob, MergeVerdict.REFUSED, Rule.VALUE_LIMIT),
    ]
    assert (answer.sources[3].limit_namespace, answer.sources[3].limit) == ("user_id", 1)
    again = calls.merge_profiles(ann, sources, workspace=WORKSPACE, operation_id="o-1")
    assert again.resolution.repeated
    assert again.sources == answer.sources


def test_a_profile_is_split(calls: SyncCalls) -> None:
    ann = person(calls, user_id="u-1", device_id="d-1", email="ann@example.com")
    held = {"device_id": "d-1", "email": "ann@example.com"}
    answer = calls.split_profile(ann, held, together=True, workspace=WORKSPACE)
    assert answer.profile_id == ann
    (other,) = {move.to_profile_id for move in answer.moves}
    assert {move.cause for move in answer.moves} == {MoveCause.SPLIT}
    assert {move.from_profile_id for move in answer.moves} == {ann}
    assert calls.get_profile(("device_id", "d-1"), workspace=WORKSPACE).profile_id == other != ann
    with pytest.raises(ipse.InvalidArgument):
        calls.split_profile(ann, [("device_id", "d-1")], workspace=WORKSPACE)


def test_a_merge_is_undone_and_stays_so(calls: SyncCalls) -> None:
    ann, bob = person(calls, email="ann@example.com"), person(calls, email="bob@example.com")
    calls.merge_profiles(ann, [bob], workspace=WORKSPACE)
    preview = calls.revert_merge(bob, workspace=WORKSPACE, read_only=True)
    answer = calls.revert_merge(bob, workspace=WORKSPACE, operation_id="o-1", source="desk")
    assert answer.resolution.moves == preview.resolution.moves
    (moved,) = answer.resolution.moves
    assert (moved.from_profile_id, moved.to_profile_id) == (ann, bob)
    assert moved.cause == MoveCause.REVERTED
    (merge,) = answer.merges
    assert (merge.absorbed_profile_id, merge.survivor_profile_id) == (bob, ann)
    assert merge.sequence_number < answer.resolution.sequence_number
    again = calls.revert_merge(bob, workspace=WORKSPACE, operation_id="o-1", source="desk")
    assert again.resolution.repeated
    assert again.merges == answer.merges
    with pytest.raises(ipse.InvalidArgument):
        calls.revert_merge(bob, workspace=WORKSPACE)
    with pytest.raises(ipse.NotFound):
        calls.revert_merge("ip_0000000000000", workspace=WORKSPACE)
    merged = calls.merge_profiles(ann, [bob], workspace=WORKSPACE)
    assert merged.resolution.absorbed_profile_ids == (bob,)
    device = person(calls, device_id="d-1")
    calls.merge_profiles(ann, [device], workspace=WORKSPACE)
    with pytest.raises(ipse.FailedPrecondition) as refused:
        calls.revert_merge(bob, workspace=WORKSPACE)
    assert refused.value.reason == "MERGE_BUILT_ON"
    assert device in refused.value.message
    chain = calls.revert_merge(bob, chain=True, workspace=WORKSPACE)
    assert [each.absorbed_profile_id for each in chain.merges] == [device, bob]


def test_a_word_outranks_rules(calls: SyncCalls) -> None:
    ann, bob = person(calls, user_id="u-1"), person(calls, user_id="u-2")
    pair = (("user_id", "u-1"), ("user_id", "u-2"))
    forced = calls.force_link(*pair, workspace=WORKSPACE)
    assert forced.absorbed_profile_ids == (bob,)
    with pytest.raises(ipse.InvalidArgument):
        calls.deny_link(*pair, workspace=WORKSPACE)
    calls.split_profile(ann, keep=("user_id", "u-1"), workspace=WORKSPACE)
    denied = calls.deny_link(*pair, workspace=WORKSPACE)
    assert [each.rule for each in denied.verdicts] == [None, Rule.DENIED_LINK]
    with pytest.raises(ipse.InvalidArgument):
        calls.split_profile(ann, {"user_id": "u-1"}, keep=("user_id", "u-1"), workspace=WORKSPACE)


def test_history_is_attributed(calls: SyncCalls) -> None:
    ann, device = person(calls, user_id="u-1"), person(calls, device_id="d-1")
    until = LONG_AGO + timedelta(days=1)
    answer = calls.attribute_history(
        device, ann, start_time=LONG_AGO, end_time=until, workspace=WORKSPACE, operation_id="o-1"
    )
    assert answer.applied
    assert answer.rule is None
    assert answer.attribution.source_profile_id == device
    assert answer.attribution.destination_profile_id == ann
    assert (answer.attribution.start_time, answer.attribution.end_time) == (LONG_AGO, until)
    overlapping = calls.attribute_history(
        device, ann, start_time=LONG_AGO, end_time=until, workspace=WORKSPACE
    )
    assert (overlapping.applied, overlapping.rule) == (False, Rule.ATTRIBUTION_OVERLAP)
    again = calls.attribute_history(
        device, ann, start_time=LONG_AGO, end_time=until, workspace=WORKSPACE, operation_id="o-1"
    )
    assert again.repeated
    assert again.applied
    for each in (ann, device):
        (held,) = calls.get_profile(each, workspace=WORKSPACE).attributions
        assert held.sequence_number == answer.sequence_number


def test_profiles_of_another_system_are_imported(calls: SyncCalls) -> None:
    later = LONG_AGO + timedelta(days=9)
    profiles = [
        ImportedProfile(
            former_id="f-1",
            created_time=LONG_AGO,
            known=True,
            identifiers=[("email", "Ann@Example.com"), ImportedIdentifier("device_id", 7, later)],
            traits={"plan": ImportedTrait("gold", later), "age": 41},
        ),
        ImportedProfile(former_id="x" * 1_025),
        ImportedProfile(former_id="f-2", identifiers={"user_id": "u-2"}),
    ]
    preview = calls.import_profiles(profiles, workspace=WORKSPACE, read_only=True)
    assert calls.get_workspace(WORKSPACE).profile_count == 0
    results = calls.import_profiles(profiles, workspace=WORKSPACE, source="crm", batch_size=2)
    first, wrong, second = results
    assert isinstance(wrong, ipse.ItemError)
    assert isinstance(first, ipse.Resolution)
    assert isinstance(second, ipse.Resolution)
    assert [isinstance(one, ipse.Resolution) for one in preview] == [True, False, True]
    assert first.decision is second.decision is Decision.CREATED
    ann = calls.get_profile(FormerId("f-1"), workspace=WORKSPACE)
    assert ann.profile_id == first.profile_id
    assert (ann.created_time, ann.known, ann.former_ids) == (LONG_AGO, True, ("f-1",))
    assert ann.traits == {"plan": "gold", "age": 41}
    times = {held.identifier.namespace: held.attached_time for held in ann.identifiers}
    assert times == {"email": LONG_AGO, "device_id": later}
    state_hash = calls.get_workspace(WORKSPACE).state_hash
    again = calls.import_profiles(profiles, workspace=WORKSPACE)
    assert isinstance(again[0], ipse.Resolution)
    assert again[0].profile_id == first.profile_id
    assert calls.get_workspace(WORKSPACE).state_hash == state_hash


def test_a_trait_is_set_once(calls: SyncCalls) -> None:
    for value in ("first", "second"):
        event = Event(identifiers={"user_id": "u-1"}, traits_once={"seen": value})
        calls.resolve(event, workspace=WORKSPACE)
    profile = calls.get_profile(("user_id", "u-1"), workspace=WORKSPACE)
    assert profile.traits == {"seen": "first"}


def test_an_event_says_by_what_it_is_attributed(calls: SyncCalls) -> None:
    answer = calls.resolve(Event(identifiers={"device_id": "d-1"}), workspace=WORKSPACE)
    assert answer.attributed_by is not None
    profile = calls.get_profile(answer.attributed_by, workspace=WORKSPACE)
    assert profile.profile_id == answer.profile_id


def test_rules_are_explained(calls: SyncCalls) -> None:
    lines = calls.explain_rules(RULES)
    assert any("user_id" in line for line in lines)
    assert calls.explain_rules("nonsense = 1") == []


def test_every_preset_makes_a_workspace() -> None:
    with Resolver() as resolver:
        for name in ("segment", "mparticle-link", "esputnik", "posthog", "adobe"):
            toml = ipse.preset(name)
            assert toml is not None
            resolver.create_workspace(name, rules_toml=toml)
    assert ipse.preset("nobody") is None


def test_every_call_has_its_twin_with_asyncio(tmp_path: Path) -> None:
    async def journey(client: ipse.aio.Client) -> None:
        await client.create_workspace(WORKSPACE, rules_toml=RULES)
        profiles = [ImportedProfile(former_id=f"f-{n}") for n in range(3)]
        imported = await client.import_profiles(profiles, workspace=WORKSPACE, batch_size=2)
        assert len(imported) == 3
        event = Event(identifiers={"user_id": "u-1"})
        login = await client.login(
            event, anonymous_identifiers=[("device_id", "d-1")], workspace=WORKSPACE
        )
        await client.logout(Event(identifiers={"device_id": "d-1"}), workspace=WORKSPACE)
        await client.link_identifiers(event, {"email": "a@example.com"}, workspace=WORKSPACE)
        ann = login.profile_id
        change = IdentifierChange("email", new_value="b@example.com")
        modified = await client.modify_identifiers(ann, [change], workspace=WORKSPACE)
        assert modified.profile_id == ann
        merged = await client.merge_profiles(ann, [FormerId("f-0")], workspace=WORKSPACE)
        assert [one.verdict for one in merged.sources] == [MergeVerdict.MERGED]
        ann = merged.resolution.profile_id
        split = await client.split_profile(ann, [("email", "b@example.com")], workspace=WORKSPACE)
        assert len(split.moves) == 1
        answer = await client.attribute_history(
            FormerId("f-1"), ann, start_time=LONG_AGO, end_time=LONG_AGO, workspace=WORKSPACE
        )
        assert answer.applied
        listed = [one async for one in client.list_profiles(workspace=WORKSPACE, page_size=1)]
        page = await client.list_profiles_page(workspace=WORKSPACE)
        assert [one.profile_id for one in page.profiles] == [one.profile_id for one in listed]
        found = await client.lookup_profiles(("email", "a@example.com"), workspace=WORKSPACE)
        assert [one.profile_id for one in found.profiles] == [ann]
        (translated,) = await client.translate_identities(
            [ann], [IdentityTarget("user_id")], workspace=WORKSPACE
        )
        assert isinstance(translated, ipse.TranslatedProfile)
        assert translated.identities[0].values == ("u-1",)
        assert await client.explain_rules(RULES)

    async def play(address: str) -> None:
        async with ipse.aio.Client(address) as client:
            await journey(client)

    with ServerProcess(tmp_path / "data") as process:
        asyncio.run(play(process.address))


def test_every_method_of_the_wire_reads_or_writes() -> None:
    from ipse.service import WRITING_METHODS

    service = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]
    reads = {"GetProfile", "BatchGetProfiles", "LookupProfiles", "ListProfiles"}
    reads |= {"TranslateIdentities", "ExportPerson"}
    names = {f"/{service.full_name}/{method.name}" for method in service.methods}
    written = {name for name in WRITING_METHODS if "IdentityService" in name}
    assert names - written == {f"/{service.full_name}/{name}" for name in reads}
