"""Candidates of a search, read from its results, and their comparison.

`compare` is the entry for users. Rules, reports and displays read the same `Candidates`.
"""

import re
from functools import cached_property
from numbers import Real

import numpy as np

from .comparison import Comparisons


class Candidates:
    """Candidates of a search that a rule may choose from.

    Parameters
    ----------
    cv_results : dict
        `cv_results_` of a search.
    score : str
        Name of the score; more is better.
    n_test_rows : array-like of shape (n_splits,), int or None, default=None
        Number of test rows of each split. None reads it from `cv_results`, where
        `cost_scoring` writes it.
    n_train_rows : array-like of shape (n_splits,), int or None, default=None
        The same of training rows.

    Attributes
    ----------
    index : ndarray of int
        Rows of `cv_results`: those of the last iteration with a finite score.
    mean : ndarray of shape (n_candidates,)
        Mean score over the splits.
    splits : ndarray of shape (n_candidates, n_splits)
        Score of each split.
    """

    def __init__(self, cv_results, score, *, n_test_rows=None, n_train_rows=None):
        self._results = cv_results
        mean = np.asarray(self._column("score", score), dtype=float)
        is_eligible = np.isfinite(mean)
        if "iter" in cv_results:
            iteration = np.asarray(cv_results["iter"])
            is_eligible &= iteration == iteration.max()
        if not is_eligible.any():
            raise ValueError(
                f"Expected at least one candidate with a finite score {score!r}, got none. Run "
                'the search with error_score="raise" to see why the fits failed.'
            )
        self.index = np.flatnonzero(is_eligible)
        self.mean = mean[self.index]
        columns = self._of_splits(score)
        self.splits = np.column_stack(columns) if columns else self.mean[:, None]
        self._n_rows = {"n_test_rows": n_test_rows, "n_train_rows": n_train_rows}

    @property
    def params(self):
        """list of dict: the parameters of each candidate."""
        return [self._results["params"][position] for position in self.index]

    @property
    def is_best(self):
        """ndarray of bool: whether the mean is the best, up to rounding errors of the mean."""
        best = self.mean.max()
        return self.mean >= best - 8 * np.finfo(float).eps * abs(best)

    @cached_property
    def comparisons(self):
        """Comparisons: paired comparisons of the candidates over the splits."""
        known = {
            name: self._rows_of_splits(name) if given is None else given
            for name, given in self._n_rows.items()
        }
        return Comparisons(self.splits, rows=self.index, **known)

    def errors_to(self, position):
        """Return the standard errors of the mean differences to one candidate.

        They are paired by split and moderated by the other candidates: see `Comparisons`.
        `SmallestWithin` uses these errors.

        Parameters
        ----------
        position : int
            Position of that candidate among the candidates.

        Returns
        -------
        ndarray of shape (n_candidates,)
            Zero for that candidate; NaN for the others if unknown, as with one split.
        """
        return self.comparisons.errors_to(position)

    def cost(self, name):
        """Return the mean cost of each candidate, infinite where it is unknown."""
        column = self._column("cost", name)
        cost = np.asarray(column, dtype=float)[self.index]
        return np.where(np.isnan(cost), np.inf, cost)

    def _of_splits(self, name):
        """Return the column of each split, of the candidates."""
        pattern = rf"split\d+_test_{re.escape(name)}"
        names = [column for column in self._results if re.fullmatch(pattern, column)]
        return [np.asarray(self._results[n], dtype=float)[self.index] for n in names]

    def _rows_of_splits(self, name):
        # The splits are the same for all candidates; a failed fit has no number.
        columns = self._of_splits(name)
        n_rows = np.array([np.append(c[np.isfinite(c)], np.nan)[0] for c in columns])
        is_known = len(columns) == self.splits.shape[1] and np.isfinite(n_rows).all()
        return n_rows if is_known else None

    def _column(self, kind, name):
        column = f"mean_test_{name}"
        if column not in self._results:
            known = [n.removeprefix("mean_test_") for n in self._results if "mean_test" in n]
            remedy = f"Pass one of these as {kind}="
            if kind == "cost":
                remedy = "Search with scoring=skscale.cost_scoring(scoring, costs=[...])"
            elif not known:
                remedy = (
                    "Pass a fitted search, or an Optuna study whose trials have the columns of "
                    "cv_results_ as user attributes"
                )
            raise ValueError(
                f"Expected the {kind} {name!r} in cv_results_, got {known}. {remedy}."
            )
        return self._results[column]


def compare(search, *, score="score", n_test_rows=None, n_train_rows=None):
    """Compare the candidates of a search, paired by split.

    Parameters
    ----------
    search : search or dict
        A fitted search, or its `cv_results_`. Of a halving search only the last iteration is
        used.
    score : str, default="score"
        Name of the score.
    n_test_rows : array-like of shape (n_splits,), int or None, default=None
        Number of test rows of each split. None reads it from the results of `cost_scoring`;
        `print` shows the assumptions made without it.
    n_train_rows : array-like of shape (n_splits,), int or None, default=None
        The same of training rows.

    Returns
    -------
    Comparisons
        Use `print`, `between(first, second)` or `with_best()`.

    Raises
    ------
    TypeError
        If `search` has no results.
    ValueError
        If no candidate has a finite score.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skscale import ScaledMLPClassifier, compare, cost_scoring
    >>> network = ScaledMLPClassifier(depth=1, max_epochs=30, random_state=0)
    >>> scoring = cost_scoring(costs=["n_parameters"])
    >>> search = GridSearchCV(network, {"width": [1, 16, 32]}, scoring=scoring, refit=False)
    >>> found = compare(search.fit(*load_iris(return_X_y=True)))
    >>> found.between(0, 2).verdict
    'worse'
    >>> found.with_best(margin=0.1)[1].verdict
    'equivalent'
    """
    results = results_of(search)
    of_rows = {"n_test_rows": n_test_rows, "n_train_rows": n_train_rows}
    return Candidates(results, score, **of_rows).comparisons


def results_of(search):
    """Return the results table of a fitted search.

    Parameters
    ----------
    search : search or dict
        Any object with `cv_results_`, Optuna's `OptunaSearchCV`, an Optuna study whose trials
        have the columns of `cv_results_` as user attributes, or the table itself.

    Returns
    -------
    dict
        "params" and the columns of the scores.

    Raises
    ------
    TypeError
        If `search` has no results.
    """
    if isinstance(search, dict):
        return search
    # The cv_results_ of Optuna's search lacks parameters, and raises if any trial failed.
    if hasattr(search, "trials_"):
        return _table_of_trials(search.trials_)
    if hasattr(search, "cv_results_"):
        return search.cv_results_
    if hasattr(search, "trials"):
        return _table_of_trials(search.trials)
    raise TypeError(
        f"Expected a fitted search, with cv_results_ or trials_, got {type(search).__name__}. "
        "Fit it first."
    )


def _table_of_trials(trials):
    # Of attributes, which may be anything, the numbers are columns.
    names = dict.fromkeys(
        name
        for trial in trials
        for name, value in trial.user_attrs.items()
        if isinstance(value, Real)
    )
    table = {
        name: np.array([trial.user_attrs.get(name, np.nan) for trial in trials])
        for name in names
    }
    return {"params": [trial.params for trial in trials], **table}
