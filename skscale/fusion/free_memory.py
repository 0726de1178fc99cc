"""Free memory of the machine, and memory of this process."""

import contextlib
import ctypes
import os
import pathlib
import sys

# Assumption if the system does not report it: small enough for a laptop.
_FREE_IF_UNKNOWN = 4 << 30


def resident_bytes():
    """Return the memory that this process holds, in bytes, or None if it is not reported."""
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes():
    """Return the peak memory of this process, in bytes, or None."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def release_free():
    """Return freed memory to the system, if the C library supports it.

    glibc retains freed arrays of up to 32 MB in the arenas of the threads that made them.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def free_bytes():
    """Return the memory that this process can still allocate, in bytes.

    This is the smaller of the machine's available memory and the rest of a container's
    control group limit.
    """
    candidates = [c for c in (_available(), _left_in_control_group()) if c is not None]
    return min(candidates, default=_FREE_IF_UNKNOWN)


def _available():
    try:
        for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _left_in_control_group():
    folder = pathlib.Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text())
        return max(0, limit - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):  # no control group, or no limit ("max")
        return None
