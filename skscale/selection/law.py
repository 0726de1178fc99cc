"""Power law of the score in the size of a network, with forecasts of larger sizes.

The law is fitted to the best candidates of each size, robustly: a weak one does not bend it. A
forecast for a new network has an interval from two sources: bootstrapped folds, and the
variation of a single network.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from .candidates import Candidates, results_of
from .comparison import Comparisons

# With an exponent of 2, a doubling leaves a quarter of the missing score. With 0.05, the law is
# a straight line in log N over any grid.
_EXPONENTS = np.geomspace(0.05, 2.0, 40)
# Candidates within this factor, half a doubling, count as one size.
_SAME_SIZE = np.sqrt(2)
# A size whose score is this many standard errors below the law loses weight. The usual
# constants are 1.3 to 3; of 2 and 3, this was better on the design sets of `bench_law`.
_WEAK = 2.0
# Errors below this part of the range of scores are rounding errors.
_ROUNDING = 1e-6
_N_DRAWS = 1000


class Gain(NamedTuple):
    """Forecast of the effect of a change of size.

    Attributes
    ----------
    mean : float
        Expected difference of the mean scores.
    low, high : float
        Ends of the interval.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ScalingLaw:
    """Power law of the score in the number of parameters.

    `score = a + b * n_parameters ** -c`, where b is negative if larger networks are better.
    Use `from_scores` or `from_cv_results` to fit it. The sizes should span several doublings
    and be trained alike. The law cannot predict a change of trend beyond the largest size.

    Parameters
    ----------
    a : float
        Asymptotic score.
    b : float
        Coefficient.
    c : float
        Exponent, from 0.05 to 2.
    n_parameters : ndarray of shape (n_sizes,)
        Sizes, ascending.
    scores : ndarray of shape (n_sizes,)
        Mean score over the splits, observed at each size.
    weights : ndarray of shape (n_sizes,)
        Weight of each size in the fit: 1, or less if its candidates are weak.
    noise : float
        Standard deviation of the mean score of a single network about the law, in the units
        of the score.
    draws : ndarray of shape (n_draws, 4)
        a, b, c of the law fitted to bootstrapped folds, and a random deviation of a single
        network in units of `noise`.

    Notes
    -----
    The law is fitted to the mean scores by weighted least squares; for a given c it is linear
    in a and b. It describes good shapes of each size. A size may have only weak candidates, as
    a wide network of one layer where two are better: a score of r standard errors below the
    law, r > 2, has the weight (2 / r) ** 2 (iteratively; scores above the law keep theirs).

    Folds are bootstrapped with the same draws for all sizes. The fold effects are removed
    first, because a hard fold is hard for all networks and gives no information on the law. The
    variance of a single network is pooled from that of the two largest sizes by `Comparisons`
    and from the residuals of the law.

    Between the observed sizes, a forecast is the law plus the interpolated residuals, so that
    it does not contradict candidates that were searched; a dip between a smaller and a larger
    size of better scores is ignored. Beyond the largest size the residual
    fades, and is zero from twice the size on.

    Of several candidates of about one size (within a factor of 1.41), the best one counts, as
    in a search. The maximum of several noisy means is biased upwards, more so with more
    candidates. Therefore the best is chosen for each fold by the other folds, and only its
    score in that fold is used.

    References
    ----------
    Hestness et al. 2017, "Deep learning scaling is predictable, empirically":
    error = alpha * m ** beta + gamma, for m training rows. Kaplan et al. 2020, "Scaling laws
    for neural language models", eq. 1.1: for the number of parameters. Davison and Hinkley
    1997, "Bootstrap methods and their application", section 6.2.3: resampled residuals, scaled
    by their degrees of freedom.

    Examples
    --------
    >>> import numpy as np
    >>> from skscale import ScalingLaw
    >>> sizes = np.array([100, 200, 400, 800])
    >>> folds = np.array([-0.02, 0.0, 0.02])  # easy and hard ones
    >>> law = ScalingLaw.from_scores(sizes, (0.9 - 2.0 / sizes)[:, None] + folds)
    >>> round(law.a, 4), round(law.b, 4), round(law.c, 4)
    (0.9, -2.0, 1.0)
    >>> round(law.gain().mean, 5)  # from 800 to 1600
    0.00125
    """

    a: float
    b: float
    c: float
    n_parameters: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    noise: float
    draws: np.ndarray = field(repr=False)

    @classmethod
    def from_scores(cls, n_parameters, scores, *, random_state=0):
        """Fit the law to candidates.

        Parameters
        ----------
        n_parameters : array-like of shape (n_candidates,)
        scores : array-like of shape (n_candidates, n_splits)
            Score of each candidate in each split, more is better.
        random_state : int, default=0
            Seed of the bootstrap.

        Returns
        -------
        ScalingLaw

        Raises
        ------
        ValueError
            If there are fewer than three sizes or two splits, or if a size is not positive or
            a number is not finite.
        """
        sizes, table = _best_of_each_size(*_validated(n_parameters, scores))
        means = table.mean(axis=1)
        # The error of a difference between two networks is sqrt(2) times that of one.
        error = _error_of_largest(table) / np.sqrt(2)
        weights = _weigh(sizes, means, error)
        a, b, c = _fit_exactly(sizes, means, weights)
        noise, freedom = _noise(error, table.shape, means - (a + b * sizes**-c), weights)
        rng = np.random.default_rng(random_state)
        laws = _fit_many(sizes, _redraw(table, rng), weights)
        draws = np.column_stack([laws, rng.standard_t(freedom, len(laws))])
        return cls(a, b, c, sizes, means, weights, noise, draws)

    @classmethod
    def from_cv_results(cls, search, *, score="score", random_state=0):
        """Fit the law to the candidates of a search.

        Parameters
        ----------
        search : search or dict
            A fitted search whose scoring is `cost_scoring` with the cost "n_parameters", or
            its `cv_results_`.
        score : str, default="score"
            Name of the score.
        random_state : int, default=0
            Seed of the bootstrap.

        Returns
        -------
        ScalingLaw
        """
        candidates = Candidates(results_of(search), score)
        sizes = candidates.cost("n_parameters")
        is_known = np.isfinite(sizes)
        return cls.from_scores(
            sizes[is_known], candidates.splits[is_known], random_state=random_state
        )

    def predict(self, n_parameters):
        """Predict the score of a network size.

        Parameters
        ----------
        n_parameters : float or array-like

        Returns
        -------
        float or ndarray
        """
        return self.a + self.b * np.asarray(n_parameters, dtype=float) ** -self.c

    def interval(self, n_parameters, level=0.8):
        """Compute a prediction interval for the mean score of a new network on the same folds.

        Parameters
        ----------
        n_parameters : float or array-like of shape (n_sizes,)
        level : float, default=0.8
            Probability, under the law, that the score lies in the interval.

        Returns
        -------
        low, high : float or ndarray of shape (n_sizes,)
        """
        a, b, c, deviation = self.draws.T[:, :, None]
        sizes = np.atleast_1d(np.asarray(n_parameters, dtype=float))
        low, high = _quantiles(a + b * sizes**-c + self.noise * deviation, level)
        return (low, high) if np.ndim(n_parameters) else (float(low[0]), float(high[0]))

    def gain(self, n_from=None, n_to=None, level=0.8):
        """Forecast the gain in score of a new network of another size.

        The new network is compared with the observed score if `n_from` is an observed size,
        else with a second new network of size `n_from`.

        Parameters
        ----------
        n_from : float or None, default=None
            Number of parameters; None is the largest size.
        n_to : float or None, default=None
            Number of parameters of the new network; None is twice `n_from`.
        level : float, default=0.8
            Probability, under the law, that the gain lies in the interval.

        Returns
        -------
        Gain
            Mean, low and high.
        """
        n_from = float(self.n_parameters[-1] if n_from is None else n_from)
        n_to = 2 * n_from if n_to is None else float(n_to)
        a, b, c, deviation = self.draws.T
        residual = self._residual(n_to)
        gains = a + b * n_to**-c + residual
        observed = np.flatnonzero(np.isclose(self.n_parameters, n_from))
        if observed.size:
            reference = self.scores[observed[0]]
            gains = gains - reference + self.noise * deviation
        else:
            of_first = self._residual(n_from)
            reference = self.predict(n_from) + of_first
            gains = gains - (a + b * n_from**-c + of_first)
            gains = gains + np.sqrt(2) * self.noise * deviation
        low, high = _quantiles(gains, level)
        mean = self.predict(n_to) + residual - reference
        return Gain(float(mean), float(low), float(high))

    def _residual(self, n_parameters):
        """Return the interpolated residual of the observed sizes, in log n_parameters."""
        # A score below those of a smaller and a larger size is raised to the lower of the two.
        up_to, from_on = self.scores, self.scores[::-1]
        envelope = np.minimum(
            np.maximum.accumulate(up_to), np.maximum.accumulate(from_on)[::-1]
        )
        sizes = np.append(self.n_parameters, 2 * self.n_parameters[-1])
        residuals = np.append(envelope - self.predict(self.n_parameters), 0.0)
        return np.interp(np.log(n_parameters), np.log(sizes), residuals)


