"""Text and HTML of a report, in five sections.

A section holds paragraphs and tables. The plain text drops table columns that do not fit.
"""

import html
import textwrap
from dataclasses import dataclass
from numbers import Real

import numpy as np

from ..selection.rules import pareto_front
from .drawing import format_number, format_value

# Maximum rows of the comparison; `to_frame` has all candidates.
_MAX_ROWS = 12
_MAX_VALUES = 8
_WIDTH = 96
# With no-break spaces, so that wrapping keeps it on one line.
_PLUS_MINUS = "\u00a0±\u00a0"
_CSS = """
.skscale-report { color-scheme: light dark; --text: #1b1f24; --back: #ffffff;
  --line: #d0d7de; --mark: #ddf4ff; color: var(--text); background: var(--back);
  font: 16px/1.5 system-ui, sans-serif; padding: .5rem 1rem; }
@media (prefers-color-scheme: dark) { .skscale-report { --text: #e6edf3; --back: #0d1117;
  --line: #3d444d; --mark: #12324a; } }
.skscale-report main { max-width: 62rem; margin: 0 auto; }
.skscale-report h1, .skscale-report h2 { line-height: 1.2; }
.skscale-report .wide { overflow-x: auto; }
.skscale-report table { border-collapse: collapse; font-size: 85%; color: inherit;
  font-variant-numeric: tabular-nums; margin: .5rem 0 1rem; }
.skscale-report td, .skscale-report th { padding: .2rem .6rem; text-align: right;
  border-bottom: 1px solid var(--line); white-space: nowrap; background: none; }
.skscale-report td:first-child, .skscale-report th:first-child { text-align: left; }
.skscale-report tr.chosen { background: var(--mark); font-weight: 600; }
.skscale-report img { max-width: 100%; }
"""


