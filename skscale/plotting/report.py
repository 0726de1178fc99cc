"""Report of a search over scales, in five steps.

The steps are the analysis, the dimension to scale, the candidates, their comparison by score,
loss, speed and size, and the recommendation. The recommendation includes the gain of the next
doubling and the loss of smaller candidates. `report_page` writes the text.
"""

import base64
import io
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from ..costs.measures import COSTS
from ..costs.scoring import CostScoring, costs_of
from ..estimators.mlp import ScaledMLP
from ..selection.candidates import Candidates, results_of
from ..selection.comparison import Comparison
from ..selection.diagnosis import Diagnosis, diagnose
from ..selection.grids import find_network
from ..selection.law import ScalingLaw
from ..selection.rules import Rule, Selection, SmallestWithin, pareto_front
from ..storage.container import write_whole
from .drawing import format_params, score_label, values_of
from .report_page import ScoreWriter, as_fragment, as_page, as_text, sections

_MAX_SMALLER = 3
# Size is the first of these costs that the search measured.
_SIZES = ("n_parameters", "size_bytes", "n_macs", "latency_us", "fit_time")
# A parameter whose mean change of size, in doublings, is below this does not change the size.
_NO_DOUBLING = 0.05


class Dimension(NamedTuple):
    """Effect of a single parameter.

    Attributes
    ----------
    name : str
        The parameter, without its prefix if that is unambiguous.
    n_steps : int
        Number of pairs of neighboring candidates that differ only in this parameter.
    step : Comparison
        Mean gain in score of a step up, over these pairs. The intervals of all dimensions hold
        at once with 95 % (Bonferroni).
    doubling : Comparison or None
        The same for a doubling of the number of parameters: sum of the gains over sum of the
        doublings. None if parameters were not counted or their number does not change
        (`resolution` of images, dropout).
    least, most : float
        Smallest and largest gain of a single pair.
    """

    name: str
    n_steps: int
    step: Comparison
    doubling: Comparison | None
    least: float
    most: float


class Alternative(NamedTuple):
    """A smaller candidate, compared with the recommended one.

    Attributes
    ----------
    index : int
        Its row of `cv_results_`.
    label : str
        Its varying parameters.
    size : float
        Its cost `size_name` of the report.
    comparison : Comparison
        With the recommended one. The intervals of all alternatives hold at once with 95 %.
    """

    index: int
    label: str
    size: float
    comparison: Comparison