def _validated(n_parameters, scores):
    sizes = np.asarray(n_parameters, dtype=float)
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or sizes.shape != scores.shape[:1]:
        raise ValueError(
            "Expected sizes of shape (n_candidates,) and scores of shape (n_candidates, "
            f"n_splits), got {sizes.shape} and {scores.shape}."
        )
    if scores.shape[1] < 2:
        raise ValueError(
            "Expected scores of at least 2 splits, to estimate their noise, got "
            f"{scores.shape[1]}. Search with cv=5."
        )
    is_valid = np.isfinite(sizes) & (sizes > 0) & np.isfinite(scores).all(axis=1)
    if not is_valid.all():
        raise ValueError(
            "Expected positive finite sizes and finite scores, got others for the candidates "
            f"{np.flatnonzero(~is_valid).tolist()}. Leave them out."
        )
    return sizes, scores


def _best_of_each_size(sizes, scores):
    """Return the sizes, ascending, and the score of the best of each in each split.

    Parameters
    ----------
    sizes : ndarray of shape (n_candidates,)
    scores : ndarray of shape (n_candidates, n_splits)

    Returns
    -------
    ndarray of shape (n_sizes,), ndarray of shape (n_sizes, n_splits)
    """
    groups = []
    for position in np.argsort(sizes, kind="stable"):
        if not groups or sizes[position] >= _SAME_SIZE * sizes[groups[-1][0]]:
            groups.append([])
        groups[-1].append(position)
    if len(groups) < 3:
        raise ValueError(
            "Expected candidates of at least 3 sizes, each at least 1.41 times the one "
            f"before, got {len(groups)}. Search over more widths, such as scale_grid's."
        )
    splits = np.arange(scores.shape[1])
    of_others = scores.sum(axis=1, keepdims=True) - scores
    chosen = np.array([np.array(g)[of_others[g].argmax(axis=0)] for g in groups])
    return np.exp(np.log(sizes[chosen]).mean(axis=1)), scores[chosen, splits]


