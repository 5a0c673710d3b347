"""The server: puts engine, carrier, door and metrics together, and takes them apart again.

    bound ──> recovering ──> serving ──> draining ──> closed        exit 0
                  │             └─ the engine failed ──> stopped    exit 70, no clean mark
                  └─ the data directory cannot be opened            exit 74

The port is open from the first state on, so that health can be asked while recovery runs: ""
(liveness) is SERVING, all other names are NOT_SERVING until the engine is there. While its disk is
full, `ipse.writes` alone is NOT_SERVING: a full disk ends nothing. The engine fails
when its log does, or when a bug may have left it half changed: both end alike. A kill in any state
is a crash, which the next start repairs; the shutdown saves it the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Literal

from ipse import _native, memory
from ipse._carrier import carrier_of, host_port
from ipse._door import Door
from ipse._services import ADMIN, HISTORY, IDENTITY
from ipse._threads import run_aside
from ipse.errors import Failed, LogFailed, OpenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipse.metrics import MetricsServer
    from ipse.settings import ServerSettings

EXIT_OK: Final = 0
EXIT_ENGINE_FAILED: Final = 70
"""EX_SOFTWARE: what is in memory may not be on disk, so that the process must not go on."""
EXIT_OPEN_FAILED: Final = 74
"""EX_IOERR: the data directory cannot be opened, or the port not be bound."""

READS: Final = "ipse.reads"
WRITES: Final = "ipse.writes"
HEALTH_NAMES: Final = (IDENTITY, HISTORY, ADMIN, READS, WRITES)

_LOOK_AFTER_INTERVAL_S: Final = 1.0
_CHECKPOINT_RETRY_S: Final = 60.0
_EXPIRY_INTERVAL_S: Final = 60.0
_LAST_ANSWERS_GRACE_S: Final = 0.5
"""What answers and refusals that were made get to reach their callers."""

_BUG: Final = "a bug was met in the engine; the log has it"

_log = logging.getLogger("ipse.server")


def serve(settings: ServerSettings, on_listening: Callable[[str], None] | None = None) -> int:
    """Run a server until a signal or a failure ends it; the answer is the exit code.

    `on_listening` is called with `host:port` as soon as the port is open. Blocks; call it on the
    main thread. Raises ConfigError before anything is touched.
    """
    settings.validate()
    _raise_file_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(settings, on_listening))


def _raise_file_limit() -> None:
    """Allow as many open files as the system lets this process have.

    Each connection is one, and connections must not leave the log without a file to write to.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """One server inside a running event loop; `serve` is this with signals and exit codes."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings.validate()
        loop = asyncio.get_running_loop()
        self.failure: asyncio.Future[str] = loop.create_future()
        """Set with the reason when the engine fails; `abandon` is then the only thing to do."""
        self._carrier = carrier_of(settings, HEALTH_NAMES, self.look_after_engine)
        self._door = Door(settings)
        self._engine: _native.Engine | None = None
        self._metrics: MetricsServer | None = None
        self._progress = _native.RecoveryProgress()
        self._looking_after: asyncio.Task[None] | None = None
        self._watching_door: asyncio.Task[None] | None = None
        self._storage_full = False
        self._port = 0

    @property
    def address(self) -> str:
        """Where it listens, `host:port`."""
        return host_port(self._settings.host, self._port)

    async def listen(self) -> None:
        """Open the port; calls are refused with NOT_SERVING until `recover` is done."""
        await run_aside("door", self._door.open)
        self._port = await self._carrier.listen(self._door.certificates)
        self._listen_for_scrapers()
        if self._door.has_files:
            self._watching_door = asyncio.create_task(self._watch_door())
        _log.info("listening", extra={"address": self.address, "pid": os.getpid()})

    async def recover(self) -> None:
        """Open the data directory and begin to serve; OpenError if that is not possible."""
        opening = functools.partial(_open, self._settings, self._door.tokens, self._progress)
        engine = await run_aside("recovery", opening)
        engine.set_bounds(
            queue_wait_ms_max=self._settings.queue_wait_ms_max,
            held_bytes_max=self._settings.held_bytes_max,
            workspace_events_per_s_max=self._settings.workspace_events_per_s_max,
            workspace_burst=self._settings.workspace_burst,
        )
        self._engine = engine
        self._carrier.attach(engine)
        # Whoever hears of it from health finds it in the log and in the figures.
        self._show("serving", engine)
        _log.info("serving", extra={"data_dir": self._settings.data_dir, **engine.recovery()})
        for name in HEALTH_NAMES:
            await self._carrier.set_health(name, is_serving=True)
        await self._tell_of_space(engine)
        self._looking_after = asyncio.create_task(self._look_after(engine))

    async def drain(self) -> None:
        """Let calls in flight end, then sync, write a snapshot and close the data directory.

        Raises LogFailed if the engine fails on the way: nothing is marked as clean then.
        """
        _log.info("draining", extra={"calls_in_flight": self._carrier.calls_in_flight})
        self._show("draining")
        await self._carrier.set_health_gone()
        if self._engine is not None and self._settings.drain_delay_s:
            await asyncio.sleep(self._settings.drain_delay_s)
        await self._carrier.drain(self._settings.drain_grace_s)
        # Not the whole grace: streams that watch health would use it up to the end.
        await self._carrier.stop(_LAST_ANSWERS_GRACE_S)
        await self._stop_looking_after()
        self.look_after_engine()
        if self.failure.done():
            raise LogFailed(self.failure.result())
        self._carrier.end("shutting_down")
        if self._engine is not None:
            await run_aside("close", functools.partial(_close, self._engine))
        if self._metrics is not None:
            await run_aside("metrics", self._metrics.close)
        _log.info("closed")

    async def abandon(self) -> None:
        """Stop at once and leave the data directory as a crash would."""
        self._show("failed")
        await self._carrier.set_health_gone()
        self._carrier.end("shutting_down")
        await self._stop_looking_after()
        await self._carrier.stop(_LAST_ANSWERS_GRACE_S)

    def look_after_engine(self) -> None:
        """Log the bugs that callers know only the ids of, and stop if the engine cannot go on."""
        if self._engine is None or self.failure.done():
            return
        for fault, text in self._engine.take_faults():
            _log.error("a bug", extra={"fault": fault, "text": text})
        failure = self._engine.failure()
        if failure is not None:
            self.fail(failure)

    def fail(self, reason: str) -> None:
        """Stop to serve because the engine cannot go on."""
        self._carrier.end("failed")
        if not self.failure.done():
            self.failure.set_result(reason)

    def _listen_for_scrapers(self) -> None:
        port = self._settings.metrics_port
        if not port:
            return
        # Only here: whoever wants no figures does not wait for their library at each start.
        from ipse.metrics import MetricsServer, Monitor

        monitor = Monitor(self._carrier.tally, self._settings.data_dir, self._progress)
        self._metrics = MetricsServer(monitor, port)
        _log.info("metrics", extra={"address": self._metrics.address})

    def _show(self, state: Literal["serving", "draining", "failed"], engine: Any = None) -> None:
        if self._metrics is not None:
            self._metrics.monitor.show(state, engine)

    async def _look_after(self, engine: _native.Engine) -> None:
        """Find out if the engine cannot go on, also while nobody calls; write due snapshots.

        Tells health whether there is space for writes.
        """
        try:
            retry_time_s = expiry_time_s = 0.0
            while not self.failure.done():
                await asyncio.sleep(_LOOK_AFTER_INTERVAL_S)
                self.look_after_engine()
                if self.failure.done():
                    break
                await self._tell_of_space(engine)
                if time.monotonic() >= expiry_time_s:
                    await _expire(engine)
                    expiry_time_s = time.monotonic() + _EXPIRY_INTERVAL_S
                if time.monotonic() < retry_time_s:
                    continue
                if engine.checkpoint_due() and not await _checkpoint(engine):
                    retry_time_s = time.monotonic() + _CHECKPOINT_RETRY_S
        except asyncio.CancelledError:
            raise
        except BaseException:  # noqa: BLE001 -- a panic of the engine is no `Exception`
            _log.exception("a bug")
            self.fail(_BUG)

    async def _watch_door(self) -> None:
        """Put tokens and certificates in force when their files have changed."""
        while True:
            await asyncio.sleep(_LOOK_AFTER_INTERVAL_S)
            look_again = functools.partial(
                self._door.look_again, self._engine, self._carrier.replace_certificates
            )
            try:
                await run_aside("door", look_again)
            except Exception:  # noqa: BLE001 -- what is in force stays in force
                _log.exception("a bug")

    async def _tell_of_space(self, engine: _native.Engine) -> None:
        storage_full = engine.storage_full()
        if storage_full == self._storage_full:
            return
        self._storage_full = storage_full
        if storage_full:
            _log.error("the disk is full: writes are refused until there is space")
        else:
            _log.info("the disk has space: writes are taken again")
        await self._carrier.set_health(WRITES, is_serving=not storage_full)

    async def _stop_looking_after(self) -> None:
        for task in (self._looking_after, self._watching_door):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def _serve(settings: ServerSettings, on_listening: Callable[[str], None] | None) -> int:
    server = Server(settings)
    stop = _stop_on_signals()
    try:
        await server.listen()
        if on_listening is not None:
            on_listening(server.address)
        return await _run(server, stop)
    except LogFailed as error:
        _log.critical("the engine failed; restart to recover", extra={"reason": error.message})
        code = EXIT_ENGINE_FAILED
    except Failed as error:
        _log.error("cannot start", extra={"reason": error.message})
        code = EXIT_OPEN_FAILED
    except OSError as error:
        # The port file: who waits for it must not wait for ever.
        _log.error("cannot start", extra={"reason": str(error)})
        code = EXIT_OPEN_FAILED
    await server.abandon()
    return code


async def _run(server: Server, stop: asyncio.Future[signal.Signals]) -> int:
    recovery = asyncio.create_task(server.recover())
    await _first(recovery, stop)
    if recovery.done():
        await recovery
        await _first(stop, server.failure)
    else:
        # Recovery writes nothing that its next run would miss: it ends with the process.
        recovery.cancel()
    if server.failure.done():
        raise LogFailed(server.failure.result())
    started = time.monotonic()
    await server.drain()
    _log.info("stopped", extra={"seconds": round(time.monotonic() - started, 3)})
    return EXIT_OK


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _stop_on_signals() -> asyncio.Future[signal.Signals]:
    """Make a future that the first SIGTERM or SIGINT ends; the second ends the process."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if stop.done():
            _log.warning("second signal, exiting at once", extra={"signal": number.name})
            logging.shutdown()
            os._exit(128 + number)
        stop.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


