"""Answers of a server as JSON: the values of `ipse.model` as objects, names unchanged."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime


def as_json(value: object, indent: int | None = 2) -> str:
    """The value as JSON text; times as RFC 3339 in UTC."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return shown_time(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def shown_time(time: datetime) -> str:
    """A time in UTC, to the millisecond if it has any."""
    digits = "milliseconds" if time.microsecond else "seconds"
    return time.isoformat(timespec=digits).replace("+00:00", "Z")
