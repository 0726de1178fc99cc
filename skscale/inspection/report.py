"""What a search found about scale, in one object: the five steps of model scaling.

Analyse, name the dimension to scale, list the candidates, compare them by score, loss, speed
and size, recommend one; with what the next doubling would gain and going smaller would lose.
"""

import base64
import html
import io
import os
import pathlib
import tempfile
import textwrap
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from ..selection.costs import CostScoring
from ..selection.diagnosis import Diagnosis, diagnose
from ..selection.rules import (
    Candidates,
    Rule,
    Selection,
    SmallestWithin,
    pareto_front,
    results_of,
)
from .drawing import cost_label, format_number, format_params, standard_errors
from .law import ScalingLaw

# Columns of the comparison: what is measured, as a heading.
_COSTS = {
    "n_parameters": "parameters",
    "loss": "loss",
    "latency_us": "µs",
    "size_bytes": "bytes",
    "n_macs": "MACs",
    "fit_seconds": "fit s",
}
# Candidates that the text shows; `to_frame` has all.
_MOST_ROWS = 12
_MOST_SMALLER = 3
_WIDTH = 96
_CSS = """
:root { color-scheme: light dark; --text: #1b1f24; --back: #ffffff; --line: #d0d7de;
  --mark: #ddf4ff; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117;
  --line: #3d444d; --mark: #12324a; } }
.skscale-report { color: var(--text); background: var(--back); max-width: 60rem;
  font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 0 1rem; }
.skscale-report table { border-collapse: collapse; font-size: 90%; }
.skscale-report td, .skscale-report th { padding: .2rem .7rem; text-align: right;
  border-bottom: 1px solid var(--line); }
.skscale-report td:first-child, .skscale-report th:first-child { text-align: left; }
.skscale-report tr.chosen { background: var(--mark); font-weight: 600; }
.skscale-report img { max-width: 100%; background: #ffffff; border-radius: 4px; }
"""


class Dimension(NamedTuple):
    """What one scale parameter alone changes.

    Attributes
    ----------
    name : str
        The parameter.
    n_steps : int
        Pairs of candidates that differ in nothing else, next to one another.
    gain : float
        Mean difference of the score of a step up; where parameters were counted, of a
        doubling of them.
    standard_error : float
        Of `gain`, paired by split.
    is_of_doubling : bool
        Whether `gain` is that of a doubling.
    """

    name: str
    n_steps: int
    gain: float
    standard_error: float
    is_of_doubling: bool


