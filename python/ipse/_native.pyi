"""The engine, as Python sees it: bytes in, bytes out.

Every method may be called from any thread. None calls back into Python.
"""

from typing import Any, Final, Self, final

__all__ = [
    "HELD_ANSWER_BYTES_MIN",
    "SHORT_BATCH_BYTES_MAX",
    "WATCH_LOOK_INTERVAL_MS",
    "WATCH_SEND_S_MAX",
    "Engine",
    "LogFailedError",
    "NativeServer",
    "OpenError",
    "PastRows",
    "RecoveryProgress",
    "Tally",
    "Watch",
    "__version__",
    "bug",
    "check_tokens",
    "count_answers",
    "fitted_status",
    "frame_lines",
    "message_too_large",
    "methods",
    "not_serving",
    "preset",
    "restore",
    "validate_rules",
    "verify",
    "waiting_calls_full",
]

__version__: Final[str]
SHORT_BATCH_BYTES_MAX: Final[int]
"""A batch whose request is not longer is worked on at once, like a single event."""
HELD_ANSWER_BYTES_MIN: Final[int]
"""Answers of this size and more are counted (`Engine.hold`) until their callers have read them."""

WATCH_LOOK_INTERVAL_MS: Final[int]
"""So much time is between two looks of one that watches, if there is nothing to tell."""
WATCH_SEND_S_MAX: Final[int]
"""A message of one that watches may wait so long to be taken."""

class OpenError(Exception):
    """The data directory cannot be opened; the message names file and byte and says what to do."""

class LogFailedError(Exception):
    """The log could not be written or synced. The process must stop; the next start recovers."""

@final
class Watch:
    """One call that watches."""

    def next(self) -> tuple[int, bytes, float]:
        """Its next message, if there is one: (code, payload, seconds to wait).

        A code that is not 0 is its end, and the payload a google.rpc.Status. An empty payload: ask
        again when more is synced, or after so many seconds. Reads files, without the GIL: to be
        called on a worker thread, and again only when what it gave before was sent.
        """

    def too_slow(self) -> tuple[int, bytes]:
        """Why it ends (code, google.rpc.Status) if its caller does not take what there is."""

@final
class RecoveryProgress:
    """How far an `Engine.open` that was given it has come. No other is to be given it."""

    def __new__(cls) -> RecoveryProgress: ...
    def now(self) -> tuple[int, int]:
        """(bytes that were read and applied, bytes to be read in all) of snapshot and log.

        Both are 0 before it is known what there is, and of a new directory.
        """

