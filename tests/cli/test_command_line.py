from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ipse as library
import pytest
from ipse.cli import COMMANDS

from tests.cli.command import ipse, one_line

PRESETS = Path(__file__).parents[2] / "rust/ipse-core/src/rules/presets"
NAMES = [name for name, _, _ in COMMANDS]


def test_help_names_every_command_and_the_exit_codes() -> None:
    done = ipse("--help")
    assert done.returncode == 0
    assert all(f"    {name}" in done.stdout for name in NAMES)
    assert "exit codes: 0 done, 1 failed, 2 wrong usage" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help(name: str) -> None:
    done = ipse(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: ipse {name}")


@pytest.mark.parametrize("words", [[], *([name] for name in NAMES)])
def test_help_loads_neither_grpc_nor_the_engine(words: list[str]) -> None:
    # What makes help slow is what it imports, and that can be seen without a clock.
    program = (
        "import sys; from ipse.cli import main\n"
        "try: main([*sys.argv[1:], '--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'grpc', 'google', 'msgpack', 'uvloop', 'asyncio', 'ipse._native'}\n"
        "sys.exit(', '.join(sorted(slow & set(sys.modules))) or 0)"
    )
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if words == ["bench"]:
        assert done.stderr.strip() in ("", "asyncio")
    else:
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lod"], "invalid choice: 'lod'"),
        (["load"], "the following arguments are required: FILE"),
        (["load", "x", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["load", "x", "--batch", "0"], "--batch must be from 1 to 1000, not 0"),
        (["load", "x", "--out", "x"], "--out x is the same file as FILE x, and would overwrite it"),
        (["load", "x", "--preset", "nobody"], "there is no preset 'nobody'; there are: segment, "),
        (["import", "x"], "say what it is with --format"),
        (["import", "x.csv", "--preset", "posthog", "--read-only"], "--read-only writes nothing"),
        (["import", "x", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["profile", "get"], "name one profile: either --id ID or NS=VALUE"),
        (["profile", "get", "ann"], "'ann' is not an identifier; write NS=VALUE"),
        (["profile", "get", "a=b", "--id", "p"], "name one profile"),
        (["rules", "show", "nobody"], "there is no preset 'nobody'"),
        (["serve", "--port", "many"], "flag --port: port: must be a whole number, not 'many'"),
        (["bench", "--seconds", "0"], "--seconds must be more than 0"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(words: list[str], said: str) -> None:
    done = ipse(*words)
    assert done.returncode == 2
    assert said in one_line(done.stderr)
    assert done.stdout == ""


def test_no_command_prints_the_help() -> None:
    done = ipse()
    assert done.returncode == 2
    assert done.stdout.startswith("usage: ipse")


def test_every_preset_is_listed_and_shown() -> None:
    listed = json.loads(ipse("rules", "presets", "--json").stdout)
    names = [preset["name"] for preset in listed]
    assert names[0] == "segment"
    assert set(names) == {path.stem for path in PRESETS.glob("*.toml")}
    table = ipse("rules", "presets").stdout.splitlines()
    assert [line.split()[0] for line in table] == names
    for name in names:
        shown = ipse("rules", "show", name)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout == library.preset(name)


def test_a_file_of_rules_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(ipse("rules", "show").stdout)
    done = ipse("rules", "check", file)
    first, *explanation = done.stdout.splitlines()
    assert first == f"{file}: the rules are good"
    assert explanation
    assert explanation[0].startswith("- ")
    assert max(map(len, explanation)) <= 100
    checked = json.loads(ipse("rules", "check", file, "--json").stdout)
    assert checked["problems"] == []
    words = " ".join(" ".join(f"- {line}" for line in checked["explanation"]).split())
    assert words == " ".join(" ".join(explanation).split())


def test_a_missing_file_is_named_in_one_line() -> None:
    done = ipse("load", "nowhere.jsonl")
    assert done.returncode == 1
    assert one_line(done.stderr) == (
        "ipse: error: cannot read nowhere.jsonl: No such file or directory"
    )