def _fit_many(sizes, means, weights, exponents=_EXPONENTS):
    """Fit a, b, c to each row of means, with c one of the exponents.

    Parameters
    ----------
    sizes, weights : ndarray of shape (n_sizes,)
    means : ndarray of shape (n_draws, n_sizes)

    Returns
    -------
    ndarray of shape (n_draws, 3)
    """
    # In units of the largest size, powers stay near 1 and the systems are well conditioned.
    powers = (sizes / sizes[-1]) ** -np.asarray(exponents)[:, None]  # (n_exponents, n_sizes)
    root = np.sqrt(weights)
    designs = np.stack([np.ones_like(powers), powers], axis=2) * root[:, None]
    targets = (means * root).T
    solutions = np.linalg.pinv(designs) @ targets  # (n_exponents, 2, n_draws)
    errors = ((designs @ solutions - targets) ** 2).sum(axis=1)
    best = errors.argmin(axis=0)
    a, b = solutions[best, :, np.arange(len(means))].T
    c = np.asarray(exponents)[best]
    return np.column_stack([a, b * sizes[-1] ** c, c])


def _fit_exactly(sizes, means, weights):
    """Fit a, b, c, with c also between the exponents of the grid."""

    def error(log_c):
        a, b, c = _fit_many(sizes, means[None], weights, [np.exp(log_c)])[0]
        return (weights * (a + b * sizes**-c - means) ** 2).sum()

    position = np.flatnonzero(_fit_many(sizes, means[None], weights)[0, 2] == _EXPONENTS)[0]
    neighbors = _EXPONENTS[max(position - 1, 0) : position + 2][[0, -1]]
    c = np.exp(minimize_scalar(error, bounds=np.log(neighbors), method="bounded",
                               options={"xatol": 1e-9}).x)  # fmt: skip
    return tuple(float(value) for value in _fit_many(sizes, means[None], weights, [c])[0])


def _error_of_largest(table):
    """Return the standard error of the difference of the two largest sizes."""
    comparisons = Comparisons(table)
    error = comparisons.errors_to(len(table) - 1)[-2]
    if np.isnan(error):  # two splits: the interaction of sizes and folds is all there is
        freedom = (len(table) - 1) * (table.shape[1] - 1)
        error = np.sqrt(2 * (_interaction(table) ** 2).sum() / freedom / table.shape[1])
    return error


def _weigh(sizes, means, error):
    """Return the weights of a fit that weak sizes do not bend: see the notes of the class."""
    weights = np.ones(len(sizes))
    error = max(error, _ROUNDING * np.ptp(means), np.finfo(float).tiny)
    for _ in range(20):
        a, b, c = _fit_exactly(sizes, means, weights)
        below = (a + b * sizes**-c - means) / error
        before, weights = weights, np.minimum(1, _WEAK / np.maximum(below, _WEAK)) ** 2
        if np.allclose(weights, before, rtol=0, atol=1e-3):
            break
    return weights


def _interaction(table):
    """Return the scores without the effects of sizes and folds."""
    return table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()


def _noise(error, shape, residuals, weights):
    """Estimate the standard deviation of one network's mean score, and degrees of freedom.

    Pools two estimates by their degrees of freedom: the error between the two largest sizes,
    and the residuals of the law, which has three parameters.
    """
    n_sizes, n_splits = shape
    of_error = (n_sizes - 1) * (n_splits - 1)
    freedom = of_error + max(0.0, weights.sum() - 3)
    squares = of_error * error**2 + (weights * residuals**2).sum()
    return float(np.sqrt(squares / freedom)), freedom


def _redraw(table, rng):
    """Return mean scores over bootstrapped folds, of shape (n_draws, n_sizes)."""
    n_sizes, n_splits = table.shape
    folds = rng.integers(n_splits, size=(_N_DRAWS, n_splits))
    # Residuals are smaller than the errors, because the fitted effects were removed.
    scale = np.sqrt(n_splits / (n_splits - 1) * n_sizes / (n_sizes - 1))
    errors = scale * _interaction(table)[:, folds].mean(axis=2).T
    return table.mean(axis=1) + errors


def _quantiles(values, level):
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}.")
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
