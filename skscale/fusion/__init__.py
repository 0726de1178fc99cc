"""Fused searches: the networks of one scikit-learn search train together.

- `backend`: the joblib backend "skscale", which runs the jobs of a search in threads.
- `rendezvous`: the meeting point where the tasks of these threads become one list.
- `sharing`: equal arrays of many tasks, stored once.
- `admission`: number of jobs in flight, by the measured memory of earlier ones.
- `free_memory`: free and resident memory of the process.
"""

from .rendezvous import FusedRun, blocked, last_fused_run

__all__ = ["FusedRun", "blocked", "last_fused_run"]
