"""Latency of a prediction."""

import statistics
import time

from ..training.quiet import gate

_WARM_UP = 3
_MAX_SECONDS = 0.1


def measure_latency(estimator, X, *, n_repeats=100):
    """Measure the median time of `estimator.predict(X)`.

    While one thread measures, other measurements and trainings of networks wait.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator, such as a whole pipeline.
    X : array-like of shape (n_samples, n_features)
        Input of each prediction.
    n_repeats : int, default=100
        Maximum number of timed predictions, after three warm-up predictions. Timing ends early
        after a tenth of a second.

    Returns
    -------
    float
        Median time in microseconds.
    """
    with gate.quiet():
        for _ in range(_WARM_UP):
            estimator.predict(X)
        seconds = []
        beginning = time.perf_counter()
        while len(seconds) < n_repeats:
            start = time.perf_counter()
            estimator.predict(X)
            now = time.perf_counter()
            seconds.append(now - start)
            if now - beginning > _MAX_SECONDS:
                break
    return statistics.median(seconds) * 1e6
