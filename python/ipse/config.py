"""Finds the value of every setting: flag, else environment, else `--config FILE`, else default.

Fills `settings.ServerSettings`, and `LocalSettings` with what only the command needs. Every value
remembers where it came from, so that a wrong one can be named with its place. The file is TOML
with the settings as top-level keys; the environment has each as `IPSE_` and the name in capitals.
Must not decide what a value may be: that is said once, in `settings`.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ipse.errors import ConfigError
from ipse.settings import ServerSettings, choices_of
from ipse.telemetry import LOG_FORMATS, LOG_LEVELS

ENVIRONMENT_PREFIX: Final = "IPSE_"
CONFIG_VARIABLE: Final = "IPSE_CONFIG"
# Variables that are not settings of a server: where the client commands find one, and debugging.
_OTHER_VARIABLES: Final = frozenset(
    {CONFIG_VARIABLE, "IPSE_ADDRESS", "IPSE_DEBUG", "IPSE_TLS_CA", "IPSE_TOKEN"}
)

_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_READERS: Final[Mapping[type, Callable[[str], object]]] = {
    bool: lambda text: _TRUTHS[text.lower()],
    int: int,
    float: float,
    str: str,
}


def _local(default: str, doc: str, choices: tuple[str, ...] | None = None) -> Any:
    metadata = {"doc": doc, "least": None, "most": None, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """What the command `ipse serve` needs beside the server's own settings."""

    log_format: str = _local(
        "auto", "The form of the logs: JSON lines unless stderr is a terminal (auto).", LOG_FORMATS
    )
    log_level: str = _local("info", "The least important logs to print.", LOG_LEVELS)
    port_file: str = _local(
        "", "A file to write the port to when the server listens; useful with port 0."
    )


FIELDS: Final[Mapping[str, dataclasses.Field[Any]]] = {
    field.name: field
    for owner in (ServerSettings, LocalSettings)
    for field in dataclasses.fields(owner)
}


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """The value of a setting and the place that gave it."""

    value: object
    # `default`, `FILE:LINE`, `environment IPSE_PORT` or `flag --port`.
    source: str


@dataclasses.dataclass(frozen=True, slots=True)
class Effective:
    """Every setting, each with its source."""

    values: Mapping[str, Value]
    # Things that are no error and probably not meant, for example a misspelt variable.
    warnings: tuple[str, ...]

    def server(self) -> ServerSettings:
        """The server's settings, validated; ConfigProblems names the place of what is wrong."""
        settings = ServerSettings(**self._of(ServerSettings))
        try:
            return settings.validate()
        except ConfigError as refused:
            source = self.values[refused.field].source
            raise ConfigProblems([f"{source}: {refused.message}"]) from None

    def local(self) -> LocalSettings:
        """The command's own settings, validated likewise."""
        settings = LocalSettings(**self._of(LocalSettings))
        for field in dataclasses.fields(LocalSettings):
            choices, value = choices_of(field), self.values[field.name]
            if choices is not None and value.value not in choices:
                allowed = f"must be one of {', '.join(choices)}, not {value.value!r}"
                raise ConfigProblems([f"{value.source}: {field.name}: {allowed}"])
        return settings

    def _of(self, owner: type[ServerSettings | LocalSettings]) -> dict[str, Any]:
        return {field.name: self.values[field.name].value for field in dataclasses.fields(owner)}