async def _checkpoint(engine: _native.Engine) -> bool:
    """Write a snapshot; whether that succeeded. The log holds everything, so it need not."""
    try:
        written = await run_aside("checkpoint", engine.checkpoint)
    except Exception:  # noqa: BLE001 -- whatever the world did, the server goes on without it
        _log.exception("snapshot failed")
        return False
    _log.info("snapshot written", extra=dict(written))
    return True


async def _expire(engine: _native.Engine) -> None:
    """Let expire what rules keep no longer; what is left is for the next time."""
    expired = await run_aside("expire", engine.expire)
    if expired:
        _log.info("identifiers expired", extra={"count": expired})


def _open(
    settings: ServerSettings, tokens: str | None, progress: _native.RecoveryProgress
) -> _native.Engine:
    try:
        return _native.Engine.open(
            settings.data_dir,
            sync=settings.sync,
            sync_interval_ms=settings.sync_interval_ms,
            segment_size_bytes=settings.segment_size_bytes,
            snapshot_log_bytes=settings.snapshot_log_bytes,
            history_retention_days=settings.history_retention_days,
            history_retention_bytes=settings.history_retention_bytes,
            write_queue_bytes_max=settings.write_queue_bytes_max,
            tokens=tokens,
            identifiers_max=settings.identifiers_max,
            memory_bytes_max=settings.memory_bytes_max or memory.share(),
            workspace_identifiers_max=settings.workspace_identifiers_max,
            workspace_memory_bytes_max=settings.workspace_memory_bytes_max,
            progress=progress,
        )
    except _native.OpenError as error:
        raise OpenError(str(error)) from None
    except BaseException as error:
        _log.exception("a bug")
        raise LogFailed(_BUG) from error


def _close(engine: _native.Engine) -> None:
    try:
        engine.close(checkpoint=True)
    except OSError as error:
        # Everything is on disk and the log is closed; the next start reads more of it.
        _log.warning("snapshot failed", extra={"reason": str(error)})
    except _native.LogFailedError as error:
        raise LogFailed(str(error)) from None
    except BaseException as error:
        _log.exception("a bug")
        raise LogFailed(_BUG) from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
