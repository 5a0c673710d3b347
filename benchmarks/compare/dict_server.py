"""What one would write in an afternoon: a dict of identifiers, a union-find, ordinary servicers.

    python -m benchmarks.compare.dict_server PORT_FILE

The same protos as ours, parsed into Python's message objects. Nothing is kept on disk, no rule but
find-or-merge is known, and answers hold the profile and nothing else.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop
from ipse.v1 import event_pb2, identity_pb2, identity_pb2_grpc

from benchmarks.compare.echo_server import OPTIONS, publish


class UnionFind:
    """Profiles by number; the oldest of those that are joined survives."""

    def __init__(self) -> None:
        self._profile_of: dict[str, int] = {}
        self._parents: list[int] = []

    def resolve(self, identifiers: Iterable[event_pb2.Identifier]) -> int:
        """Find, create or merge."""
        values = [identifier.value for identifier in identifiers]
        profile_of = self._profile_of
        found = {self._root(profile_of[value]) for value in values if value in profile_of}
        if found:
            survivor = min(found)
            for absorbed in found:
                self._parents[absorbed] = survivor
        else:
            survivor = len(self._parents)
            self._parents.append(survivor)
        for value in values:
            profile_of.setdefault(value, survivor)
        return survivor

    def find(self, value: str) -> int | None:
        """The profile of an identifier, if anybody has it."""
        profile = self._profile_of.get(value)
        return None if profile is None else self._root(profile)

    def _root(self, profile: int) -> int:
        parents = self._parents
        while parents[profile] != profile:
            parents[profile] = profile = parents[parents[profile]]
        return profile


class Servicer(identity_pb2_grpc.IdentityServiceServicer):
    """The three methods that the benchmark calls."""

    def __init__(self) -> None:
        self._people = UnionFind()

    async def ResolveEvent(  # noqa: N802 -- the method's name on the wire
        self,
        request: identity_pb2.ResolveEventRequest,
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002
    ) -> identity_pb2.ResolveEventResponse:
        return identity_pb2.ResolveEventResponse(resolution=self._resolution(request.event))

    async def ResolveEvents(  # noqa: N802
        self,
        request: identity_pb2.ResolveEventsRequest,
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002
    ) -> identity_pb2.ResolveEventsResponse:
        result = identity_pb2.ResolveEventsResult
        results = [result(resolution=self._resolution(event)) for event in request.events]
        return identity_pb2.ResolveEventsResponse(results=results)

    async def GetProfile(  # noqa: N802
        self,
        request: identity_pb2.GetProfileRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> identity_pb2.GetProfileResponse:
        found = self._people.find(request.lookup.identifier.value)
        if found is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "nobody has it")
        return identity_pb2.GetProfileResponse(profile=identity_pb2.Profile(profile_id=str(found)))

    def _resolution(self, event: event_pb2.Event) -> identity_pb2.Resolution:
        return identity_pb2.Resolution(profile_id=str(self._people.resolve(event.identifiers)))


async def serve(port_file: Path) -> None:
    server = grpc.aio.server(options=OPTIONS)
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(
        Servicer(),  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
        server,
    )
    await publish(server, port_file)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
