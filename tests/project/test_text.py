"""What the project's text must not say.

It speaks of itself alone: no paths of somebody's machine, no address that something was once
downloaded from, no reference to a conversation that a reader cannot see.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.project.tree import ROOT, relative, text_files

# Each pattern is spelled so that it does not match its own source.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w./:-])/(?:work|root|home|Users|t[m]p|private/var)/\w",
    "the host of a package registry": (
        r"py[p]i\.org|pythonhosted\.or[g]|(?:index|static)\.crates\.i[o]|np[m]js\.|"
        r"proxy\.golang\.or[g]|registry\.yarnpk[g]"
    ),
    "work that nobody can find": r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b",
    "a reference to a conversation": r"(?i)\bissue #?\d|\bas (?:asked|requested) (?:by|in)\b",
    "a merge that was not finished": r"(?m)^(?:<{7}|>{7}) ",
}
# Cargo writes the name of its index into each entry of the lock file.
LOCK_FILES = {"Cargo.lock", "rust/ipse-protogen/Cargo.lock", "benchmarks/loadgen/Cargo.lock"}
# Kept byte for byte as it was written elsewhere, by people or by another program.
COPIED = re.compile(r"/(?:data|golden|generated|corpus)/|python/ipse/v1/")


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_text_names(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{relative(path)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in text_files()
        if relative(path) not in LOCK_FILES
        for match in pattern.finditer(text)
    ]
    assert not found, "\n".join(found)


def test_every_text_file_ends_with_one_newline() -> None:
    found = [
        relative(path)
        for path, text in text_files()
        if not COPIED.search(relative(path))
        and text
        and (not text.endswith("\n") or text.endswith("\n\n"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is not a clone")
def test_git_tracks_nothing_that_is_built() -> None:
    tracked = subprocess.run(
        ("git", "-c", f"safe.directory={ROOT}", "ls-files"),
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    ).stdout.splitlines()
    built = re.compile(
        r"(?:^|/)(?:target|dist|__pycache__|\.venv[^/]*)/|\.(?:so|pyd|whl)$|uv\.lock$"
    )
    assert [path for path in tracked if built.search(path)] == []


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = Path(ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
