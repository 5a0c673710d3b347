"""The files of the project as text, for the tests that read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What tools put between the project's own files, at any depth.
_NOT_OURS = frozenset({"target", "dist", "__pycache__", "uv.lock", "ipse-data"})
_HIDDEN_AND_OURS = frozenset({".ci", ".gitignore", ".github"})


def text_files(directory: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Each text file below `directory` with its text, in a fixed order.

    Walks instead of asking git, because the tests also run in an unpacked source archive.
    """
    for path in sorted(directory.iterdir()):
        if path.is_symlink() or _is_foreign(path.name):
            continue
        if path.is_dir():
            yield from text_files(path)
        elif (text := _text(path)) is not None:
            yield path, text


def relative(path: Path) -> str:
    """The path as the project's own text would write it."""
    return path.relative_to(ROOT).as_posix()


def _is_foreign(name: str) -> bool:
    return name in _NOT_OURS or (name.startswith(".") and name not in _HIDDEN_AND_OURS)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