@final
class Engine:
    @staticmethod
    def open(
        data_dir: str | None,
        *,
        sync: str = "always",
        sync_interval_ms: int = 100,
        segment_size_bytes: int = 67_108_864,
        snapshot_log_bytes: int = 268_435_456,
        history_retention_days: int = 30,
        history_retention_bytes: int = 4_294_967_296,
        write_queue_bytes_max: int = 67_108_864,
        tokens: str | None = None,
        identifiers_max: int = 0,
        memory_bytes_max: int = 0,
        workspace_identifiers_max: int = 0,
        workspace_memory_bytes_max: int = 0,
        progress: RecoveryProgress | None = None,
    ) -> Engine:
        """Locks and recovers `data_dir`, or keeps everything in memory if it is None.

        The workspace `default` is created with the preset `segment` if there is none. With
        `tokens`, the text of a file of them, no call without one is answered.
        A ceiling of 0 is none. Raises OpenError, and ValueError for a `sync` that there is none
        of, or for tokens that cannot be read. Blocks, without the GIL, until recovery is done;
        `progress` says meanwhile how far it has come.
        """

    def call(
        self,
        method: str,
        request: bytes,
        read_deadline_ms: int | None = None,
        authorization: bytes | None = None,
    ) -> tuple[int, int, bytes]:
        """One RPC: full method name (`/ipse.v1.IdentityService/ResolveEvent`) and request bytes.

        Returns (position, code, payload). The answer may be sent once `synced() >= position`.
        Code 0: payload is the response message. Otherwise: the google.rpc.Code, and payload is
        a google.rpc.Status. `read_deadline_ms` is the time left to the caller's deadline;
        0 or less answers DEADLINE_EXCEEDED and does nothing. `authorization` is the metadata of
        that name; several, joined by a comma, are none that is known. Never waits for the disk,
        except `AdminService/Checkpoint` and `Backup`, which do and are to be called on a worker
        thread; so are `CreateWorkspace`, `SetRules` and `ValidateRules`, which compile patterns.
        """

    def watch(
        self, method: str, request: bytes, authorization: bytes | None = None
    ) -> Watch | tuple[int, bytes]:
        """Begins a call that watches, or refuses it (code, google.rpc.Status).

        Does not block. It has one of the places that there are until it is let go.
        """

    def check_caller(
        self, method: str | None, authorization: bytes | None
    ) -> tuple[int, bytes] | None:
        """The refusal (code, google.rpc.Status) of a caller whose token is not good, or None.

        Good for a method, as far as that can be said without the request, or, without one, for
        anything at all. For what happens before `call`, or instead of it.
        """

    def audited(
        self, method: str, request: bytes, authorization: bytes | None
    ) -> tuple[str | None, str | None]:
        """The name of a call's token, and the workspace it is about; None if there is none."""

    def replace_tokens(self, tokens: str) -> None:
        """Puts the tokens of another text in force for the calls to come. Raises ValueError.

        An engine that was opened without tokens asks for none ever.
        """

    def set_bounds(
        self,
        *,
        queue_wait_ms_max: int = 0,
        held_bytes_max: int = 0,
        workspace_events_per_s_max: int = 0,
        workspace_burst: int = 0,
    ) -> None:
        """Puts bounds in force on what is let in, instead of those before; 0 is none."""

    def crowded(self, in_flight: int, bound: int) -> tuple[int, bytes]:
        """Refuse (code, google.rpc.Status) a short call: so many are in flight, of so many."""

    def join_line(
        self, request_bytes: int, read_deadline_ms: int | None = None
    ) -> tuple[int, bytes] | None:
        """Puts a call in the line of those that are worked on one after the other.

        Or the refusal (code, google.rpc.Status), if it would wait there for too long. For each
        None there is to be one `leave_line`.
        """

    def leave_line(self, request_bytes: int, was_worked_on: bool) -> None:
        """Takes a call out of the line: it was worked on, or gave up."""

    def hold(self, size: int) -> None:
        """Counts bytes that are kept for a caller who has not taken them; then `release`."""

    def release(self, size: int) -> None:
        """Takes back a `hold` of as many bytes."""

    def synced(self) -> int:
        """The log position up to which everything is on disk."""

    def wait_synced(self, position: int, timeout_s: float | None = None) -> bool:
        """Blocks, without the GIL, until `synced() >= position`; False on time-out.

        Raises LogFailedError.
        """

    def wake_fd(self) -> int:
        """A file descriptor that becomes readable each time `synced()` has moved or the log failed.

        From the first time on that this is asked. Non-blocking; read it empty, then call `synced()`
        once: one wake-up for a commit group.
        """

    def failure(self) -> str | None:
        """Why the engine failed (its log, or a bug while it changed state), if it did.

        The process must then stop; calls answer NOT_SERVING.
        """

    def recovery(self) -> dict[str, int | float | str | bool]:
        """What opening found: the fields of `ipse.v1.RecoveryStats`.

        And `notes`: whatever else someone should know, a line each.
        """

    def checkpoint_due(self) -> bool:
        """Whether the log has grown by `snapshot_log_bytes` since the newest snapshot."""

    def storage_full(self) -> bool:
        """Whether writes are refused with STORAGE_FULL, until there is space again."""

    def checkpoint(self) -> dict[str, int | float | str]:
        """Writes a snapshot; the fields of `ipse.v1.CheckpointResponse`. Blocks without the GIL.

        Raises OSError if the disk refuses (the engine goes on), RuntimeError without a data
        directory or after `close`, LogFailedError.
        """

    def expire(self) -> int:
        """Lets expire what rules keep no longer; how many identifiers that was. Blocks."""

    def metrics(self) -> dict[str, int | float]:
        """Counters (`_total`) and figures of the engine by name, for monitoring."""

    def refused_identifiers(self) -> list[tuple[str, int]]:
        """(rule, how many identifiers it dropped or kept where they were) of each that did."""

    def distributions(self) -> dict[str, tuple[list[int], list[int], int]]:
        """What is distributed, by name: upper bounds, counts between them, and the sum.

        There is one count more than bounds: of what was above them all.
        """

    def take_faults(self) -> list[tuple[str, str]]:
        """(id, text) of each bug caught since the last call; log them, never send them.

        A caller is told the id only, in a status INTERNAL. At most the newest 64 are kept.
        """

    def close(self, *, checkpoint: bool = True) -> None:
        """Syncs, checkpoints if asked, marks the shutdown clean, unlocks. Blocks. Idempotent.

        Calls after it answer NOT_SERVING. Raises LogFailedError if something was not synced,
        OSError if all was synced and the snapshot could not be written.
        """

