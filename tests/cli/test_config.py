from __future__ import annotations

import json
from pathlib import Path

import pytest
from ipse import config
from ipse.settings import ServerSettings

from tests.cli.command import ipse

FILE = 'port = 1\nsync = "off"\ndrain_grace_s = 3\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ipse.toml"
    path.write_text(FILE)
    return path


# Which of flag, environment and file give a port, and which one wins.
@pytest.mark.parametrize(
    ("flag", "variable", "has_file", "port", "source"),
    [
        (None, None, False, 4773, "default"),
        (None, None, True, 1, "FILE:1"),
        (None, "2", False, 2, "environment IPSE_PORT"),
        (None, "2", True, 2, "environment IPSE_PORT"),
        ("3", None, False, 3, "flag --port"),
        ("3", None, True, 3, "flag --port"),
        ("3", "2", False, 3, "flag --port"),
        ("3", "2", True, 3, "flag --port"),
    ],
)
def test_the_strongest_source_wins(
    flag: str | None, variable: str | None, has_file: bool, port: int, source: str, file: Path
) -> None:
    environment = {} if variable is None else {"IPSE_PORT": variable}
    path = str(file) if has_file else None
    effective = config.gather({"port": flag}, environment, path)
    assert effective.server().port == port
    assert effective.values["port"].source == source.replace("FILE", str(file))


def test_defaults_are_those_of_the_settings() -> None:
    assert config.gather({}, {}, None).server() == ServerSettings()


def test_the_environment_names_the_file_unless_a_flag_does(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("port = 9")
    environment = {"IPSE_CONFIG": str(file)}
    assert config.gather({}, environment, None).server().port == 1
    assert config.gather({}, environment, str(other)).server().port == 9


def test_every_kind_of_value_is_read_from_text() -> None:
    environment = {
        "IPSE_HOST": "::1",
        "IPSE_INSECURE": "true",
        "IPSE_REFLECTION": "no",
        "IPSE_DRAIN_GRACE_S": "0.5",
        "IPSE_SYNC_INTERVAL_MS": " 250 ",
    }
    server = config.gather({"insecure": False}, environment, None).server()
    assert (server.host, server.insecure, server.reflection) == ("::1", False, False)
    assert (server.drain_grace_s, server.sync_interval_ms) == (0.5, 250)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# c\nprot = 1\n", "FILE:2: prot: no such setting; did you mean port?"),
        ("\n[server]\nport = 1\n", "FILE:2: server: no such setting; see 'ipse check-config'"),
        ('port = "1"\n', "FILE:1: port: must be a whole number, not '1'"),
        ("port = true\n", "FILE:1: port: must be a whole number, not True"),
        ("host = 1\n", "FILE:1: host: must be text, not 1"),
        ("port = 1\nport = 2\n", "FILE:2: is not TOML: Cannot overwrite a value"),
        ("port = \n", "FILE:1: is not TOML: Invalid value"),
        ('port = 1\nhost = "', "FILE:2: is not TOML: Unterminated string"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(text: str, problem: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(config.ConfigProblems) as wrong:
        config.gather({}, {}, str(file))
    assert wrong.value.problems == [problem.replace("FILE", str(file))]


def test_all_problems_are_listed(file: Path) -> None:
    file.write_text("a = 1\nport = false\nb = 2\n")
    with pytest.raises(config.ConfigProblems) as wrong:
        config.gather({"port": "x"}, {"IPSE_INSECURE": "perhaps"}, str(file))
    places = [
        problem.removeprefix(str(file)).partition(": ")[0] for problem in wrong.value.problems
    ]
    assert places == [":1", ":2", ":3", "environment IPSE_INSECURE", "flag --port"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", "65536", "port: must be from 0 to 65535, not 65536"),
        ("sync", "sometimes", "sync: must be one of always, interval, off, not 'sometimes'"),
        ("host", "192.0.2.1", "host: 192.0.2.1 can be reached from other machines"),
        ("data_dir", "", "data_dir: must name a directory"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_source(
    name: str, value: str, said: str
) -> None:
    with pytest.raises(config.ConfigProblems) as wrong:
        config.gather({}, {f"IPSE_{name.upper()}": value}, None).server()
    (problem,) = wrong.value.problems
    assert problem.startswith(f"environment IPSE_{name.upper()}: {said}")


def test_the_line_of_a_key_is_found_however_it_is_written() -> None:
    text = 'a = 1\n"b" = 2\n  c.d = 3\n[e]\nport = 1\n[[ f ]]\n'
    assert [config.line_of_key(text, key) for key in "abcef"] == [1, 2, 3, 4, 6]


def test_check_config_shows_values_and_sources(file: Path) -> None:
    environment = {"IPSE_SYNC": "interval"}
    done = ipse("check-config", "--config", file, "--log-level", "debug", environment=environment)
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert lines["port"] == ["port", "1", f"{file}:1"]
    assert lines["sync"] == ["sync", "interval", "environment", "IPSE_SYNC"]
    assert lines["log_level"] == ["log_level", "debug", "flag", "--log-level"]
    assert lines["host"] == ["host", "127.0.0.1", "default"]


def test_check_config_speaks_json(file: Path) -> None:
    done = ipse("check-config", "--config", file, "--json")
    settings = json.loads(done.stdout)["settings"]
    assert settings["drain_grace_s"] == {"value": 3.0, "source": f"{file}:3"}
    assert settings.keys() == config.FIELDS.keys()


def test_check_config_lists_problems_and_exits_2(file: Path) -> None:
    file.write_text("prot = 1\nsynk = 2\n")
    done = ipse("check-config", "--config", file)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"ipse: error: {file}:1: prot: no such setting; did you mean port?",
        f"ipse: error: {file}:2: synk: no such setting; did you mean sync?",
    ]


def test_a_misspelt_variable_is_a_warning() -> None:
    done = ipse("check-config", environment={"IPSE_DATADIR": "x"})
    assert done.returncode == 0
    assert done.stderr == (
        "ipse: warning: environment IPSE_DATADIR: no such setting; did you mean IPSE_DATA_DIR?\n"
    )


def test_serve_names_the_first_problem_and_starts_nothing(file: Path, tmp_path: Path) -> None:
    file.write_text("prot = 1\nsynk = 2\n")
    data_dir = tmp_path / "data"
    done = ipse("serve", "--config", file, "--data-dir", data_dir)
    assert done.returncode == 2
    assert done.stderr == (
        f"ipse: error: {file}:1: prot: no such setting; did you mean port? "
        "(and 1 more; 'ipse check-config' lists them)\n"
    )
    assert not data_dir.exists()
