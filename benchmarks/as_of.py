"""How many rows of (identifier, sequence number) a second are joined to the profiles of then.

    python benchmarks/as_of.py [--people 200000] [--rows 1000000]

In this process, as `ipse asof` does it but for the network: text in, text out. Every person has
three identifiers, and one of them goes to another person later. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import time

from ipse import Event, Resolver, _native
from ipse.commands import asof

RULES = """
[workspace]
conflict = "transfer"
survivor = "oldest"
[namespaces.user]
limit = "none"
[namespaces.email]
limit = "none"
[namespaces.device]
limit = "none"
exclusive = true
"""


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with Resolver() as resolver:
        resolver.set_rules(RULES)
        _fill(resolver, arguments.people)
        text = _rows(resolver, arguments.people, arguments.rows)
        rows = _native.PastRows(b"time,namespace,value", "", "value", "time", False)
        began = time.perf_counter()
        answered = sum(
            told.count(b"\n")
            for told in asof.answers(rows, resolver.lookup_as_of_bytes, b"", io.BytesIO(text))
        )
        seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                "people": arguments.people,
                "rows": answered,
                "seconds": round(seconds, 2),
                "rows_per_second": round(answered / seconds),
            }
        )
    )


def _fill(resolver: Resolver, people: int) -> None:
    def shown(number: int, device: int) -> Event:
        return Event(
            identifiers={"user": f"u{number}", "email": f"{number}@x.com", "device": f"d{device}"}
        )

    resolver.resolve_many(shown(number, number) for number in range(people))
    resolver.resolve_many(shown(number, (number + 1) % people) for number in range(0, people, 2))


def _rows(resolver: Resolver, people: int, rows: int) -> bytes:
    newest = resolver.get_workspace().sequence_number
    chosen = random.Random(1)
    kinds = (b"user,u%d\n", b"email,%d@x.com\n", b"device,d%d\n")
    return b"".join(
        b"%d," % chosen.randint(1, newest) + chosen.choice(kinds) % chosen.randrange(people)
        for _ in range(rows)
    )


if __name__ == "__main__":
    main()