@final
class NativeServer:
    """Listens, and carries calls on threads of its own; no call comes to Python."""

    def __new__(
        cls,
        addresses: list[tuple[str, int]],
        tally: Tally,
        *,
        health_names: list[str],
        descriptors: bytes | None,
        certificates: tuple[bytes, bytes, bytes | None] | None,
        workers: int,
        calls_in_flight_max: int,
        waiting_calls_max: int,
        message_bytes_max: int,
        response_bytes_max: int,
        concurrent_streams_max: int,
    ) -> NativeServer:
        """Listens on all addresses, on one port, and refuses calls as `recovering`.

        `descriptors` is an encoded FileDescriptorSet, for reflection; `certificates` are texts of
        PEM: chain, key, and who signs clients. Raises OSError, and ValueError for what is no
        IP address or no certificate.
        """

    def port(self) -> int:
        """The port that it listens on."""

    def attach(self, engine: Engine) -> None:
        """Begins to serve, once."""

    def wake_fd(self) -> int:
        """A file descriptor that becomes readable when there is something to look after.

        Audits to take, or an engine that met a bug or failed. Non-blocking; read it empty first.
        """

    def take_audits(self) -> list[tuple[str | None, str | None, str, str, int]]:
        """(token, workspace, method, peer, code) of operators' calls since this was last asked.

        When many are not taken, operators' next calls wait.
        """

    def calls_in_flight(self) -> int:
        """How many calls are being answered or wait for the disk."""

    def drain(self, why: str, grace_s: float) -> None:
        """Refuses new calls, as `not_serving` does, and waits for those in flight. Blocks."""

    def end(self, why: str) -> None:
        """Refuses new calls, and those that wait for the disk."""

    def stop(self, grace_s: float) -> None:
        """Ends all connections: those with calls when these have ended, or the time is over.

        Blocks. Again is harmless.
        """

    def set_health(self, name: str, is_serving: bool) -> None:
        """Says of a name whether health says that it is served."""

    def set_health_gone(self) -> None:
        """Says that nothing is served any more, whatever else is said."""

    def replace_certificates(self, certificates: tuple[bytes, bytes, bytes | None]) -> None:
        """Puts others in force for the connections to come. Raises ValueError."""

@final
class Tally:
    """Counts of calls by method and outcome, and how long they took, on any threads."""

    def __new__(cls) -> Tally: ...
    def count(self, method: str, code: int, seconds: float) -> None:
        """Counts a call that has ended; methods that there are none of are one, `unknown`."""

    def codes(self) -> list[tuple[str, int, int]]:
        """(method, code, how many calls) of those that there were."""

    def times(self) -> list[tuple[str, list[int], float]]:
        """(method, counts between the bounds, sum in seconds) of those that were called.

        There is one count more than bounds: of what was above them all.
        """

    @staticmethod
    def bounds_s() -> list[float]:
        """Upper bounds of the times, in seconds."""

def not_serving(why: str) -> tuple[int, bytes]:
    """The refusal (code, google.rpc.Status) where there is no engine to ask.

    It is `recovering`, `shutting_down` or `failed`; ValueError for another word.
    """

def waiting_calls_full(bound: int, found: int) -> tuple[int, bytes]:
    """The refusal of a call because so many wait for the disk, of so many."""

def message_too_large(what: str, setting: str, bound: int, found: int) -> tuple[int, bytes]:
    """The refusal of a `request` or `response` with more bytes than a setting allows."""

