"""Reads scenario files: blocks of commands with the output that they must give.

    # A comment.
    observe email=ann@example.com @2021-01-01T00:00:00Z
    ----
    profile 1 created

A block is command lines, a line `----`, and expected lines up to a blank line. A command
that ends in ` <<` takes the lines up to `>>` as its text. This module knows the shape of
the file and of a line, not what commands mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_REPEAT = re.compile(r"\{(\d+)\*([^{}]+)\}")
_TOKEN = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')


@dataclass(frozen=True)
class Command:
    """One command line with the text given to it."""

    line: int
    words: list[str]
    text: str | None = None


@dataclass(frozen=True)
class Block:
    """Commands and the output that they must give together."""

    line: int
    commands: list[Command]
    expected: list[str]


def read(path: Path) -> list[Block]:
    """The blocks of a file, in order."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    blocks: list[Block] = []
    commands: list[Command] = []
    for number, line in lines:
        if line == "----":
            assert commands, f"{path.name}:{number}: output without a command"
            blocks.append(Block(commands[0].line, commands, list(_until_blank(lines))))
            commands = []
        elif line.strip() and not line.startswith("#"):
            commands.append(_command(number, line, lines))
    assert not commands, f"{path.name}: the last commands have no `----`"
    return blocks


def _until_blank(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if not line.strip():
            return
        yield line


def _command(number: int, line: str, lines: Iterator[tuple[int, str]]) -> Command:
    if line.endswith("<<"):
        return Command(number, tokens(line.removesuffix("<<")), "\n".join(_until_close(lines)))
    return Command(number, tokens(line))


def _until_close(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == ">>":
            return
        yield line


def tokens(line: str) -> list[str]:
    """The words of a line: split at spaces outside double quotes, with `{3..5}` and `{9*x}`
    expanded."""
    return [word for token in _TOKEN.findall(line) for word in _expand(token)]


def _expand(token: str) -> list[str]:
    token = _REPEAT.sub(lambda match: match[2] * int(match[1]), token)
    found = _RANGE.search(token)
    if found is None:
        return [token]
    first, last = int(found[1]), int(found[2])
    return [
        word
        for number in range(first, last + 1)
        for word in _expand(token[: found.start()] + str(number) + token[found.end() :])
    ]


def value_of(text: str) -> str:
    """A value as written in a command: a JSON string if quoted, else as it is."""
    if text.startswith('"'):
        value = json.loads(text)
        assert isinstance(value, str), f"{text} is not a JSON string"
        return value
    return text


def show_value(value: str) -> str:
    """A value as output shows it: bare unless that would be ambiguous or long."""
    if len(value) > 64:
        return f"<{len(value)} characters>"
    if not value or re.search(r'[\s"\x00-\x1f\x7f]', value):
        return json.dumps(value, ensure_ascii=False)
    return value
