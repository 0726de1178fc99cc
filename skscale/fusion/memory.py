"""How much memory there is, and how much this process holds."""

import contextlib
import ctypes
import os
import pathlib
import sys

# Where the system does not say: little enough for a laptop.
_FREE_IF_UNKNOWN = 4 << 30


def resident_bytes():
    """Return the memory that this process holds, in bytes, or None if the system hides it."""
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes():
    """Return the most memory that this process ever held, in bytes, or None."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def release_free():
    """Give memory that was freed back to the system, where the C library can be asked to.

    glibc keeps freed arrays of up to 32 MB in the arenas of the threads that made them.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def free_bytes():
    """Return the memory that this process can still get, in bytes.

    What the machine has available, or the control group of a container allows, whichever
    is less.
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
    except (OSError, ValueError):  # no such group, or no limit ("max")
        return None
