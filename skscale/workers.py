"""The processes of a parallel search: which GPU is whose, and that none outlives its parent."""

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
    """Return the number of this worker among its parent's, or None outside a worker process.

    joblib's processes, and those of pools of multiprocessing, have it in their names. Others
    are the user's own.
    """
    if get_active_backend()[0].nesting_level == 0:
        return None
    found = _WORKER.fullmatch(multiprocessing.current_process().name)
    return None if found is None else int(found[1])


def gpu_of_worker(n_gpus):
    """Return the index of the GPU that this process trains on; None is torch's current one.

    The workers of a search take the GPUs in turn.

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
    """See to it that a worker process ends soon after its parent, however that ended.

    joblib's workers wait for work that will never come for minutes, and a GPU's memory is
    theirs as long as they live. (On Windows, where nobody tells whether a parent lives.)
    """
    global _watcher
    parent = multiprocessing.parent_process()
    if parent is None or worker_number() is None or os.name != "posix":
        return
    # A fork has its parent's globals, and none of its threads.
    if _watcher is None or not _watcher.is_alive():
        is_ours = os.getppid() == parent.pid
        _watcher = threading.Thread(
            target=_watch, args=(parent.pid, is_ours), name="skscale-watch", daemon=True
        )
        _watcher.start()


def _watch(parent, is_ours):
    while _is_alive(parent, is_ours):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)  # nobody is there to be told of an error


def _is_alive(parent, is_ours):
    # joblib gives its workers no `parent_process().is_alive()`.
    if os.getppid() == parent:
        return True
    if is_ours:
        return False  # we were given away, as it ended
    # It had ended before anybody looked, or it is that of a fork server, which forked us.
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # What has ended keeps its number until its own parent asks for it.
        status = pathlib.Path(f"/proc/{parent}/stat").read_text()
        return status.rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return True  # no Linux
