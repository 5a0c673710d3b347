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

from ipse import _calls, _transport
from ipse.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType
    from typing import Self

    from ipse._calls import Call, IdentifierPair, Lookup
    from ipse.model import (
        CheckpointInfo,
        Event,
        ItemError,
        Profile,
        Resolution,
        RulesInfo,
        RulesProblem,
        Stats,
        WorkspaceInfo,
    )
    from ipse.v1 import identity_pb2

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """One connection to a server. Make it inside the event loop; close it, or use `async with`.

    `timeout_s` bounds each call, retries included; a checkpoint gets longer. An empty workspace
    name means `default`. All calls raise IpseError.
    """

    __slots__ = ("_channel", "_methods", "_timeout_s")

    def __init__(
        self,
        address: str = _transport.DEFAULT_ADDRESS,
        *,
        timeout_s: float = _transport.DEFAULT_TIMEOUT_S,
    ) -> None:
        self._timeout_s = timeout_s
        self._channel = grpc.aio.insecure_channel(address, _transport.CHANNEL_OPTIONS)
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
        while not await self._watch(max(deadline - time.monotonic(), 0)):
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
        batch_size: int = _calls.BATCH_EVENTS_MAX,
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
        *,
        profile_id: str | None = None,
        identifier: IdentifierPair | None = None,
        workspace: str = "",
    ) -> Profile:
        """Read a profile with all its identifiers; NotFound if there is none.

        By its id, an absorbed one too, or by any identifier, `("email", "ann@example.com")`.
        """
        lookup = _calls.one_lookup(profile_id, identifier)
        first, *rest = [page async for page in self._pages(lookup, workspace, _calls.PAGE_SIZE_MAX)]
        return _calls.with_all_identifiers(first, rest)

    def get_profile_pages(
        self,
        *,
        profile_id: str | None = None,
        identifier: IdentifierPair | None = None,
        workspace: str = "",
        page_size: int = _calls.PAGE_SIZE_MAX,
    ) -> AsyncIterator[Profile]:
        """Read a profile page by page, each with up to `page_size` of its identifiers."""
        lookup = _calls.one_lookup(profile_id, identifier)
        return self._pages(lookup, workspace, page_size)

    async def get_profiles(
        self, lookups: Iterable[Lookup], *, workspace: str = "", page_size: int = 0
    ) -> list[Profile | ItemError]:
        """Read up to 1,000 profiles, by ids or identifiers; one result for each, in order.

        Each shows its first `page_size` identifiers: 0 means 100, at most 1,000.
        """
        return await self._carry(_calls.get_profiles(lookups, workspace, page_size))

    async def create_workspace(self, name: str, *, rules_toml: str = "") -> WorkspaceInfo:
        """Create a workspace; AlreadyExists if there is one. No rules: the preset `segment`."""
        return await self._carry(_calls.create_workspace(name, rules_toml))

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

    async def checkpoint(self) -> CheckpointInfo:
        """Write a snapshot now."""
        return await self._carry(_calls.checkpoint())

    async def stats(self) -> Stats:
        """Read figures."""
        return await self._carry(_calls.stats())

    async def _pages(
        self, lookup: identity_pb2.ProfileLookup, workspace: str, page_size: int
    ) -> AsyncIterator[Profile]:
        token = ""
        while True:
            page = await self._carry(_calls.get_profile(lookup, workspace, page_size, token))
            yield page
            token = page.next_page_token
            if not token:
                return

    async def _watch(self, timeout_s: float) -> bool:
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
                payload = await self._method(call.method)(request, timeout=time_left_s)
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
