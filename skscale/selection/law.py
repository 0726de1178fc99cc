"""How the score grows with the size of a network, and what the next doubling would bring.

A power law is fitted to the best candidates of each size. What it says of a network that was
not trained comes with an interval, from two sources: the folds, redrawn, and the luck of a
single network.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from .rules import Candidates, results_of

# With an exponent of 2 a quarter of what is missing is left after a doubling, with 0.05 the
# law is a straight line in log N over any grid.
_EXPONENTS = np.geomspace(0.05, 2.0, 40)
# Candidates that differ by less are of one size: less than half of a doubling.
_SAME_SIZE = np.sqrt(2)
_N_DRAWS = 1000


class Gain(NamedTuple):
    """What a change of size would bring.

    Attributes
    ----------
    mean : float
        Forecast of the difference of the mean scores.
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
    Made by `from_scores` or `from_cv_results`. It is no better than its ladder: sizes should
    span some doublings and be trained alike, and it does not know of a turn that lies beyond
    the largest.

    Parameters
    ----------
    a : float
        Score that the law tends to.
    b : float
        Coefficient.
    c : float
        Exponent, from 0.05 to 2.
    n_parameters : ndarray of shape (n_sizes,)
        Sizes, ascending.
    scores : ndarray of shape (n_sizes,)
        Mean score over the splits that was found at each size.
    noise : float
        Standard deviation of the mean score of a single network about the law, in the units
        of the score.
    draws : ndarray of shape (n_draws, 4)
        a, b, c of the law fitted to redrawn folds, and the luck of a network, in units of
        `noise`.

    Notes
    -----
    Least squares over the mean scores: for given c the law is linear in a and b. Folds are
    redrawn with replacement, the same for all sizes and without what they have in common: a
    hard fold is hard for all networks and says nothing of the law. The variance of a single
    network's luck is pooled from what is left of the scores without the effects of sizes and
    folds, and from what is left of the means without the law.

    Where several candidates are of about one size (within a factor of 1.41), the best of them
    counts: a search would take it. The maximum of several noisy means lies too high, and higher
    where there are more candidates, so that the best is chosen for each fold by the other
    folds, and its score in that fold is what counts.

    References
    ----------
    Hestness et al. 2017, "Deep learning scaling is predictable, empirically":
    error = alpha * m ** beta + gamma, there of m training rows. Kaplan et al. 2020, "Scaling
    laws for neural language models", eq. 1.1: of parameters. Davison and Hinkley 1997,
    "Bootstrap methods and their application", section 6.2.3: residuals redrawn, and scaled
    to their degrees of freedom.

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
            Seed of the redrawn folds.

        Returns
        -------
        ScalingLaw

        Raises
        ------
        ValueError
            If there are fewer than three sizes or two splits, sizes are not positive, or a
            number is not finite.
        """
        sizes, table = _best_of_each_size(*_validated(n_parameters, scores))
        means = table.mean(axis=1)
        a, b, c = _fit_exactly(sizes, means)
        noise, freedom = _noise(table, means - (a + b * sizes**-c))
        rng = np.random.default_rng(random_state)
        laws = _fit_many(sizes, _redraw(table, rng))
        draws = np.column_stack([laws, rng.standard_t(freedom, len(laws))])
        return cls(a, b, c, sizes, means, noise, draws)

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
            Seed of the redrawn folds.

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
        """Compute the score that the law says.

        Parameters
        ----------
        n_parameters : float or array-like

        Returns
        -------
        float or ndarray
        """
        return self.a + self.b * np.asarray(n_parameters, dtype=float) ** -self.c

    def interval(self, n_parameters, level=0.8):
        """Compute an interval for the mean score of one more network on the same folds.

        Parameters
        ----------
        n_parameters : float or array-like of shape (n_sizes,)
        level : float, default=0.8
            Chance that the score lies in it, by the law.

        Returns
        -------
        low, high : float or ndarray of shape (n_sizes,)
        """
        a, b, c, luck = self.draws.T[:, :, None]
        sizes = np.atleast_1d(np.asarray(n_parameters, dtype=float))
        low, high = _quantiles(a + b * sizes**-c + self.noise * luck, level)
        return (low, high) if np.ndim(n_parameters) else (float(low[0]), float(high[0]))

    def gain(self, n_from=None, n_to=None, level=0.8):
        """Forecast what one more network of another size would score more.

        Its score is compared with what was found where `n_from` is a size that was tried, and
        else with a network that is as little trained yet as itself.

        Parameters
        ----------
        n_from : float or None, default=None
            Parameters; None is the largest size.
        n_to : float or None, default=None
            Parameters of the new network; None is twice `n_from`.
        level : float, default=0.8
            Chance that the gain lies in the interval, by the law.

        Returns
        -------
        Gain
            Mean, low and high.
        """
        n_from = float(self.n_parameters[-1] if n_from is None else n_from)
        n_to = 2 * n_from if n_to is None else float(n_to)
        a, b, c, luck = self.draws.T
        gains = a + b * n_to**-c
        tried = np.flatnonzero(np.isclose(self.n_parameters, n_from))
        if tried.size:
            reference = self.scores[tried[0]]
            gains = gains - reference + self.noise * luck
        else:
            reference = self.predict(n_from)
            gains = gains - (a + b * n_from**-c) + np.sqrt(2) * self.noise * luck
        low, high = _quantiles(gains, level)
        return Gain(float(self.predict(n_to) - reference), float(low), float(high))


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
            "Expected scores of at least 2 splits, which tell the noise, got "
            f"{scores.shape[1]}. Search with cv=5."
        )
    if not (np.isfinite(sizes) & (sizes > 0)).all() or not np.isfinite(scores).all():
        raise ValueError(
            "Expected positive finite sizes and finite scores. Leave candidates out whose "
            "fits failed."
        )
    return sizes, scores


def _best_of_each_size(sizes, scores):
    """Return the sizes, ascending, and the scores of the best of each in each split.

    Parameters
    ----------
    sizes : ndarray of shape (n_candidates,)
    scores : ndarray of shape (n_candidates, n_splits)

    Returns
    -------
    ndarray of shape (n_sizes,), ndarray of shape (n_sizes, n_splits)
    """
    groups = []
    for place in np.argsort(sizes, kind="stable"):
        if not groups or sizes[place] >= _SAME_SIZE * sizes[groups[-1][0]]:
            groups.append([])
        groups[-1].append(place)
    if len(groups) < 3:
        raise ValueError(
            "Expected candidates of at least 3 sizes, each at least 1.41 times the one "
            f"before, got {len(groups)}. Search over more widths, such as scale_grid's."
        )
    splits = np.arange(scores.shape[1])
    of_others = scores.sum(axis=1, keepdims=True) - scores
    chosen = np.array([np.array(g)[of_others[g].argmax(axis=0)] for g in groups])
    return np.exp(np.log(sizes[chosen]).mean(axis=1)), scores[chosen, splits]


def _fit_many(sizes, means, exponents=_EXPONENTS):
    """Return a, b, c of each row of means, c one of the exponents.

    Parameters
    ----------
    sizes : ndarray of shape (n_sizes,)
    means : ndarray of shape (n_draws, n_sizes)

    Returns
    -------
    ndarray of shape (n_draws, 3)
    """
    # In units of the largest size powers stay near 1 and the systems well conditioned.
    powers = (sizes / sizes[-1]) ** -np.asarray(exponents)[:, None]  # (n_exponents, n_sizes)
    designs = np.stack([np.ones_like(powers), powers], axis=2)
    solutions = np.linalg.pinv(designs) @ means.T  # (n_exponents, 2, n_draws)
    errors = ((designs @ solutions - means.T) ** 2).sum(axis=1)
    best = errors.argmin(axis=0)
    a, b = solutions[best, :, np.arange(len(means))].T
    c = np.asarray(exponents)[best]
    return np.column_stack([a, b * sizes[-1] ** c, c])


def _fit_exactly(sizes, means):
    """Return a, b, c, with c between the exponents of the grid, too."""

    def error(log_c):
        a, b, c = _fit_many(sizes, means[None], [np.exp(log_c)])[0]
        return ((a + b * sizes**-c - means) ** 2).sum()

    place = np.flatnonzero(_fit_many(sizes, means[None])[0, 2] == _EXPONENTS)[0]
    neighbours = _EXPONENTS[max(place - 1, 0) : place + 2][[0, -1]]
    c = np.exp(minimize_scalar(error, bounds=np.log(neighbours), method="bounded",
                               options={"xatol": 1e-9}).x)  # fmt: skip
    return tuple(float(value) for value in _fit_many(sizes, means[None], [c])[0])


def _interaction(table):
    """Return scores without the effects of sizes and of folds."""
    return table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()


def _noise(table, residuals):
    """Return the standard deviation of one network's mean score, and degrees of freedom.

    Two estimates, weighted with their degrees of freedom: the interaction of sizes and
    folds, and the residuals of the law, which has three parameters.
    """
    n_sizes, n_splits = table.shape
    freedom = (n_sizes - 1) * (n_splits - 1) + n_sizes - 3
    squares = (_interaction(table) ** 2).sum() / n_splits + (residuals**2).sum()
    return float(np.sqrt(squares / freedom)), freedom


def _redraw(table, rng):
    """Return mean scores over redrawn folds, of shape (n_draws, n_sizes)."""
    n_sizes, n_splits = table.shape
    folds = rng.integers(n_splits, size=(_N_DRAWS, n_splits))
    # Residuals are less than errors, by the effects that were taken out of them.
    scale = np.sqrt(n_splits / (n_splits - 1) * n_sizes / (n_sizes - 1))
    errors = scale * _interaction(table)[:, folds].mean(axis=2).T
    return table.mean(axis=1) + errors


def _quantiles(values, level):
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}.")
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
