"""Reads the files of a data directory: log segments, snapshots and the manifest.

A second reading of the format that `rust/ipse-store/src/format.rs` draws, sharing nothing with
the engine but that drawing: what this package and the engine agree on is the format. `inspect`
judges every file as the engine's recovery would; `records` and `parts` give the contents by
name. All but `repair` only read.

    files <- segment <- record <- snapshot <- inspection <- repair

Invariant: nothing is believed before its checksum is.
"""

from ipse.wal.files import Damage, segment_paths, snapshot_paths
from ipse.wal.inspection import FileReport, Inspection, Role, State, inspect
from ipse.wal.record import records
from ipse.wal.repair import Repair, Unrepairable, plan_repair
from ipse.wal.segment import Segment, read_segment
from ipse.wal.snapshot import Snapshot, parts

__all__ = [
    "Damage",
    "FileReport",
    "Inspection",
    "Repair",
    "Role",
    "Segment",
    "Snapshot",
    "State",
    "Unrepairable",
    "inspect",
    "parts",
    "plan_repair",
    "read_segment",
    "records",
    "segment_paths",
    "snapshot_paths",
]
