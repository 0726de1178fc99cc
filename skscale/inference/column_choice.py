"""Choice of the columns that get piecewise-linear or direct inputs, from the training rows.

Both are score tests (Rao 1948, "Large sample tests of statistical hypotheses"): an additive
model is fitted to the targets, cubic in the encoded columns, and an input is chosen if it
explains the residuals. For classes the model is of their log odds, since a network fits steps
of the probability by itself. A network cannot see values beyond the clipping, and is slow to
fit functions with jumps.
"""

import numpy as np

# Rows and multiply-accumulates of the tests; more rows are a sample.
_MAX_ROWS = 1 << 13
_MAX_MACS = 1 << 31
# Rows per coefficient of the additive model; with fewer, no input is chosen.
_ROWS_PER_COEFFICIENT = 4
_RIDGE = 1e-4
# Iterations for classes, and the least variance of an indicator: a probability near 0 or 1 may
# be wrong, and its variance would be far too small.
_N_ITERATIONS = 30
_LEAST_VARIANCE = 0.02
# A direct input, or the bins of a column, must explain this fraction of the variance of the
# targets (of the deviance, for classes) beyond the additive model, and more than chance by
# this number of standard deviations.
_LINEAR = (0.0005, 5.0)
_JUMPS = (0.001, 5.0)
# Classes beyond the most frequent ones are left out.
_MAX_CLASSES = 32


class Residuals:
    """Residuals of an additive model of the targets.

    Parameters
    ----------
    inputs : float64 ndarray of shape (n_rows, n_inputs)
        Encoded columns.
    n_numbers : int
        The first inputs are numbers, of which the model also has the square and the cube.
    targets : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Class codes if integers, else numbers.
    weights : ndarray of shape (n_rows,) or None

    Attributes
    ----------
    values : ndarray of shape (n_rows, n_outputs)
    variances : ndarray of shape (n_rows, n_outputs)
        Variances of the targets given the model.
    shares : ndarray of shape (n_outputs,)
        Fraction of the variance, or deviance, of the targets that one unit of a test statistic
        explains.
    """

    def __init__(self, inputs, n_numbers, targets, weights=None):
        n_rows = len(inputs)
        self.weights = np.ones(n_rows) if weights is None else weights / weights.mean()
        numbers = inputs[:, :n_numbers]
        n_columns = inputs.shape[1] + 2 * n_numbers
        has_rows = n_columns * _ROWS_PER_COEFFICIENT < n_rows
        self.is_fitted = has_rows and n_rows * n_columns**2 < _MAX_MACS
        if not self.is_fitted:
            return
        self._fit_design(np.hstack([inputs, numbers**2, numbers**3]))
        if targets.dtype.kind in "iu" and targets.ndim == 1:
            self._fit_classes(_indicators(targets))
        else:
            self._fit_numbers(targets.reshape(n_rows, -1).astype(np.float64))

    def _fit_design(self, columns):
        design = self._center(columns)
        deviation = np.sqrt((self.weights @ design**2) / len(design))
        is_constant = deviation <= 1e-9
        self.design = design[:, ~is_constant] / deviation[~is_constant]
        gram = self.design.T @ (self.weights[:, None] * self.design)
        gram += _RIDGE * len(design) * np.eye(len(gram))
        self.inverse = np.linalg.inv(gram)

    def _fit_numbers(self, targets):
        targets = self._center(targets)
        total = float((self.weights @ targets**2).sum())
        self.values = targets - self._model_of(targets)
        freedom = max(1, len(targets) - self.design.shape[1] - 1)
        variance = (self.weights @ self.values**2) / freedom
        self.variances = np.broadcast_to(variance, targets.shape)
        self.shares = variance / total if total else np.zeros(len(variance))

    def _fit_classes(self, indicators):
        """Fit a multinomial logistic model, by steps with a bound of the Hessian.

        Boehning 1992, "Multinomial logistic regression algorithm", theorem 2.
        """
        n_rows, n_classes = indicators.shape
        priors = (self.weights @ indicators) / n_rows
        log_odds = np.broadcast_to(np.log(priors), indicators.shape)
        null = -2 * n_rows * float((priors * np.log(priors)).sum())
        before = log_odds
        for step in range(_N_ITERATIONS):
            odds = np.exp(log_odds - log_odds.max(axis=1, keepdims=True))
            probabilities = odds / odds.sum(axis=1, keepdims=True)
            self.values = indicators - probabilities
            mean = (self.weights @ self.values) / n_rows
            after = log_odds + 2 * (mean + self._model_of(self.values))
            # Nesterov's momentum: as near in 30 steps as in 100 without.
            log_odds = after + step / (step + 3) * (after - before)
            before = after
        variances = probabilities * (1 - probabilities)
        self.variances = np.maximum(variances, _LEAST_VARIANCE)
        # Outputs that sum to one tell n_classes - 1 times.
        self.shares = np.full(n_classes, (n_classes - 1) / n_classes / null if null else 0.0)

    def _center(self, values):
        return values - (self.weights @ values) / len(values)

    def _model_of(self, values):
        """Return the part of centered values that the additive model explains."""
        return self.design @ (self.inverse @ (self.design.T @ (self.weights[:, None] * values)))

    def is_linear_in(self, column):
        """Return whether the residuals are linear in a column.

        Parameters
        ----------
        column : ndarray of shape (n_rows,)
        """
        if not self.is_fitted:
            return False
        column = self._center(column)
        scale = np.abs(column).max()
        if scale == 0:
            return False
        column = column / scale
        column = column - self._model_of(column[:, None])[:, 0]
        if float(self.weights @ column**2) <= 1e-12 * len(column):
            return False
        sums = (self.weights * column) @ self.values
        expected = (self.weights * column**2) @ self.variances
        return self._is_evident(_ratio(sums**2, expected), 1, *_LINEAR)

    def has_jumps_in(self, bin_of_row, n_bins):
        """Return whether the means of the residuals differ between the bins of a column.

        Parameters
        ----------
        bin_of_row : ndarray of int of shape (n_rows,)
        n_bins : int
        """
        if not self.is_fitted:
            return False

        def sums_of(values):
            pairs = (self.weights * of_output for of_output in values.T)
            return np.column_stack([np.bincount(bin_of_row, p, n_bins) for p in pairs])

        ratios = _ratio(sums_of(self.values) ** 2, sums_of(self.variances))
        n_used = len(np.unique(bin_of_row))
        return self._is_evident(ratios.sum(axis=0), n_used - 1, *_JUMPS)

    def _is_evident(self, statistics, freedom, least_share, least_excess):
        """Return whether chi-squared statistics, one per output, are beyond chance."""
        excess = statistics - freedom
        deviation = np.sqrt(2 * freedom * len(excess))
        is_large = excess @ self.shares > least_share
        return bool(is_large and excess.sum() > least_excess * deviation)


