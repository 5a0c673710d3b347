"""Every look at the past as data, as `_calls` has every read. Carries nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ipse._calls import PAGE_SIZE_MAX, Call
from ipse._messages import lookup_message
from ipse._services import HISTORY
from ipse.model import LinkStory, ProfileStory
from ipse.v1 import history_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipse._messages import Lookup


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
