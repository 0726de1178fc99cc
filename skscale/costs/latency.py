"""Latency of a prediction."""

import statistics
import time

from ..training.quiet import gate

_WARM_UP = 3
_N_ROUNDS = 5
_MAX_SECONDS = 0.1


def measure_latency(estimator, X, *, n_repeats=100):
    """Measure the time of `estimator.predict(X)`.

    While one thread measures, other measurements and trainings of networks wait. The smallest
    median of several rounds is steadier than one median: other load of the machine slows some
    rounds, and rarely all.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator, such as a whole pipeline.
    X : array-like of shape (n_samples, n_features)
        Input of each prediction.
    n_repeats : int, default=100
        Maximum number of timed predictions, after three warm-up predictions, in five rounds.
        Timing ends early after a tenth of a second.

    Returns
    -------
    float
        Smallest median time of a round, in microseconds.
    """
    n_of_round = max(1, n_repeats // _N_ROUNDS)
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
    rounds = [seconds[k : k + n_of_round] for k in range(0, len(seconds), n_of_round)]
    if len(rounds) > 1 and len(rounds[-1]) < n_of_round:
        rounds.pop()  # cut short by the time limit
    return min(map(statistics.median, rounds)) * 1e6
