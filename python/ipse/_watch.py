"""Watching as data: the request, how to read its messages, and when to call again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipse._services import HISTORY
from ipse.errors import Code, InvalidArgument, IpseError
from ipse.model.changes import WatchedChanges
from ipse.model.words import CHANGE_KINDS, ChangeKind
from ipse.v1 import history_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

METHOD: Final = f"/{HISTORY}/WatchChanges"

_PAUSE_S_MIN: Final = 0.1
_PAUSE_S_MAX: Final = 2.0
_PASSING: Final = {Code.UNAVAILABLE, Code.CANCELLED}
_TOO_SLOW: Final = "OVERLOADED"
_NUMBERS: Final = {kind: number for number, kind in CHANGE_KINDS.items()}


class Watching:
    """How far one who watches is, over as many calls as it takes."""

    def __init__(
        self,
        after: int | None,
        workspace: str,
        kinds: Iterable[ChangeKind | str],
        namespaces: Iterable[str],
        *,
        heartbeat_s: int,
        resume: bool,
    ) -> None:
        self._request = history_pb2.WatchChangesRequest(
            workspace=workspace,
            after_sequence_number=after,
            kinds=map(_number, kinds),  # type: ignore[arg-type]
            namespaces=namespaces,
            heartbeat_seconds=heartbeat_s,
        )
        self._resume = resume
        self._is_told = False
        self._pause_s = _PAUSE_S_MIN

    def request(self) -> bytes:
        """Of the next call."""
        return self._request.SerializeToString()

    def read(self, payload: bytes) -> WatchedChanges:
        """Read a message; the next call goes on after it."""
        told = WatchedChanges.from_proto(history_pb2.WatchChangesResponse.FromString(payload))
        self._request.after_sequence_number = told.sequence_number
        self._is_told, self._pause_s = True, _PAUSE_S_MIN
        return told

    def pause_s(self, error: IpseError) -> float:
        """Say how long to wait before the next call, or raise the error if there is to be none."""
        is_passing = error.code in _PASSING or error.reason == _TOO_SLOW
        if not (self._resume and self._is_told and is_passing):
            raise error from None
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _PAUSE_S_MAX)
        return pause_s


def _number(kind: ChangeKind | str) -> int:
    try:
        return _NUMBERS[ChangeKind(kind)]
    except ValueError:
        known = ", ".join(ChangeKind)
        raise InvalidArgument(f"kinds: {kind!r} is none of {known}", field="kinds") from None
