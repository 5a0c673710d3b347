"""`ipse check-config`: every setting with its value and source, or all that is wrong."""

from __future__ import annotations

import argparse
import json
import sys

from ipse import config
from ipse.commands import EXIT_OK, EXIT_USAGE, configured, table


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `ipse serve`, so that one line can be tried as the other."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    configured.add_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the settings, or the problems."""
    try:
        effective = configured.gather(arguments)
        effective.server()
        effective.local()
    except config.ConfigProblems as wrong:
        return _print_problems(wrong.problems, as_json=arguments.json)
    for warning in effective.warnings:
        print(f"ipse: warning: {warning}", file=sys.stderr)
    if arguments.json:
        shown = {
            name: {"value": value.value, "source": value.source}
            for name, value in effective.values.items()
        }
        print(json.dumps({"settings": shown, "warnings": effective.warnings}, indent=2))
    else:
        rows = [
            (name, _plain(value.value), value.source) for name, value in effective.values.items()
        ]
        print(table.render(rows, ("setting", "value", "from")))
    return EXIT_OK


def _print_problems(problems: list[str], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"problems": problems}, indent=2))
    for problem in problems:
        print(f"ipse: error: {problem}", file=sys.stderr)
    return EXIT_USAGE


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
