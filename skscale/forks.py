"""Locks that a forked process finds open.

Of all threads only the one that forks goes on in the child. A lock that another held stays
locked there, and whoever asks for it waits for ever.
"""

import os


def hold_while_forking(lock):
    """Let no process be forked while another thread holds a lock of a module.

    What the lock guards is then whole in the child. Of two locks that are taken one inside the
    other, the inner one has to be registered first.

    Parameters
    ----------
    lock : Lock or RLock
        Held for less than anybody would mind to wait.

    Returns
    -------
    Lock or RLock
        The same.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
