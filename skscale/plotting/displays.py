"""Displays of a search and of a fit, following scikit-learn's display convention.

A display holds the numbers. `from_cv_results` or `from_estimator` computes and draws them;
`plot` draws them again.

- `ScaleCurveDisplay`: the score against the size, with the scaling law.
- `ParetoDisplay`: the score against any cost, with the Pareto front.
- `ScaleHeatmapDisplay`: the score over two dimensions of scale.
- `CompressionDisplay`: the score against the compression ratio.
- `TrainingCurveDisplay`: the losses of a fit by epoch.
"""

import itertools
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..costs.complexity import fitted_network
from ..selection.candidates import Candidates, results_of
from ..selection.law import ScalingLaw
from ..selection.rules import Rule, SmallestWithin, pareto_front
from .drawing import (
    MARKERS,
    colors_on,
    cost_label,
    draw_legend,
    format_number,
    format_params,
    format_value,
    label_sparsely,
    new_axes,
    scale_cost_axis,
    score_label,
    values_of,
)

_LEVEL = 0.8
# Candidates with at least this fraction of the largest one's parameters are uncompressed.
_UNCOMPRESSED = 0.99
# More labels along a front are not readable.
_MAX_LABELS = 8


class _Display:
    # Base class of the displays. Subclasses implement `_draw(ax)`.

    def plot(self, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            None makes a new figure.

        Returns
        -------
        display
            This object.
        """
        self.ax_ = new_axes(ax, self)
        self.figure_ = self.ax_.figure
        self._draw(self.ax_)
        return self


@dataclass(kw_only=True, eq=False, repr=False)
class ScaleCurveDisplay(_Display):
    """Score against size: candidates, scaling law, best and chosen candidate.

    Use `from_cv_results` to create it. Error bars are one standard error of the difference to
    the best, paired by split. So `SmallestWithin()` chooses the smallest candidate whose bar
    reaches the line of the best.

    Parameters
    ----------
    costs : ndarray of shape (n_candidates,)
    scores : ndarray of shape (n_candidates,)
        Mean scores.
    errors : ndarray of shape (n_candidates,)
        Standard errors of the differences to the best.
    best : int
        Position of the best candidate.
    chosen : int
        Position of the candidate chosen by the rule.
    rule : str
        The rule as text.
    law : ScalingLaw or None, default=None
        Drawn up to twice the largest size, with the 80 % interval of a single network.
    cost_label : str, default="parameters"
    score_label : str, default="score"

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    errorbar_ : matplotlib ErrorbarContainer
        The candidates.
    best_, chosen_ : matplotlib Line2D
        Markers of the best and the chosen candidate.
    law_, forecast_ : matplotlib Line2D or None
        The law up to the largest size, and beyond it.
    band_ : matplotlib collection or None
        The interval of the law.

    Examples
    --------
    >>> from skscale import ScaleCurveDisplay
    >>> cv_results = {
    ...     "params": [{"width": 8}, {"width": 16}, {"width": 32}, {"width": 64}],
    ...     "split0_test_score": [0.70, 0.84, 0.89, 0.90],
    ...     "split1_test_score": [0.74, 0.86, 0.88, 0.91],
    ...     "mean_test_score": [0.72, 0.85, 0.885, 0.905],
    ...     "mean_test_n_parameters": [50, 100, 200, 400],
    ... }
    >>> display = ScaleCurveDisplay.from_cv_results(cv_results)
    >>> display.law.n_parameters
    array([ 50., 100., 200., 400.])
    """

    costs: np.ndarray
    scores: np.ndarray
    errors: np.ndarray
    best: int
    chosen: int
    rule: str
    law: ScalingLaw | None = None
    cost_label: str = "parameters"
    score_label: str = "score"

    @classmethod
    def from_cv_results(cls, search, *, rule=None, cost="n_parameters", score="score", ax=None):
        """Draw the candidates of a search.

        Parameters
        ----------
        search : search or dict
            A fitted search that measured the cost (see `cost_scoring`), or its `cv_results_`.
        rule : Rule or None, default=None
            Rule that chooses a candidate. None is the `refit` of the search if that is a rule
            for this cost and score, else `SmallestWithin`.
        cost : str, default="n_parameters"
            The law is drawn only for "n_parameters", with at least three sizes and two splits.
        score : str, default="score"
        ax : matplotlib Axes or None, default=None
            None makes a new figure.

        Returns
        -------
        ScaleCurveDisplay
        """
        results = results_of(search)
        candidates = Candidates(results, score)
        costs = candidates.cost(cost)
        law = None
        if cost == "n_parameters":
            # With fewer than three sizes or two splits there is no law to draw.
            with suppress(ValueError):
                law = ScalingLaw.from_cv_results(results, score=score)
        if rule is None:
            own = getattr(search, "refit", None)
            is_about_it = isinstance(own, Rule) and own.score == score
            # A rule that names no costs is drawn against any.
            is_about_it = is_about_it and (not own.costs or cost in own.costs)
            rule = own if is_about_it else SmallestWithin(cost=cost, score=score)
        best = int(np.lexsort((costs, ~candidates.is_best))[0])
        return cls(
            costs=costs,
            scores=candidates.mean,
            errors=candidates.errors_to(best),
            best=best,
            chosen=int(np.flatnonzero(candidates.index == rule.select(results).index)[0]),
            rule=repr(rule),
            law=law,
            cost_label=cost_label(search, cost),
            score_label=score_label(search, score, candidates.splits.shape[1]),
        ).plot(ax)

    def _draw(self, ax):
        blue, red, green, purple, *_ = colors_on(ax)
        self.errorbar_ = ax.errorbar(
            self.costs, self.scores, self.errors, fmt="o", color=blue, markersize=4,
            linewidth=1, zorder=2,
            label="candidate ± standard error of the difference to the best",
        )  # fmt: skip
        self.law_ = self.forecast_ = self.band_ = None
        if self.law is not None:
            self._plot_law(ax, purple)
        ax.axhline(self.scores[self.best], color=red, linewidth=0.8, linestyle=":")
        self.best_ = self._mark(ax, self.best, "best", red, "s", 11)
        self.chosen_ = self._mark(ax, self.chosen, self.rule, green, "o", 16)
        scale_cost_axis(ax)
        ax.set(xlabel=self.cost_label, ylabel=self.score_label)
        draw_legend(ax, 1)

    def _mark(self, ax, place, name, color, marker, size):
        cost, score = self.costs[place], self.scores[place]
        return ax.plot(
            [cost], [score], marker, color=color, markersize=size, fillstyle="none",
            markeredgewidth=1.8, zorder=3,
            label=f"{name}: {score:.4g} at {format_number(cost)}",
        )[0]  # fmt: skip

    def _plot_law(self, ax, color):
        law, sizes = self.law, self.law.n_parameters
        gain = law.gain(level=_LEVEL)
        tried = np.geomspace(sizes[0], sizes[-1], 200)
        beyond = np.geomspace(sizes[-1], 2 * sizes[-1], 50)
        every = np.concatenate([tried, beyond])
        self.band_ = ax.fill_between(
            every, *law.interval(every, _LEVEL), color=color, alpha=0.25, linewidth=0, zorder=0
        )
        self.law_ = ax.plot(
            tried, law.predict(tried), color=color, zorder=1,
            label=f"scaling law, {_LEVEL:.0%} interval of one network",
        )[0]  # fmt: skip
        self.forecast_ = ax.plot(
            beyond, law.predict(beyond), "--", color=color, zorder=1,
            label=f"twice the largest: {gain.mean:+.2g} ({gain.low:+.2g} to {gain.high:+.2g})",
        )[0]  # fmt: skip


@dataclass(kw_only=True, eq=False, repr=False)
class ParetoDisplay(_Display):
    """Score against cost: all candidates, and their Pareto front.

    Use `from_cv_results` to create it. A candidate is on the front if no other has a better
    score at equal or lower cost. Up to eight candidates of the front are labeled, where space
    permits.

    Parameters
    ----------
    costs : ndarray of shape (n_candidates,)
    scores : ndarray of shape (n_candidates,)
        Mean scores.
    front : ndarray of int of shape (n_front,)
        Positions of the candidates on the front, cheapest first.
    labels : list of str
        Parameters of each candidate.
    cost_label : str, default="parameters"
    score_label : str, default="score"

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_, front_ : matplotlib Line2D
    texts_ : list of matplotlib Annotation
        The labels that fit.

    Examples
    --------
    >>> from skscale import ParetoDisplay
    >>> cv_results = {
    ...     "params": [{"width": 8}, {"width": 16}, {"width": 32}, {"width": 64}],
    ...     "mean_test_score": [0.72, 0.90, 0.89, 0.91],
    ...     "mean_test_latency_us": [12, 14, 20, 40],
    ... }
    >>> ParetoDisplay.from_cv_results(cv_results, cost="latency_us").front
    array([0, 1, 3])
    """

    costs: np.ndarray
    scores: np.ndarray
    front: np.ndarray
    labels: list
    cost_label: str = "parameters"
    score_label: str = "score"

    @classmethod
    def from_cv_results(cls, search, *, cost="n_parameters", score="score", ax=None):
        """Draw the candidates of a search.

        Parameters
        ----------
        search : search or dict
            A fitted search that measured the cost (see `cost_scoring`), or its `cv_results_`.
        cost : str, default="n_parameters"
        score : str, default="score"
        ax : matplotlib Axes or None, default=None
            None makes a new figure.

        Returns
        -------
        ParetoDisplay
        """
        candidates = Candidates(results_of(search), score)
        costs = candidates.cost(cost)
        return cls(
            costs=costs,
            scores=candidates.mean,
            front=pareto_front(candidates.mean, costs),
            labels=format_params(candidates.params),
            cost_label=cost_label(search, cost),
            score_label=score_label(search, score, candidates.splits.shape[1]),
        ).plot(ax)

    def _draw(self, ax):
        blue, red, *_ = colors_on(ax)
        x, y = self.costs[self.front], self.scores[self.front]
        self.points_ = ax.plot(
            self.costs, self.scores, "o", color=blue, markersize=4, alpha=0.7,
            label="candidate",
        )[0]  # fmt: skip
        self.front_ = ax.plot(
            x, y, "s-", color=red, markersize=5, drawstyle="steps-post",
            label="Pareto front",
        )[0]  # fmt: skip
        scale_cost_axis(ax)
        ax.margins(0.08, 0.1)
        ax.set(xlabel=self.cost_label, ylabel=self.score_label)
        draw_legend(ax)
        # The best first, then the cheapest, then others spread evenly along the front.
        evenly = np.linspace(0, len(x) - 1, min(len(x), _MAX_LABELS)).round().astype(int)
        order = list(dict.fromkeys([*evenly[-1:], *evenly]))
        names = [self.labels[place] for place in self.front[order]]
        points = np.column_stack([self.costs, self.scores])
        self.texts_ = label_sparsely(ax, x[order], y[order], names, points)


@dataclass(kw_only=True, eq=False, repr=False)
class CompressionDisplay(_Display):
    """Score against compression ratio, with a line for each value of a parameter.

    Use `from_cv_results` to create it. The compression ratio is the number of parameters of
    the largest candidate divided by that of a candidate. Of several candidates of a line with
    equal size, the best is drawn. Error bars are one standard error of the difference to the
    reference, paired by split.

    Parameters
    ----------
    ratios : list of ndarray
        Compression ratios of each line, ascending.
    scores : list of ndarray
        Mean scores of each line.
    errors : list of ndarray
        Standard errors of the differences to the reference.
    labels : list of str
        Names of the lines.
    reference : float
        Score of the best uncompressed candidate.
    score_label : str, default="score"

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    errorbars_ : list of matplotlib ErrorbarContainer
    reference_ : matplotlib Line2D

    Examples
    --------
    >>> from skscale import CompressionDisplay
    >>> cv_results = {
    ...     "params": [{"pruning": p, "width": w} for p in (0.0, 0.5) for w in (32, 64)],
    ...     "mean_test_score": [0.88, 0.91, 0.86, 0.90],
    ...     "mean_test_n_parameters": [200, 400, 100, 200],
    ... }
    >>> display = CompressionDisplay.from_cv_results(cv_results)
    >>> display.labels, [ratios.tolist() for ratios in display.ratios]
    (['pruning=0', 'pruning=0.5'], [[1.0, 2.0], [2.0, 4.0]])
    """

    ratios: list
    scores: list
    errors: list
    labels: list
    reference: float
    score_label: str = "score"

    @classmethod
    def from_cv_results(cls, search, *, by="pruning", score="score", ax=None):
        """Draw the candidates of a search.

        Parameters
        ----------
        search : search or dict
            A fitted search that measured "n_parameters" (see `cost_scoring`), or its
            `cv_results_`.
        by : str, default="pruning"
            Parameter that distinguishes the lines, such as "teacher"; its prefix may be
            omitted.
        score : str, default="score"
        ax : matplotlib Axes or None, default=None
            None makes a new figure.

        Returns
        -------
        CompressionDisplay
        """
        candidates = Candidates(results_of(search), score)
        sizes, mean = candidates.cost("n_parameters"), candidates.mean
        values = values_of(candidates.params, by)
        names = [f"no {by}" if v is None else f"{by}={format_value(v)}" for v in values]
        sizes = np.where(np.isfinite(sizes), sizes, np.nan)  # not drawn without a size
        largest = np.nanmax(sizes)
        is_whole = sizes >= _UNCOMPRESSED * largest
        reference = int(np.where(is_whole, mean, -np.inf).argmax())
        errors = candidates.errors_to(reference)
        labels = list(dict.fromkeys(names))
        lines = [_best_by_size(np.array(names) == label, sizes, mean) for label in labels]
        return cls(
            ratios=[largest / sizes[line] for line in lines],
            scores=[mean[line] for line in lines],
            errors=[errors[line] for line in lines],
            labels=labels,
            reference=float(mean[reference]),
            score_label=score_label(search, score, candidates.splits.shape[1]),
        ).plot(ax)

    def _draw(self, ax):
        text = ax.xaxis.label.get_color()
        self.reference_ = ax.axhline(
            self.reference, color=text, linestyle="--", linewidth=1, label="uncompressed"
        )
        styles = itertools.cycle(zip(colors_on(ax), MARKERS, strict=True))
        ax.set_xscale("log", base=2)
        self.errorbars_ = [
            ax.errorbar(
                x, y, error, color=color, marker=marker, markersize=5, label=label,
                linewidth=1.2, elinewidth=1, capsize=2,
            )
            for x, y, error, label, (color, marker) in zip(
                self.ratios, self.scores, self.errors, self.labels, styles, strict=False
            )
        ]  # fmt: skip
        _set_apart(ax, self.errorbars_)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set(xlabel="compression ratio (parameters of the largest / parameters)",
               ylabel=self.score_label)  # fmt: skip
        draw_legend(ax, 3)


@dataclass(kw_only=True, eq=False, repr=False)
class ScaleHeatmapDisplay(_Display):
    """Score, or a cost, over two parameters of scale.

    Use `from_cv_results` to create it. A cell shows the best candidate with its two values,
    over all other parameters. Cells without a candidate are hatched.

    Parameters
    ----------
    x_values : list
        Values of the x parameter, ascending; None for candidates that do not set it.
    y_values : list
        Values of the y parameter.
    values : ndarray of shape (n_y, n_x)
        Score or cost of each cell; NaN without a candidate.
    x_label : str
        Name of the x parameter.
    y_label : str
        Name of the y parameter.
    value_label : str, default="score"

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    mesh_ : matplotlib QuadMesh
    colorbar_ : matplotlib Colorbar
    texts_ : list of matplotlib Text
        The values, if all of them fit in their cells.

    Examples
    --------
    >>> from skscale import ScaleHeatmapDisplay
    >>> cv_results = {
    ...     "params": [{"depth": 0}] + [{"depth": 1, "width": w} for w in (16, 64)],
    ...     "mean_test_score": [0.8, 0.86, 0.9],
    ... }
    >>> ScaleHeatmapDisplay.from_cv_results(cv_results).values
    array([[0.8 ,  nan,  nan],
           [ nan, 0.86, 0.9 ]])
    """

    x_values: list
    y_values: list
    values: np.ndarray
    x_label: str
    y_label: str
    value_label: str = "score"

    @classmethod
    def from_cv_results(
        cls, search, *, x="width", y="depth", value="score", score="score", ax=None
    ):
        """Draw the candidates of a search.

        Parameters
        ----------
        search : search or dict
            A fitted search, or its `cv_results_`.
        x, y : str, default="width", "depth"
            Parameters; a prefix such as `mlp__` may be omitted.
        value : str, default="score"
            Quantity to show: the score, or a cost of the search.
        score : str, default="score"
            Score that chooses the best candidate of a cell.
        ax : matplotlib Axes or None, default=None
            None makes a new figure.

        Returns
        -------
        ScaleHeatmapDisplay
        """
        candidates = Candidates(results_of(search), score)
        columns, x_values = _ranks(values_of(candidates.params, x))
        rows, y_values = _ranks(values_of(candidates.params, y))
        shown = candidates.mean if value == score else candidates.cost(value)
        values = np.full((len(y_values), len(x_values)), np.nan)
        order = np.argsort(candidates.mean, kind="stable")  # the best are written last
        values[rows[order], columns[order]] = shown[order]
        label = score_label(search, score, candidates.splits.shape[1])
        return cls(
            x_values=x_values,
            y_values=y_values,
            values=values,
            x_label=x,
            y_label=y,
            value_label=label if value == score else cost_label(search, value),
        ).plot(ax)

    def _draw(self, ax):
        self.mesh_ = ax.pcolormesh(np.ma.masked_invalid(self.values), cmap="cividis")
        self.colorbar_ = self.figure_.colorbar(self.mesh_, ax=ax, label=self.value_label)
        ax.patch.set(hatch="///", edgecolor="gray", linewidth=0)
        for axis, values in ((ax.xaxis, self.x_values), (ax.yaxis, self.y_values)):
            names = ["-" if v is None else format_value(v) for v in values]
            axis.set_ticks(np.arange(len(values)) + 0.5, names)
        ax.tick_params(length=0)
        ax.set(xlabel=self.x_label, ylabel=self.y_label)
        self.texts_ = self._annotate(ax)

    def _annotate(self, ax):
        known = [place for place in np.ndindex(self.values.shape)
                 if np.isfinite(self.values[place])]  # fmt: skip
        texts = [
            ax.text(
                column + 0.5, row + 0.5, _short(self.values[row, column]), ha="center",
                va="center", fontsize="small",
                # The lower half of cividis is dark.
                color="white" if self.mesh_.norm(self.values[row, column]) < 0.5 else "black",
            )
            for row, column in known
        ]  # fmt: skip
        ax.figure.draw_without_rendering()
        cell = ax.get_window_extent().width / len(self.x_values)
        if any(text.get_window_extent().width > 0.85 * cell for text in texts):
            for text in texts:
                text.remove()
            return []
        return texts


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingCurveDisplay(_Display):
    """Training loss and validation loss or score by epoch, with the best epoch marked.

    Use `from_estimator` to create it.

    Parameters
    ----------
    epochs : ndarray of shape (n_epochs,)
        Epochs, counted from 1.
    train_loss : ndarray of shape (n_epochs,)
        Mean over the training rows, including label smoothing and dropout.
    validation_loss : ndarray of shape (n_epochs,) or None
        None without a validation set, or with `validation_scoring`.
    best_epoch : int
        Epoch whose weights the network has.
    validation_score : ndarray of shape (n_epochs,) or None, default=None
        Score of `validation_scoring`, drawn on an axis to the right.
    score_name : str, default="score"
        Name of the score.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    train_, best_ : matplotlib Line2D
    validation_ : matplotlib Line2D or None

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skscale import ScaledMLPClassifier, TrainingCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> network = ScaledMLPClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> TrainingCurveDisplay.from_estimator(network).epochs
    array([1, 2, 3, 4, 5], dtype=int32)
    """

    epochs: np.ndarray
    train_loss: np.ndarray
    validation_loss: np.ndarray | None
    best_epoch: int
    validation_score: np.ndarray | None = None
    score_name: str = "score"

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the training curve of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator of skscale, a pipeline that ends in one, or a search over one of
            these.
        ax : matplotlib Axes or None, default=None
            None makes a new figure.

        Returns
        -------
        TrainingCurveDisplay
        """
        network = fitted_network(estimator)
        history, scoring = network.history_, network.validation_scoring
        scores, is_loss = history["validation_score"], scoring == "loss"
        scores = None if np.isnan(scores).all() else scores
        return cls(
            epochs=history["epoch"],
            train_loss=history["train_loss"],
            validation_loss=-scores if scores is not None and is_loss else None,
            best_epoch=network.best_epoch_,
            validation_score=None if is_loss else scores,
            score_name=scoring if isinstance(scoring, str) else "score",
        ).plot(ax)

    def _draw(self, ax):
        from matplotlib.ticker import MaxNLocator  # new_axes raises first without matplotlib

        blue, red, *_ = colors_on(ax)
        self.train_ = ax.plot(self.epochs, self.train_loss, color=blue, label="training")[0]
        self.validation_ = None
        if self.validation_loss is not None:
            self.validation_ = ax.plot(
                self.epochs, self.validation_loss, "--", color=red, label="validation"
            )[0]
        elif self.validation_score is not None:
            right = ax.twinx()
            self.validation_ = right.plot(
                self.epochs, self.validation_score, "--", color=red, label="validation"
            )[0]
            right.set_ylabel(f"{self.score_name} (validation)")
            # In the legend of the other axis.
            ax.plot([], [], "--", color=red, label="validation")
        self.best_ = ax.axvline(
            self.best_epoch, color=ax.xaxis.label.get_color(), linestyle=":", linewidth=1,
            label=f"best epoch: {self.best_epoch}",
        )  # fmt: skip
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="epoch", ylabel="mean loss")
        draw_legend(ax, 3)


