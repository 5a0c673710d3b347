"""The blocking calls, once for the client and the embedded resolver. Carries nothing itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from ipse import _calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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

T = TypeVar("T")


class SyncCalls(ABC):
    """Every call, blocking. An empty workspace name means `default`. All raise IpseError."""

    __slots__ = ()

    def resolve(self, event: Event, *, workspace: str = "", read_only: bool = False) -> Resolution:
        """Find the profile an event belongs to, or create it, and learn from it.

        With `read_only` the answer is what would happen, and nothing is written.
        """
        return self._carry(_calls.resolve(event, workspace, read_only=read_only))

    def resolve_many(
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
        batches = _calls.resolve_batches(
            events, workspace, read_only=read_only, batch_size=batch_size
        )
        return [result for batch in batches for result in self._carry(batch)]

    def get_profile(
        self,
        *,
        profile_id: str | None = None,
        identifier: IdentifierPair | None = None,
        workspace: str = "",
    ) -> Profile:
        """Read a profile with all its identifiers; NotFound if there is none.

        By its id, an absorbed one too, or by any identifier, `("email", "ann@example.com")`.
        """
        pages = self.get_profile_pages(
            profile_id=profile_id, identifier=identifier, workspace=workspace
        )
        return _calls.with_all_identifiers(next(pages), pages)

    def get_profile_pages(
        self,
        *,
        profile_id: str | None = None,
        identifier: IdentifierPair | None = None,
        workspace: str = "",
        page_size: int = _calls.PAGE_SIZE_MAX,
    ) -> Iterator[Profile]:
        """Read a profile page by page, each with up to `page_size` of its identifiers."""
        lookup = _calls.one_lookup(profile_id, identifier)
        return self._pages(lookup, workspace, page_size)

    def get_profiles(
        self, lookups: Iterable[Lookup], *, workspace: str = "", page_size: int = 0
    ) -> list[Profile | ItemError]:
        """Read up to 1,000 profiles, by ids or identifiers; one result for each, in order.

        Each shows its first `page_size` identifiers: 0 means 100, at most 1,000.
        """
        return self._carry(_calls.get_profiles(lookups, workspace, page_size))

    def create_workspace(self, name: str, *, rules_toml: str = "") -> WorkspaceInfo:
        """Create a workspace; AlreadyExists if there is one. No rules: the preset `segment`."""
        return self._carry(_calls.create_workspace(name, rules_toml))

    def list_workspaces(self) -> list[WorkspaceInfo]:
        """List all workspaces by name."""
        workspaces, token = self._carry(_calls.list_workspaces(""))
        while token:
            page, token = self._carry(_calls.list_workspaces(token))
            workspaces.extend(page)
        return workspaces

    def get_workspace(self, name: str = "") -> WorkspaceInfo:
        """Describe a workspace."""
        return self._carry(_calls.get_workspace(name))

    def get_rules(self, *, workspace: str = "") -> RulesInfo:
        """Read the rules in force."""
        return self._carry(_calls.get_rules(workspace))

    def set_rules(
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
        return self._carry(
            _calls.set_rules(rules_toml, workspace, expected_version, read_only=read_only)
        )

    def validate_rules(self, rules_toml: str) -> list[RulesProblem]:
        """Say what is wrong with rules; an empty list: nothing."""
        return self._carry(_calls.validate_rules(rules_toml))

    def checkpoint(self) -> CheckpointInfo:
        """Write a snapshot now."""
        return self._carry(_calls.checkpoint())

    def stats(self) -> Stats:
        """Read figures."""
        return self._carry(_calls.stats())

    def _pages(
        self, lookup: identity_pb2.ProfileLookup, workspace: str, page_size: int
    ) -> Iterator[Profile]:
        token = ""
        while True:
            page = self._carry(_calls.get_profile(lookup, workspace, page_size, token))
            yield page
            token = page.next_page_token
            if not token:
                return

    @abstractmethod
    def _carry(self, call: Call[T]) -> T: ...
