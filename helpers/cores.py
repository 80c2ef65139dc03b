"""How many processor cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path


def available_cores(cgroup: Path = Path("/sys/fs/cgroup"), limit: int = 61) -> int:
    """The cores that this process may use: those it is tied to, within a container's quota, at least 1.

    `limit` is the most processes that Windows lets one program wait for.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()  # cgroup v2: "200000 100000" is two cores
        if quota != "max":
            cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, min(cores, limit) if os.name == "nt" else cores)
