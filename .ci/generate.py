"""Writes the message code of `protos/` in Python and Rust; the one command that does.

    python .ci/generate.py            write it
    python .ci/generate.py --check    compare, and exit 1 if anything differs

Output is committed, so that no build needs a protobuf compiler. Generators are pinned
exactly: another version is refused, because its output would differ for no reason of ours.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO_DIR = ROOT / "protos"
PYTHON_DIR = ROOT / "python"
RUST_DIR = ROOT / "rust" / "ipse-rpc" / "src" / "generated"
RUST_GENERATOR = ROOT / "rust" / "ipse-protogen" / "Cargo.toml"
PACKAGE_DIR = Path("ipse") / "v1"

PINNED = {"grpcio-tools": "1.85.1", "mypy-protobuf": "5.1.0"}

PACKAGE_INIT = b'"""Message code of `protos/ipse/v1`, written by `python .ci/generate.py`."""\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, and exit 1 if different")
    check_only: bool = parser.parse_args().check
    if complaint := unpinned():
        print(complaint, file=sys.stderr)
        return 2
    wanted = generate()
    if not check_only:
        write(wanted)
        return 0
    different = differences(wanted)
    for path, problem in different:
        print(f"{path.relative_to(ROOT)}: {problem}", file=sys.stderr)
    if different:
        print("generated code is stale: run `python .ci/generate.py`", file=sys.stderr)
    return 1 if different else 0


def unpinned() -> str | None:
    """What is wrong with the installed generators, if anything."""
    for package, version in PINNED.items():
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            found = "none"
        if found != version:
            install = " ".join(f"{name}=={pin}" for name, pin in PINNED.items())
            return f"{package} {version} is needed, found {found}: pip install {install}"
    return None


def generate() -> dict[Path, bytes]:
    """Every generated file's place and content."""
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        python_out, rust_out = scratch / "python", scratch / "rust"
        python_out.mkdir()
        rust_out.mkdir()
        run_protoc(python_out, scratch / "descriptors.bin")
        run_rust_generator(scratch / "descriptors.bin", rust_out)
        wanted = {PYTHON_DIR / PACKAGE_DIR / "__init__.py": PACKAGE_INIT}
        for out, home in ((python_out, PYTHON_DIR), (rust_out, RUST_DIR)):
            for path in sorted(p for p in out.rglob("*") if p.is_file()):
                if "google" not in path.name:
                    wanted[home / path.relative_to(out)] = path.read_bytes()
    return wanted


def run_protoc(python_out: Path, descriptors: Path) -> None:
    """Runs the compiler once for messages and once for stubs, which only services have."""
    protos = sorted(PROTO_DIR.joinpath(PACKAGE_DIR).glob("*.proto"))
    services = [path for path in protos if "\nservice " in path.read_text(encoding="utf-8")]
    protoc(
        f"--python_out={python_out}",
        f"--mypy_out=quiet:{python_out}",
        f"--descriptor_set_out={descriptors}",
        "--include_imports",
        "--include_source_info",
        *map(str, protos),
    )
    protoc(
        f"--grpc_python_out={python_out}",
        f"--mypy_grpc_out=quiet:{python_out}",
        *map(str, services),
    )


def protoc(*arguments: str) -> None:
    # The plugins lie beside the interpreter, also where its environment is not activated.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO_DIR}", *arguments]
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})


def run_rust_generator(descriptors: Path, rust_out: Path) -> None:
    cargo = ["cargo", "run", "--quiet", "--locked", "--manifest-path", str(RUST_GENERATOR)]
    subprocess.run([*cargo, "--", str(descriptors), str(rust_out)], check=True)


def write(wanted: dict[Path, bytes]) -> None:
    for path in stale(wanted):
        path.unlink()
    for path, content in wanted.items():
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def differences(wanted: dict[Path, bytes]) -> list[tuple[Path, str]]:
    found = [(path, "is of no proto") for path in stale(wanted)]
    for path, content in wanted.items():
        if not path.exists():
            found.append((path, "is missing"))
        elif path.read_bytes() != content:
            found.append((path, "differs"))
    return sorted(found)


def stale(wanted: dict[Path, bytes]) -> list[Path]:
    """Generated files of protos that are no more."""
    kept = [*PYTHON_DIR.joinpath(PACKAGE_DIR).glob("*.py*"), *RUST_DIR.glob("*.rs")]
    return [path for path in kept if path not in wanted]


if __name__ == "__main__":
    sys.exit(main())
