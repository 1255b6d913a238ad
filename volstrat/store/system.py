"""What not every system has: its memory, limits, and ends of processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_CONTROL_GROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_bytes() -> int | None:
    """Return how much memory there is: the machine's, or this control group's limit; None: nobody says."""
    total = _windows_memory_bytes() if sys.platform == "win32" else _posix_memory_bytes()
    if total is None:
        return None
    for path in _CONTROL_GROUP:
        try:
            total = min(total, int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return total


def _posix_memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _windows_memory_bytes() -> int | None:
    import ctypes

    class MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("rest", ctypes.c_ulonglong * 6),
        )

    status = MemoryStatus()
    status.length = ctypes.sizeof(status)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - other systems' types do not know it
    return int(status.total) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def limits_memory() -> bool:
    """Tell whether a process can be held to an amount of memory here.

    Linux counts all that a process allocates (RLIMIT_DATA); macOS takes the limit and does not keep to it.
    """
    try:
        import resource
    except ImportError:
        return False
    return sys.platform == "linux" and hasattr(resource, "RLIMIT_DATA")


def limit_own_memory(most_bytes: int) -> None:
    """Hold this process to an amount of memory, where the system can; a lower limit in force stays."""
    if not limits_memory():
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def sync_disks() -> None:
    """Have the system write what it holds back, where it can be asked to."""
    if hasattr(os, "sync"):
        os.sync()