class Alternative(NamedTuple):
    """A smaller candidate, compared with the recommended one.

    Attributes
    ----------
    index : int
        Its row of `cv_results_`.
    label : str
        Its parameters that vary.
    n_parameters : float
    difference, standard_error : float
        Of its score to that of the recommended one, paired by split.
    """

    index: int
    label: str
    n_parameters: float
    difference: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class ScaleReport:
    """What a search found about scale: see `scale_report`.

    Attributes
    ----------
    analysis : str
        State of the recommended network, and where a larger or smaller one would lead.
    diagnosis : Diagnosis or None
        What `diagnose` found; None without data.
    dimensions : list of Dimension
        What each scale parameter that the search varied changes, the one that gains most first.
    table : dict of str to list
        The candidates, a column each: parameters, score, standard error, difference to the best
        and its standard error, and the costs that were measured.
    n_failed : int
        Candidates that have no finite score.
    rule : Rule
    recommended : Selection
        What the rule chooses.
    loss : (float, float)
        How much the recommended candidate scores below the best, and the standard error.
    savings : dict of str to float
        Of each cost, how many times that of the best candidate is that of the recommended one.
    law : ScalingLaw or None
    doublings : dict of str to Gain
        What twice the parameters would gain, from "the recommended" and from "the largest".
    smaller : list of Alternative
        Candidates below the recommended one that no smaller one beats, the largest first.
    notes : list of str
        What could not be said, and how to have it.
    """

    analysis: str
    diagnosis: Diagnosis | None
    dimensions: list
    table: dict = field(repr=False)
    n_failed: int
    rule: Rule
    recommended: Selection
    loss: tuple
    savings: dict
    law: ScalingLaw | None
    doublings: dict
    smaller: list
    notes: list
    _search: object = field(repr=False)

    def __str__(self):
        parts = []
        for title, paragraphs, rows in self._sections():
            parts += [title, "-" * len(title)]
            for paragraph in paragraphs:
                parts += textwrap.wrap(paragraph, _WIDTH)
            if rows:
                parts += ["", *_as_text(rows)]
            parts.append("")
        return "\n".join(parts).rstrip()

    def _repr_html_(self):
        return _as_html(self, pictures=[])

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
        """Draw the score against the size, and the Pareto front of the latency where known.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from .displays import ParetoDisplay, ScaleCurveDisplay
        from .drawing import new_axes

        new_axes(object(), self)  # raises without matplotlib
        import matplotlib.pyplot as plt

        score, results = self.rule.score, results_of(self._search)
        figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
        ScaleCurveDisplay.from_cv_results(results, rule=self.rule, score=score, ax=axes[0])
        cost = "latency_us" if "latency_us" in self.table else "n_parameters"
        ParetoDisplay.from_cv_results(results, cost=cost, score=score, ax=axes[1])
        return figure

    def save(self, path):
        """Write the report to one HTML file that refers to nothing else.

        With its pictures where matplotlib is installed. The file appears whole or not at all.

        Parameters
        ----------
        path : str or path-like
        """
        path = pathlib.Path(path)
        page = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            "<title>Scale report</title></head><body>"
            f"{_as_html(self, self._draw_pictures())}</body></html>\n"
        )
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".html")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def _draw_pictures(self):
        try:
            figure = self.plot()
        except ImportError:
            return []
        import matplotlib.pyplot as plt

        into = io.BytesIO()
        figure.savefig(into, format="png", dpi=110)
        plt.close(figure)
        return [base64.b64encode(into.getvalue()).decode()]

    def _sections(self):
        """Return (title, paragraphs, rows of a table or None) of each step."""
        chosen = self.recommended
        evidence = None
        if self.diagnosis is not None:
            evidence = [["trial", "score", "train", "difference"]] + [
                [t.name, f"{t.score:.4f}", f"{t.train_score:.4f}",
                 _plus_minus(t.difference, t.standard_error) if t.name != "as it is" else ""]
                for t in self.diagnosis.trials
            ]  # fmt: skip
        failed = f" {self.n_failed} have no score and are left out." if self.n_failed else ""
        return [
            ("1. Analysis", [self.analysis], evidence),
            ("2. Dimension to scale", *self._dimension_section()),
            (
                "3. Candidates",
                [f"{len(self.table['index'])} candidates, by parameters.{failed}"],
                None,
            ),
            ("4. Comparison", ["* is recommended.", *self.notes], self._comparison()),
            (
                "5. Recommendation",
                [
                    f"By {self.rule!r}: candidate {chosen.index}, {chosen.params}, score "
                    f"{chosen.score:.4f}. {self._price()}",
                    *self._forecast(),
                ],
                self._smaller_rows(),
            ),
        ]

    def _dimension_section(self):
        if not self.dimensions:
            return ["No parameter was varied by itself, in numbers."], None
        first = self.dimensions[0]
        unit = "doubling of the parameters" if first.is_of_doubling else "step"
        text = f"Most is gained along {first.name}, mean over the whole search."
        if self.diagnosis is not None and self.diagnosis.dimension:
            text = (
                f"{self.diagnosis.dimension}, {self.diagnosis.direction}, by the diagnosis. "
                "Over the whole search:"
            )
        rows = [["along", "steps", f"gain of a {unit}"]]
        rows += [
            [d.name, str(d.n_steps), _plus_minus(d.gain, d.standard_error)]
            for d in self.dimensions
        ]
        return [text], rows

    def _comparison(self):
        table = self.table
        costs = [name for name in _COSTS if name in table]
        rows = [["candidate", "score", "to the best", *(_COSTS[c] for c in costs)]]
        shown = self._shown_rows()
        for k in shown:
            mark = "*" if table["index"][k] == self.recommended.index else ""
            rows.append(
                [
                    table["label"][k] + mark,
                    f"{table['score'][k]:.4f}",
                    _plus_minus(table["difference"][k], table["standard_error"][k]),
                    *(format_number(table[c][k]) for c in costs),
                ]
            )
        n_left = len(table["index"]) - len(shown)
        if n_left:
            rows.append([f"({n_left} more)"] + [""] * (2 + len(costs)))
        return rows

    def _shown_rows(self):
        """Return the rows of the text: the front, the recommended one, then the best."""
        n = len(self.table["index"])
        if n <= _MOST_ROWS:
            return range(n)
        score, index = np.array(self.table["score"]), self.table["index"]
        cost = np.array(self.table.get("n_parameters", np.arange(n)), dtype=float)
        order = [index.index(self.recommended.index), *pareto_front(score, cost)[::-1]]
        order += list(np.argsort(-score, kind="stable"))
        return sorted(list(dict.fromkeys(int(k) for k in order))[:_MOST_ROWS])

    def _price(self):
        difference, error = self.loss
        if difference == 0 and error == 0:
            return "It is the best."
        factors = [
            f"{1 / share:.3g} times fewer {cost_label(name)}"
            if name in ("n_parameters", "n_macs")
            else f"{share:.2f} of the {cost_label(name).split(' (')[0]}"
            for name, share in self.savings.items()
            if np.isfinite(share) and share > 0
        ]
        saved = f", with {', '.join(factors)}" if factors else ""
        return f"It scores {difference:.4f} (± {error:.4f}) less than the best{saved}."

    def _forecast(self):
        return [
            f"Twice the parameters of {of} would gain {gain.mean:+.4f} (80 % interval "
            f"{gain.low:+.4f} to {gain.high:+.4f})."
            for of, gain in self.doublings.items()
        ]

    def _smaller_rows(self):
        if not self.smaller:
            return None
        rows = [["going smaller", "parameters", "score would change by"]]
        return rows + [
            [
                a.label,
                format_number(a.n_parameters),
                _plus_minus(a.difference, a.standard_error),
            ]
            for a in self.smaller
        ]


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
        What recommends; None is the search's own `refit` where that is a rule, and else
        `SmallestWithin(score=score)`.
    score : str, default="score"
        What is good, of a search with several scores; a rule says it itself.
    cv : int or splitter, default=5
        Folds of the diagnosis.

    Returns
    -------
    ScaleReport
        `print` shows it; `to_frame()`, `plot()` and `save("report.html")`.

    Raises
    ------
    ValueError
        If the search did not measure what the rule goes by.
    TypeError
        If `search` has no results.

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
    if rule is None:
        own = getattr(search, "refit", None)
        rule = own if isinstance(own, Rule) else SmallestWithin(score=score)
    candidates = Candidates(results, rule.score)
    index = rule.select(results)
    place = int(np.flatnonzero(candidates.index == index)[0])
    params = [results["params"][k] for k in candidates.index]
    table, notes = _compare(candidates, params, results)
    best = int(np.lexsort((table.get("n_parameters", candidates.index), -candidates.mean))[0])
    sizes = np.array(table["n_parameters"], float) if "n_parameters" in table else None
    law, doublings = _forecast(results, rule.score, sizes, place, notes)
    diagnosis = _diagnose(search, params[place], X, y, cv, notes)
    analysis = _analyse(candidates, results, rule.score, sizes, best, diagnosis)
    costs = {name: table[name] for name in _COSTS if name in table and name != "loss"}
    means = {name: float(column[place]) for name, column in costs.items()}
    errors = standard_errors(candidates.splits, best)
    # Rows by size, so that what the table shows reads from small to large.
    order = np.lexsort((candidates.index, sizes if sizes is not None else candidates.index))
    return ScaleReport(
        analysis=analysis,
        diagnosis=diagnosis,
        dimensions=_dimensions(params, candidates.splits, sizes),
        table={name: [column[k] for k in order] for name, column in table.items()},
        n_failed=len(results["params"]) - _n_finite(results, rule.score),
        rule=rule,
        recommended=Selection(index, params[place], float(candidates.mean[place]), means),
        loss=(float(candidates.mean[best] - candidates.mean[place]), float(errors[place])),
        savings={n: float(c[place] / c[best]) if c[best] else np.nan for n, c in costs.items()},
        law=law,
        doublings=doublings,
        smaller=_find_smaller(candidates, table["label"], sizes, place),
        notes=notes,
        _search=search,
    )


def _n_finite(results, score):
    return int(np.isfinite(np.asarray(results[f"mean_test_{score}"], dtype=float)).sum())


def _compare(candidates, params, results):
    """Return the columns of the comparison, and what was not measured."""
    best = int(candidates.mean.argmax())
    table = {
        "index": [int(k) for k in candidates.index],
        "label": [label or "the only one" for label in format_params(params)],
        "params": params,
        "score": candidates.mean.tolist(),
        "difference": (candidates.mean - candidates.mean[best]).tolist(),
        "standard_error": standard_errors(candidates.splits, best).tolist(),
    }
    missing = []
    for name in _COSTS:
        if f"mean_test_{name}" in results:
            table[name] = [float(c) for c in candidates.cost(name)]
        elif name in ("n_parameters", "loss", "latency_us", "size_bytes"):
            missing.append(name)
    notes = []
    if missing:
        notes.append(
            f"Not measured: {', '.join(missing)}. Search with "
            f"scoring=cost_scoring(scoring, costs={[*_COSTS][:4]})."
        )
    return table, notes


def _dimensions(params, splits, sizes):
    """Return what each numeric parameter changes by itself, the most first."""
    names = list(dict.fromkeys(name for one in params for name in one))
    found = []
    for name in names:
        steps = _steps_along(name, params)
        if not steps:
            continue
        differences = []
        for a, b in steps:
            difference = splits[b] - splits[a]
            if sizes is not None:
                n_doublings = np.log2(sizes[b] / sizes[a])
                if not np.isfinite(n_doublings) or abs(n_doublings) < 0.05:
                    continue  # it changes no size: dropout, say
                difference = difference / n_doublings
            differences.append(difference)
        if differences:
            mean = np.mean(differences, axis=0)
            error = mean.std(ddof=1) / np.sqrt(len(mean)) if len(mean) > 1 else np.nan
            short = name.rsplit("__", 1)[-1]
            found.append(
                Dimension(short, len(differences), float(mean.mean()), float(error),
                          sizes is not None)
            )  # fmt: skip
    return sorted(found, key=lambda d: -d.gain)


def _steps_along(name, params):
    """Return pairs of candidates, next to one another, that differ in one number alone."""
    lines = {}
    for k, one in enumerate(params):
        value = one.get(name)
        if isinstance(value, Real) and not isinstance(value, bool):
            others = repr(sorted((n, repr(v)) for n, v in one.items() if n != name))
            lines.setdefault(others, []).append((value, k))
    steps = []
    for line in lines.values():
        line.sort()
        steps += [(a[1], b[1]) for a, b in pairwise(line) if a[0] < b[0]]
    return steps


def _forecast(results, score, sizes, place, notes):
    try:
        law = ScalingLaw.from_cv_results(results, score=score)
    except ValueError as error:
        notes.append(f"No forecast of the next doubling: {error}")
        return None, {}
    gains = {"the largest": law.gain()}
    if sizes[place] < 0.99 * law.n_parameters[-1]:
        gains = {"the recommended": law.gain(n_from=float(sizes[place])), **gains}
    return law, gains


def _find_smaller(candidates, labels, sizes, place):
    if sizes is None:
        return []
    front = [k for k in pareto_front(candidates.mean, sizes) if sizes[k] < sizes[place]]
    errors = standard_errors(candidates.splits, place)
    return [
        Alternative(
            int(candidates.index[k]),
            labels[k],
            float(sizes[k]),
            float(candidates.mean[k] - candidates.mean[place]),
            float(errors[k]),
        )
        for k in front[::-1][:_MOST_SMALLER]
    ]


def _diagnose(search, params, X, y, cv, notes):
    if X is None or y is None:
        notes.append(
            "The recommended network was not diagnosed. For its state and the evidence: "
            "scale_report(search, X, y)."
        )
        return None
    if not hasattr(search, "estimator"):
        notes.append("A table of results has no estimator to diagnose. Pass the search.")
        return None
    scoring = search.scoring
    scoring = scoring.scoring if isinstance(scoring, CostScoring) else scoring
    if isinstance(scoring, (list, tuple, dict, set)):
        scoring = None
    try:
        return diagnose(
            clone(search.estimator).set_params(**params), X, y, scoring=scoring, cv=cv
        )
    except TypeError as error:
        notes.append(f"Not diagnosed: {error}")
        return None


def _analyse(candidates, results, score, sizes, best, diagnosis):
    """Return what the search says of its own range, after the diagnosis if there is one."""
    words = []
    if diagnosis is not None:
        words.append(f"The recommended network is {diagnosis.state}: {diagnosis.advice}")
    if sizes is not None and len(sizes) > 1 and np.isfinite(sizes[best]):
        if sizes[best] == sizes.max():
            words.append(
                "The best candidate is the largest: larger ones, which were not tried, may be "
                "better."
            )
        elif sizes[best] == sizes.min():
            words.append("The best candidate is the smallest: smaller ones may do as well.")
        else:
            largest = int(np.argmax(sizes))
            error = standard_errors(candidates.splits, best)[largest]
            words.append(
                "The best candidate lies within the range: the largest, with "
                f"{sizes[largest] / sizes[best]:.3g} times its parameters, scores "
                f"{candidates.mean[best] - candidates.mean[largest]:.4f} (± {error:.4f}) less."
            )
    train = results.get(f"mean_train_{score}")
    if train is not None:
        gap = float(
            np.asarray(train, dtype=float)[candidates.index[best]] - candidates.mean[best]
        )
        words.append(f"On its training rows the best scores {gap:.4f} more.")
    return " ".join(words) or "One candidate says nothing of scale."


def _plus_minus(value, error):
    if not np.isfinite(error):
        return f"{value:+.4f}"
    return f"{value:+.4f} ± {error:.4f}" if value or error else "the best"


def _as_text(rows):
    """Return a table as lines, the first column to the left, no wider than the page."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    # The first column gives way.
    widths[0] = max(12, min(widths[0], _WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = []
    for row in rows:
        first = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _as_html(report, pictures):
    parts = [f'<div class="skscale-report"><style>{_CSS}</style><h1>Scale report</h1>']
    for title, paragraphs, rows in report._sections():
        parts.append(f"<h2>{html.escape(title)}</h2>")
        parts += [f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs]
        if rows:
            parts.append(_html_table(rows))
        if title.startswith("4"):
            parts += [
                f'<p><img alt="score against cost" src="data:image/png;base64,{picture}"></p>'
                for picture in pictures
            ]
    return "".join([*parts, "</div>"])


def _html_table(rows):
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    body = []
    for row in rows[1:]:
        chosen = ' class="chosen"' if row[0].endswith("*") else ""
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        body.append(f"<tr{chosen}>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
