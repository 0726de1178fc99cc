"""Gate for time measurements while nothing trains.

A training network takes cores and caches from any measurement beside it. So measurements run
one at a time, and only while no stack trains. Stacks that would start wait for the fraction of
a second that a measurement takes.
"""

import os
import threading
import time
from contextlib import contextmanager

# Another training in the process may take hours: after this time, measure beside it.
MAX_SECONDS_TO_QUIET = 10.0


class Gate:
    """Gate that admits many trainings, or one measurement."""

    def __init__(self):
        self._changed = threading.Condition()
        self._n_inside = {"training": 0, "measuring": 0}
        self._n_waiting = 0
        self._inside = threading.local()

    @contextmanager
    def training(self):
        """Enter a block that trains."""
        with self._changed:
            # A thread that measures must not wait for itself to finish.
            is_nested = getattr(self._inside, "depth", 0) > 0
            while not is_nested and (self._n_inside["measuring"] or self._n_waiting):
                self._changed.wait()
            self._n_inside["training"] += 1
        with self._entered("training"):
            yield

    @contextmanager
    def quiet(self, patience=MAX_SECONDS_TO_QUIET):
        """Enter a block that measures, while no other thread measures or trains.

        Parameters
        ----------
        patience : float, default=MAX_SECONDS_TO_QUIET
            Seconds to wait for quiet before measuring anyway.
        """
        if getattr(self._inside, "depth", 0) > 0:
            yield
            return
        deadline = time.monotonic() + patience
        with self._changed:
            self._n_waiting += 1
            try:
                while any(self._n_inside.values()):
                    if not self._changed.wait(deadline - time.monotonic()):
                        break
            finally:
                self._n_waiting -= 1
                self._changed.notify_all()
            self._n_inside["measuring"] += 1
        with self._entered("measuring"):
            yield

    @contextmanager
    def _entered(self, activity):
        self._inside.depth = getattr(self._inside, "depth", 0) + 1
        try:
            yield
        finally:
            self._inside.depth -= 1
            with self._changed:
                self._n_inside[activity] -= 1
                self._changed.notify_all()


gate = Gate()

if hasattr(os, "register_at_fork"):
    # Nothing trains or measures in a new child.
    os.register_at_fork(after_in_child=gate.__init__)
