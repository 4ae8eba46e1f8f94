"""How many threads are worth starting."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CPU = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Return the physical cores this process may use; 0 where that cannot be told.

    Counts the CPUs the process is bound to, two hardware threads of a core once, and no more
    than the container's share. ``OMP_NUM_THREADS`` overrules it, as it does for other libraries.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    if not hasattr(os, "sched_getaffinity"):
        return 0
    cores = {_siblings(cpu) for cpu in os.sched_getaffinity(0)}
    return max(1, min(len(cores), _quota()))


def _siblings(cpu: int) -> str:
    """Return a text shared by the hardware threads of one core."""
    try:
        return Path(_CPU.format(cpu)).read_text()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """Return the CPUs the control group may use, rounded up."""
    try:
        allowed, period = _QUOTA.read_text().split()
        return math.ceil(int(allowed) / int(period))
    except (OSError, ValueError):  # no control group, or "max"
        return os.cpu_count() or 1
