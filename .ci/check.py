"""Every check that is not a test: formats, lints, types, protos, generated code.

`python3 .ci/check.py` runs them all, also after one has failed, and names those at the end.
It changes no file; the message of each failure says which command would.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import workbench


@dataclass(frozen=True)
class Check:
    """One command, and what to do when it fails."""

    name: str
    command: tuple[str, ...]
    remedy: str


# The generators, of message code and of load, are workspaces of their own.
PROTOGEN = ("--manifest-path", "rust/ipse-protogen/Cargo.toml")
LOADGEN = ("--manifest-path", "benchmarks/loadgen/Cargo.toml")

# The quick ones first.
CHECKS = (
    Check("Rust format", ("cargo", "fmt", "--all", "--check"), "cargo fmt --all"),
    Check(
        "Rust format of the message code's generator",
        ("cargo", "fmt", *PROTOGEN, "--check"),
        f"cargo fmt {' '.join(PROTOGEN)}",
    ),
    Check(
        "Rust format of the load generator",
        ("cargo", "fmt", *LOADGEN, "--check"),
        f"cargo fmt {' '.join(LOADGEN)}",
    ),
    Check("Python format", ("ruff", "format", "--check"), "ruff format"),
    Check("proto format", ("buf", "format", "--diff", "--exit-code"), "buf format --write"),
    Check("proto lint", ("buf", "lint"), "change the .proto file at the line that is named"),
    Check("Python lint", ("ruff", "check"), "ruff check --fix, and the rest by hand"),
    Check("Python types", ("mypy",), "change the types at the lines that are named"),
    Check(
        "Rust lint",
        ("cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"),
        "change the code at the lines that are named",
    ),
    Check(
        "Rust lint of the load generator",
        ("cargo", "clippy", *LOADGEN, "--all-targets", "--locked", "--", "-D", "warnings"),
        "change the code at the lines that are named",
    ),
    Check(
        "generated code",
        (str(workbench.python()), ".ci/generate.py", "--check"),
        ".venv-dev/bin/python .ci/generate.py, and commit what it writes",
    ),
    Check(
        "instructions",
        (str(workbench.python()), ".ci/instructions.py", "--core"),
        "make the path that grew cheaper; or write the counts anew with "
        "`python3 .ci/instructions.py --update`, and say in the message why it may grow",
    ),
)


def main() -> int:
    """Run every check; 1 if any failed."""
    workbench.prepare()
    _require_components()
    failed = [check for check in CHECKS if not _passes(check)]
    for check in failed:
        print(f"FAILED {check.name}: {check.remedy}")
    print(f"{len(CHECKS) - len(failed)} checks passed, {len(failed)} failed")
    return 1 if failed else 0


def _passes(check: Check) -> bool:
    print(f"--- {check.name}: {' '.join(check.command)}", flush=True)
    start = time.monotonic()
    passed = workbench.run(*check.command).returncode == 0
    print(f"    {'passed' if passed else 'FAILED'} in {time.monotonic() - start:.1f} s", flush=True)
    return passed


def _require_components() -> None:
    """Say which part of the toolchain is missing before cargo says that it has no such command."""
    for component in ("clippy", "fmt"):
        if workbench.run("cargo", component, "--version").returncode != 0:
            name = {"fmt": "rustfmt"}.get(component, component)
            workbench.stop(
                f"the Rust toolchain lacks {name}: `rustup component add {name}` adds it"
            )


if __name__ == "__main__":
    sys.exit(main())
