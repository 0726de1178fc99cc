"""Paired comparisons of candidates over the splits of a cross-validation.

A few splits cannot estimate the variance of a difference: with three, the estimate is often a
tenth of the truth. `Comparisons` therefore moderates it by the variances of all pairs of
candidates, and corrects claims and intervals for training sets that overlap.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import special, stats

# Fewer splits do not show a spread: with two, the 95 % limit of t is 12.7.
_MIN_SPLITS = 3
# With fewer candidates, the trend of the variances is not estimated.
_MIN_FOR_TREND = 5
# The trend is fitted to the pairs of at most so many candidates, spread over all.
_MAX_FOR_TREND = 200
# Largest degrees of freedom of the prior: variances vary by nearly a half. Networks differ in
# their noise, even where few splits do not show it. With more freedom, the extremes of many
# candidates, often those of large variance, are claimed too often (`bench_comparison`).
_MOST_FREEDOM = 10.0
# Relative differences below this are rounding errors.
_ROUNDING = 1e-12
# Draws of the studentized range: its 95 % quantile is exact to about 0.5 %, to 1 % with 4
# degrees of freedom.
_N_DRAWS = 40_000


@dataclass(frozen=True)
class Comparison:
    """Comparison of two candidates.

    Attributes
    ----------
    first, second : int or None
        Rows of the candidates in `cv_results_`; None for a mean over several pairs.
    estimate : float
        Mean score of the first minus that of the second.
    low, high : float
        Ends of the interval of the expected difference; NaN if there is no error.
    standard_error : float
        Error of `estimate` over these splits, moderated by other candidates; NaN if unknown.
    corrected_error : float
        The same for other training sets of this size, too: the interval and the verdict rest
        on it. NaN with fewer than three splits.
    margin : float or None
        Largest difference that does not matter.
    level : float
        Level of the interval.
    verdict : {"better", "worse", "equivalent", "undecided"}
        "better" and "worse": the interval excludes zero. "equivalent": it lies within the
        margin on both sides of zero. "undecided": none of these.
    """

    first: int | None
    second: int | None
    estimate: float
    low: float
    high: float
    standard_error: float
    corrected_error: float
    margin: float | None
    level: float

    @property
    def verdict(self):
        if self.first is not None and self.first == self.second:
            return "equivalent"
        if self.margin is not None and -self.margin <= self.low and self.high <= self.margin:
            return "equivalent"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"

    def __str__(self):
        within = "" if self.margin is None else f" within {self.margin:g}"
        words = {
            "better": "is better than",
            "worse": "is worse than",
            "equivalent": f"is equivalent{within} to",
            "undecided": "is neither proven better nor worse than",
        }[self.verdict]
        interval = "no interval: too few splits"
        if np.isfinite(self.low):
            interval = f"{self.level:.0%} interval {self.low:+.4g} to {self.high:+.4g}"
        return (
            f"Candidate {self.first} {words} candidate {self.second}: {self.estimate:+.4g} "
            f"({interval})."
        )


class Comparisons:
    """Paired comparisons of candidates that were scored on the same splits.

    Parameters
    ----------
    splits : array-like of shape (n_candidates, n_splits)
        Score of each candidate in each split; more is better.
    n_test_rows : array-like of shape (n_splits,), int or None, default=None
        Number of test rows of each split. Without it splits count as equal, and scores have no
        lowest error.
    n_train_rows : array-like of shape (n_splits,), int or None, default=None
        Number of training rows of each split. Without both numbers, test rows count as
        1 / (n_splits - 1) of the training rows.
    row_variances : ndarray of shape (n_candidates, n_candidates) or None, default=None
        Variance of the mean difference of each pair, estimated over rows. It is the lowest
        variance of the pair.
    rows : array-like of shape (n_candidates,) or None, default=None
        Rows of the candidates in `cv_results_`; None is 0, 1, 2, ...

    Attributes
    ----------
    mean : ndarray of shape (n_candidates,)
        Mean scores.
    best : int
        Position of the best mean score.
    overlap : float
        Test rows divided by training rows, of a split.
    degrees_of_freedom : float
        Of the moderated errors.
    is_zero_one : bool
        Whether the scores are means of zeros and ones, as accuracy is. They are if each score
        times its number of test rows is whole.

    Notes
    -----
    For the differences d_j of two candidates in k splits of m_j test rows, with the mean d and
    the mean weighted by rows d_m, the variance of a split is

        s2 = mean(1 / m_j) * sum(m_j * (d_j - d_m) ** 2) / (k - 1),

    which is the usual variance for equal splits. The variances of all pairs are moderated by
    Smyth (2004, section 6.2): log s2 is regressed on log abs(d), because the variance grows
    with the distance of the candidates, and each s2 is drawn towards the regression by its
    degrees of freedom. Those of the regression are at most 10, and both together at most those
    of all candidates, as pairs share candidates.

    The standard error is sqrt(s2 / k). Training sets of different splits share rows, so that
    the splits are correlated; the corrected error is sqrt(s2 * (1 / k + n_test / n_train)),
    Nadeau and Bengio (2003, eq. 9). For the least variance below, k is the number of splits
    that test each row once. If the variance over rows is known, only the part of s2 beyond it
    is corrected: different splits test different rows.

    If each score is a mean of zeros and ones over n test rows in all, as accuracy is, at least
    n * abs(d) rows are scored differently. The variance of d is then at least
    max(abs(d) * (1 - abs(d)), 1 / n) / n, whatever the splits say.

    The best of many candidates is better than others by chance. Comparisons with it are
    simultaneous: at most 5 % of searches (at the level 95 %) hold any wrong claim. The
    candidates are ordered by their t statistics, the farthest from the best first; the m-th
    last is claimed to be worse if its t exceeds the quantile of the studentized range of m
    means, and all before it were. Where all candidates are equal, the first step is Tukey's
    test of the range.

    References
    ----------
    - Hochberg and Tamhane 1987, "Multiple comparison procedures", section 4.2.
    - Hsu 1984, "Constrained simultaneous confidence intervals for multiple comparisons with
      the best".
    - Nadeau and Bengio 2003, "Inference for the generalization error".
    - Smyth 2004, "Linear models and empirical Bayes methods for assessing differential
      expression in microarray experiments".
    """

    def __init__(
        self, splits, *, n_test_rows=None, n_train_rows=None, row_variances=None, rows=None
    ):
        self.splits = np.asarray(splits, dtype=float)
        n_candidates, self.n_splits = self.splits.shape
        self.mean = self.splits.mean(axis=1)
        self.best = int(self.mean.argmax())
        self.rows = np.arange(n_candidates) if rows is None else np.asarray(rows)
        self._row_variances = row_variances
        self.n_test_rows = _per_split("n_test_rows", n_test_rows, self.n_splits)
        self.n_train_rows = _per_split("n_train_rows", n_train_rows, self.n_splits)
        self._weights = np.ones(self.n_splits)
        if self.n_test_rows is not None:
            self._weights = self.n_test_rows / self.n_test_rows.mean()
        self.overlap = 1 / max(1, self.n_splits - 1)
        if self.n_test_rows is not None and self.n_train_rows is not None:
            self.overlap = float((self.n_test_rows / self.n_train_rows).mean())
        self._n_distinct, self._n_splits_once = self._count_rows()
        self.is_zero_one = self._find_zero_one()
        self._prior = self._fit_prior()

    @property
    def degrees_of_freedom(self):
        return self._prior.total

    @property
    def errors(self):
        """ndarray of shape (n_candidates,): standard errors of the mean scores.

        They include the difficulty of the splits, and are moderated over the candidates.
        """
        if self.n_splits < _MIN_SPLITS:
            squared = np.full(len(self.mean), np.nan)
        else:
            variances = self._variance(self.splits)
            prior = _Prior(
                variances, np.ones(len(variances)), self.n_splits - 1, len(variances)
            )
            squared = prior.moderate(variances, np.ones(len(variances))) / self.n_splits
        if self.is_zero_one:  # the variance of a mean of independent zeros and ones
            n = self._n_distinct
            squared = np.fmax(squared, np.maximum(self.mean * (1 - self.mean), 1 / n) / n)
        return np.sqrt(squared)

    @property
    def assumptions(self):
        """list of str: the assumptions in place of numbers of rows."""
        words = []
        if self.n_test_rows is None:
            words.append(
                "The numbers of test rows are not known: splits count as equal, and scores "
                "such as accuracy have no lowest error."
            )
        if self.n_test_rows is None or self.n_train_rows is None:
            words.append(
                "The numbers of rows are not known: test rows count as 1 / (n_splits - 1) of "
                "the training rows, as in k-fold cross-validation."
            )
        if self.n_splits < _MIN_SPLITS:
            words.append(f"Fewer than {_MIN_SPLITS} splits do not show the noise of a score.")
        return words

    def __str__(self):
        lines = [f"{'row':>5}{'score':>10}{'difference':>12}{'95% interval':>24}  verdict"]
        for place, one in enumerate(self.with_best()):
            interval, verdict = f"{one.low:+.4f} to {one.high:+.4f}", one.verdict
            if one.first == one.second:
                interval, verdict = "", "best"
            elif np.isnan(one.low):
                interval = "unknown"
            lines.append(
                f"{one.first:5}{self.mean[place]:10.4f}{one.estimate:+12.4f}{interval:>24}  "
                f"{verdict}"
            )
        return "\n".join([*lines, *self.assumptions])

    def errors_to(self, position):
        """Return the standard error of each mean difference to one candidate.

        Parameters
        ----------
        position : int
            Position of that candidate.

        Returns
        -------
        ndarray of shape (n_candidates,)
            Moderated errors, zero for that candidate; NaN for the others if unknown.
        """
        others = np.arange(len(self.mean))
        return self._errors(others, np.full(len(others), position))[0]

    def between(self, first, second, *, margin=None, level=0.95):
        """Compare two candidates that were named before the search.

        Parameters
        ----------
        first, second : int
            Rows in `cv_results_`.
        margin : float or None, default=None
            Largest difference that does not matter, in units of the score.
        level : float, default=0.95
            Level of the interval; the verdict rests on it.

        Returns
        -------
        Comparison
        """
        a, b = self._position(first), self._position(second)
        error, corrected, freedom = self._errors(np.array([a]), np.array([b]))
        limit = stats.t.ppf((1 + _check_level(level)) / 2, freedom[0])
        estimate = float(self._difference(a, b))
        return _comparison(
            (first, second), estimate, error[0], corrected[0], limit, margin, level
        )

    def with_best(self, *, best=None, margin=None, level=0.95):
        """Compare each candidate with the one of the best mean score.

        The intervals are simultaneous, because the best is chosen by the same scores.

        Parameters
        ----------
        best : int or None, default=None
            Row of the best candidate in `cv_results_`, where several have its score.
        margin : float or None, default=None
            Largest difference that does not matter, in units of the score.
        level : float, default=0.95
            Probability that no verdict is wrong.

        Returns
        -------
        list of Comparison
            One for each candidate, in their order: the candidate minus the best.
        """
        n, best = len(self.mean), self.best if best is None else self._position(best)
        error, corrected, _ = self._errors(np.arange(n), np.full(n, best))
        estimate = self._difference(np.arange(n), best)
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.where(estimate == 0, 0.0, -estimate / corrected)
        limits = _range_limits(n, self._prior.total, _check_level(level))
        order = [k for k in np.argsort(-np.nan_to_num(t), kind="stable") if k != best]
        limit = np.full(n, limits[0] if n > 1 else 0.0)
        for place, k in enumerate(order):
            limit[k] = limits[place]
            if not t[k] > limits[place]:
                limit[order[place:]] = limits[place]
                break
        return [
            _comparison(
                (self.rows[k], self.rows[best]), float(estimate[k]),
                error[k], corrected[k], limit[k], margin, level,
            )
            for k in range(n)
        ]  # fmt: skip

    def contrast(self, weights, *, level=0.95):
        """Estimate a weighted sum of the mean scores, such as a mean gain over pairs.

        Parameters
        ----------
        weights : array-like of shape (n_candidates,)
            They sum to zero.
        level : float, default=0.95
            Level of the interval; the verdict rests on it.

        Returns
        -------
        Comparison
            Without candidates; "better" means above zero.
        """
        weights = np.asarray(weights, dtype=float)
        ends = np.flatnonzero(weights)
        if len(ends) == 2:  # part of a difference, which has a least variance
            ends = ends[np.argsort(-weights[ends])]
            return _part_of(self.between(*self.rows[ends], level=level), weights[ends[0]])
        differences = (weights @ self.splits)[None]
        estimate = float(differences.mean())
        if abs(estimate) < _ROUNDING * (np.abs(weights) @ np.abs(self.mean)):
            estimate = 0.0
        # A pair has the weights 1 and -1; other contrasts are moderated at its scale.
        scale = (weights**2).sum() / 2
        error = np.nan
        if self.n_splits >= _MIN_SPLITS and scale:
            size = np.array([abs(estimate)]) / np.sqrt(scale)
            variance = self._prior.moderate(self._variance(differences) / scale, size)[0]
            error = np.sqrt(scale * variance / self.n_splits)
        limit = stats.t.ppf((1 + _check_level(level)) / 2, self._prior.total)
        corrected = error * np.sqrt(1 + self.n_splits * self.overlap)
        return _comparison((None, None), estimate, error, corrected, limit, None, level)

    def _difference(self, first, second):
        difference = self.mean[first] - self.mean[second]
        is_rounding = np.abs(difference) <= _ROUNDING * np.abs(self.mean).max()
        return np.where(is_rounding, 0.0, difference)

    def _position(self, row):
        found = np.flatnonzero(self.rows == row)
        if not found.size:
            raise ValueError(
                f"Expected the row of a candidate with a finite score, one of "
                f"{self.rows.tolist()}, got {row!r}."
            )
        return found[0]

    def _variance(self, differences):
        """Return the variance of a split, of differences of shape (n, n_splits)."""
        weights = self._weights
        mean = (differences * weights).mean(axis=1, keepdims=True)
        spread = (weights * (differences - mean) ** 2).sum(axis=1)
        return (1 / weights).mean() * spread / max(1, self.n_splits - 1)

    def _errors(self, first, second):
        """Return standard and corrected errors of pairs (NaN if unknown), and their freedom."""
        differences = self.splits[first] - self.splits[second]
        size = np.abs(differences.mean(axis=1))
        squared = np.full(len(size), np.nan)
        if self.n_splits >= _MIN_SPLITS:
            moderated = self._prior.moderate(self._variance(differences), size)
            squared = moderated / self.n_splits
        corrected = squared * (1 + self.n_splits * self.overlap)
        freedom = np.full(len(size), float(self._prior.total))
        # Rows count once, however often splits are repeated.
        once = 1 + self._n_splits_once * self.overlap
        if self._row_variances is not None:
            of_rows = self._row_variances[first, second]
            of_training = np.fmax(squared - of_rows * self._n_splits_once / self.n_splits, 0.0)
            freedom[~(of_training > of_rows)] = np.inf  # rows are many
            squared = np.fmax(squared, of_rows)
            corrected = of_rows + of_training * (1 + self.n_splits * self.overlap)
            once = 1.0
        if self.is_zero_one:
            n = self._n_distinct
            least = np.maximum(size * (1 - size), 1 / n) / n
            # A bound from below is an error to choose by, but alone it proves nothing.
            squared = np.fmax(squared, least)
            corrected = np.maximum(corrected, least * once)
        is_same = first == second
        squared, corrected = (np.where(is_same, 0.0, s) for s in (squared, corrected))
        return np.sqrt(squared), np.sqrt(corrected), freedom

    def _count_rows(self):
        """Return the number of different test rows, and of splits that test each row once."""
        if self.n_test_rows is None:
            return np.nan, self.n_splits
        n_distinct = self.n_test_rows.sum()
        if self.n_train_rows is not None:  # repeated folds score the same rows again
            n_distinct = min(n_distinct, (self.n_test_rows + self.n_train_rows).max())
        return n_distinct, n_distinct / self.n_test_rows.mean()

    def _find_zero_one(self):
        if self.n_test_rows is None:
            return False
        counts = self.splits * self.n_test_rows
        return bool(
            ((self.splits >= 0) & (self.splits <= 1)).all()
            and np.allclose(counts, counts.round(), rtol=0, atol=1e-6)
        )

    def _fit_prior(self):
        n, freedom = len(self.mean), self.n_splits - 1
        chosen = np.arange(n)
        if n > _MAX_FOR_TREND:
            places = np.linspace(0, n - 1, _MAX_FOR_TREND).astype(int)
            chosen = np.argsort(self.mean, kind="stable")[places]
        i, j = np.triu_indices(len(chosen), 1)
        differences = self.splits[chosen[i]] - self.splits[chosen[j]]
        size = np.abs(differences.mean(axis=1))
        return _Prior(self._variance(differences), size, max(1, freedom), n)


class _Prior:
    """Distribution of the variances of pairs: Smyth 2004, section 6.2.

    Parameters
    ----------
    variances, sizes : ndarray of shape (n_pairs,)
        Variances, and absolute mean differences.
    freedom : int
        Degrees of freedom of a variance.
    n_candidates : int

    Attributes
    ----------
    own : float
        Degrees of freedom of the prior; zero if there are too few candidates for one.
    total : float
        Degrees of freedom of a moderated variance.
    """

    def __init__(self, variances, sizes, freedom, n_candidates):
        self.freedom, self.own = freedom, 0.0
        # Candidates that always score alike have no variance to learn from.
        is_used = variances > 1e-20 * variances.max(initial=0)
        if n_candidates > 2 and is_used.sum() > 2:
            self._fit(variances[is_used], sizes[is_used], n_candidates)
        self.total = min(freedom + self.own, max(1, n_candidates - 1) * freedom)

    def _fit(self, variances, sizes, n_candidates):
        half = self.freedom / 2
        logs = np.log(variances) - special.digamma(half) + np.log(half)
        # Ties have no logarithm: they count as small differences.
        is_tied = sizes <= _ROUNDING * sizes.max()
        self._least = np.finfo(float).tiny
        if not is_tied.all():
            self._least = np.quantile(sizes[~is_tied], 0.05)
        x = np.log(np.maximum(sizes, self._least))
        slope = 0.0
        if n_candidates >= _MIN_FOR_TREND and np.ptp(x) > _ROUNDING:
            slope = max(0.0, np.cov(x, logs)[0, 1] / x.var(ddof=1))  # it cannot fall
        self._line = slope, (logs - slope * x).mean()
        spread = (logs - slope * x - self._line[1]).var(ddof=2) - special.polygamma(1, half)
        self.own = _MOST_FREEDOM
        if spread > 0:
            self.own = min(self.own, 2 * _inverse_trigamma(spread))

    def moderate(self, variances, sizes):
        """Return the moderated variances."""
        if not self.own:
            return variances
        slope, intercept = self._line
        log_prior = intercept + slope * np.log(np.maximum(sizes, self._least))
        half = self.own / 2
        prior = np.exp(log_prior + special.digamma(half) - np.log(half))
        return (self.own * prior + self.freedom * variances) / (self.own + self.freedom)


def _inverse_trigamma(value):
    """Solve trigamma(y) = value by Newton's method: Smyth 2004, appendix."""
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = special.polygamma(1, y)
        step = trigamma * (1 - trigamma / value) / special.polygamma(2, y)
        y += step
        if -step / y < 1e-8:
            break
    return float(y)