@dataclass(frozen=True, eq=False)
class ScaleReport:
    """Report of a search over scales: see `scale_report`.

    Attributes
    ----------
    analysis : str
        Diagnosis of the recommended network, and the best candidate's place in the range of
        sizes.
    diagnosis : Diagnosis or None
        Result of `diagnose`; None if it was not run.
    dimensions : list of Dimension
        Effect of each numeric parameter that varied, the largest gain first.
    table : dict of str to list
        Columns of the candidates, from small to large: index, label, params, score,
        score_error (standard error of the mean), difference to the best, its standard_error
        and verdict (see `compare`), and the measured costs (NaN where unknown).
    best : int
        Row of `cv_results_` of the best candidate, the smallest one in a tie.
    n_splits, n_failed, n_earlier : int
        Number of splits; of candidates without a finite score; of candidates of a halving
        search that did not reach its last iteration. The last two groups are excluded.
    rule : Rule
    recommended : Selection
        The candidate chosen by the rule, with its comparison with the best.
    savings : dict of str to float
        Ratio of each cost of the recommended candidate to that of the best.
    size_name : str or None
        Cost that measures size; None if no cost was measured.
    law : ScalingLaw or None
    doublings : dict of str to Gain
        Forecast gain of twice the parameters, from "recommended" and from "largest".
    smaller : list of Alternative
        Candidates of the Pareto front that are smaller than the recommended one, the largest
        first.
    notes : dict of str to str
        Missing results and how to get them, by "analysis", "comparison", "forecast".
    score_label : str
        Name of the score for display.
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
    savings: dict
    size_name: str | None
    law: ScalingLaw | None
    doublings: dict
    smaller: list
    notes: dict
    score_label: str
    _search: object = field(repr=False)
    _costs: dict = field(repr=False)

    def __str__(self):
        return as_text(sections(self))

    def _repr_html_(self):
        return as_fragment(sections(self))

    def to_frame(self):
        """Return the comparison of all candidates as a data frame.

        Returns
        -------
        pandas.DataFrame
            A row for each candidate with a score, indexed by its row in `cv_results_`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas, which is not installed. Install it: pip install "
                "pandas. The `table` of the report has the same columns."
            ) from error
        return pd.DataFrame(self.table).set_index("index")

    def plot(self):
        """Draw the score against the size, and the Pareto front.

        With two dimensions a heat map is added, and the training curve of the recommended
        network if the search refitted it.

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
        """Write the report to a self-contained HTML file.

        It includes the figures, for light and dark screens, if matplotlib is installed. The
        file is written atomically.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        pictures = (self._picture(), self._picture("dark_background"))
        write_whole(path, as_page(sections(self), pictures).encode())

    def _picture(self, style=None):
        """Return the figure as a base64 PNG, or None if it cannot be drawn."""
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
        # For randomly drawn candidates nearly every cell of a heat map would be empty.
        values = [values_of(self.table["params"], d.name) for d in self.dimensions]
        n_cells = np.prod([len({repr(v) for v in column}) for column in values])
        return 2 * len(self.table["params"]) >= n_cells

    def _panels(self):
        """Return functions that draw each panel on given axes."""
        from functools import partial

        from .displays import (
            ParetoDisplay,
            ScaleCurveDisplay,
            ScaleHeatmapDisplay,
            TrainingCurveDisplay,
        )

        if self.size_name is None:
            raise ValueError(
                "The search measured no cost to plot the score against. Expected one or more: "
                "search with scoring=skscale.cost_scoring(scoring)."
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
        # Last, so that it stands on the right: there its color bar shifts no other panel.
        if len(self.dimensions) == 2 and self._is_grid():
            x, y = (d.name for d in self.dimensions)
            panels.append(partial(ScaleHeatmapDisplay.from_cv_results, **of_search, x=x, y=y))
        return panels


def scale_report(
    search, X=None, y=None, *, rule=None, score="score", cv=5, groups=None, params=None
):
    """Report on a search over scales: see `ScaleReport`.

    Parameters
    ----------
    search : search or dict
        A fitted search whose scoring is `cost_scoring` (of scikit-learn, of Optuna or
        `GradualScaleSearchCV`), or its `cv_results_`. Of a halving search only the last
        iteration is used.
    X : array-like of shape (n_samples, n_features) or None, default=None
        With X and y, `diagnose` is run on the recommended network. This fits it and up to six
        variants on each fold.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs) or None, default=None
    rule : Rule or None, default=None
        Rule that recommends a candidate. None is the `refit` of the search if that is a rule
        for this score, else `SmallestWithin(score=score)`.
    score : str, default="score"
        Name of the score, for a search with several scores. A given `rule` has its own.
    cv : int or splitter, default=5
        Folds of the diagnosis.
    groups : array-like of shape (n_samples,) or None, default=None
        Groups of the rows, for the folds of the diagnosis.
    params : dict or None, default=None
        Parameters of `fit` and of the scoring, of the diagnosis: see `diagnose`.

    Returns
    -------
    ScaleReport
        Use `print`, `to_frame()`, `plot()` or `save("report.html")`.

    Raises
    ------
    ValueError
        If the search did not measure the score or cost of the rule, or `score` is not the
        rule's.
    TypeError
        If `search` has no results, or `rule` is not a Rule.

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
    found = _Found(results, rule.score, costs_of(search))
    chosen = rule.select(results)
    place = int(np.flatnonzero(found.index == chosen.index)[0])
    # Of several best candidates, the rule may have compared it with another.
    compared = found.comparisons.with_best(
        best=found.index[found.best], margin=chosen.comparison.margin
    )
    chosen = chosen._replace(comparison=compared[place])
    notes = {}
    table = found.compare()
    expected = [name for name, cost in COSTS.items() if cost.heading]
    missing = [name for name in expected if name not in table]
    if missing:
        notes["comparison"] = (
            f"Not measured: {', '.join(missing)}. To measure them, search with "
            f"scoring=cost_scoring(scoring, costs={expected})."
        )
    law, doublings = _forecast(found, place, notes)
    of_fit = {"cv": cv, "groups": groups, "params": params}
    diagnosis = _diagnose(search, chosen.params, X, y, rule.score, notes, **of_fit)
    costs = {
        name: np.array(table[name])
        for name, cost in found.known_costs.items()
        if name in table and cost.share_name
    }
    order = np.lexsort((found.index, found.sizes))
    return ScaleReport(
        analysis=_analyze(found, results.get(f"mean_train_{rule.score}"), diagnosis),
        diagnosis=diagnosis,
        dimensions=_dimensions(found),
        table={name: [column[k] for k in order] for name, column in table.items()},
        best=int(found.index[found.best]),
        n_splits=found.splits.shape[1],
        n_failed=found.n_failed,
        n_earlier=found.n_earlier,
        rule=rule,
        recommended=chosen,
        savings={n: float(c[place] / c[found.best]) for n, c in costs.items() if c[found.best]},
        size_name=found.size_name,
        law=law,
        doublings=doublings,
        smaller=_find_smaller(found, place),
        notes=notes,
        score_label=score_label(search, rule.score, found.splits.shape[1]).split(", mean")[0],
        _search=search,
        _costs=found.known_costs,
    )


class _Found(Candidates):
    # The candidates with their sizes and the position of the best.

    def __init__(self, results, score, known_costs):
        super().__init__(results, score)
        # Those of the report by name, the built-in ones first.
        self.known_costs = {n: c for n, c in known_costs.items() if c.heading}
        self.labels = [label or "single candidate" for label in format_params(self.params)]
        names = [n for n in self.known_costs if f"mean_test_{n}" in results]
        self.costs = {n: self.cost(n) for n in names}
        is_known = {n: np.isfinite(c).any() for n, c in self.costs.items()}
        own = (n for n in names if n not in COSTS)
        self.size_name = next((n for n in (*_SIZES, *own) if is_known.get(n)), None)
        # Without a size the table keeps its order, and the report does not compare sizes.
        self.sizes = self.costs.get(self.size_name, np.arange(len(self.index), dtype=float))
        self.n_parameters = self.costs.get("n_parameters")
        size = self.known_costs.get(self.size_name)
        self.share_name = size and (size.share_name or size.name)
        self.best = int(np.lexsort((self.sizes, ~self.is_best))[0])
        means = np.asarray(results[f"mean_test_{score}"], dtype=float)
        self.n_failed = int((~np.isfinite(means)).sum())
        self.n_earlier = len(means) - self.n_failed - len(self.index)

    @cached_property
    def versus_best(self):
        """list of Comparison: each candidate, compared with the best."""
        return self.comparisons.with_best(best=self.index[self.best])

    def compare(self):
        """Return the columns of the comparison."""
        known = {n: c for n, c in self.costs.items() if np.isfinite(c).any()}
        return {
            "index": [int(k) for k in self.index],
            "label": self.labels,
            "params": self.params,
            "score": self.mean.tolist(),
            "score_error": self.comparisons.errors.tolist(),
            "difference": (self.mean - self.mean[self.best]).tolist(),
            "standard_error": self.errors_to(self.best).tolist(),
            "verdict": [
                "best" if k == self.best else one.verdict
                for k, one in enumerate(self.versus_best)
            ],
            **{n: np.where(np.isfinite(c), c, np.nan).tolist() for n, c in known.items()},
        }


def _rule_for(search, rule, score):
    if rule is None:
        own = getattr(search, "refit", None)
        is_about_it = isinstance(own, Rule) and score in ("score", own.score)
        return own if is_about_it else SmallestWithin(score=score)
    if not isinstance(rule, Rule):
        raise TypeError(
            "Expected a rule of skscale, such as SmallestWithin(), BestUnder(latency_us=200) "
            f"or ParetoKnee(), got rule={rule!r}."
        )
    if score not in ("score", rule.score):
        raise ValueError(
            f"Expected score={rule.score!r}, the score of {rule!r}, got score={score!r}. Set "
            f"the score in the rule only: rule={type(rule).__name__}(..., score={score!r})."
        )
    return rule


def _dimensions(found):
    """Return the effect of each numeric parameter, the largest gain first."""
    params, sizes = found.params, found.n_parameters
    names = list(dict.fromkeys(name for one in params for name in one))
    shorts = [name.rsplit("__", 1)[-1] for name in names]
    pairs = {name: np.array(_steps_along(name, params), dtype=int) for name in names}
    pairs = {name: steps for name, steps in pairs.items() if steps.size}
    level = 1 - 0.05 / max(1, len(pairs))
    effects = []
    for name, steps in pairs.items():
        low, high = steps.T

        def effect(chosen, n_units, low=low, high=high):
            # The mean gain of a unit is a weighted sum of the candidates' scores.
            weights = np.zeros(len(params))
            np.add.at(weights, high[chosen], 1 / n_units)
            np.add.at(weights, low[chosen], -1 / n_units)
            return found.comparisons.contrast(weights, level=level)

        doubling = None
        if sizes is not None:
            with np.errstate(invalid="ignore"):
                doublings = np.log2(sizes[high]) - np.log2(sizes[low])
            known = np.isfinite(doublings)
            # A ratio of sums, because a single gain divided by a tiny doubling is mere noise.
            total = doublings[known].sum()
            if abs(total) >= _NO_DOUBLING * max(1, known.sum()):
                doubling = effect(known, total)
        step = effect(np.full(len(low), True), len(low))
        gains = found.mean[high] - found.mean[low]
        short = name.rsplit("__", 1)[-1]
        words = short if shorts.count(short) == 1 else name
        effects.append(
            Dimension(words, len(low), step, doubling, float(gains.min()), float(gains.max()))
        )
    # Gains per doubling are comparable; parameters that change no size come last.
    return sorted(
        effects,
        key=lambda d: (
            d.doubling is None,
            -d.doubling.estimate if d.doubling else 0.0,
            -d.step.estimate,
        ),
    )


def _steps_along(name, params):
    """Return pairs of neighboring candidates that differ only in this parameter."""
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
    """Return the sort key of a number, the sum of a tuple of widths, or None for others."""
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
            "No forecast of the next doubling: the search did not count parameters. To get it, "
            'search with scoring=cost_scoring(scoring, costs=["n_parameters"]).'
        )
        return None, {}
    is_known = np.isfinite(sizes)
    try:
        law = ScalingLaw.from_scores(sizes[is_known], found.splits[is_known])
    except ValueError as error:
        notes["forecast"] = f"No forecast of the next doubling. {error}"
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
    smaller = front[::-1][:_MAX_SMALLER]
    level = 1 - 0.05 / max(1, len(smaller))
    between = found.comparisons.between
    return [
        Alternative(
            int(found.index[k]),
            found.labels[k],
            float(found.sizes[k]),
            # The best was chosen by the same scores, and the table of candidates has these.
            found.versus_best[k]
            if place == found.best
            else between(found.index[k], found.index[place], level=level),
        )
        for k in smaller
    ]


def _diagnose(search, chosen, X, y, score, notes, **options):
    if X is None or y is None:
        notes["analysis"] = (
            "diagnose was not run. To diagnose the recommended network, pass the data: "
            "scale_report(search, X, y)."
        )
        return None
    if not hasattr(search, "estimator"):
        notes["analysis"] = (
            "diagnose was not run, because cv_results_ has no estimator. To diagnose the "
            "recommended network, pass the search."
        )
        return None
    estimator = clone(search.estimator).set_params(**chosen)
    try:
        find_network(estimator, ScaledMLP)
    except TypeError as error:
        notes["analysis"] = f"diagnose was not run. {error}"
        return None
    return diagnose(estimator, X, y, scoring=_scorer_of(search, score), **options)


def _scorer_of(search, score):
    """Return the scorer of the search for a score."""
    scoring = getattr(search, "scoring", None)
    if isinstance(scoring, CostScoring):
        return scoring.scoring if score == "score" else None
    several = getattr(search, "scorer_", None)
    if isinstance(several, dict):
        return several[score]
    if callable(scoring) and getattr(search, "multimetric_", False):
        return lambda estimator, X, y: scoring(estimator, X, y)[score]
    return scoring


def _analyze(found, train, diagnosis):
    """Describe the diagnosis, if any, and the best candidate's place in the range."""
    words = []
    if diagnosis is not None:
        words.append(f"Diagnosis of the recommended network: {diagnosis}".split("\n")[0])
    if len(found.index) == 1:
        words.append("A single candidate gives no information about scale.")
    elif found.size_name is None:
        words.append("No cost was measured, so small and large candidates are not compared.")
    else:
        words += _analyze_range(found)
    if train is not None:
        at_best = float(np.asarray(train, dtype=float)[found.index[found.best]])
        words.append(
            f"The best candidate scores {at_best:.4g} on training rows and "
            f"{found.mean[found.best]:.4g} on test rows."
        )
    return " ".join(words)


def _analyze_range(found):
    """Return sentences that compare the largest and the smallest candidate with the best."""
    best = found.best
    known = np.isfinite(found.sizes)
    words = [f"The best candidate is {found.labels[best]}."]
    if not known[best]:
        return [*words, f"Its size ({found.share_name}) is not known."]
    largest = int(np.argmax(np.where(known, found.sizes, -np.inf)))
    smallest = int(np.argmin(found.sizes))
    if found.sizes[largest] == found.sizes[smallest]:
        if not known.all():
            return [*words, f"No other size ({found.share_name}) is known."]
        return [*words, f"No other size was searched: all have the same {found.share_name}."]
    edges, others = [], []
    for place, name, advice in (
        (largest, "largest", "larger ones, which were not searched, may be better."),
        (smallest, "smallest", "smaller ones, which were not searched, may be as good."),
    ):
        if found.sizes[place] == found.sizes[best]:
            edges.append(f"It is the {name} candidate: {advice}")
        else:
            share = found.sizes[place] / found.sizes[best]
            size = f"{share:.3g} times the {found.share_name}"
            difference = ScoreWriter(found.mean[best]).compared(found.versus_best[place])
            others.append(
                f"The {name} candidate ({found.labels[place]}; {size}) scores {difference}."
            )
    return words + edges + others  # "It" is the best one


def _has_fitted(search, params):
    """Return whether the search holds the recommended network with its training curve."""
    from ..costs.complexity import fitted_network

    with suppress(AttributeError, TypeError, ValueError, NotFittedError):
        is_the_one = search.best_params_ == params
        return is_the_one and len(fitted_network(search).history_["epoch"]) > 1
    return False
