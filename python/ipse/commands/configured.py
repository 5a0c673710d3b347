"""The flags of settings, made from the list of settings, for the commands that take them."""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import Any

from ipse import config
from ipse.commands import UsageError
from ipse.settings import choices_of, help_of


def add_flags(parser: argparse.ArgumentParser) -> None:
    """`--config` and a flag for each setting. A flag that is not given is None."""
    parser.add_argument(
        "--config", metavar="FILE", help="a TOML file of settings (environment: IPSE_CONFIG)"
    )
    group = parser.add_argument_group(
        "settings", "A flag wins over the environment (IPSE_PORT, ...), and that over the file."
    )
    for name, field in config.FIELDS.items():
        text = help_of(field).replace("%", "%%") + f" [{_shown(field.default)}]"
        flag = config.flag_of(name)
        if isinstance(field.default, bool):
            group.add_argument(
                flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text
            )
        else:
            group.add_argument(flag, dest=name, metavar=_metavar(field), help=text)


def gather(arguments: argparse.Namespace) -> config.Effective:
    """The settings that the command line, the environment and the file make together."""
    flags = {name: getattr(arguments, name) for name in config.FIELDS}
    return config.gather(flags, os.environ, arguments.config)


def usage_error(problems: config.ConfigProblems) -> UsageError:
    """The problems as the end of a command: the first, and how many more there are."""
    first, *more = problems.problems
    rest = f" (and {len(more)} more; 'ipse check-config' lists them)" if more else ""
    return UsageError(first + rest)


def _shown(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default) or "none"


def _metavar(field: dataclasses.Field[Any]) -> str:
    choices = choices_of(field)
    if choices is not None:
        return "|".join(choices)
    return {int: "N", float: "SECONDS"}.get(type(field.default), field.name.upper())
