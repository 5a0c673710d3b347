"""The environment that the programs of this directory run in: one place that makes it, once.

Standard library only, because it runs before anything is installed. It must not touch an
environment that somebody made by hand: everything goes into `.venv-dev` beside this directory,
and deleting that is always safe.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-dev"
PYTHON_MIN = (3, 11)
# The installer that the installed tools find in the environment.
PIP = "pip==26.3"


def stop(message: str) -> NoReturn:
    """End with a message that says what is missing and what to do."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def prepare() -> None:
    """Check the toolchain, and install the pinned tools unless the right ones are there."""
    if sys.version_info < PYTHON_MIN:
        stop(f"Python 3.11 or newer is needed, and this is {sys.version.split()[0]}")
    _require_rust()
    project = _project()
    wanted = _stamp(project)
    stamp = VENV / "installed"
    if python().exists() and stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"installing the tools into {VENV.name}", flush=True)
    _install(project)
    stamp.write_text(wanted)


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    """Run one command of the environment at the top of the tree, its output shown as it comes."""
    return subprocess.run(command, cwd=ROOT, env=environment(), check=False)


def environment() -> dict[str, str]:
    """Environment variables under which the commands of `VENV` are the ones that are found."""
    variables = dict(os.environ)
    variables.pop("PYTHONHOME", None)
    variables["VIRTUAL_ENV"] = str(VENV)
    variables["PATH"] = os.pathsep.join((str(_scripts()), variables.get("PATH", ""), _cargo_home()))
    # One interpreter for every build, or PyO3 would be compiled again at each turn.
    variables["PYO3_PYTHON"] = str(python())
    # maturin asks pip about every requirement each time; the answer is always yes.
    variables["PIP_QUIET"] = variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    # A backtrace belongs to a failed test wherever it runs.
    variables.setdefault("RUST_BACKTRACE", "1")
    return variables


def python() -> Path:
    """The interpreter of the environment."""
    return _scripts() / ("python.exe" if os.name == "nt" else "python")


def _scripts() -> Path:
    return VENV / ("Scripts" if os.name == "nt" else "bin")


def _cargo_home() -> str:
    """Where rustup puts cargo, for shells that have not read the profile that says so."""
    return str(Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin")


def _project() -> dict[str, Any]:
    # Not at the top: an older Python lacks it, and is to be told so in words.
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _stamp(project: dict[str, Any]) -> str:
    """What an environment must have been made from to be the right one."""
    parts = [PIP, sys.version, str(ROOT), *project["dependency-groups"]["dev"]]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _install(project: dict[str, Any]) -> None:
    # Without ensurepip, which some systems leave out: the pip that is there can fill another
    # environment. Cleared, so that what an older list named does not linger.
    _must(sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python()))
    _must(*pip, "install", "--quiet", PIP, *project["dependency-groups"]["dev"])


def _require_rust() -> None:
    if shutil.which("cargo", path=environment()["PATH"]) is None:
        stop("no cargo on PATH: install a stable Rust toolchain (rustup does it)")


def _must(*command: str) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        stop(f"this failed, and nothing works without it: {' '.join(command)}")
