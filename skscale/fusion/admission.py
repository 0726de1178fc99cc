"""How many jobs may be in flight: by what those before them were measured to hold.

A job that waits with its task holds more than the task: the rows that a search cut out
for it, what the steps of a pipeline made of them. Nobody knows beforehand how much, so it
is measured: the first job is admitted alone; then, whenever nothing runs and the memory
of the process stands still, as many as fit.
"""

import math

from .memory import free_bytes, peak_bytes, release_free, resident_bytes

# At each look at the memory, at most so many times as many jobs may be in flight: a later
# fold, or a wider network, may hold more.
_GROWTH = 4
# Where the system does not tell what is held: copies of its data that a job holds. A
# search cuts out the fold, a pipeline transforms it.
_COPIES = 3


class Admission:
    """Count how many jobs may be in flight.

    Parameters
    ----------
    max_in_flight : int
    max_bytes : int or None
        Memory that the jobs in flight may hold; None is half of what is free.

    Attributes
    ----------
    n_admitted : int
        Jobs that may be in flight now.
    """

    def __init__(self, max_in_flight, max_bytes):
        self.n_admitted = 1
        self._max_in_flight = max_in_flight
        self._max_bytes = free_bytes() // 2 if max_bytes is None else max_bytes
        release_free()  # else what is freed later would hide what is held
        self._held_at_start = self._held_before = resident_bytes()
        self._peak_before = peak_bytes()
        self._passing = 0

    def admit(self, n_jobs):
        """Admit so many jobs for want of anything to measure."""
        self.n_admitted = min(n_jobs, self._max_in_flight)

    def lower_limit(self, n_jobs):
        """Never admit more than so many jobs again."""
        self._max_in_flight = n_jobs
        self.admit(min(self.n_admitted, n_jobs))

    def measure(self, n_in_flight, own_bytes):
        """Look at the memory while nothing runs.

        Parameters
        ----------
        n_in_flight : int
            Jobs that hold what is held.
        own_bytes : int
            The most that one of them holds for its task alone.
        """
        release_free()
        held = resident_bytes()
        if held is None:
            grown, self._passing = n_in_flight * _COPIES * own_bytes, own_bytes
        else:
            grown = held - self._held_at_start
            peak = peak_bytes()
            if peak > self._peak_before:
                # What was needed for a moment since the last look, by those that ran or
                # were trained.
                passed = peak - max(held, self._held_before)
                self._passing = max(self._passing, passed)
                self._peak_before = peak
            self._held_before = held
        each = max(grown / n_in_flight, own_bytes, 1)
        more = (self._max_bytes - grown - self._passing) / each
        more = math.floor(min(more, (_GROWTH - 1) * n_in_flight))
        self.n_admitted = max(1, min(n_in_flight + more, self._max_in_flight))
