"""The embedded resolver: the whole engine inside this process, without a server.

Each call goes the way a server's would (the same request bytes, the same engine, the same
answer) but for the network; this module must never import gRPC. Under `sync = "always"` a call
returns when everything that its answer depends on is on disk.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from ipse import _native
from ipse._sync import SyncCalls
from ipse.errors import Code, Failed, InternalError, LogFailed, OpenError, from_status_bytes

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ipse._calls import Call

T = TypeVar("T")

_CHECKPOINT_RETRY_S: Final = 60.0

_log = logging.getLogger("ipse.resolver")


class Resolver(SyncCalls):
    """The engine with its data directory, or in memory without one. Close it, or use `with`.

    One process at a time may have a data directory open; threads may share a Resolver. `sync`
    is `always` (each answer is on disk), `interval` (within `sync_interval_ms`) or `off`. Memory
    has the ceilings that are given, of all workspaces and of each; 0 is none.
    Raises OpenError if the directory is in use or damaged.
    """

    __slots__ = ("_checkpoint_time_s", "_checkpointing", "_engine")

    def __init__(  # noqa: PLR0913 -- settings, each by its name
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        sync: Literal["always", "interval", "off"] = "always",
        sync_interval_ms: int = 100,
        segment_size_bytes: int = 64 * 1024 * 1024,
        snapshot_log_bytes: int = 256 * 1024 * 1024,
        history_retention_days: int = 30,
        history_retention_bytes: int = 4 * 1024 * 1024 * 1024,
        write_queue_bytes_max: int = 64 * 1024 * 1024,
        identifiers_max: int = 0,
        memory_bytes_max: int = 0,
        workspace_identifiers_max: int = 0,
        workspace_memory_bytes_max: int = 0,
    ) -> None:
        self._checkpointing = threading.Lock()
        self._checkpoint_time_s = 0.0
        try:
            self._engine = _native.Engine.open(
                None if path is None else os.fspath(path),
                sync=sync,
                sync_interval_ms=sync_interval_ms,
                segment_size_bytes=segment_size_bytes,
                snapshot_log_bytes=snapshot_log_bytes,
                history_retention_days=history_retention_days,
                history_retention_bytes=history_retention_bytes,
                write_queue_bytes_max=write_queue_bytes_max,
                identifiers_max=identifiers_max,
                memory_bytes_max=memory_bytes_max,
                workspace_identifiers_max=workspace_identifiers_max,
                workspace_memory_bytes_max=workspace_memory_bytes_max,
            )
        except _native.OpenError as error:
            raise OpenError(str(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def expire(self) -> int:
        """Let identifiers expire that rules keep no longer; how many that was.

        A server does so each minute; here it is for the caller to do.
        """
        return self._engine.expire()

    def close(self) -> None:
        """Sync, write a snapshot and unlock the directory. Calls after it raise Unavailable.

        Raises LogFailed if something could not be synced; Failed if all was, and the directory is
        closed, but the snapshot could not be written: the next start takes longer, no more.
        """
        try:
            self._engine.close(checkpoint=True)
        except _native.LogFailedError as error:
            raise LogFailed(str(error), reason="NOT_SERVING") from None
        except OSError as error:
            raise Failed(f"closed without a snapshot: {error}") from None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise InternalError(f"a bug was met while closing: {error}") from error

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Return at once: a Resolver is ready when it exists. Here because clients have it."""

    def _carry(self, call: Call[T]) -> T:
        position, code, payload = self._engine.call(call.method, call.request.SerializeToString())
        try:
            self._engine.wait_synced(position)
        except _native.LogFailedError as error:
            raise LogFailed(str(error), reason="NOT_SERVING") from None
        if code == Code.INTERNAL:
            self._log_faults(call.method)
        if code:
            raise from_status_bytes(payload)
        if self._engine.checkpoint_due():
            self._checkpoint_aside()
        return call.parse(payload)

    def _log_faults(self, method: str) -> None:
        for fault, text in self._engine.take_faults():
            _log.error("a bug", extra={"method": method, "fault": fault, "text": text})

    def _checkpoint_aside(self) -> None:
        """Write a snapshot on another thread, unless one is being written or has just failed."""
        if time.monotonic() < self._checkpoint_time_s:
            return
        if self._checkpointing.acquire(blocking=False):
            threading.Thread(target=self._checkpoint, name="ipse-checkpoint", daemon=True).start()

    def _checkpoint(self) -> None:
        try:
            written = self._engine.checkpoint()
            _log.info("snapshot written", extra=dict(written))
        except BaseException:  # noqa: BLE001 -- nobody waits on this thread to raise to
            # The log holds everything: a snapshot that failed costs time at the next start.
            _log.exception("snapshot failed")
            self._checkpoint_time_s = time.monotonic() + _CHECKPOINT_RETRY_S
        finally:
            self._checkpointing.release()
