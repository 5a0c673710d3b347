"""`ipse token`: what it prints, what it keeps, and what it refuses to do."""

from __future__ import annotations

import hashlib
import json
import stat
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ipse import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["token", *words, "--tokens", str(path)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_token_is_printed_once_and_kept_as_its_hash(path: Path, run: Run) -> None:
    words = ("--workspace", "shop", "--workspace", "blog", "--source", 'the "web"\\site')
    code, printed, _ = run("create", "--name", "web", "--role", "write", *words)
    token = printed.strip()
    assert code == 0
    assert token.startswith("ipse_")
    assert len(token) == len("ipse_") + 43
    text = path.read_text()
    assert token not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    entry = tomllib.loads(text)["tokens"]["web"]
    assert entry.pop("created")
    assert entry == {
        "role": "write",
        "workspaces": ["shop", "blog"],
        "source": 'the "web"\\site',
        "sha256": hashlib.sha256(token.encode()).hexdigest(),
    }
    _, listed, _ = run("list")
    assert "web" in listed
    assert token not in listed
    assert entry["sha256"] not in listed
    _, listed, _ = run("list", "--json")
    assert json.loads(listed)[0]["workspaces"] == ["shop", "blog"]


def test_no_two_tokens_are_alike(run: Run) -> None:
    made = {run("create", "--name", f"t-{n}", "--role", "read")[1] for n in range(20)}
    assert len(made) == 20
    assert len(run("list")[1].splitlines()) == 22


def test_a_revoked_token_is_gone_and_all_else_stays(path: Path, run: Run) -> None:
    for name in ("one", "two", "three"):
        run("create", "--name", name, "--role", "read")
    path.write_text(path.read_text() + "\n# a note of mine\n")
    path.chmod(0o640)
    before = tomllib.loads(path.read_text())["tokens"]
    code, _, _ = run("revoke", "two")
    assert code == 0
    del before["two"]
    assert tomllib.loads(path.read_text())["tokens"] == before
    assert "# a note of mine" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("create", "--name", "one", "--role", "read"), 1, "has a token one already"),
        (("create", "--name", "One", "--role", "read"), 2, "--name must be"),
        (("create", "--name", "a.b", "--role", "read"), 2, "--name must be"),
        (("create", "--name", "a", "--role", "read", "--workspace", "No"), 1, "workspaces: must"),
        (("create", "--name", "a", "--role", "read", "--source", ""), 1, "source: must"),
        (("revoke", "none"), 1, "no token none"),
    ],
)
def test_what_would_not_be_understood_is_not_written(
    path: Path, run: Run, words: tuple[str, ...], code: int, told: str
) -> None:
    run("create", "--name", "one", "--role", "read")
    before = path.read_text()
    found, printed, error = run(*words)
    assert (found, printed) == (code, "")
    assert told in error
    assert path.read_text() == before


def test_a_file_that_is_no_good_is_left_alone(path: Path, run: Run) -> None:
    path.write_text("[tokens.a]\nrole = 1\n")
    for words in (("create", "--name", "b", "--role", "read"), ("list",), ("revoke", "a")):
        code, _, error = run(*words)
        assert code == 1
        assert "tokens.a: sha256: must be" in error
    assert path.read_text() == "[tokens.a]\nrole = 1\n"


def test_a_token_that_is_written_otherwise_is_revoked_by_hand(path: Path, run: Run) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    path.write_text(f'tokens.a = {{ role = "read", sha256 = "{digest}" }}\n')
    code, _, error = run("revoke", "a")
    assert code == 1
    assert "edit the file" in error
    assert digest in path.read_text()


def test_a_file_has_to_be_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IPSE_TOKENS", raising=False)
    assert cli.main(["token", "list"]) == 2
    assert "--tokens" in capsys.readouterr().err


def test_writers_do_not_undo_each_other(path: Path) -> None:
    def create(number: int) -> int:
        words = ["token", "create", "--name", f"t-{number}", "--role", "read"]
        return cli.main([*words, "--tokens", str(path)])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(create, range(24))) == {0}
    assert len(tomllib.loads(path.read_text())["tokens"]) == 24
