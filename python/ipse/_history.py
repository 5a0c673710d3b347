"""Every look at the past as data, as `_calls` has every read. Carries nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipse._calls import BATCH_ITEMS_MAX, PAGE_SIZE_MAX, Call, cut
from ipse._messages import as_of_message, identifier_message, lookup_message
from ipse._services import HISTORY
from ipse.model import LinkStory, PastHolder, ProfileStory
from ipse.v1 import history_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipse._messages import IdentifierPair, Lookup, PastMoment


def explain_profile(profile: Lookup, workspace: str, page_token: str) -> Call[ProfileStory]:
    """Read a page of how a profile came to be."""
    request = history_pb2.ExplainProfileRequest(
        workspace=workspace,
        profile=lookup_message(profile, "profile"),
        page_size=PAGE_SIZE_MAX,
        page_token=page_token,
    )

    def parse(payload: bytes) -> ProfileStory:
        return ProfileStory.from_proto(history_pb2.ExplainProfileResponse.FromString(payload))

    return Call(f"/{HISTORY}/ExplainProfile", request, parse)


def joined(pages: Iterable[ProfileStory]) -> ProfileStory:
    """Join the pages of a story."""
    all_pages = list(pages)
    steps = tuple(step for page in all_pages for step in page.steps)
    return replace(all_pages[-1], steps=steps)


def explain_link(a: Lookup, b: Lookup, workspace: str) -> Call[LinkStory]:
    """Read why two are one person, or why they are not."""
    request = history_pb2.ExplainLinkRequest(
        workspace=workspace, a=lookup_message(a, "a"), b=lookup_message(b, "b")
    )

    def parse(payload: bytes) -> LinkStory:
        return LinkStory.from_proto(history_pb2.ExplainLinkResponse.FromString(payload))

    return Call(f"/{HISTORY}/ExplainLink", request, parse)


def lookup_as_of(
    rows: Iterable[tuple[IdentifierPair, PastMoment]], workspace: str
) -> Iterator[Call[list[PastHolder]]]:
    """Ask whose identifiers were, in batches."""
    messages = (
        history_pb2.PastLookup(
            identifier=identifier_message(identifier, f"rows[{index}].identifier"),
            as_of=as_of_message(moment, f"rows[{index}].as_of"),
        )
        for index, (identifier, moment) in enumerate(rows)
    )
    for batch in cut(messages, BATCH_ITEMS_MAX):
        request = history_pb2.LookupAsOfRequest(workspace=workspace, lookups=batch)
        yield Call(f"/{HISTORY}/LookupAsOf", request, _past_holders)


def _past_holders(payload: bytes) -> list[PastHolder]:
    response = history_pb2.LookupAsOfResponse.FromString(payload)
    return [PastHolder.from_proto(result) for result in response.results]


@dataclass(frozen=True, slots=True)
class _Written:
    """A request that was written without its classes."""

    payload: bytes

    def SerializeToString(self) -> bytes:  # noqa: N802 -- as messages have it
        return self.payload


def lookup_as_of_bytes(lookups: bytes, workspace: str) -> Call[bytes]:
    """Ask the same of rows that are on the wire already; the answer is left there, too."""
    named = history_pb2.LookupAsOfRequest(workspace=workspace).SerializeToString()
    return Call(f"/{HISTORY}/LookupAsOf", _Written(named + lookups), bytes)
