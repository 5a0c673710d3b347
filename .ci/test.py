"""Every test, Rust and Python, in one command: `python3 .ci/test.py [pytest arguments]`.

Installs the pinned tools into `.venv-dev`, compiles everything once in the development profile,
and hands over to pytest, which runs the Rust tests as well (tests/project/test_rust.py): the last
line is one summary of everything.
"""

from __future__ import annotations

import sys

import workbench

# The first two only compile, so that somebody who waits for it sees the compiler at work.
BUILDS = (
    ("cargo", "test", "--workspace", "--exclude", "ipse-py", "--locked", "--no-run"),
    ("maturin", "develop"),
)


def main() -> int:
    """Build, then test; the exit code is that of the first step that failed."""
    workbench.prepare()
    for build in BUILDS:
        print(f"$ {' '.join(build)}", flush=True)
        code = workbench.run(*build).returncode
        if code != 0:
            return code
    return workbench.run(str(workbench.python()), "-m", "pytest", *sys.argv[1:]).returncode


if __name__ == "__main__":
    sys.exit(main())