@lru_cache(maxsize=64)
def _range_limits(n_candidates, freedom, level):
    """Return the limits of t for n_candidates, n_candidates - 1, ..., 2 means.

    They are the quantiles of the studentized range, divided by sqrt(2), because the error is
    that of a difference. SciPy computes each in 0.1 s; one simulation has all.
    """
    rng = np.random.default_rng(0)
    scale = np.sqrt(2 * rng.chisquare(freedom, _N_DRAWS) / freedom)
    low = high = rng.standard_normal(_N_DRAWS)
    limits = []
    for _ in range(n_candidates - 1):
        draw = rng.standard_normal(_N_DRAWS)
        low, high = np.minimum(low, draw), np.maximum(high, draw)
        limits.append(np.quantile((high - low) / scale, level))
    return np.array(limits[::-1])


def _comparison(rows, estimate, error, corrected, limit, margin, level):
    half = limit * corrected
    if margin is not None and not margin >= 0:
        raise ValueError(f"margin must be at least 0, got {margin!r}.")
    first, second = (None if row is None else int(row) for row in rows)
    return Comparison(
        first, second, estimate, float(estimate - half), float(estimate + half),
        float(error), float(corrected), margin, level,
    )  # fmt: skip


def _part_of(comparison, part):
    numbers = ("estimate", "low", "high", "standard_error", "corrected_error")
    parts = {name: part * getattr(comparison, name) for name in numbers}
    return replace(comparison, first=None, second=None, **parts)


def _check_level(level):
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}.")
    return level


def _per_split(name, n_rows, n_splits):
    """Return a number of rows for each split, or None if it is not known."""
    if n_rows is None:
        return None
    n_rows = np.asarray(n_rows, dtype=float)
    if n_rows.ndim == 0:
        n_rows = np.full(n_splits, float(n_rows))
    if n_rows.shape != (n_splits,) or not (n_rows > 0).all():
        raise ValueError(
            f"{name} must be a positive number, or one for each of the {n_splits} splits, got "
            f"{n_rows.tolist()}."
        )
    return n_rows