def _ratio(squares, expected):
    return np.divide(squares, expected, out=np.zeros_like(squares), where=expected > 0)


def _indicators(codes):
    """Return the indicators of the most frequent classes, of shape (n_rows, n_classes)."""
    classes, counts = np.unique(codes, return_counts=True)
    classes = classes[np.argsort(-counts, kind="stable")[:_MAX_CLASSES]]
    indicators = codes[:, None] == classes
    if len(classes) < len(counts):  # the other classes as one
        indicators = np.column_stack([indicators, ~indicators.any(axis=1)])
    return indicators.astype(np.float64)


def sample_rows(X, rows, targets, weights):
    """Return the rows that the tests use, each once, and their weights.

    Equal rows are merged, so that a sample weight of 2 counts as two rows.

    Parameters
    ----------
    X : ndarray of shape (n, n_columns)
    rows : ndarray of int
    targets : ndarray of shape (n,) or (n, n_outputs)
    weights : ndarray of shape (n,) or None

    Returns
    -------
    rows : ndarray of int
    weights : float64 ndarray
    """
    if len(rows) > _MAX_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MAX_ROWS, replace=False))
    values = np.column_stack([X[rows], targets[rows]]).astype(np.float64)
    # Equal rows have equal hashes. (Sorting the rows themselves takes 20 times as long.)
    factors = np.random.default_rng(0).integers(1 << 63, size=values.shape[1], dtype=np.uint64)
    bits = np.ascontiguousarray(values).view(np.uint64)
    hashes = ((bits ^ (bits >> np.uint64(29))) * (2 * factors + 1)).sum(axis=1)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    merged = np.bincount(inverse, None if weights is None else weights[rows])
    order = np.argsort(first)
    return rows[first[order]], merged[order].astype(np.float64)
