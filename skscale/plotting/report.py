"""What a search found about scale, in one object: the five steps of model scaling.

Analyse, name the dimension to scale, list the candidates, compare them by score, loss, speed
and size, recommend one; with what the next doubling would gain and going smaller would lose.
How it reads is in `report_page`.
"""

import base64
import io
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from ..costs.scoring import CostScoring
from ..estimators.mlp import ScaledMLP
from ..selection.diagnosis import Diagnosis, diagnose
from ..selection.grids import find_network
from ..selection.law import ScalingLaw
from ..selection.rules import (
    Candidates,
    Rule,
    Selection,
    SmallestWithin,
    error_of_mean,
    pareto_front,
    results_of,
    select,
)
from ..storage.container import write_whole
from .drawing import format_params, score_label, values_of
from .report_page import COSTS, SHARES, ScoreWriter, as_fragment, as_page, as_text, sections

_MOST_SMALLER = 3
# What "smaller" means: the first of these that the search measured.
_SIZES = ("n_parameters", "size_bytes", "n_macs", "latency_us", "fit_time")
# A parameter that changes the size by less, in doublings, changes something else.
_NO_DOUBLING = 0.05


class Dimension(NamedTuple):
    """What one parameter alone changes.

    Attributes
    ----------
    name : str
        The parameter, without its prefix where that is clear.
    n_steps : int
        Pairs of candidates that differ in nothing else, next to one another.
    step_gain, step_error : float
        Mean difference of the score of a step up, and its standard error, paired by split;
        the error is NaN with one split.
    doubling_gain, doubling_error : float
        The same for a doubling of the number of parameters: all gains over all doublings. NaN
        where parameters were not counted, or their number does not change (`resolution` of
        images, dropout).
    """

    name: str
    n_steps: int
    step_gain: float
    step_error: float
    doubling_gain: float
    doubling_error: float