def _set_apart(ax, containers):
    """Shift each container by some points, so that error bars at one size do not overlap."""
    from matplotlib.transforms import ScaledTranslation

    for i, container in enumerate(containers):
        points = 3 * (i - (len(containers) - 1) / 2)
        aside = ScaledTranslation(points / 72, 0, ax.figure.dpi_scale_trans)
        for artist in container.get_children():
            artist.set_transform(ax.transData + aside)


def _best_by_size(is_of_line, sizes, mean):
    """Return the positions of a line's best candidates of each size, largest first."""
    places = np.flatnonzero(is_of_line & np.isfinite(sizes))
    places = places[np.lexsort((-mean[places], -sizes[places]))]
    return places[np.unique(-sizes[places], return_index=True)[1]]


def _ranks(values):
    """Return the rank of each value, and the distinct values, ascending."""
    # None (parameter not set) comes first; tuples of widths sort as tuples, strings as strings.
    different = list(dict.fromkeys(tuple(v) if isinstance(v, list) else v for v in values))
    try:
        different.sort(key=lambda v: (v is not None, v if v is not None else 0))
    except TypeError:
        different.sort(key=lambda v: (v is not None, str(v)))
    place = {v: i for i, v in enumerate(different)}
    return np.array([place[tuple(v) if isinstance(v, list) else v] for v in values]), different


def _short(value):
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"
