"""Worker processes of a parallel search: their GPU, and their end with the parent process."""

import multiprocessing
import os
import pathlib
import re
import threading
import time

from joblib.parallel import get_active_backend

_SECONDS_BETWEEN_LOOKS = 1.0
_WORKER = re.compile(r"(?:LokyProcess|\w*PoolWorker)-(?:\d+:)*(\d+)")
_watcher = None


def worker_number():
    """Return the number of this worker process, or None in any other process.

    Processes of joblib and of multiprocessing pools have it in their names. Other processes
    are the user's own.
    """
    if get_active_backend()[0].nesting_level == 0:
        return None
    found = _WORKER.fullmatch(multiprocessing.current_process().name)
    return None if found is None else int(found[1])


def gpu_of_worker(n_gpus):
    """Return the index of the GPU for this process; None is torch's current one.

    The workers of a search are assigned to the GPUs in turn.

    Parameters
    ----------
    n_gpus : int

    Returns
    -------
    int or None
    """
    number = worker_number()
    return None if number is None or n_gpus < 2 else number % n_gpus


def end_with_parent():
    """Make a worker process exit soon after its parent ends for any reason.

    joblib's workers wait minutes for work that will never come, and occupy GPU memory until
    they exit. (Not on Windows, where there is no check whether the parent lives.)
    """
    global _watcher
    parent = multiprocessing.parent_process()
    if parent is None or worker_number() is None or os.name != "posix":
        return
    # A fork copies its parent's globals, but not its threads.
    if _watcher is None or not _watcher.is_alive():
        is_child = os.getppid() == parent.pid
        _watcher = threading.Thread(
            target=_watch, args=(parent.pid, is_child), name="skscale-watch", daemon=True
        )
        _watcher.start()


def _watch(parent, is_child):
    while _is_alive(parent, is_child):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)  # no parent left to report an error to


def _is_alive(parent, is_child):
    # joblib's workers have no `parent_process().is_alive()`.
    if os.getppid() == parent:
        return True
    if is_child:
        return False  # the parent ended, and another process adopted us
    # The parent ended before the first check, or a fork server forked this process.
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # A zombie keeps its process id until its own parent reaps it.
        status = pathlib.Path(f"/proc/{parent}/stat").read_text()
        return status.rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return True  # not Linux
