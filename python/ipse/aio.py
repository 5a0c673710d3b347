"""The asyncio client of a server: `ipse.aio.Client`, method for method the twin of `ipse.Client`.

Knows messages and gRPC, never the engine. One event loop in a process should use grpc.aio.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, TypeVar

import grpc.aio
from grpc_health.v1 import health_pb2

from ipse import _calls, _history, _messages, _transport, _watch, _writes
from ipse.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from ipse._calls import Call
    from ipse._messages import IdentifierPair, Identifiers, Lookup, PastMoment
    from ipse.model import (
        AttributionAnswer,
        BackupInfo,
        ChangeKind,
        CheckpointInfo,
        ErasureReceipt,
        Event,
        FoundProfiles,
        IdentifierChange,
        IdentityTarget,
        ImportedProfile,
        ItemError,
        LinkStory,
        MergeAnswer,
        PastHolder,
        Profile,
        ProfilePage,
        ProfileStory,
        Resolution,
        RevertAnswer,
        RulesInfo,
        RulesProblem,
        Stats,
        TranslatedProfile,
        WatchedChanges,
        WorkspaceInfo,
    )

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """One connection to a server. Make it inside the event loop; close it, or use `async with`.

    `timeout_s` bounds each call, retries included; a checkpoint or a backup gets longer. `tls`:
    True, or a Tls, encrypts; `token` is what `ipse token create` printed, if None that of the
    environment's IPSE_TOKEN. A token goes to another machine only encrypted, or with `tls=False`.
    An empty workspace name means the only one of the token, else `default`. All calls raise
    IpseError.
    """

    __slots__ = ("_channel", "_metadata", "_methods", "_timeout_s")

    def __init__(
        self,
        address: str = _transport.DEFAULT_ADDRESS,
        *,
        timeout_s: float = _transport.DEFAULT_TIMEOUT_S,
        tls: _transport.Tls | bool | None = None,
        token: str | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        way = _transport.Way(address, tls=tls, token=token)
        self._metadata = way.metadata
        self._channel = way.aio_channel(_transport.CHANNEL_OPTIONS)
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        await self._channel.close()

    async def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the server takes writes; DeadlineExceeded if it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not await self._follow_health(max(deadline - time.monotonic(), 0)):
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"the server was not ready within {timeout_s:g} s")

    async def resolve(
        self, event: Event, *, workspace: str = "", read_only: bool = False
    ) -> Resolution:
        """Find the profile an event belongs to, or create it, and learn from it.

        With `read_only` the answer is what would happen, and nothing is written.
        """
        return await self._carry(_calls.resolve(event, workspace, read_only=read_only))

    async def resolve_many(
        self,
        events: Iterable[Event],
        *,
        workspace: str = "",
        read_only: bool = False,
        batch_size: int = _calls.BATCH_ITEMS_MAX,
    ) -> list[Resolution | ItemError]:
        """Resolve events in order, up to `batch_size` (1 to 1,000) in a call.

        One result for each event: an event that is refused does not touch the others. If a call
        fails as a whole it raises, and the batches before it have been resolved.
        """
        results: list[Resolution | ItemError] = []
        batches = _calls.resolve_batches(
            events, workspace, read_only=read_only, batch_size=batch_size
        )
        for batch in batches:
            answered = await self._carry(batch)
            results += answered
        return results

    async def get_profile(
        self,
        lookup: Lookup | None = None,
        *,
        profile_id: str | None = None,
        identifier: IdentifierPair | None = None,
        workspace: str = "",
        read_mask: Iterable[str] | None = None,
        as_of: PastMoment | None = None,
    ) -> Profile:
        """Read a profile with all its identifiers; NotFound if there is none.

        By its id, an absorbed one too, or by any identifier, `("email", "ann@example.com")`; as a
        lookup also by CanonicalId or FormerId. `read_mask` names the fields of Profile to read;
        None: all. A name that Profile does not have raises InvalidArgument. `as_of` is a sequence
        number or a log time, and the profile is as it was then; FailedPrecondition if the history
        of then is not kept.
        """
        found = _messages.one_lookup(lookup, profile_id, identifier)
        query = _calls.ProfileQuery.of(found, workspace, _calls.PAGE_SIZE_MAX, read_mask, as_of)
        first, *rest = [page async for page in self._pages(query)]
        return _calls.with_all_identifiers(first, rest)

    def get_profile_pages(
        self,
        lookup: Lookup | None = None,
        *,
        profile_id: str | None = None,
        identifier: IdentifierPair | None = None,
        workspace: str = "",
        page_size: int = _calls.PAGE_SIZE_MAX,
        read_mask: Iterable[str] | None = None,
        as_of: PastMoment | None = None,
    ) -> AsyncIterator[Profile]:
        """Read a profile page by page, each with up to `page_size` of its identifiers.

        As it is now, or as it was `as_of` a moment.
        """
        found = _messages.one_lookup(lookup, profile_id, identifier)
        return self._pages(_calls.ProfileQuery.of(found, workspace, page_size, read_mask, as_of))

    async def get_profiles(
        self,
        lookups: Iterable[Lookup],
        *,
        workspace: str = "",
        page_size: int = 0,
        read_mask: Iterable[str] | None = None,
        as_of: PastMoment | None = None,
    ) -> list[Profile | ItemError]:
        """Read up to 1,000 profiles, by lookups; one result for each, in order.

        Each shows its first `page_size` identifiers: 0 means 100, at most 1,000. All are as they
        are now, or `as_of` a moment.
        """
        return await self._carry(
            _calls.get_profiles(lookups, workspace, page_size, read_mask, as_of)
        )

    async def lookup_profiles(
        self,
        identifier: IdentifierPair,
        *,
        workspace: str = "",
        page_size: int = 0,
        read_mask: Iterable[str] | None = None,
        as_of: PastMoment | None = None,
    ) -> FoundProfiles:
        """Find every profile that holds an identifier: several only in a shared namespace.

        Never writes, and nobody is an empty answer. Each profile shows its first `page_size`
        identifiers: 0 means 100, at most 1,000. All are as they
        are now, or `as_of` a moment.
        """
        return await self._carry(
            _calls.lookup_profiles(identifier, workspace, page_size, read_mask, as_of)
        )

    def list_profiles(
        self,
        *,
        workspace: str = "",
        has_namespace: str = "",
        known: bool | None = None,
        changed_after_sequence_number: int = 0,
        page_size: int = _calls.PAGE_SIZE_MAX,
        read_mask: Iterable[str] | None = None,
    ) -> AsyncIterator[Profile]:
        """List profiles in order of creation, reading pages of `page_size` as they are needed.

        All that is set must hold: the profile has an identifier of a namespace, is known or not,
        was changed by a record after a number. Each shows its first 100 identifiers. Profiles
        that are made or changed meanwhile may be seen or not: to follow changes, remember the
        `sequence_number` of the first page, and list what was changed after it later on.
        """
        query = _calls.ListQuery(
            workspace=workspace,
            has_namespace=has_namespace,
            known=known,
            changed_after_sequence_number=changed_after_sequence_number,
            page_size=page_size,
            read_mask=_messages.mask_message(read_mask),
        )
        return self._listed(query)

    async def list_profiles_page(
        self,
        *,
        workspace: str = "",
        has_namespace: str = "",
        known: bool | None = None,
        changed_after_sequence_number: int = 0,
        page_size: int = 0,
        page_token: str = "",
        read_mask: Iterable[str] | None = None,
    ) -> ProfilePage:
        """Read one page of `list_profiles`; `page_token` is the page's before, or empty.

        `page_size` 0 means 100, more than 1,000 means 1,000. A page may hold fewer, even none,
        and still have a next one.
        """
        query = _calls.ListQuery(
            workspace=workspace,
            has_namespace=has_namespace,
            known=known,
            changed_after_sequence_number=changed_after_sequence_number,
            page_size=page_size,
            read_mask=_messages.mask_message(read_mask),
        )
        return await self._carry(_calls.list_profiles(query, page_token))

    async def translate_identities(
        self, lookups: Iterable[Lookup], targets: Iterable[IdentityTarget], *, workspace: str = ""
    ) -> list[TranslatedProfile | ItemError]:
        """Read the identifiers of up to 1,000 profiles that a destination needs.

        One result for each lookup, in order, with the values for each of up to 16 targets.
        """
        return await self._carry(_calls.translate_identities(lookups, targets, workspace))

    async def login(
        self,
        event: Event,
        *,
        anonymous_identifiers: Identifiers = (),
        force: bool = False,
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> Resolution:
        """Say that a person logged in: their profile is found or made, as the rules say.

        The anonymous identifiers are joined to it, in order, if the guards of the rules'
        `commands.login` let them; `force` passes over the guards. `event.profile_id` is the
        profile the person had until now. The operation id is the event's id.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, force=force)
        return await self._carry(_writes.login(event, anonymous_identifiers, terms))

    async def logout(
        self,
        event: Event,
        *,
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> Resolution:
        """Say that a person logged out; the answer's profile is whom what follows belongs to.

        The event carries the identifiers that stay with the device. Its id is the operation id.
        """
        terms = _writes.Terms(workspace, read_only, operation_id)
        return await self._carry(_writes.logout(event, terms))

    async def link_identifiers(
        self,
        event: Event,
        sources: Identifiers,
        *,
        force: bool = False,
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> Resolution:
        """Say that sources are the same person as the event's identifiers.

        A source that a guard of the rules' `commands.link` refuses stays apart, and the answer
        says why; the call still resolves to the target's profile. `force` passes over the guards.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, force=force)
        return await self._carry(_writes.link_identifiers(event, sources, terms))

    async def modify_identifiers(
        self,
        profile: Lookup,
        changes: Iterable[IdentifierChange],
        *,
        timestamp: datetime | None = None,
        source: str = "",
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> Resolution:
        """Change, add and remove up to 64 identifiers of a profile; it keeps its id and history.

        Each change is judged by itself, in order. If the new value is refused the old one stays.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, source, timestamp)
        return await self._carry(_writes.modify_identifiers(profile, changes, terms))

    async def merge_profiles(
        self,
        target: Lookup,
        sources: Iterable[Lookup],
        *,
        force: bool = False,
        timestamp: datetime | None = None,
        source: str = "",
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> MergeAnswer:
        """Merge up to 64 profiles into a target, in order, with a verdict for each.

        `force` passes over the guards of the rules' `commands.merge`; `source` is who asks.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, source, timestamp, force)
        return await self._carry(_writes.merge_profiles(target, sources, terms))

    async def split_profile(
        self,
        profile: Lookup,
        identifiers: Identifiers = (),
        *,
        keep: IdentifierPair | None = None,
        together: bool = False,
        source: str = "",
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> Resolution:
        """Take up to 1,000 identifiers out of a profile into new ones: `moves` says which.

        One each, or one for all `together`. The profile keeps its id, its traits and all other
        identifiers. With `keep` instead, all leave it but that one and what is immutable.
        InvalidArgument, and nothing done, if it does not hold one of them.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, source)
        call = _writes.split_profile(profile, identifiers, keep, together=together, terms=terms)
        return await self._carry(call)

    async def revert_merge(
        self,
        absorbed_profile_id: str,
        *,
        chain: bool = False,
        source: str = "",
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> RevertAnswer:
        """Undo the merge that retired a profile's id: both profiles are there again.

        What came later goes to the side that its evidence names. The two are kept apart from then
        on. FailedPrecondition if other merges were built on it, unless the whole `chain` is undone.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, source)
        return await self._carry(
            _writes.revert_merge(absorbed_profile_id, chain=chain, terms=terms)
        )

    async def deny_link(
        self,
        a: IdentifierPair,
        b: IdentifierPair,
        *,
        source: str = "",
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> Resolution:
        """Say that two identifiers, of two profiles, are of different people, whatever events show.

        InvalidArgument if one profile holds both, or nobody one of them.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, source)
        return await self._carry(_writes.deny_link(a, b, terms))

    async def force_link(
        self,
        a: IdentifierPair,
        b: IdentifierPair,
        *,
        source: str = "",
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> Resolution:
        """Say that two identifiers are one person's: their profiles are merged, whatever rules say.

        InvalidArgument if nobody holds one of them.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, source)
        return await self._carry(_writes.force_link(a, b, terms))

    async def attribute_history(
        self,
        source_profile: Lookup,
        destination_profile: Lookup,
        *,
        start_time: datetime,
        end_time: datetime,
        source: str = "",
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> AttributionAnswer:
        """Record that what one profile did in a range of time counts as another's.

        Both ends are included. Moves no identifier; `applied` and `rule` say what became of it.
        """
        terms = _writes.Terms(workspace, read_only, operation_id, source)
        span = _writes.Span(start_time, end_time)
        return await self._carry(
            _writes.attribute_history(source_profile, destination_profile, span, terms)
        )

    async def delete_profile(
        self,
        profile: Lookup,
        *,
        suppress: bool = False,
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> ErasureReceipt:
        """Erase a profile, and all that it had absorbed; its ids answer ERASED for ever.

        From memory at once, from the files by the next checkpoint, which the server makes
        promptly: `completed` says whether. `suppress` keeps its identifiers out of later events.
        NotFound if there is no such profile.
        """
        terms = _writes.Terms(workspace, read_only, operation_id)
        return await self._carry(_writes.delete_profile(profile, suppress=suppress, terms=terms))

    async def forget_identifier(
        self,
        identifier: IdentifierPair,
        *,
        suppress: bool = False,
        workspace: str = "",
        read_only: bool = False,
        operation_id: str = "",
    ) -> ErasureReceipt:
        """Erase one identifier, whoever holds it; the profiles stay.

        Traits that repeat its value stay, too. `suppress` keeps it out of later events.
        """
        terms = _writes.Terms(workspace, read_only, operation_id)
        call = _writes.forget_identifier(identifier, suppress=suppress, terms=terms)
        return await self._carry(call)

    async def export_person(self, profile: Lookup, *, workspace: str = "") -> AsyncIterator[str]:
        """Read all that is held on someone, as lines of JSON, one object each.

        The profile with everything on it, and every record of the log that is kept and names it.
        """
        page_token = ""
        while True:
            call = _calls.export_person(profile, workspace, page_token)
            lines, page_token = await self._carry(call)
            for line in lines:
                yield line
            if not page_token:
                return

    async def explain_profile(self, profile: Lookup, *, workspace: str = "") -> ProfileStory:
        """Say how a profile came to be: the records that it rests on, with what rests on each."""
        pages = [await self._carry(_history.explain_profile(profile, workspace, ""))]
        while token := pages[-1].next_page_token:
            pages.append(await self._carry(_history.explain_profile(profile, workspace, token)))
        return _history.joined(pages)

    async def lookup_as_of_bytes(self, lookups: bytes, *, workspace: str = "") -> bytes:
        """Do the same with the `lookups` of a request and the response as they are on the wire."""
        return await self._carry(_history.lookup_as_of_bytes(lookups, workspace))

    async def explain_link(self, a: Lookup, b: Lookup, *, workspace: str = "") -> LinkStory:
        """Say why two identifiers or profiles are one person, or why they are not."""
        return await self._carry(_history.explain_link(a, b, workspace))

    async def lookup_as_of(
        self, rows: Iterable[tuple[IdentifierPair, PastMoment]], *, workspace: str = ""
    ) -> list[PastHolder]:
        """Say whose identifiers were, each as of a sequence number or a log time of its own.

        `[(("email", "ann@example.com"), datetime(...)), ...]`: one answer for each, in order, with
        whose it was then and whose it is now. Asks 1,000 in a call.
        """
        calls = _history.lookup_as_of(rows, workspace)
        return [holder for call in calls for holder in await self._carry(call)]

    async def import_profiles(
        self,
        profiles: Iterable[ImportedProfile],
        *,
        source: str = "",
        workspace: str = "",
        read_only: bool = False,
        batch_size: int = _calls.BATCH_ITEMS_MAX,
    ) -> list[Resolution | ItemError]:
        """Bring profiles of another system in order, up to `batch_size` (1 to 1,000) in a call.

        One result for each, by itself. One whose former id is there already is brought up to
        date: its former id is its operation id, and an import can be repeated. If a call fails as
        a whole it raises, and the batches before it have been brought.
        """
        terms = _writes.Terms(workspace, read_only, source=source)
        batches = _writes.import_batches(profiles, batch_size, terms)
        results: list[Resolution | ItemError] = []
        for batch in batches:
            # Not `results += await ...`: that would read `results` before it waits.
            answered = await self._carry(batch)
            results += answered
        return results

    async def create_workspace(self, name: str, *, rules_toml: str = "") -> WorkspaceInfo:
        """Create a workspace; AlreadyExists if there is one. No rules: the preset `segment`."""
        return await self._carry(_calls.create_workspace(name, rules_toml))

    async def delete_workspace(
        self, name: str, *, read_only: bool = False, operation_id: str = ""
    ) -> ErasureReceipt:
        """Delete a workspace with all that is in it, rules and name included.

        From memory at once, from the files by the next checkpoint, as `delete_profile` does.
        With `read_only` it answers what would be deleted. The name is free again: a workspace
        created under it begins empty.
        """
        terms = _writes.Terms("", read_only, operation_id)
        return await self._carry(_writes.delete_workspace(name, terms=terms))

    async def list_workspaces(self) -> list[WorkspaceInfo]:
        """List all workspaces by name."""
        workspaces, token = await self._carry(_calls.list_workspaces(""))
        while token:
            page, token = await self._carry(_calls.list_workspaces(token))
            workspaces.extend(page)
        return workspaces

    async def get_workspace(self, name: str = "") -> WorkspaceInfo:
        """Describe a workspace."""
        return await self._carry(_calls.get_workspace(name))

    async def get_rules(self, *, workspace: str = "") -> RulesInfo:
        """Read the rules in force."""
        return await self._carry(_calls.get_rules(workspace))

    async def set_rules(
        self,
        rules_toml: str,
        *,
        workspace: str = "",
        expected_version: int = 0,
        read_only: bool = False,
    ) -> int:
        """Put rules in force for the events to come; the answer is their version.

        An `expected_version` that is not in force raises FailedPrecondition; 0 asks for none.
        """
        return await self._carry(
            _calls.set_rules(rules_toml, workspace, expected_version, read_only=read_only)
        )

    async def validate_rules(self, rules_toml: str) -> list[RulesProblem]:
        """Say what is wrong with rules; an empty list: nothing."""
        return await self._carry(_calls.validate_rules(rules_toml))

    async def explain_rules(self, rules_toml: str) -> list[str]:
        """Say in words what rules do, a line for each matter; nothing if they are wrong."""
        return await self._carry(_calls.explain_rules(rules_toml))

    async def checkpoint(self) -> CheckpointInfo:
        """Write a snapshot now."""
        return await self._carry(_calls.checkpoint())

    async def backup(
        self, directory: str | Path, *, label: str = "", history: bool = False
    ) -> BackupInfo:
        """Write a backup into a directory of the server's machine while others read and write.

        `directory` is an absolute path there: empty or not there, and outside of the data
        directory. `label` is one line of at most 200 bytes for the register of backups. With
        `history` all that is kept of the log goes into it. `ipse restore` makes a data directory
        of it.
        """
        return await self._carry(_calls.backup(directory, label, history=history))

    async def stats(self) -> Stats:
        """Read figures."""
        return await self._carry(_calls.stats())

    async def _pages(self, query: _calls.ProfileQuery) -> AsyncIterator[Profile]:
        token = ""
        while True:
            page = await self._carry(_calls.get_profile(query, token))
            yield page
            token = page.next_page_token
            if not token:
                return

    async def _listed(self, query: _calls.ListQuery) -> AsyncIterator[Profile]:
        token = ""
        while True:
            page = await self._carry(_calls.list_profiles(query, token))
            for profile in page.profiles:
                yield profile
            token = page.next_page_token
            if not token:
                return

    async def watch_changes(
        self,
        after_sequence_number: int | None = None,
        *,
        workspace: str = "",
        kinds: Iterable[ChangeKind | str] = (),
        namespaces: Iterable[str] = (),
        heartbeat_s: int = 0,
        resume: bool = True,
    ) -> AsyncIterator[WatchedChanges]:
        """Follow what changes in a workspace: what each record changed, in order, without end.

        After a number (0: from the beginning), else from now on; `kinds` and `namespaces` say of
        which changes and of whose identifiers, empty: of all. What comes first says where it
        begins, and what has no records that nothing was to tell for `heartbeat_s` (0: 15 s). Keep
        its `sequence_number` with what you made of it, and go on after that another time: nothing
        is passed over. With `resume` a server that is away is waited for, once it has answered.
        FailedPrecondition if a record is kept no longer. One who takes nothing for a minute while
        there is something to take is called again, too, or gets ResourceExhausted.
        """
        watching = _watch.Watching(
            after_sequence_number,
            workspace,
            kinds,
            namespaces,
            heartbeat_s=heartbeat_s,
            resume=resume,
        )
        stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            _watch.METHOD
        )
        while True:
            messages = stream(watching.request(), metadata=self._metadata)
            try:
                async for payload in messages:
                    yield watching.read(payload)
            except grpc.aio.AioRpcError as failure:
                await asyncio.sleep(watching.pause_s(_transport.error_of(failure)))
            finally:
                messages.cancel()

    async def _follow_health(self, timeout_s: float) -> bool:
        """Follow the server's health until it is ready, or the stream ends without that."""
        watch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            _transport.HEALTH_WATCH
        )
        request = health_pb2.HealthCheckRequest(service=_transport.READY_SERVICE)
        statuses = watch(request.SerializeToString(), timeout=timeout_s, wait_for_ready=True)
        try:
            async for payload in statuses:
                status = health_pb2.HealthCheckResponse.FromString(payload).status
                if status == health_pb2.HealthCheckResponse.SERVING:
                    return True
        except grpc.aio.AioRpcError as failure:
            if not _transport.is_passing(failure):
                raise _transport.error_of(failure) from None
        finally:
            statuses.cancel()
        return False

    async def _carry(self, call: Call[T]) -> T:
        request = call.request.SerializeToString()
        deadline = time.monotonic() + (call.timeout_s or self._timeout_s)
        for attempt in itertools.count(1):
            time_left_s = deadline - time.monotonic()
            try:
                payload = await self._method(call.method)(
                    request, timeout=time_left_s, metadata=self._metadata
                )
            except grpc.aio.AioRpcError as failure:
                error = _transport.error_of(failure)
                pause_s = _transport.pause_s(error, attempt, deadline - time.monotonic())
                if pause_s is None:
                    raise error from None
                await asyncio.sleep(pause_s)
            else:
                return call.parse(payload)
        raise AssertionError("attempts are counted without end")

    def _method(self, name: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        method = self._methods.get(name)
        if method is None:
            method = self._methods[name] = self._channel.unary_unary(name)
        return method
