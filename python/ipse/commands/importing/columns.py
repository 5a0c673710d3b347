"""The columns of CSV and Parquet: their names say where each cell goes.

    former_id, created_time, known    the profile's own
    id:NAMESPACE                      one value; the same column again holds another value
    ids:NAMESPACE                     a JSON array of values, or of {"value": ..., "time": ...}
    trait:NAME                        text
    json:NAME                         a trait as JSON: a number, true, a list, an object

An empty cell is nothing. A value is never cut at a separator: any sign may be part of one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ipse.commands import CommandError

PLAIN = ("former_id", "created_time", "known")
KINDS = ("id", "ids", "trait", "json")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `kind` is one of `KINDS`, or empty for a field of the profile itself."""

    kind: str
    name: str

    @classmethod
    def of(cls, header: str) -> Column | None:
        """Reads a column's name; None if it says nothing to us."""
        if header in PLAIN:
            return cls("", header)
        kind, colon, name = header.partition(":")
        return cls(kind, name) if colon and name and kind in KINDS else None


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file, None for those to be ignored."""

    columns: tuple[Column | None, ...]

    @classmethod
    def of(cls, headers: Sequence[str], path: str, ignored: frozenset[str]) -> Layout:
        """Reads the names; nothing in a file is passed over unless it was said."""
        names = [header.strip() for header in headers]
        columns = [None if name in ignored else Column.of(name) for name in names]
        unknown = [
            name or f"(column {number} has no name)"
            for number, (name, column) in enumerate(zip(names, columns, strict=True), start=1)
            if column is None and name not in ignored
        ]
        if unknown:
            raise CommandError(
                f"{path}: unknown columns: {', '.join(unknown)}; columns are {', '.join(PLAIN)}, "
                "id:NAMESPACE, ids:NAMESPACE, trait:NAME and json:NAME; leave others out with "
                "--ignore"
            )
        single = [column for column in columns if column and column.kind != "id"]
        twice = {column.name for column in single if single.count(column) > 1}
        if twice:
            raise CommandError(
                f"{path}: twice the same column: {', '.join(sorted(twice))}; only id:NAMESPACE may "
                "come again"
            )
        return cls(tuple(columns))

    def fields(self, cells: Sequence[Any]) -> dict[str, Any]:
        """A row as the object that a line of JSON would hold; ValueError says what is wrong."""
        if len(cells) != len(self.columns):
            raise ValueError(f"has {len(cells)} cells, and the header {len(self.columns)}")
        fields: dict[str, Any] = {"identifiers": {}, "traits": {}}
        for column, cell in zip(self.columns, cells, strict=True):
            if column is not None and cell not in ("", None):
                _put(fields, column, cell)
        return fields


def _put(fields: dict[str, Any], column: Column, cell: Any) -> None:
    match column.kind:
        case "":
            fields[column.name] = cell
        case "id" | "ids":
            values = _values(column, cell)
            fields["identifiers"].setdefault(column.name, []).extend(values)
        case "trait":
            _put_trait(fields, column.name, cell)
        case "json":
            _put_trait(fields, column.name, _json(column, cell))


def _put_trait(fields: dict[str, Any], name: str, value: Any) -> None:
    if name in fields["traits"]:
        raise ValueError(f"trait:{name} and json:{name} both have a value")
    fields["traits"][name] = value


def _values(column: Column, cell: Any) -> list[Any]:
    if column.kind == "id":
        return [cell]
    values = _json(column, cell)
    if not isinstance(values, list):
        raise ValueError(f"ids:{column.name} is not a JSON array")
    return values


def _json(column: Column, cell: Any) -> Any:
    if not isinstance(cell, str):
        # Parquet has lists and structures of its own.
        return cell
    try:
        return json.loads(cell)
    except ValueError as error:
        raise ValueError(f"{column.kind}:{column.name} is not JSON: {error}") from None
