"""How much memory there is: of the machine, or of the control group that the process runs in.

The default ceiling of a server comes from it, so that a server that is sent more people than it
has memory for refuses new ones by name before the system ends it.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Final

_SHARE_PERCENT: Final = 60
_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN_GROUP: Final = Path("/proc/self/cgroup")


def share() -> int:
    """The bytes that the graphs may take unless a setting says otherwise.

    The rest is for what a checkpoint copies, for requests and answers, and for the system.
    """
    return bytes_max() * _SHARE_PERCENT // 100


def bytes_max(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP) -> int:
    """What the machine has, or the least that a control group around this process allows."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_bounds_of_groups(groups, own_group)])


def _bounds_of_groups(groups: Path, own_group: Path) -> list[int]:
    files = [groups / "memory" / "memory.limit_in_bytes"]
    for line in _text(own_group).splitlines():
        group = PurePosixPath(line.rpartition(":")[2].strip("/"))
        files += [groups / each / "memory.max" for each in (group, *group.parents)]
    bounds = [_text(file).strip() for file in files]
    return [int(bound) for bound in bounds if bound.isdigit()]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
