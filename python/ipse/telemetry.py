"""Logs: what they look like, and how identifiers are hidden in them.

Log with the standard `logging` module; the message is a short event name and the facts go in
`extra`: `logging.getLogger("ipse").info("recovered", extra={"seconds": 0.4})`. `configure` prints
that as a JSON line, or for a person at a terminal as text. Must not see events or profiles: what
names a person is passed through `mask` by whoever logs it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from typing import Final, TextIO

AUDIT_LOGGER: Final = "ipse.audit"
"""Who called what of the operators' methods: printed whatever the level of all other logs is."""
LOG_FORMATS: Final = ("auto", "json", "human")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

# What `logging` puts on every record by itself; anything else came from `extra`.
_STANDARD_FIELDS: Final = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}

_MASK_HASH_DIGITS = 4
_MASK_SHOWN_LENGTH_MIN = 4


def configure(log_format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Sends all logs to `stream` (stderr), as JSON lines unless it is a terminal.

    `log_format` is one of LOG_FORMATS, `level` one of LOG_LEVELS. Replaces what was configured.
    """
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    human = log_format == "human" or (log_format == "auto" and stream.isatty())
    handler.setFormatter(HumanFormatter() if human else JsonFormatter())
    handler.addFilter(_is_no_lost_caller)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)
    # What gRPC has to say below that holds the names of methods, and those are callers' words.
    logging.getLogger("grpc").setLevel(max(logging.INFO, root.level))
    logging.getLogger("grpc._cython.cygrpc").addFilter(_holds_no_metadata)


def _holds_no_metadata(record: logging.LogRecord) -> bool:
    """Leave out what gRPC says of metadata that is no text: it quotes all of it, tokens too."""
    return not record.getMessage().startswith("Invalid encoding on ")


def _is_no_lost_caller(record: logging.LogRecord) -> bool:
    """Leave out what gRPC says of each caller who went away before the answer was sent.

    It is nobody's fault, it comes with a traceback, and a caller can have thousands a second.
    """
    return not record.getMessage().startswith("ExecuteBatchError raised in core")


def audit(token: str | None, workspace: str | None, method: str, peer: str, outcome: str) -> None:
    """Writes down who asked for what, and never a value of a request."""
    who = {"token": token, "peer": peer, "method": method, "workspace": workspace}
    logging.getLogger(AUDIT_LOGGER).info("admin call", extra={**who, "outcome": outcome})


def mask(namespace: str, value: str) -> str:
    """An identifier as logs may show it, for example `email:a***#1f3a`.

    The digits are the beginning of a hash of both parts: enough to follow one identifier through
    a log, too little to tell two people apart for certain. Short values show no letter at all.
    """
    digest = hashlib.sha256(f"{namespace}:{value}".encode(errors="surrogatepass")).hexdigest()
    shown = value[0] if len(value) >= _MASK_SHOWN_LENGTH_MIN else ""
    return f"{namespace}:{shown}***#{digest[:_MASK_HASH_DIGITS]}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts`, `level`, `event`, then the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        head = {"ts": _timestamp(record), "level": record.levelname.lower()}
        line: dict[str, object] = {**head, "event": record.getMessage(), **_fields(record, self)}
        return json.dumps(line, default=str, ensure_ascii=False)


class HumanFormatter(logging.Formatter):
    """One line for a person: time, level, event, then the extra fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the lines of a traceback if there is one."""
        fields = _fields(record, self)
        trace = fields.pop("traceback", None)
        facts = "".join(f" {name}={_plain(value)}" for name, value in fields.items())
        clock = time.strftime("%H:%M:%S", time.gmtime(record.created))
        line = f"{clock} {record.levelname.lower():<7} {record.getMessage()}{facts}"
        return line if trace is None else f"{line}\n{trace}"


def _fields(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, object]:
    fields: dict[str, object] = {
        name: value for name, value in record.__dict__.items() if name not in _STANDARD_FIELDS
    }
    if record.name not in ("root", "ipse"):
        fields["logger"] = record.name
    if record.exc_info:
        fields["traceback"] = formatter.formatException(record.exc_info)
    return fields


def _timestamp(record: logging.LogRecord) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text else text
