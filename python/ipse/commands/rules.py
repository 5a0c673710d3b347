"""`ipse rules check|show|presets|get|set`: the rules of a workspace, as TOML.

`check`, `show` and `presets` work without a server: the engine in this package reads and prints
rules.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from ipse.commands import EXIT_FAILED, EXIT_OK, CommandError, connection, plain, presets, table

if TYPE_CHECKING:
    from ipse.model import RulesProblem


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the actions."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    check = actions.add_parser(
        "check", help="say what is wrong with a file of rules, or else what they do"
    )
    check.add_argument("file", metavar="FILE", help="rules as TOML; - is stdin")
    check.add_argument("--json", action="store_true", help="print problems and explanation as JSON")
    check.set_defaults(act=_check)

    show = actions.add_parser("show", help="print the rules of a preset, to be edited")
    show.add_argument(
        "preset", metavar="PRESET", nargs="?", default=presets.DEFAULT, help=f"[{presets.DEFAULT}]"
    )
    show.set_defaults(act=_show)

    listed = actions.add_parser("presets", help="list the presets")
    listed.add_argument("--json", action="store_true", help="print names and summaries as JSON")
    listed.set_defaults(act=_presets)

    get = actions.add_parser("get", help="print the rules that a workspace has in force")
    get.add_argument("--json", action="store_true", help="print version and text as JSON")
    get.set_defaults(act=_get)

    put = actions.add_parser("set", help="put rules in force for the events to come")
    put.add_argument("file", metavar="FILE", help="rules as TOML; - is stdin")
    put.add_argument(
        "--expected-version", type=int, default=0, metavar="N",
        help="refuse if another version is in force",
    )  # fmt: skip
    put.add_argument("--read-only", action="store_true", help="check, and set nothing")
    put.add_argument("--json", action="store_true", help="print the version as JSON")
    put.set_defaults(act=_set)
    for action in (get, put):
        connection.add_workspace(action)
        connection.add_address(action)


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    return int(arguments.act(arguments))


def _check(arguments: argparse.Namespace) -> int:
    from ipse.resolver import Resolver

    text = _read(arguments.file)
    with Resolver() as resolver:
        problems = resolver.validate_rules(text)
        explanation = [] if problems else resolver.explain_rules(text)
    if arguments.json:
        found = {"file": arguments.file, "problems": problems, "explanation": explanation}
        print(plain.as_json(found))
    elif not problems:
        print(f"{arguments.file}: the rules are good")
        print(_wrapped(explanation), end="")
    else:
        _print_problems(arguments.file, problems)
    return EXIT_FAILED if problems else EXIT_OK


def _show(arguments: argparse.Namespace) -> int:
    text = presets.text(arguments.preset)
    print(text, end="" if text.endswith("\n") else "\n")
    return EXIT_OK


def _presets(arguments: argparse.Namespace) -> int:
    if arguments.json:
        listed = [{"name": name, "summary": summary} for name, summary in presets.PRESETS]
        print(json.dumps(listed, indent=2))
    else:
        print(table.render(presets.PRESETS))
    return EXIT_OK


def _get(arguments: argparse.Namespace) -> int:
    with connection.client(arguments) as client:
        rules = client.get_rules(workspace=arguments.workspace)
    if arguments.json:
        print(json.dumps({"version": rules.version, "rules_toml": rules.toml}))
    else:
        print(rules.toml, end="" if rules.toml.endswith("\n") else "\n")
    return EXIT_OK


def _set(arguments: argparse.Namespace) -> int:
    text = _read(arguments.file)
    with connection.client(arguments) as client:
        # Asked first, because the answer has every problem with its line; a refusal has one.
        problems = client.validate_rules(text)
        if problems:
            _print_problems(arguments.file, problems)
            return EXIT_FAILED
        version = client.set_rules(
            text,
            workspace=arguments.workspace,
            expected_version=arguments.expected_version,
            read_only=arguments.read_only,
        )
    if arguments.json:
        print(json.dumps({"version": version, "set": not arguments.read_only}))
    else:
        verb = "would be" if arguments.read_only else "is"
        print(f"version {version} {verb} in force in workspace {arguments.workspace}")
    return EXIT_OK


def _wrapped(explanation: list[str]) -> str:
    """The lines as paragraphs of a list, made for 100 columns."""
    wrap = textwrap.TextWrapper(
        table.WIDTH_MAX, initial_indent="- ", subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "".join(f"{wrap.fill(line)}\n" for line in explanation)


def _read(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode()
    except OSError as failure:
        raise CommandError(f"cannot read {file}: {failure.strerror}") from None
    except UnicodeDecodeError as failure:
        line = failure.object.count(b"\n", 0, failure.start) + 1
        raise CommandError(f"{file}:{line}: is not UTF-8 text") from None


def _print_problems(file: str, problems: list[RulesProblem]) -> None:
    for problem in problems:
        place = f"{file}:{problem.line}" if problem.line else file
        key = f"{problem.key}: " if problem.key else ""
        print(f"{place}: {key}{problem.message}", file=sys.stderr)
