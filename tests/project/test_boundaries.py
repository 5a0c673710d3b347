"""Who may know whom: server -> service -> _native -> ipse-rpc -> ipse-store -> ipse-core.

Read from the manifests, the imports and the source, so that a wrong dependency fails here, with
its place, on the day when it is written.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.tree import ROOT, relative

PYTHON = ROOT / "python"

# The crates from the innermost out: each may use those before it.
CRATES = ("ipse-core", "ipse-store", "ipse-rpc", "ipse-py")
# Outside crates that only one of ours may know, by the start of their names.
OWNED = {"pyo3": "ipse-py", "prost": "ipse-rpc", "tonic": "ipse-rpc", "rmp": "ipse-store"}

# What the core would have to ask for: it is given time and fresh ids, and iterates nothing whose
# order differs between two runs.
ASKING = re.compile(
    r"std::(?:fs|env|net|process|thread|os)\b|\b(?:SystemTime|Instant|Mutex|RwLock|Condvar|mpsc)\b"
    r"|\b(?:rand|getrandom|uuid)::|\bRandomState\b|\bstd::collections::[^;]*\bHash(?:Map|Set)\b"
    r"|\basync fn\b|\bunsafe\b"
)

# A module, and what neither it nor anything of ours that it imports may know.
ENGINE = ("ipse._native", "ipse.resolver", "ipse.service", "ipse.server")
COMMANDS = ("ipse.cli", "ipse.commands")
IGNORANT = {
    "ipse.errors": (*ENGINE, *COMMANDS, "ipse.client"),
    "ipse.config": (*ENGINE, *COMMANDS, "ipse.client", "grpc"),
    "ipse.telemetry": (*ENGINE, *COMMANDS, "ipse.client"),
    "ipse.client": (*ENGINE, *COMMANDS),
    "ipse.aio": (*ENGINE, *COMMANDS),
    "ipse.resolver": (*COMMANDS, "ipse.client", "ipse.service", "ipse.server", "grpc"),
    "ipse.service": (*COMMANDS, "ipse.client", "ipse.server"),
    "ipse.server": (*COMMANDS, "ipse.client"),
    # It reads the files of the engine without the engine's help, or it would prove nothing.
    "ipse.commands.wal": (*ENGINE, "ipse.client", "grpc"),
    # It has bytes framed and counted by the extension, and reaches an engine through a server only.
    "ipse.commands.load": tuple(name for name in ENGINE if name != "ipse._native"),
}
# The modules that call the extension themselves. Only the resolver and the server open an engine:
# others carry calls to one, or ask for a version, whether rules or tokens are good, for work on
# directories without a server, and for lines and answers to be gone through.
CALLERS = {
    "ipse.metrics",
    "ipse.resolver",
    "ipse.server",
    "ipse.service",
    "ipse",
    "ipse._asyncio_carrier",
    "ipse._carrier",
    "ipse._door",
    "ipse._native_carrier",
    "ipse._watching",
    "ipse.commands.asof",
    "ipse.commands.loading.answers",
    "ipse.commands.loading.lines",
    "ipse.commands.restore",
    "ipse.commands.rules",
    "ipse.commands.token",
    "ipse.commands.verify",
    "ipse.commands.version",
}


def manifest(crate: str) -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text())


def dependencies(crate: str) -> set[str]:
    """All of them: what a crate uses only in its tests it knows all the same."""
    tables = ("dependencies", "dev-dependencies", "build-dependencies")
    return {name for table in tables for name in manifest(crate).get(table, {})}


@pytest.mark.parametrize("crate", CRATES)
def test_a_crate_uses_only_crates_further_in(crate: str) -> None:
    ours = {name for name in dependencies(crate) if name.startswith("ipse")}
    assert ours <= set(CRATES[: CRATES.index(crate)])


@pytest.mark.parametrize(("prefix", "owner"), OWNED.items())
def test_one_crate_owns_each_outside_word(prefix: str, owner: str) -> None:
    users = {c for c in CRATES if any(name.startswith(prefix) for name in dependencies(c))}
    assert users <= {owner}


def test_the_extension_crate_has_no_tests_to_link() -> None:
    library = manifest("ipse-py")["lib"]
    assert (library["test"], library["doctest"]) == (False, False)


def test_no_build_of_the_product_needs_a_protobuf_compiler() -> None:
    compilers = {
        name for c in CRATES for name in dependencies(c) if re.match("prost-(b|t)|prot", name)
    }
    assert compilers <= {"prost-types"}


def test_the_core_never_asks() -> None:
    sources = sorted((ROOT / "rust/ipse-core/src").rglob("*.rs"))
    found = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in sources
        for number, line in product_lines(path)
        if ASKING.search(line)
    ]
    assert sources
    assert not found, "\n".join(found)


def product_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines up to the tests at the end of a file, comments left out."""
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.startswith("#[cfg(test)]"):
            return
        yield number, line.split("//")[0]


def modules() -> dict[str, Path]:
    """Our modules by full name; message code is not ours to judge."""
    paths = (p for p in (PYTHON / "ipse").rglob("*.py") if "v1" not in p.parts)
    return {
        ".".join(p.relative_to(PYTHON).with_suffix("").parts).removesuffix(".__init__"): p
        for p in paths
    }


def imports(path: Path) -> set[str]:
    """Every name that a module imports, anywhere in it; for `from a import b`, both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: a relative import"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    # Importing a part imports its package first, but `ipse` itself is empty until it is asked.
    return names - {"ipse"}


def reached(start: str) -> dict[str, tuple[str, ...]]:
    """Everything that a module imports, itself or through our others, and the way there."""
    ours = modules()
    ways: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[str, ...]] = [(start,)]
    while waiting:
        way = waiting.pop()
        for name in imports(ours[way[-1]]) - ways.keys():
            ways[name] = (*way, name)
            if name in ours:
                waiting.append(ways[name])
    return ways


@pytest.mark.parametrize("module", IGNORANT)
def test_a_module_does_not_know(module: str) -> None:
    wrong = [
        " -> ".join(way)
        for name, way in reached(module).items()
        if any(name == word or name.startswith(word + ".") for word in IGNORANT[module])
    ]
    assert not wrong, "\n".join(wrong)


def test_a_name_comes_from_the_module_that_defines_it() -> None:
    # The package answers for its users, lazily; among ourselves it would hide who knows whom.
    known = {*modules(), "ipse._native", "ipse.v1"}
    wrong = {
        (module, name)
        for module, path in modules().items()
        for name in imports(path)
        if module != "ipse" and re.fullmatch(r"ipse\.\w+", name) and name not in known
    }
    assert wrong == set()


def test_only_the_resolver_and_the_server_call_the_extension() -> None:
    callers = {name for name, path in modules().items() if "ipse._native" in imports(path)}
    assert callers <= CALLERS
