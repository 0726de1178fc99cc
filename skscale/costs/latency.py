"""How long a prediction takes."""

import statistics
import time

from ..training.quiet import gate

_WARM_UP = 3
_MOST_SECONDS = 0.1


def measure_latency(estimator, X, *, n_repeats=100):
    """Measure the median time of `estimator.predict(X)`.

    While one thread measures, others that want to measure wait, and so do networks that
    want to train.

    Parameters
    ----------
    estimator : estimator
        A fitted one, such as a whole pipeline.
    X : array-like of shape (n_samples, n_features)
        What is predicted each time.
    n_repeats : int, default=100
        Most predictions that are timed, after three that are not; fewer where a tenth of a
        second is over before.

    Returns
    -------
    float
        Microseconds.
    """
    with gate.quiet():
        for _ in range(_WARM_UP):
            estimator.predict(X)
        seconds = []
        began = time.perf_counter()
        while len(seconds) < n_repeats:
            start = time.perf_counter()
            estimator.predict(X)
            now = time.perf_counter()
            seconds.append(now - start)
            if now - began > _MOST_SECONDS:
                break
    return statistics.median(seconds) * 1e6
