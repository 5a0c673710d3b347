"""`python -m tests.conformance PATH...`: one JSON line for each scenario; 1 if one failed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.conformance import runner
from tests.target import Embedded, OverGrpc


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file or directory")
    scenarios = runner.load(parser.parse_args(arguments).paths)
    with tempfile.TemporaryDirectory(prefix="ipse-conformance-") as scratch, ExitStack() as stack:
        targets = [Embedded(Path(scratch) / "embedded"), OverGrpc(Path(scratch) / "grpc")]
        for target in targets:
            stack.callback(target.close)
        outcomes = runner.run(scenarios, targets)
    for outcome in outcomes:
        print(outcome.to_json())
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