class Alternative(NamedTuple):
    """A smaller candidate, compared with the recommended one.

    Attributes
    ----------
    index : int
        Its row of `cv_results_`.
    label : str
        Its parameters that vary.
    size : float
        In what the report's `size_name` says.
    difference, standard_error : float
        Of its score to that of the recommended one, paired by split.
    """

    index: int
    label: str
    size: float
    difference: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class ScaleReport:
    """What a search found about scale: see `scale_report`.

    Attributes
    ----------
    analysis : str
        What `diagnose` says of the recommended network, and where its range left the search.
    diagnosis : Diagnosis or None
        What `diagnose` found; None if it was not run.
    dimensions : list of Dimension
        What each parameter that the search varied changes, that with the largest gain first.
    table : dict of str to list
        The candidates from small to large, a column each: index, label, params, score,
        score_error (standard error of the mean), difference to the best and its paired
        standard_error, and the costs that were measured (NaN where one is not known).
    best : int
        Row of `cv_results_` of the best candidate, of several the smallest.
    n_splits, n_failed, n_earlier : int
        Splits; candidates without a finite score; candidates of a halving search that did not
        reach its last iteration. The last two are left out.
    rule : Rule
    recommended : Selection
        What the rule chooses.
    loss : (float, float)
        How much the recommended candidate scores below the best, and the paired standard error
        (NaN with one split).
    savings : dict of str to float
        Of each cost, what the recommended candidate has over what the best has.
    size_name : str or None
        The cost that says what is smaller; None if no cost was measured.
    law : ScalingLaw or None
    doublings : dict of str to Gain
        What twice the parameters would gain, from "recommended" and from "largest".
    smaller : list of Alternative
        Candidates below the recommended one that no smaller one beats, the largest first.
    notes : dict of str to str
        What could not be said, and how to have it, by "analysis", "comparison", "forecast".
    score_label : str
        The score in words.
    """

    analysis: str
    diagnosis: Diagnosis | None
    dimensions: list
    table: dict = field(repr=False)
    best: int
    n_splits: int
    n_failed: int
    n_earlier: int
    rule: Rule
    recommended: Selection
    loss: tuple
    savings: dict
    size_name: str | None
    law: ScalingLaw | None
    doublings: dict
    smaller: list
    notes: dict
    score_label: str
    _search: object = field(repr=False)

    def __str__(self):
        return as_text(sections(self))

    def _repr_html_(self):
        return as_fragment(sections(self))

    def to_frame(self):
        """Return the comparison of all candidates.

        Returns
        -------
        pandas.DataFrame
            A row for each candidate that has a score, with its index in `cv_results_`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame makes a pandas DataFrame, and pandas is not installed. Expected it: "
                "pip install pandas. The same columns stand in the report's `table`."
            ) from error
        return pd.DataFrame(self.table).set_index("index")

    def plot(self):
        """Draw the score against the size and along the Pareto front.

        Where there are two dimensions a heat map of them joins, and where the search fitted
        the recommended network the curve of its training.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the search measured no cost.
        """
        from .drawing import new_axes

        new_axes(object(), self)  # raises without matplotlib
        import matplotlib.pyplot as plt

        panels = self._panels()
        n_rows = (len(panels) + 1) // 2
        figure, axes = plt.subplots(
            n_rows, 2, figsize=(11, 4.8 * n_rows), layout="constrained", squeeze=False
        )
        for ax, draw in zip(axes.flat, panels, strict=False):
            draw(ax=ax)
        if len(panels) % 2:
            axes[-1, -1].remove()
        return figure

    def save(self, path):
        """Write the report to one HTML file that refers to nothing else.

        With its pictures, for light and dark screens, where matplotlib is installed. The file
        appears whole or not at all.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        """
        pictures = (self._picture(), self._picture("dark_background"))
        write_whole(path, as_page(sections(self), pictures).encode())

    def _picture(self, style=None):
        """Return the figure as PNG in base64; None where it cannot be drawn."""
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            return None
        if self.size_name is None:
            return None
        with nullcontext() if style is None else plt.style.context(style):
            figure = self.plot()
            into = io.BytesIO()
            figure.savefig(into, format="png", dpi=130, transparent=True)
            plt.close(figure)
        return base64.b64encode(into.getvalue()).decode()

    def _is_grid(self):
        # At random places nearly every cell of a heat map is empty.
        values = [values_of(self.table["params"], d.name) for d in self.dimensions]
        n_cells = np.prod([len({repr(v) for v in column}) for column in values])
        return 2 * len(self.table["params"]) >= n_cells

    def _panels(self):
        """Return what draws each panel on given axes."""
        from functools import partial

        from .displays import (
            ParetoDisplay,
            ScaleCurveDisplay,
            ScaleHeatmapDisplay,
            TrainingCurveDisplay,
        )

        if self.size_name is None:
            raise ValueError(
                "The search measured no cost to draw the score against. Expected one at least: "
                "scoring=skscale.cost_scoring(scoring)."
            )
        of_search = {"search": self._search, "score": self.rule.score}
        others = [c for c in ("latency_us", *_SIZES) if c in self.table and c != self.size_name]
        cost = next((c for c in others if np.isfinite(self.table[c]).any()), self.size_name)
        panels = [
            partial(
                ScaleCurveDisplay.from_cv_results,
                **of_search, cost=self.size_name, rule=self.rule,
            ),
            partial(ParetoDisplay.from_cv_results, **of_search, cost=cost),
        ]  # fmt: skip
        if _has_fitted(self._search, self.recommended.params):
            panels.append(partial(TrainingCurveDisplay.from_estimator, self._search))
        # To the right, where its colour bar moves nothing apart.
        if len(self.dimensions) == 2 and self._is_grid():
            x, y = (d.name for d in self.dimensions)
            panels.append(partial(ScaleHeatmapDisplay.from_cv_results, **of_search, x=x, y=y))
        return panels


def scale_report(search, X=None, y=None, *, rule=None, score="score", cv=5):
    """Report what a search found about scale: see `ScaleReport`.

    Parameters
    ----------
    search : search or dict
        A fitted search whose scoring is `cost_scoring`, of scikit-learn, of Optuna or
        `GradualScaleSearchCV`, or its `cv_results_`. Of a halving search the last iteration
        counts.
    X : array-like of shape (n_samples, n_features) or None, default=None
        With `y`: the recommended network is diagnosed (`diagnose`), which fits it and five
        others on each fold.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs) or None, default=None
    rule : Rule or None, default=None
        What recommends; None is the search's own `refit` where that is a rule for this score,
        and else `SmallestWithin(score=score)`.
    score : str, default="score"
        What is good, of a search with several scores. A rule that is given says it itself.
    cv : int or splitter, default=5
        Folds of the diagnosis.

    Returns
    -------
    ScaleReport
        `print` shows it; `to_frame()`, `plot()` and `save("report.html")`.

    Raises
    ------
    ValueError
        If the search did not measure what the rule goes by, or `score` is not the rule's.
    TypeError
        If `search` has no results, or `rule` is no Rule.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skscale import ScaledMLPClassifier, cost_scoring, scale_report
    >>> network = ScaledMLPClassifier(depth=1, max_epochs=20, random_state=0)
    >>> scoring = cost_scoring(costs=["n_parameters", "loss"])
    >>> search = GridSearchCV(network, {"width": [2, 8, 32]}, scoring=scoring, refit="score")
    >>> report = scale_report(search.fit(*load_iris(return_X_y=True)))
    >>> report.dimensions[0].name
    'width'
    """
    results = results_of(search)
    rule = _rule_for(search, rule, score)
    found = _Found(results, rule.score)
    chosen = select(results, rule)
    place = int(np.flatnonzero(found.index == chosen.index)[0])
    notes = {}
    table = found.compare()
    missing = [name for name in COSTS if name not in table]
    if missing:
        notes["comparison"] = (
            f"Not measured: {', '.join(missing)}. To have them: search with "
            f"scoring=cost_scoring(scoring, costs={[*COSTS]})."
        )
    law, doublings = _forecast(found, place, notes)
    diagnosis = _diagnose(search, chosen.params, X, y, cv, rule.score, notes)
    costs = {name: np.array(table[name]) for name in COSTS if name in table and name != "loss"}
    order = np.lexsort((found.index, found.sizes))
    return ScaleReport(
        analysis=_analyse(found, results.get(f"mean_train_{rule.score}"), diagnosis),
        diagnosis=diagnosis,
        dimensions=_dimensions(found.params, found.splits, found.n_parameters),
        table={name: [column[k] for k in order] for name, column in table.items()},
        best=int(found.index[found.best]),
        n_splits=found.splits.shape[1],
        n_failed=found.n_failed,
        n_earlier=found.n_earlier,
        rule=rule,
        recommended=chosen,
        loss=(
            float(found.mean[found.best] - found.mean[place]),
            float(found.errors_to(found.best)[place]),
        ),
        savings={n: float(c[place] / c[found.best]) for n, c in costs.items() if c[found.best]},
        size_name=found.size_name,
        law=law,
        doublings=doublings,
        smaller=_find_smaller(found, place),
        notes=notes,
        score_label=score_label(search, rule.score, found.splits.shape[1]).split(", mean")[0],
        _search=search,
    )


class _Found(Candidates):
    # The candidates with their sizes, and which of them is the best.

    def __init__(self, results, score):
        super().__init__(results, score)
        self.labels = [label or "the only one" for label in format_params(self.params)]
        self.costs = {n: self.cost(n) for n in COSTS if f"mean_test_{n}" in results}
        is_known = {n: np.isfinite(c).any() for n, c in self.costs.items()}
        self.size_name = next((n for n in _SIZES if is_known.get(n)), None)
        # Without a size the table keeps its order, and nothing is said of small and large.
        self.sizes = self.costs.get(self.size_name, np.arange(len(self.index), dtype=float))
        self.n_parameters = self.costs.get("n_parameters")
        self.best = int(np.lexsort((self.sizes, -self.mean))[0])
        means = np.asarray(results[f"mean_test_{score}"], dtype=float)
        self.n_failed = int((~np.isfinite(means)).sum())
        self.n_earlier = len(means) - self.n_failed - len(self.index)

    def errors_to(self, place):
        """Return the paired standard errors; NaN with one split, which tells no noise."""
        return error_of_mean(self.splits - self.splits[place])

    def compare(self):
        """Return the columns of the comparison."""
        known = {n: c for n, c in self.costs.items() if np.isfinite(c).any()}
        return {
            "index": [int(k) for k in self.index],
            "label": self.labels,
            "params": self.params,
            "score": self.mean.tolist(),
            "score_error": error_of_mean(self.splits).tolist(),
            "difference": (self.mean - self.mean[self.best]).tolist(),
            "standard_error": self.errors_to(self.best).tolist(),
            **{n: np.where(np.isfinite(c), c, np.nan).tolist() for n, c in known.items()},
        }


def _rule_for(search, rule, score):
    if rule is None:
        own = getattr(search, "refit", None)
        is_about_it = isinstance(own, Rule) and score in ("score", own.score)
        return own if is_about_it else SmallestWithin(score=score)
    if not isinstance(rule, Rule):
        raise TypeError(
            f"rule={rule!r} is no rule of skscale. Expected one such as SmallestWithin(), "
            "BestUnder(latency_us=200) or ParetoKnee()."
        )
    if score not in ("score", rule.score):
        raise ValueError(
            f"score={score!r} is not the score of {rule!r}, which is {rule.score!r}. Expected "
            f"one of them: {type(rule).__name__}(..., score={score!r}), without score=."
        )
    return rule


def _dimensions(params, splits, sizes):
    """Return what each numeric parameter changes by itself, the most first."""
    names = list(dict.fromkeys(name for one in params for name in one))
    shorts = [name.rsplit("__", 1)[-1] for name in names]
    found = []
    for name, short in zip(names, shorts, strict=True):
        low, high = np.array(_steps_along(name, params), dtype=int).reshape(-1, 2).T
        if not low.size:
            continue
        gains = splits[high] - splits[low]  # (n_steps, n_splits)
        per_doubling = np.full(splits.shape[1], np.nan)
        if sizes is not None:
            with np.errstate(invalid="ignore"):
                doublings = np.log2(sizes[high]) - np.log2(sizes[low])
            known = np.isfinite(doublings)
            # Over the sum, as a quotient by a step of hardly any size is noise alone.
            total = doublings[known].sum()
            if abs(total) >= _NO_DOUBLING * max(1, known.sum()):
                per_doubling = gains[known].sum(axis=0) / total
        words = short if shorts.count(short) == 1 else name
        found.append(
            Dimension(words, low.size, *_mean_and_error(gains.mean(axis=0)),
                      *_mean_and_error(per_doubling))
        )  # fmt: skip
    # Those whose gain is that of a doubling compare; those that change no size come last.
    return sorted(
        found,
        key=lambda d: (
            np.isnan(d.doubling_gain),
            -np.nan_to_num(d.doubling_gain),
            -d.step_gain,
        ),
    )


def _mean_and_error(of_splits):
    return float(of_splits.mean()), float(error_of_mean(of_splits))


def _steps_along(name, params):
    """Return pairs of candidates, next to one another, that differ in one number alone."""
    lines = {}
    for k, one in enumerate(params):
        rank = _rank(one.get(name))
        if rank is not None:
            others = repr(sorted((n, repr(v)) for n, v in one.items() if n != name))
            lines.setdefault(others, []).append((rank, k))
    steps = []
    for line in lines.values():
        line.sort()
        steps += [(a[1], b[1]) for a, b in pairwise(line) if a[0] < b[0]]
    return steps


def _rank(value):
    """Return what a value is ordered by: the units of a tuple of widths; None for no number."""
    if isinstance(value, (tuple, list)):
        ranks = [_rank(v) for v in value]
        return None if None in ranks else sum(ranks)
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        return float(value)
    return None


def _forecast(found, place, notes):
    sizes = found.n_parameters
    if sizes is None:
        notes["forecast"] = (
            "There is no forecast of the next doubling: the search did not count parameters. "
            'To have it: scoring=cost_scoring(scoring, costs=["n_parameters"]).'
        )
        return None, {}
    is_known = np.isfinite(sizes)
    try:
        law = ScalingLaw.from_scores(sizes[is_known], found.splits[is_known])
    except ValueError as error:
        notes["forecast"] = f"There is no forecast of the next doubling. {error}"
        return None, {}
    gains = {}
    if np.isfinite(sizes[place]):
        gains["recommended"] = law.gain(n_from=float(sizes[place]))
    if not sizes[place] >= 0.99 * law.n_parameters[-1]:
        gains["largest"] = law.gain()
    return law, gains


def _find_smaller(found, place):
    if found.size_name is None:
        return []
    front = pareto_front(found.mean, found.sizes)
    front = [k for k in front if found.sizes[k] < found.sizes[place]]
    errors = found.errors_to(place)
    return [
        Alternative(
            int(found.index[k]),
            found.labels[k],
            float(found.sizes[k]),
            float(found.mean[k] - found.mean[place]),
            float(errors[k]),
        )
        for k in front[::-1][:_MOST_SMALLER]
    ]


def _diagnose(search, params, X, y, cv, score, notes):
    if X is None or y is None:
        notes["analysis"] = (
            "diagnose was not run. To have the state of the recommended network with its "
            "evidence: scale_report(search, X, y)."
        )
        return None
    if not hasattr(search, "estimator"):
        notes["analysis"] = (
            "diagnose was not run: a table has no estimator. To have it, pass the search."
        )
        return None
    estimator = clone(search.estimator).set_params(**params)
    try:
        find_network(estimator, ScaledMLP)
    except TypeError as error:
        notes["analysis"] = f"diagnose was not run. {error}"
        return None
    return diagnose(estimator, X, y, scoring=_scorer_of(search, score), cv=cv)


def _scorer_of(search, score):
    """Return the scorer by which the search found a score."""
    scoring = getattr(search, "scoring", None)
    if isinstance(scoring, CostScoring):
        return scoring.scoring if score == "score" else None
    several = getattr(search, "scorer_", None)
    if isinstance(several, dict):
        return several[score]
    if callable(scoring) and getattr(search, "multimetric_", False):
        return lambda estimator, X, y: scoring(estimator, X, y)[score]
    return scoring


def _analyse(found, train, diagnosis):
    """Return what the search says of its own range, after the diagnosis if there is one."""
    words = []
    if diagnosis is not None:
        words.append(f"The recommended network is {diagnosis.state}: {diagnosis.advice}")
    if len(found.index) == 1:
        words.append("One candidate says nothing of scale.")
    elif found.size_name is None:
        words.append("Without a measured size nothing is said of small and large.")
    else:
        words += _analyse_range(found)
    if train is not None:
        at_best = float(np.asarray(train, dtype=float)[found.index[found.best]])
        words.append(
            f"On its training rows the best scores {at_best:.4g}, on the others "
            f"{found.mean[found.best]:.4g}."
        )
    return " ".join(words)


def _analyse_range(found):
    """Return sentences on the largest and the smallest candidate against the best."""
    best = found.best
    largest = int(np.argmax(np.where(np.isfinite(found.sizes), found.sizes, -np.inf)))
    smallest = int(np.argmin(found.sizes))
    words = [f"The best candidate is {found.labels[best]}."]
    for place, name, advice in (
        (largest, "largest", "larger ones, which were not tried, may be better."),
        (smallest, "smallest", "smaller ones, which were not tried, may do as well."),
    ):
        if found.sizes[place] == found.sizes[best]:
            words.append(f"It is the {name}: {advice}")
        else:
            words.append(_against_the_best(found, place, name))
    return words


def _against_the_best(found, place, name):
    loss = found.mean[found.best] - found.mean[place]
    error = found.errors_to(found.best)[place]
    size = ""
    if np.isfinite(found.sizes[found.best]):
        share = found.sizes[place] / found.sizes[found.best]
        size = f"; {share:.2g} times its {SHARES[found.size_name]}"
    # As in SmallestWithin, a rounding error of the mean is no loss.
    rounding = 8 * np.finfo(float).eps * abs(found.mean[found.best])
    verdict = "within" if loss <= error + rounding else "beyond"
    noise = "" if np.isnan(error) else f", {verdict} one standard error"
    less = ScoreWriter(found.mean[found.best]).score(loss, error)
    return f"The {name} ({found.labels[place]}{size}) scores {less} less{noise}."


def _has_fitted(search, params):
    """Whether the search holds the recommended network with the curve of its training."""
    from ..costs.complexity import fitted_network

    with suppress(AttributeError, TypeError, ValueError, NotFittedError):
        is_the_one = search.best_params_ == params
        return is_the_one and len(fitted_network(search).history_["epoch"]) > 1
    return False
