"""Locks that are released in a forked process.

Only the thread that forks continues in the child. A lock held by another thread would stay
locked there forever.
"""

import os


def hold_while_forking(lock):
    """Prevent a fork while another thread holds a module's lock.

    The state guarded by the lock is then consistent in the child. Of two nested locks, register
    the inner one first.

    Parameters
    ----------
    lock : Lock or RLock
        Should be held only briefly.

    Returns
    -------
    Lock or RLock
        The same lock.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