@dataclass(frozen=True)
class Table:
    """A table of a section.

    Attributes
    ----------
    rows : list of list of str
        Rows of cells, the headings first.
    marked : int or None, default=None
        Row to highlight.
    dispensable : tuple of int, default=()
        Columns that the text drops, in this order, until the table fits.
    """

    rows: list
    marked: int | None = None
    dispensable: tuple = ()


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes
    ----------
    title : str
    blocks : list of str or Table
    has_pictures : bool, default=False
        Whether the figures follow.
    """

    title: str
    blocks: list
    has_pictures: bool = False


class ScoreWriter:
    """Formatter of scores, with digits according to their magnitude.

    Parameters
    ----------
    best : float
        The best score.
    """

    def __init__(self, best):
        magnitude = int(np.ceil(np.log10(abs(best)))) if best else 0
        self.n_decimals = min(12, max(0, 4 - magnitude))
        # Differences up to this are rounding errors of the means.
        self.rounding = 8 * np.finfo(float).eps * abs(best)

    def score(self, value, error=np.nan):
        """Format a score, with its standard error unless that is NaN."""
        return self._with_error(f"{value:,.{self.n_decimals}f}", error)

    def difference(self, value, error=np.nan):
        """Format a difference with its sign, and its standard error unless that is NaN."""
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        value = round(value, self.n_decimals) + 0.0
        return self._with_error(f"{value:+,.{self.n_decimals}f}", error)

    def compared(self, comparison):
        """Write a difference from the best, with its interval and the verdict.

        Parameters
        ----------
        comparison : Comparison
            Of a candidate with the best one.
        """
        size = f"{self.score(-comparison.estimate)} less than the best"
        if abs(comparison.estimate) <= self.rounding:
            size = "the same as the best"
        if np.isnan(comparison.low):
            return f"{size}; the noise is not known"
        verdict = {
            "better": "better",
            "worse": "worse",
            "undecided": "not proven worse",
            "equivalent": f"equivalent within {comparison.margin or 0:.2g}",
        }[comparison.verdict]
        within = (comparison.margin or 0) + self.rounding
        if comparison.verdict == "worse" and -comparison.estimate <= within:
            verdict = f"worse, within the margin of {comparison.margin:.2g}"
        return f"{size} ({self.interval(comparison)}: {verdict})"

    def interval(self, comparison):
        """Write the interval of a comparison; an end is not rounded across zero."""
        ends = []
        for end in (comparison.low, comparison.high):
            n_decimals = self.n_decimals
            is_zero = abs(end) <= self.rounding
            while round(end, n_decimals) == 0 and not is_zero and n_decimals < 12:
                n_decimals += 1
            ends.append(f"{round(end, n_decimals) + 0.0:+,.{n_decimals}f}")
        return f"95% interval {ends[0]} to {ends[1]}"

    def _with_error(self, text, error):
        return text if np.isnan(error) else f"{text}{_PLUS_MINUS}{error:,.{self.n_decimals}f}"


def sections(report):
    """Write the sections of a report.

    Parameters
    ----------
    report : ScaleReport

    Returns
    -------
    list of Section
    """
    index = report.table["index"]
    write = ScoreWriter(report.table["score"][index.index(report.best)])
    return [
        Section("1. Analysis", _analysis(report, write)),
        Section("2. Dimension to scale", _dimension(report, write)),
        Section("3. Candidates", _candidates(report)),
        Section("4. Comparison", _comparison(report, write), has_pictures=True),
        Section("5. Recommendation", _recommendation(report, write)),
    ]


def _noted(report, step):
    return [report.notes[step]] if step in report.notes else []


def _analysis(report, write):
    blocks = [report.analysis, *_noted(report, "analysis")]
    if report.diagnosis is not None:
        rows = [["trial", "test score", "training score", "difference", "parameters"]]
        rows += [
            [
                t.name,
                write.score(t.score),
                write.score(t.train_score),
                "" if t.name == "unchanged"
                else write.difference(t.difference, t.standard_error),
                f"{t.n_parameters:,}",
            ]
            for t in report.diagnosis.trials
        ]  # fmt: skip
        blocks.append(Table(rows))
    return blocks


def _dimension(report, write):
    if not report.dimensions:
        text = "No two candidates differ in one numeric parameter only: no effect is known."
        return [*_diagnosed_dimension(report), text]
    rows = [["parameter", "pairs", "gain per step", "gain per doubling of parameters"]]
    rows += [
        [
            d.name,
            str(d.n_steps),
            write.difference(d.step.estimate, d.step.standard_error),
            ""
            if d.doubling is None
            else write.difference(d.doubling.estimate, d.doubling.standard_error),
        ]
        for d in report.dimensions
    ]
    effects = " ".join(_effect(d, write) for d in report.dimensions)
    text = (
        "Means over all pairs of candidates that differ in one parameter only, including small "
        "networks."
    )
    return [*_diagnosed_dimension(report), effects, text, Table(rows)]


def _diagnosed_dimension(report):
    found = report.diagnosis
    if found is None:
        return []
    if found.dimension is None:
        return [f"Diagnosis of the recommended network: no dimension, it is {found.state}."]
    return [
        f"Diagnosis of the recommended network: {found.dimension}, {found.direction}. Section "
        "1 shows the trials."
    ]


def _effect(dimension, write):
    """Write a sentence about a step up in a parameter."""
    step = dimension.step
    change = write.difference(step.estimate)
    if np.isnan(step.low):
        words = f"changes the score by {change}; the noise is not known"
    else:
        verb = {"better": "raises", "worse": "lowers"}.get(step.verdict)
        words = f"{verb} the score by {write.score(abs(step.estimate))}"
        if verb is None:
            words = f"has no proven effect, {change}"
        words += f" ({write.interval(step).removeprefix('95% ')})"
    spread = ""
    if dimension.least < 0 < dimension.most:
        spread = (
            f" Single pairs differ: from {write.difference(dimension.least)} to "
            f"{write.difference(dimension.most)}."
        )
    return f"One step up in {dimension.name} {words}.{spread}"


def _candidates(report):
    table = report.table
    n = len(table["index"])
    words = [
        f"{n} {'candidate' if n == 1 else 'candidates'} in {report.n_splits} "
        f"{'split' if report.n_splits == 1 else 'splits'}."
    ]
    varied = _varied(table["params"])
    if varied:
        words.append(f"Varied: {'; '.join(varied)}.")
    if report.size_name is not None:
        sizes = np.array(table[report.size_name])
        low, high = np.nanmin(sizes), np.nanmax(sizes)
        name = report._costs[report.size_name].heading
        words.append(
            f"{name[0].upper()}{name[1:]}: {format_number(low)} to {format_number(high)}."
        )
    if report.n_earlier:
        words.append(
            f"Only the last iteration of the halving search is included, not "
            f"{report.n_earlier} rows of earlier iterations with fewer resources."
        )
    if report.n_failed:
        subject = "candidate is" if report.n_failed == 1 else "candidates are"
        words.append(f"{report.n_failed} {subject} omitted, without a finite score.")
    return [" ".join(words)]


def _varied(params):
    """Return a phrase for each varying parameter: its values, or their range."""
    names = dict.fromkeys(name for one in params for name in one)
    phrases = []
    for name in names:
        values = [one[name] for one in params if name in one]
        is_numeric = all(isinstance(v, Real) and not isinstance(v, bool) for v in values)
        written = [format_value(v) for v in (sorted(values) if is_numeric else values)]
        written = list(dict.fromkeys(written))
        if len(written) < 2:
            continue
        listed = ", ".join(written)
        if len(written) > _MAX_VALUES:
            listed = f"{written[0]} to {written[-1]}, " if is_numeric else ""
            listed += f"{len(written)} values"
        phrases.append(f"{name.rsplit('__', 1)[-1]} {listed}")
    return phrases


def _comparison(report, write):
    table = report.table
    costs = [name for name in report._costs if name in table]
    decimals = {name: _decimals_of(table[name]) for name in costs}
    has_error = np.isfinite(table["score_error"]).all()
    errors, verdicts = (["±"], ["verdict"]) if has_error else ([], [])
    headings = [report._costs[name].heading for name in costs]
    rows = [["candidate", "score", *errors, "difference", *verdicts, *headings]]
    shown, marked = _shown_rows(report), None
    for k in shown:
        if table["index"][k] == report.recommended.index:
            marked = len(rows)
        is_best = table["index"][k] == report.best
        if has_error:
            errors = [write.score(table["score_error"][k])]
            verdicts = ["" if is_best else table["verdict"][k]]
        rows.append(
            [
                table["label"][k],
                write.score(table["score"][k]),
                *errors,
                "best" if is_best
                else write.difference(table["difference"][k], table["standard_error"][k]),
                *verdicts,
                *(_cell(table[c][k], decimals[c]) for c in costs),
            ]
        )  # fmt: skip
    n_left = len(table["index"]) - len(shown)
    text = "* marks the recommended candidate. Differences are to the best one."
    if has_error:
        text += (
            " ± is one standard error over the splits, paired by split for differences. The "
            "verdict also holds for other training sets: see compare."
        )
    if report.score_label != "score":
        text = f"The score is {report.score_label}. {text}"
    if n_left:
        text += f" {n_left} more candidates are in to_frame()."
    # Too wide a table first drops the error of the score, then the costs from the last.
    n_columns = len(rows[0])
    costs_back = range(n_columns - 1, n_columns - len(costs), -1)
    dispensable = (2, *costs_back) if has_error else tuple(costs_back)
    return [text, Table(rows, marked, dispensable), *_noted(report, "comparison")]


def _shown_rows(report):
    """Choose the rows to show: the recommended, the best, the front, then others by score."""
    table = report.table
    n = len(table["index"])
    if n <= _MAX_ROWS:
        return range(n)
    score = np.array(table["score"])
    sizes = np.array(table.get(report.size_name, np.arange(n)), dtype=float)
    front = pareto_front(score, np.where(np.isnan(sizes), np.inf, sizes))
    order = [table["index"].index(i) for i in (report.recommended.index, report.best)]
    order += [*front[::-1], *np.argsort(-score, kind="stable")]
    return sorted(list(dict.fromkeys(int(k) for k in order))[:_MAX_ROWS])


def _decimals_of(values):
    """Return the number of decimals that shows three digits of the smallest value."""
    known = [abs(v) for v in values if np.isfinite(v) and v]
    return min(6, max(0, 3 - int(np.ceil(np.log10(min(known)))))) if known else 0


def _cell(value, n_decimals):
    if np.isnan(value):
        return "?"
    n_decimals = 0 if float(value).is_integer() and abs(value) >= 1 else n_decimals
    return f"{value:,.{n_decimals}f}"


def _recommendation(report, write):
    chosen = report.recommended
    row = report.table["index"].index(chosen.index)
    score = write.score(chosen.score, report.table["score_error"][row])
    blocks = [
        f"{report.rule!r} recommends candidate {chosen.index} ({report.table['label'][row]}): "
        f"{report.score_label} {score}. {_compare_with_best(report, write)}",
        *_noted(report, "forecast"),
    ]
    if report.doublings:
        blocks.append("By the scaling law, " + " ".join(_forecast(report, write)))
    return blocks + _compare_smaller(report, write)


def _compare_with_best(report, write):
    if report.recommended.index == report.best:
        return "It is the best candidate."
    row = report.table["index"].index(report.best)
    shares = [
        f"{share:.{0 if share >= 0.1 else 1}%} of its {report._costs[name].share_name}"
        for name, share in report.savings.items()
        if np.isfinite(share) and share > 0
    ]  # fmt: skip
    saved = f" It has {', '.join(shares)}." if shares else ""
    return (
        f"The best is {report.table['label'][row]}. The recommended one scores "
        f"{write.compared(report.recommended.comparison)}.{saved}"
    )


def _forecast(report, write):
    network_of = {
        "recommended": "twice its parameters",
        "largest": "Twice the parameters of the largest candidate",
    }
    if "recommended" not in report.doublings:
        network_of["largest"] = "twice the parameters of the largest candidate"
    for of, gain in report.doublings.items():
        doubt = ""
        if gain.low <= 0 <= gain.high:
            doubt = ", which includes zero"
        yield (
            f"{network_of[of]} would change the score by {write.difference(gain.mean)} (80% "
            f"interval {write.difference(gain.low)} to {write.difference(gain.high)}{doubt})."
        )


def _compare_smaller(report, write):
    if report.size_name is None:
        return []
    row = report.table["index"].index(report.recommended.index)
    if not np.isfinite(report.table[report.size_name][row]):
        return []
    if not report.smaller:
        return ["No smaller candidate was searched: the score of a smaller network is unknown."]
    heading = report._costs[report.size_name].heading
    rows = [["smaller candidate", heading, "score difference", "verdict"]]
    rows += [
        [
            a.label,
            format_number(a.size),
            write.difference(a.comparison.estimate, a.comparison.standard_error),
            a.comparison.verdict,
        ]
        for a in report.smaller
    ]
    return ["Smaller candidates, compared with the recommended one:", Table(rows)]


def as_text(parts):
    """Write sections as plain text, 96 characters wide.

    Parameters
    ----------
    parts : list of Section

    Returns
    -------
    str
    """
    lines = []
    for part in parts:
        lines += [part.title, "-" * len(part.title)]
        for block in part.blocks:
            if isinstance(block, Table):
                lines += _table_lines(block)
            else:
                lines += textwrap.wrap(block, _WIDTH, break_on_hyphens=False)
            lines.append("")
        lines.append("")
    return "\n".join(lines).rstrip().replace(_PLUS_MINUS, " ± ")


def _table_lines(table):
    """Format a table within the page width, the first column aligned left."""
    rows, left_out = _narrowed(table)
    star = 0 if table.marked is None else 2
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    # If the table is still too wide, the first column is shortened.
    widths[0] = max(8, min(widths[0], _WIDTH - star - sum(widths[1:]) - 2 * len(widths[1:])))
    lines = []
    for number, row in enumerate(rows):
        mark = ("* " if number == table.marked else "  ")[:star]
        first = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        cells = [mark + first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    if left_out:
        lines += ["", f"Omitted for lack of space: {', '.join(left_out)}. to_frame() has them."]
    return lines


def _narrowed(table):
    """Drop the columns that do not fit; return the rows and the dropped headings."""
    shown, left_out = list(range(len(table.rows[0]))), []
    star = 0 if table.marked is None else 2

    def width():
        columns = [max(len(row[k]) for row in table.rows) for k in shown]
        return star + sum(columns) + 2 * (len(columns) - 1)

    for column in table.dispensable:
        if width() <= _WIDTH:
            break
        shown.remove(column)
        left_out.append(table.rows[0][column])
    return [[row[k] for k in shown] for row in table.rows], left_out


def as_fragment(parts):
    """Write sections as an HTML fragment to embed in a page.

    Parameters
    ----------
    parts : list of Section

    Returns
    -------
    str
    """
    return f'<div class="skscale-report"><style>{_CSS}</style>{_body(parts)}</div>'


def as_page(parts, pictures):
    """Write sections as a self-contained HTML page.

    Parameters
    ----------
    parts : list of Section
    pictures : tuple of (str or None, str or None)
        Base64 PNG for light and for dark screens; None for no figure.

    Returns
    -------
    str
    """
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Scale report</title><style>{_CSS}body {{ margin: 0; }}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>'
        f'<body class="skscale-report">{_body(parts, _picture(*pictures))}</body></html>\n'
    )


def _body(parts, picture=""):
    texts = ["<main><h1>Scale report</h1>"]
    for part in parts:
        texts.append(f"<h2>{html.escape(part.title)}</h2>")
        texts += [
            _html_table(block)
            if isinstance(block, Table)
            else f"<p>{html.escape(block)}</p>"
            for block in part.blocks
        ]  # fmt: skip
        if part.has_pictures:
            texts.append(picture)
    return "\n".join([*texts, "</main>"])


def _picture(light, dark):
    if light is None:
        return ""
    return (
        '<picture><source media="(prefers-color-scheme: dark)" '
        f'srcset="data:image/png;base64,{dark}"><img alt="score against size and cost" '
        f'src="data:image/png;base64,{light}"></picture>'
    )


def _html_table(table):
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.rows[0])
    body = []
    for number, row in enumerate(table.rows[1:], 1):
        chosen = ' class="chosen"' if number == table.marked else ""
        row = [f"* {row[0]}", *row[1:]] if chosen else row
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        body.append(f"<tr{chosen}>{cells}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
