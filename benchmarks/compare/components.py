"""Connected components by scipy: what a nightly batch would do, on the same observations.

Reads pairs of numbers from standard input when run as a program, and prints what it took.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from typing import Any

from benchmarks.compare import loadgen


def measure(identifiers: int) -> dict[str, Any]:
    """Runs it as a process of its own, so that its memory is its own."""
    if importlib.util.find_spec("scipy") is None:
        return {"missing": "scipy is not installed"}
    blocks = max(1, round(identifiers / loadgen.IDENTIFIERS_OF_A_BLOCK))
    _, printed = loadgen.feed("edges", blocks, [sys.executable, "-m", __name__])
    found: dict[str, Any] = json.loads(printed)
    return found


def main() -> None:
    import numpy as np
    import scipy.sparse

    pairs = np.fromstring(sys.stdin.read(), dtype=np.uint64, sep=" ").reshape(-1, 2)
    started = time.perf_counter()
    values, numbers = np.unique(pairs, return_inverse=True)
    first, second = numbers.reshape(-1, 2).T
    shape = (len(values), len(values))
    graph = scipy.sparse.coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape)
    profiles, _ = scipy.sparse.csgraph.connected_components(graph, directed=False)
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "pairs": len(first),
                "identifiers": len(values),
                "profiles": profiles,
                "seconds": seconds,
                "pairs_per_second": len(first) / seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
