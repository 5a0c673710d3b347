"""Plants each fault in the store, one at a time, and proves that a test notices.

`python tests/planted.py` runs each test as it is, which must pass, and with the fault, which must
fail, and prints a line for each. The faults are in rust/ipse-store/src/planted.rs; a test build
commits the one that `IPSE_PLANTED_FAULT` names. Names as arguments choose among them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SOURCE = ROOT / "rust/ipse-store/src/planted.rs"


@dataclass(frozen=True)
class Proof:
    """A fault, and the test that must fail with it and pass without."""

    fault: str
    command: tuple[str, ...]
    says: str
    """What the failing run prints."""


def _rust(fault: str, file: str, test: str) -> Proof:
    command = ("cargo", "test", "-q", "-p", "ipse-store", "--test", file, "--", "--exact", test)
    return Proof(fault, command, f"{test} .*FAILED|thread '{test}' .*panicked")


def _campaign(fault: str, says: str) -> Proof:
    options = ["--cycles", "12", "--clients", "4", "--seed", "1"]
    options += ["--point", "before-write-segment.wal"]
    return Proof(fault, (sys.executable, "-m", "tests.crash.campaign", *options), says)


RUST = (
    _rust("skip-directory-sync", "store", "a_snapshot_that_was_reported_survives_a_crash"),
    _rust("skip-directory-sync", "faults", "crashes_lose_nothing_that_was_acknowledged"),
    _rust("skip-sync", "faults", "crashes_lose_nothing_that_was_acknowledged"),
    _rust("retry-sync", "faults", "every_operation_fails_once_and_for_ever"),
    _rust("skip-checksum", "damage", "every_flipped_bit"),
    _rust("answer-writes-early", "faults", "crashes_lose_nothing_that_was_acknowledged"),
    _rust(
        "answer-reads-early",
        "faults",
        "crashes_of_groups_snapshots_and_recoveries_lose_nothing_that_was_told",
    ),
    _rust("forgive-all", "damage", "a_log_that_ends_before_a_snapshot_is_refused"),
    _rust(
        "skip-read-back",
        "damage",
        "a_record_with_a_right_checksum_and_impossible_content_is_refused",
    ),
    _rust("keep-one-snapshot", "store", "two_snapshots_and_the_log_since_the_older_are_kept"),
)
LIVE = (_campaign("answer-reads-early", r"is back at \d+, and \d+ was told"),)


def faults() -> set[str]:
    """The names that the store knows."""
    return set(re.findall(r'^    \("([a-z-]+)", Fault::', _SOURCE.read_text(), re.MULTILINE))


def is_proven(proof: Proof) -> bool:
    """Whether the test passes, and fails with the fault, in its own words."""
    plain = _run(proof, {})
    if plain.returncode != 0:
        print(f"{proof.fault}: fails without the fault, too\n{plain.stdout[-2_000:]}")
        return False
    planted = _run(proof, {"IPSE_PLANTED_FAULT": proof.fault})
    caught = planted.returncode != 0 and re.search(proof.says, planted.stdout) is not None
    if not caught:
        print(f"{proof.fault}: NOT CAUGHT by {' '.join(proof.command)}\n{planted.stdout[-2_000:]}")
    return caught


def main() -> int:
    """All of them, or those that are named; 1 if one is not caught."""
    chosen = [p for p in (*RUST, *LIVE) if not sys.argv[1:] or p.fault in sys.argv[1:]]
    missing = faults() - {proof.fault for proof in (*RUST, *LIVE)}
    for fault in missing:
        print(f"{fault}: NO TEST is said to catch it")
    proven = [proof for proof in chosen if is_proven(proof)]
    for proof in proven:
        print(f"{proof.fault}: caught by {' '.join(proof.command[1:])}")
    return int(bool(missing) or len(proven) < len(chosen))


def _run(proof: Proof, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # A campaign that fails keeps its data.
    with tempfile.TemporaryDirectory() as scratch:
        return subprocess.run(
            proof.command,
            cwd=ROOT,
            env=os.environ | {"RUST_BACKTRACE": "0", "TMPDIR": scratch} | more,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


if __name__ == "__main__":
    sys.exit(main())