def bug(fault: str) -> tuple[int, bytes]:
    """The confession of a bug that the log explains under that id."""

def fitted_status(status: bytes) -> tuple[str, bytes]:
    """The message of a google.rpc.Status, and the status cut to what metadata has room for."""

def validate_rules(text: str) -> list[tuple[int, str, str]]:
    """(line, key, message) of each problem; line 0 is the whole. Empty: the rules are good."""

def check_tokens(text: str) -> None:
    """Raises ValueError, which names key and problem, unless this is a file of tokens."""

def methods() -> list[tuple[str, str, str, str]]:
    """(full name, role, effect, way) of each method.

    The role is read, write or admin, the effect reads or writes. The way is how a transport works
    on a call: short (at once), batch (in the line of long calls, if the request is long), list
    (always there), compile, files or backup (in turn with others of the kind, beside the others),
    checkpoint (once for all who ask meanwhile).
    """

def preset(name: str) -> str | None:
    """The rules of a preset as TOML, for example of `segment`; None if there is none."""

def restore(
    source: str,
    target: str,
    *,
    log: str | None = None,
    erasures: str | None = None,
    to_position: int | None = None,
    to_sequence: tuple[str, int] | None = None,
    to_time_ms: int | None = None,
) -> dict[str, Any]:
    """Makes the data directory `target` from a backup or from a data directory that is not in use.

    With `log` it goes on with the log of a newer directory; `erasures` is a directory whose
    register alone is read; at most one of the moments says where it ends. Returns `log_position`,
    `snapshot_log_position`, `replayed_record_count`, `new_log`, `erased_again_count`,
    `workspaces` (each with `name`, `sequence_number`, `state_hash`) and `notes`. Raises
    ValueError for what cannot be done, and OpenError for a file that cannot be read or is not
    sound; nothing is there then. Blocks without the GIL.
    """

def verify(directory: str) -> dict[str, Any]:
    """Judges a data directory or a backup by all that it promises, and changes nothing.

    Returns `is_backup`, `log_position`, `first_log_position`, `replayed_record_count`,
    `workspaces` (as `restore` does), `files` (each with `name`, `bytes`, `detail`) and `notes`.
    Raises OpenError, which names file and byte, for the first that is not sound. Blocks without
    the GIL.
    """

@final
class PastRows:
    """The rows of a CSV file that `LookupAsOf` is asked about, a batch at a time."""

    def __new__(cls, header: bytes, namespace: str, value: str, time: str, json: bool) -> Self:
        """Rows below a header, with the columns of value and moment.

        An empty namespace is that of each row's column `namespace`. Raises ValueError, which says
        which column is missing.
        """

    @staticmethod
    def header(header: bytes) -> bytes:
        """The header of answers as CSV."""

    def take(self, text: bytes, start: int, rows_max: int, is_last: bool) -> tuple[bytes, int]:
        """Takes whole rows of `text` from `start` on, until so many wait for answers.

        Returns the `lookups` of a request, and where the text goes on. The last row of the last
        text needs no line end.
        """

    def waiting(self) -> int:
        """How many rows wait for their answers."""

    def answer(self, response: bytes) -> bytes:
        """The rows that wait, with what a `LookupAsOfResponse` says of them."""

def frame_lines(
    text: bytes, start: int, line: int, events_max: int, bytes_max: int, line_bytes_max: int
) -> tuple[bytes, list[int], list[int], int, int]:
    """Takes whole lines of `text` from `start` on into a batch of raw events, while it has room.

    `line` is the number of the line before. Returns the `events` of a request, the numbers of
    their lines, those of lines that are too long, where the text goes on, and the number of the
    line before that. Blank lines are counted and not sent.
    """

def count_answers(
    response: bytes,
) -> tuple[
    int,
    list[int],
    int,
    dict[int, int],
    dict[tuple[str, str], int],
    list[tuple[int, str, str, str]],
]:
    """Counts the results of a `ResolveEventsResponse`. Raises ValueError if it is none.

    How many; by number of Decision; how many were recorded before; identifiers that were dropped
    or refused, by number of Rule; how many events had a place (path, reason) that was not read;
    (place in the batch, reason, message, field) of each event that was refused.
    """
