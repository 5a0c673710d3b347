"""RULES.md names every key of the rules, and the README shows what `ipse rules check` prints.

What the keys are is asked of the engine itself: it answers a key that it does not know with
those that it knows, and a word likewise.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ipse.model import RulesProblem
from ipse.resolver import Resolver

from tests.project.tree import ROOT

README = (ROOT / "README.md").read_text()
RULES = (ROOT / "RULES.md").read_text()

UNKNOWN = "zzz"
PLAIN = "[namespaces.n]\n"
EXPLICIT = f'{PLAIN}[workspace]\ntrigger = "explicit"\n'
PLACE = f'{{ path = "a", {UNKNOWN} = 1 }}'
# For each heading with a table of keys, a text in which the table has a key that is unknown.
PROBES = {
    "Rules": f"{PLAIN}[{UNKNOWN}]",
    "`[workspace]`": f"{PLAIN}[workspace]\n{UNKNOWN} = 1",
    "`[commands.login]`": f"{PLAIN}[commands.login]\n{UNKNOWN} = 1",
    "`[commands.logout]`": f"{PLAIN}[commands.logout]\n{UNKNOWN} = 1",
    "`[commands.link]`": f"{PLAIN}[commands.link]\n{UNKNOWN} = 1",
    "`[commands.merge]`": f"{PLAIN}[commands.merge]\n{UNKNOWN} = 1",
    "`[traits]`": f"{PLAIN}[traits]\n{UNKNOWN} = 1",
    "`[namespaces.NAME]`": f"{PLAIN}{UNKNOWN} = 1",
    "A `limit` table": f"{PLAIN}limit = {{ values = 1, {UNKNOWN} = 1 }}",
    "A table in `blocked`": f'{PLAIN}blocked = [{{ regex = "a", {UNKNOWN} = 1 }}]',
    "`[mapping]`": f"{PLAIN}[mapping]\n{UNKNOWN} = 1",
    "A place": f"{PLAIN}[mapping]\ntraits = {PLACE}",
    "A place in `from`": f"{PLAIN}from = {PLACE}",
    "A place in `timestamp`": f"{PLAIN}[mapping]\ntimestamp = {PLACE}",
    "A place in `trait_pairs`": f"{PLAIN}[mapping]\ntrait_pairs = {PLACE}",
    "`[[mapping.verbs]]`": (
        f'{PLAIN}[[mapping.verbs]]\nverb = "login"\nwhen = {{ a = 1 }}\n{UNKNOWN} = 1'
    ),
    "`[[mapping.refuse]]`": (
        f'{PLAIN}[[mapping.refuse]]\nbecause = "b"\nwhen = {{ a = 1 }}\n{UNKNOWN} = 1'
    ),
    "A table in `identifiers` or `sources`": (
        f'{PLAIN}[[mapping.verbs]]\nverb = "login"\nwhen = {{ a = 1 }}\n'
        f'sources = {{ namespace = "n", from = "a", {UNKNOWN} = 1 }}'
    ),
}
# Where a key of these tables is written, to ask for its words and to try its default.
TEXTS = {
    "`[workspace]`": f"{PLAIN}[workspace]\n{{key}} = {{value}}",
    "`[commands.login]`": f"{EXPLICIT}[commands.login]\n{{key}} = {{value}}",
    "`[commands.logout]`": f"{EXPLICIT}[commands.logout]\n{{key}} = {{value}}",
    "`[commands.link]`": f"{EXPLICIT}[commands.link]\n{{key}} = {{value}}",
    "`[commands.merge]`": f"{EXPLICIT}[commands.merge]\n{{key}} = {{value}}",
    "`[traits]`": f"{PLAIN}[traits]\n{{key}} = {{value}}",
    "`[namespaces.NAME]`": f"{PLAIN}{{key}} = {{value}}",
    "A `limit` table": f"{PLAIN}limit = {{{{ values = 1, {{key}} = {{value}} }}}}",
    "A table in `blocked`": f"{PLAIN}blocked = {{{{ {{key}} = {{value}} }}}}",
    "A place in `timestamp`": (
        f'{PLAIN}[mapping]\ntimestamp = {{{{ path = "a", {{key}} = {{value}} }}}}'
    ),
    "`[[mapping.verbs]]`": (
        f"{PLAIN}[[mapping.verbs]]\nwhen = {{{{ a = 1 }}}}\n{{key}} = {{value}}"
    ),
}
# The tables of which the explanation speaks.
EXPLAINED = [title for title in TEXTS if title.startswith("`[") and title != "`[[mapping.verbs]]`"]


@dataclass(frozen=True)
class Row:
    """One key as RULES.md has it."""

    key: str
    words: frozenset[str]
    default: str


def sections() -> dict[str, list[Row]]:
    """The tables of keys by the heading that they stand under."""
    parts = re.split(r"^#+ (.+)$", RULES, flags=re.MULTILINE)
    found = {title: list(rows(body)) for title, body in zip(parts[1::2], parts[2::2], strict=True)}
    return {title: keys for title, keys in found.items() if keys}


def rows(body: str) -> Iterator[Row]:
    """The rows of the table that begins with `key`, if there is one."""
    table = re.search(r"^\| key \|(.*)\n\|[-|]+\n((?:\|.*\n)+)", body, re.MULTILINE)
    if table is None:
        return
    columns = ["key", *(name.strip() for name in table[1].strip("|\n").split("|"))]
    for line in table[2].splitlines():
        cells = dict(zip(columns, (cell.strip() for cell in line.split("|")[1:-1]), strict=True))
        default = re.fullmatch(r"`([^`]+)`", cells.get("default", ""))
        yield Row(
            key=cells["key"].strip("`"),
            words=frozenset(re.findall(r'`"([^"`]+)"`', cells.get("values", ""))),
            default=default[1] if default else "",
        )


SECTIONS = sections()


@pytest.fixture(scope="module")
def engine() -> Iterator[Resolver]:
    with Resolver() as resolver:
        yield resolver


def problem_with(engine: Resolver, text: str, part: str) -> RulesProblem | None:
    found = (each for each in engine.validate_rules(text) if part in each.message)
    return next(found, None)


def test_each_table_of_keys_is_asked_for() -> None:
    assert SECTIONS.keys() == PROBES.keys()


@pytest.mark.parametrize("title", PROBES)
def test_a_table_names_every_key_and_no_other(engine: Resolver, title: str) -> None:
    problem = problem_with(engine, PROBES[title], "known")
    assert problem is not None
    known = problem.message.partition("known here: ")[2] or problem.message.partition("known: ")[2]
    assert sorted(row.key for row in SECTIONS[title]) == sorted(known.split(", "))


@pytest.mark.parametrize("title", TEXTS)
def test_a_row_names_every_word_and_no_other(engine: Resolver, title: str) -> None:
    for row in SECTIONS[title]:
        text = TEXTS[title].format(key=row.key, value=f'"{UNKNOWN}"')
        problem = problem_with(engine, text, "is not one of")
        known = problem.message.partition("is not one of: ")[2].split(", ") if problem else ()
        # A word beside other values, such as a limit's "none", is one of a list of one.
        assert problem is None or row.words == set(known), row.key


@pytest.mark.parametrize("title", EXPLAINED)
def test_a_default_is_what_holds_without_the_key(engine: Resolver, title: str) -> None:
    without = engine.explain_rules(TEXTS[title].replace("{key} = {value}", ""))
    rows_with_default = [row for row in SECTIONS[title] if row.default]
    assert without
    assert rows_with_default
    for row in rows_with_default:
        text = TEXTS[title].format(key=row.key, value=row.default)
        assert engine.validate_rules(text) == [], row.key
        assert engine.explain_rules(text) == without, row.key


def shown(after: str, language: str) -> str:
    """The first block of a language in the README behind a heading or sentence."""
    rest = README.partition(after)[2]
    block = re.search(rf"^```{language}\n(.*?)^```", rest, re.MULTILINE | re.DOTALL)
    assert block is not None, f"nothing is shown after {after!r}"
    return block[1]


def check(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    (directory / "my-rules.toml").write_text(text)
    return subprocess.run(
        (sys.executable, "-m", "ipse", "rules", "check", "my-rules.toml"),
        cwd=directory,
        check=False,
        text=True,
        capture_output=True,
    )


def test_the_readme_shows_what_its_rules_do(tmp_path: Path) -> None:
    run = check(shown("## Rules", "toml"), tmp_path)
    assert (run.returncode, run.stdout) == (0, shown("says in words what a file does", "text"))


def test_the_readme_shows_what_is_wrong_with_misspelt_rules(tmp_path: Path) -> None:
    rules = shown("## Rules", "toml")
    misspelt = rules.replace("normalise", "nomalise").replace('"survivor"', '"survivr"')
    run = check(misspelt, tmp_path)
    assert (run.returncode, run.stderr) == (1, shown("names line and key of what is wrong", "text"))
