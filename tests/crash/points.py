"""The named points of the store at which a server may die (rust/ipse-store/src/failpoints.rs)."""

from __future__ import annotations

import random

_FILES = ("segment.wal", "next-segment.wal.tmp", "next-snapshot.snap.tmp", "MANIFEST.tmp")

POINTS = (
    *(f"{moment}-write-{kind}" for kind in _FILES for moment in ("before", "half", "after")),
    *(f"{moment}-sync-{kind}" for kind in _FILES for moment in ("before", "after")),
    *(f"{moment}-create-{kind}" for kind in _FILES[1:] for moment in ("before", "after")),
    *(
        f"{moment}-rename-{kind}"
        for kind in ("segment.wal", "snapshot.snap", "MANIFEST")
        for moment in ("before", "after")
    ),
    *(
        f"{moment}-{place}"
        for place in ("sync-directory", "remove-snapshot.snap", "remove-segment.wal")
        for moment in ("before", "after")
    ),
)


def choose(points: tuple[str, ...], chance: random.Random) -> str:
    """One of them, the time at which it is met, and for how long it is stalled at."""
    point = chance.choice(points)
    is_of_each_group = point.endswith(("write-segment.wal", "sync-segment.wal"))
    time_of_it = chance.randint(1, 100 if is_of_each_group else 3)
    return f"{point}:{time_of_it}:{chance.choice((0, 30))}"


def needs_snapshots(point: str) -> bool:
    """Whether it lies in a checkpoint."""
    return any(word in point for word in ("snapshot", "MANIFEST", "remove"))
