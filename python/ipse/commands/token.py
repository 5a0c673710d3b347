"""`ipse token create|list|revoke`: the file of API tokens, which a server reads when it changes.

The file holds the SHA-256 of each token and never a token: `create` prints it, once.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ipse.commands import EXIT_OK, CommandError, UsageError, plain, table

ROLES = ("read", "write", "admin")
PREFIX = "ipse_"
"""Tells people, and tools that search for secrets, what it is."""
RANDOM_BYTES = 32
_TOKENS_VARIABLE = "IPSE_TOKENS"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_HEADER = """\
# API tokens of an ipse server; `ipse token` writes this file, and it may be edited by hand.
# Each is here by its SHA-256 only. A server reads the file again when it changes.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds `create`, `list` and `revoke`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    create = actions.add_parser(
        "create",
        help="make a token, print it once, and add its hash to the file",
        description="Makes a token, prints it once, and adds its hash to the file.",
    )
    create.add_argument("--name", required=True, metavar="NAME", help="what logs call it")
    create.add_argument(
        "--role",
        required=True,
        choices=ROLES,
        help="read: reads, and writes with read_only; write: writes, too; admin: all",
    )
    create.add_argument(
        "--workspace",
        action="append",
        default=[],
        metavar="NAME",
        help="a workspace that it is for; may be repeated [all]",
    )
    create.add_argument(
        "--source", metavar="NAME", help="the source that what it sends comes from [any]"
    )
    create.set_defaults(act=_create)
    listed = actions.add_parser(
        "list", help="list the tokens", description="Lists the tokens of the file by name."
    )
    listed.set_defaults(act=_list)
    revoke = actions.add_parser(
        "revoke",
        help="take a token off the file",
        description="Takes a token off the file; a server refuses it within two seconds.",
    )
    revoke.add_argument("name", metavar="NAME", help="the token's name")
    revoke.set_defaults(act=_revoke)
    for action in (create, listed, revoke):
        action.add_argument(
            "--tokens",
            metavar="FILE",
            default=os.environ.get(_TOKENS_VARIABLE),
            help=f"the file (environment: {_TOKENS_VARIABLE})",
        )
        action.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    if not arguments.tokens:
        raise UsageError(f"name the file with --tokens, or with {_TOKENS_VARIABLE}")
    try:
        return int(arguments.act(arguments, Path(arguments.tokens)))
    except OSError as failure:
        raise CommandError(f"{arguments.tokens}: {failure.strerror}") from None


def _create(arguments: argparse.Namespace, path: Path) -> int:
    if not _NAME.fullmatch(arguments.name):
        raise UsageError(
            f"--name must be 1 to 64 of a-z 0-9 _ -, a letter first, not {arguments.name!r}"
        )
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    entry = {"role": arguments.role}
    if arguments.workspace:
        entry["workspaces"] = arguments.workspace
    if arguments.source is not None:
        entry["source"] = arguments.source
    entry["sha256"] = hashlib.sha256(token.encode()).hexdigest()
    with _locked(path):
        text = _text(path) if path.exists() else _HEADER
        if arguments.name in _tokens(path, text):
            raise CommandError(
                f"{path} has a token {arguments.name} already: revoke it, or choose another name"
            )
        longer = f"{text.rstrip()}\n\n{_block(arguments.name, entry)}"
        _tokens(path, longer)
        _replace(path, longer)
    print(plain.as_json({"name": arguments.name, "token": token}) if arguments.json else token)
    return EXIT_OK


def _list(arguments: argparse.Namespace, path: Path) -> int:
    tokens = _tokens(path, _text(path))
    if arguments.json:
        shown = [
            {"name": name, **{key: entry.get(key) for key in ("role", "workspaces", "source")}}
            for name, entry in tokens.items()
        ]
        print(plain.as_json(shown))
        return EXIT_OK
    rows = [
        (
            name,
            entry["role"],
            " ".join(entry.get("workspaces", ["all"])),
            entry.get("source", "any"),
            _shown_time(entry.get("created")),
        )
        for name, entry in tokens.items()
    ]
    print(table.render(rows, ("token", "role", "workspaces", "source", "created")))
    return EXIT_OK


def _shown_time(created: object) -> str:
    return plain.shown_time(created) if isinstance(created, datetime) else "-"


def _revoke(arguments: argparse.Namespace, path: Path) -> int:
    with _locked(path):
        text = _text(path)
        tokens = _tokens(path, text)
        if arguments.name not in tokens:
            raise CommandError(f"{path} has no token {arguments.name}; 'ipse token list' shows all")
        # The lines of the token's table, up to the next one's; comments elsewhere stay.
        header = rf"^[ \t]*\[tokens\.{re.escape(arguments.name)}\][^\n]*\n?"
        left = re.sub(header + r"(?:(?![ \t]*\[)[^\n]*\n?)*", "", text, count=1, flags=re.MULTILINE)
        del tokens[arguments.name]
        if _tokens(path, left) != tokens:
            raise CommandError(f"{path}: {arguments.name} is not a table of its own: edit the file")
        _replace(path, left)
    if arguments.json:
        print(plain.as_json({"name": arguments.name, "revoked": True}))
    else:
        print(f"{arguments.name} is revoked.")
    return EXIT_OK


def _block(name: str, entry: dict[str, Any]) -> str:
    """A token's table. JSON's texts and lists are TOML's, too."""
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [f"{key} = {plain.as_json(value, indent=None)}" for key, value in entry.items()]
    return "\n".join([f"[tokens.{name}]", *lines, f"created = {created}", ""])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{path}: is not UTF-8 text") from None


def _tokens(path: Path, text: str) -> dict[str, dict[str, Any]]:
    """The tokens of a text that a server would take."""
    from ipse import _native

    try:
        _native.check_tokens(text)
    except ValueError as problem:
        raise CommandError(f"{path}: {problem}") from None
    tokens: dict[str, dict[str, Any]] = tomllib.loads(text).get("tokens", {})
    return tokens


def _replace(path: Path, text: str) -> None:
    """Writes a checked text in one step: a server reads all of it or what was there before."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    created = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(created, "w", encoding="utf-8") as file:
        if path.exists():
            # Who could read it still can: a server that cannot would keep the tokens it has.
            before = path.stat()
            os.fchown(created, before.st_uid, before.st_gid)
            os.fchmod(created, before.st_mode & 0o777)
        file.write(text)
        file.flush()
        os.fsync(created)
    beside.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time: two of them must not undo each other's work.

    The directory is locked, since the file itself is replaced.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