class ConfigProblems(Exception):
    """What is wrong with the configuration: one line each, with file and line, flag or variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def gather(
    flags: Mapping[str, str | bool | None], environment: Mapping[str, str], file: str | None
) -> Effective:
    """Every setting from its strongest source. Raises ConfigProblems with all that is wrong.

    `flags` has the names of settings; None means not given. `file` overrides `IPSE_CONFIG`.
    """
    problems: list[str] = []
    values = {name: Value(field.default, "default") for name, field in FIELDS.items()}
    path = file or environment.get(CONFIG_VARIABLE)
    if path:
        values |= _from_file(path, problems)
    values |= _from_environment(environment, problems)
    values |= _from_flags(flags, problems)
    if problems:
        raise ConfigProblems(problems)
    return Effective(values, _misspelt_variables(environment))


def _from_file(path: str, problems: list[str]) -> dict[str, Value]:
    try:
        text = Path(path).read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as failure:
        problems.append(f"{path}: cannot be read: {failure.strerror}")
        return {}
    except UnicodeDecodeError as failure:
        problems.append(f"{path}: is not UTF-8 text: byte {failure.start} is invalid")
        return {}
    except tomllib.TOMLDecodeError as failure:
        problems.append(_syntax_problem(path, text, str(failure)))
        return {}
    found: dict[str, Value] = {}
    for key, value in table.items():
        place = f"{path}:{line_of_key(text, key)}"
        if key in FIELDS:
            found[key] = _from_toml(FIELDS[key], value, place, problems)
        else:
            problems.append(f"{place}: {key}: no such setting{_suggestion(key, FIELDS)}")
    return found


def _from_toml(
    field: dataclasses.Field[Any], value: object, place: str, problems: list[str]
) -> Value:
    expected = type(field.default)
    if expected is float and type(value) is int:
        value = float(value)
    if type(value) is not expected:
        problems.append(f"{place}: {field.name}: must be {_kind(expected)}, not {value!r}")
    return Value(value, place)


def _from_environment(environment: Mapping[str, str], problems: list[str]) -> dict[str, Value]:
    found = {}
    for name, field in FIELDS.items():
        variable = ENVIRONMENT_PREFIX + name.upper()
        if variable in environment:
            place = f"environment {variable}"
            found[name] = _from_text(field, environment[variable], place, problems)
    return found


def _from_flags(flags: Mapping[str, str | bool | None], problems: list[str]) -> dict[str, Value]:
    found = {}
    for name, given in flags.items():
        place = f"flag {flag_of(name)}"
        if isinstance(given, bool):
            found[name] = Value(given, place)
        elif given is not None:
            found[name] = _from_text(FIELDS[name], given, place, problems)
    return found


def flag_of(name: str) -> str:
    """The flag of a setting: `--data-dir` of `data_dir`."""
    return "--" + name.replace("_", "-")


def line_of_key(text: str, key: str) -> int:
    """The line, from 1, that sets a top-level key or opens its table; 1 if none is found.

    `tomllib` does not tell. Only the first segment of dotted keys and headers is looked at.
    """
    name = rf"(?:{re.escape(key)}|\"{re.escape(key)}\"|'{re.escape(key)}')"
    pattern = re.compile(rf"^[ \t]*(?:\[\[?[ \t]*)?{name}[ \t]*[.=\]]", re.MULTILINE)
    match = pattern.search(text)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _from_text(field: dataclasses.Field[Any], text: str, place: str, problems: list[str]) -> Value:
    expected = type(field.default)
    try:
        value = _READERS[expected](text.strip())
    except (KeyError, ValueError):
        problems.append(f"{place}: {field.name}: must be {_kind(expected)}, not {text!r}")
        value = text
    return Value(value, place)


def _syntax_problem(path: str, text: str, message: str) -> str:
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = place.group(1) if place and place.group(1) else str(text.count("\n") + 1)
    said = message[: place.start()] if place else message
    return f"{path}:{line}: is not TOML: {said}"


def _misspelt_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Variables of ours that mean nothing.

    Not an error: systems that run containers put variables of their own beside ours.
    """
    known = {ENVIRONMENT_PREFIX + name.upper() for name in FIELDS} | _OTHER_VARIABLES
    return tuple(
        f"environment {variable}: no such setting{_suggestion(variable, known)}"
        for variable in sorted(environment)
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in known
    )


def _suggestion(key: str, known: Mapping[str, object] | set[str] | frozenset[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else "; see 'ipse check-config'"


def _kind(expected: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[expected]
