"""Encoding of table columns as network inputs, for any array namespace.

It maps numbers and category codes to the inputs of the first layer. Fitting, by
`fit_encoding`, also needs NumPy only.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..networks.namespace import as_constant, cast, dtype_in, in_place, namespace_of
from ..storage.tree import Part, expect, expect_floats, expect_places
from .column_choice import Residuals, sample_rows

# Smooth clipping bounds every value by this number of units (Holzmueller et al. 2024, "Better
# by default", section 3.1).
CLIP = 3
# A column with more than this fraction of its rows beyond the clipping has a heavy tail.
_TAIL_SHARE = 0.005
# Bound of the direct inputs, so that outputs stay finite.
LARGEST_DIRECT = 1e12
# Factor of direct inputs in standard deviations. Their weights are of the order of one and have
# to be found in few steps: without the factor, the R2 of y = x + noise was .960, .985, .945 for
# x lognormal (sigma 1 and 1.5) and t(2), with it .961, .993, .960.
DIRECT_FACTOR = 10.0
# A column with a smaller spread counts as constant.
_SMALLEST_SPREAD = 1e-100
# Upper bounds of numbers of X, which end as float32, and of scales, so that squares of scaled
# values do not overflow.
_LARGEST_NUMBER = 1e39
_LARGEST_SCALE = 1.01 / _SMALLEST_SPREAD
# A stream refines centers and scales up to this number of rows. A quartile of 50 rows has a
# standard error of 6 % of the rows.
_SETTLED = 50
# Columns are fitted in blocks of this size, so that copies stay small.
_BYTES_OF_COLUMNS = 1 << 22
# Quantiles use at most this many rows, drawn at random. The standard error of a quartile is a
# quarter of a percent of the rows, and 50 columns of 160,000 rows take 0.06 s instead of
# 0.26 s.
_MAX_ROWS = 1 << 15


@dataclass(frozen=True, eq=False)
class TableEncoding(Part):
    """Encoding of the columns of a table as network inputs.

    A numeric column becomes `t = (x - center) * scale`. If `clips`, values beyond the training
    range become its ends, and `t` is smoothly clipped::

        t / sqrt(1 + (t / 3)**2)

    A missing value becomes `fill`. A column with missing values in training also gets a
    missing indicator. The columns `binned` are also encoded piecewise-linearly (Gorishniy et
    al. 2022, "On embeddings for numerical features", eq. 1, without extrapolation): one input
    per bin, 0 below it, `bin_factor` above it, linear within. A categorical column becomes one
    input per category. The columns `direct` also become `t * direct_scale` before clipping;
    these inputs come last, and the network is linear in them.

    A small `bin_factor` lets the network use bins only where they explain more than smooth
    functions. On churn, california, casp, letter, magic and digits 16 bins of every column
    changed the score by +.023, +.024, +.018, -.005, -.005 and -.005 with a factor of 1, by
    +.024, +.023, +.020, -.001, +.000 and -.003 with .05 (means of three seeds).

    Parameters
    ----------
    numbers : ndarray of int of shape (n_numbers,)
        Numeric columns.
    center, scale, fill : float64 ndarrays of shape (n_numbers,)
    clips : bool
    missing : ndarray of int
        Indices into `numbers` of columns with missing values in training.
    edges : float64 ndarray of shape (n_binned, n_bins + 1) or None
        Bin edges in the units of the column, ascending; infinite where a column has fewer
        bins.
    categories : ndarray of int of shape (n_categories,)
        Columns that hold codes.
    n_codes : tuple of int
        Number of known codes of each column, counted from 0.
    other : tuple of int
        Code of infrequent and unknown categories of each column; -1 without one.
    has_missing : tuple of bool
        Whether missing categories have an input.
    standardizes : bool
        Whether numeric columns are centered and scaled.
    low, high : float64 ndarrays of shape (n_numbers,)
        Training range of `t`.
    binned, direct : ndarrays of int
        Indices into `numbers`.
    direct_scale : float64 ndarray of shape (n_direct,)
    bin_factor : float, default=0.05
    """

    numbers: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    fill: np.ndarray
    clips: bool
    missing: np.ndarray
    edges: np.ndarray | None
    categories: np.ndarray
    n_codes: tuple
    other: tuple
    has_missing: tuple
    standardizes: bool
    low: np.ndarray
    high: np.ndarray
    binned: np.ndarray
    direct: np.ndarray
    direct_scale: np.ndarray
    bin_factor: float = 0.05

    @property
    def n_bins(self):
        """int: number of bins of each binned column."""
        return 0 if self.edges is None else self.edges.shape[1] - 1

    @property
    def n_inputs(self):
        """int: number of network inputs."""
        n_numbers = len(self.numbers)
        n = n_numbers + len(self.missing) + len(self.binned) * self.n_bins
        return n + sum(map(self.width_of, range(len(self.categories)))) + self.n_direct

    @property
    def n_direct(self):
        """int: number of direct inputs, which come last."""
        return len(self.direct)

    @property
    def fan_in(self):
        """int: inputs of the hidden layers; a bin counts `bin_factor` squared."""
        n_bins = len(self.binned) * self.n_bins
        n_others = self.n_inputs - self.n_direct - n_bins
        return max(1, round(n_others + n_bins * self.bin_factor**2))

    def width_of(self, place):
        """Return the number of inputs of a categorical column."""
        n = self.n_codes[place] + self.has_missing[place]
        return 1 if self.is_pair(place) else n

    def is_pair(self, place):
        """Return whether a categorical column has two values: one input of 1 or -1."""
        is_closed = not self.has_missing[place] and self.other[place] < 0
        return is_closed and self.n_codes[place] == 2

    def encode(self, X, dtype, is_complete=False, out=None):
        """Encode rows.

        Parameters
        ----------
        X : float array of shape (n_rows, n_columns)
            Missing values are NaN; an unknown category is -1.
        dtype : numpy dtype
            float32 or float64.
        is_complete : bool, default=False
            Whether X is known to have no missing number.
        out : array of shape (n_rows, n_inputs) or None, default=None
            Output array; None allocates one.

        Returns
        -------
        array of shape (n_rows, n_inputs)
            In the namespace and on the device of X.
        """
        xp = np if type(X) is np.ndarray else namespace_of(X)
        x, t, of_direct, is_missing, n_numbers = X, None, None, None, len(self.numbers)
        if n_numbers:
            if n_numbers < X.shape[1]:
                x = _take(xp, X, self.numbers)
            if not is_complete:
                is_missing = xp.isnan(x)
                x = xp.where(is_missing, as_constant(xp, self.fill, X), x)
            center, scale = self.center, self.scale
            if xp is not np:
                center, scale = as_constant(xp, center, x), as_constant(xp, scale, x)
            t = x - center
            t *= scale
            if len(self.direct):
                of_direct = _take(xp, t, self.direct) * as_constant(xp, self.direct_scale, t)
                of_direct = xp.clip(of_direct, -LARGEST_DIRECT, LARGEST_DIRECT)
            if self.clips:
                t = self._limit(xp, t)
                divisor = t * (1 / CLIP)
                divisor *= divisor
                divisor += 1
                if xp is np:
                    np.sqrt(divisor, out=divisor)
                    t = np.divide(t, divisor, out=divisor)
                else:
                    t = t / xp.sqrt(divisor)
            if self._is_plain and out is None:
                return cast(xp, t, dtype if xp is np else dtype_in(xp, dtype))
        if out is None:
            device = {} if xp is np else {"device": X.device}
            out = xp.empty((X.shape[0], self.n_inputs), dtype=dtype_in(xp, dtype), **device)
        if n_numbers:
            out[:, :n_numbers] = t
        stop = n_numbers
        if len(self.missing):
            start, stop = stop, stop + len(self.missing)
            where = 0 if is_missing is None else _take(xp, is_missing, self.missing)
            out[:, start:stop] = where
        if self.n_bins:
            start, stop = stop, stop + len(self.binned) * self.n_bins
            out[:, start:stop] = self._encode_bins(xp, _take(xp, x, self.binned))
        for place, column in enumerate(self.categories.tolist()):
            start, stop = stop, stop + self.width_of(place)
            out[:, start:stop] = self._encode_category(xp, place, X[:, column])
        if of_direct is not None:
            out[:, stop:] = of_direct
        return out

    def _limit(self, xp, t):
        if xp is np:
            # Faster than `clip` for a single row.
            np.maximum(t, self.low, out=t)
            return np.minimum(t, self.high, out=t)
        return xp.clip(t, as_constant(xp, self.low, t), as_constant(xp, self.high, t))

    @cached_property
    def _is_plain(self):
        # Whether each column is encoded as one number.
        is_single = not len(self.missing) and self.edges is None and not len(self.direct)
        return is_single and not len(self.categories)

    @cached_property
    def bins(self):
        """Left edges and slopes of bins: two ndarrays of shape (n_binned, n_bins).

        An input is `(x - left) * slope`, clipped to 0 and 1, times `bin_factor`.
        """
        left, right = self.edges[:, :-1], self.edges[:, 1:]
        is_bin = np.isfinite(right)
        left = np.where(is_bin, left, 0)
        # A bin of almost zero width would have an infinite slope.
        width = np.where(is_bin, right - left, 1)
        is_wide = width > _SMALLEST_SPREAD
        slope = np.where(is_bin & is_wide, 1 / np.where(is_wide, width, 1), 0)
        return left, slope

    def _encode_bins(self, xp, x):
        left, slope = (as_constant(xp, part, x) for part in self.bins)
        inside = x[:, :, None] - left
        inside *= slope
        inside = in_place(xp, xp.clip, inside, 0.0, 1.0)
        inside *= self.bin_factor
        shape = (x.shape[0], -1)
        return inside.reshape(shape) if xp is np else xp.reshape(inside, shape)

    def _encode_category(self, xp, place, codes):
        if self.is_pair(place):
            sign = xp.where(codes == 1, 1.0, 0.0)
            return xp.where(codes == 0, -1.0, sign)[:, None]
        codes = xp.where(xp.isnan(codes), float(self.n_codes[place]), codes)
        codes = xp.where(codes < 0, float(self.other[place]), codes)
        known = np.arange(self.width_of(place), dtype=np.float64)
        return codes[:, None] == as_constant(xp, known, codes)

    def follow(self, X, rows, n_before):
        """Return the encoding after further rows of a stream.

        The training range grows. A column that was constant so far gets the center and scale
        of these rows. Until `_SETTLED` rows are seen, centers and scales are means over the
        calls, weighted by their numbers of rows.

        Parameters
        ----------
        X : float ndarray of shape (n_rows, n_columns)
        rows : ndarray of int
            Rows to learn from.
        n_before : int
            Number of rows seen before.

        Returns
        -------
        TableEncoding
            With the same inputs.
        """
        if not self.standardizes:
            return self
        center, scale, fill = self.center.copy(), self.scale.copy(), self.fill.copy()
        low, high = self.low.copy(), self.high.copy()
        for place, column in enumerate(self.numbers.tolist()):
            values = X[rows, column].astype(np.float64)
            values = values[~np.isnan(values)]
            if not len(values):
                continue
            lowest, highest = float(values.min()), float(values.max())
            was_constant = scale[place] == 0
            ends = (center[place], center[place])
            if not was_constant:
                ends = center[place] + np.array([low[place], high[place]]) / scale[place]
            if was_constant or n_before < _SETTLED:
                before = 0 if was_constant else n_before / (n_before + len(values))
                spread = _spread_of(values, center[place])
                if not was_constant:
                    spread = before / scale[place] + (1 - before) * spread
                if spread > _SMALLEST_SPREAD:
                    median = float(np.median(values))
                    center[place] = before * center[place] + (1 - before) * median
                    scale[place] = 1 / spread
                    fill[place] = before * fill[place] + (1 - before) * median
            ends = min(ends[0], lowest), max(ends[1], highest)
            low[place], high[place] = (np.array(ends) - center[place]) * scale[place]
        return replace(self, center=center, scale=scale, fill=fill, low=low, high=high)

    def check(self, n_columns):
        """Reject parts that do not match each other or the number of columns.

        Parameters
        ----------
        n_columns : int

        Raises
        ------
        ValueError
        """
        n_numbers, n_categories = len(self.numbers), len(self.categories)
        expect(n_numbers + n_categories == n_columns, "an encoding for each column")
        for places in (self.numbers, self.categories):
            expect_places(places, n_columns)
            expect(bool((places[:-1] < places[1:]).all()), "column indices in ascending order")
        expect(not np.isin(self.numbers, self.categories).any(), "each column encoded once")
        expect_places(self.missing, n_numbers)
        for numbers in (self.center, self.scale, self.fill):
            expect_floats(numbers, (n_numbers,))
            largest = _LARGEST_SCALE if numbers is self.scale else _LARGEST_NUMBER
            is_moderate = np.abs(numbers) <= largest
            expect(bool(is_moderate.all()), f"absolute values up to {largest:g}")
        for places in (self.binned, self.direct):
            expect_places(places, n_numbers)
        for numbers in (self.low, self.high):
            expect_floats(numbers, (n_numbers,))
        expect(bool((self.low <= self.high).all()), "a range from low to high")
        expect_floats(self.direct_scale, (len(self.direct),))
        is_moderate = np.abs(self.direct_scale) <= _LARGEST_SCALE
        expect(bool(is_moderate.all()), f"absolute values up to {_LARGEST_SCALE:g}")
        expect(self.edges is not None or not len(self.binned), "edges of binned columns")
        if self.edges is not None:
            expect(self.edges.ndim == 2 and self.edges.shape[1] > 1, "a 2D array of bin edges")
            expect_floats(self.edges, (len(self.binned), self.edges.shape[1]))
            left, right = self.edges[:, :-1], self.edges[:, 1:]
            expect(bool(np.isfinite(self.edges[:, 0]).all()), "finite first bin edges")
            expect(bool(((left < right) | (right == np.inf)).all()), "ascending bin edges")
            is_moderate = (np.abs(self.edges) <= _LARGEST_NUMBER) | (self.edges == np.inf)
            expect(bool(is_moderate.all()), f"bin edges up to {_LARGEST_NUMBER:g}")
        is_factor = isinstance(self.bin_factor, float) and 0 < self.bin_factor <= 1
        expect(is_factor, "a factor of bins up to 1")
        flags = (self.clips, self.standardizes)
        expect(all(isinstance(flag, bool) for flag in flags), "booleans")
        of_categories = (self.n_codes, self.other, self.has_missing)
        expect(all(isinstance(of, tuple) for of in of_categories), "tuples")
        is_complete = all(len(of) == n_categories for of in of_categories)
        expect(is_complete, "one entry per categorical column")
        expect(
            all(type(n) is int and n >= 0 for n in self.n_codes),
            "integer numbers of codes",
        )
        expect(all(type(n) is int for n in self.other), "integer codes of other categories")
        pairs = zip(self.other, self.n_codes, strict=True)
        exists = all(-1 <= other < max(1, n) for other, n in pairs)
        expect(exists, "existing codes of other categories")
        expect(all(type(has) is bool for has in self.has_missing), "booleans")


def _take(xp, x, places):
    """Select columns of an array."""
    if xp is np:
        return x[:, places]
    return xp.take(x, xp.asarray(places, device=x.device), axis=1)


def fit_encoding(
    X, n_categories, rows, weights, *, preprocessing, n_bins, chooses_bins=False, clips=True,
    targets=None, is_complete=False,
):  # fmt: skip
    """Fit the encoding of the columns of a table.

    Parameters
    ----------
    X : float ndarray of shape (n_rows, n_columns)
        Numbers, and category codes in the categorical columns.
    n_categories : dict of int to (int, int)
        For each column of codes, their number, and the code of all other values or -1.
    rows : ndarray of int
        Rows to learn from.
    weights : ndarray of shape (n_rows,) or None
        Sample weights; a row of weight 2 counts as two.
    preprocessing : {"auto"} or None
        "auto": `center` is the median, and `scale` the inverse of the interquartile range, or
        of half the range if that is zero (Holzmueller et al. 2024, "Better by default",
        section 3.1), with clipping. None leaves numbers unchanged.
    n_bins : int
        Number of quantile bins of each numeric column.
    chooses_bins : bool, default=False
        Whether only the columns in which the targets have jumps get bins. Without targets or
        clipping, no column does.
    clips : bool, default=True
        Whether "auto" clips. Without, a column with a heavy tail is scaled by its standard
        deviation.
    targets : ndarray of shape (n_rows,) or (n_rows, n_outputs), default=None
        Class codes if integers, else numbers. None chooses no columns by the targets.
    is_complete : bool, default=False
        Whether X is known to have no missing number.

    Returns
    -------
    TableEncoding or None
        None if no encoding is needed.
    """
    n_columns = X.shape[1]
    categories = np.array(sorted(n_categories), dtype=np.intp)
    numbers = np.setdiff1d(np.arange(n_columns), categories)
    clips = clips and preprocessing is not None
    if chooses_bins and (not clips or targets is None):
        n_bins, chooses_bins = 0, False
    is_plain = preprocessing is None and not n_bins and not len(categories)
    if is_plain and (is_complete or not np.isnan(X).any()):
        return None
    n_missing = np.zeros(len(numbers), dtype=np.intp)
    if not is_complete:
        n_missing[:] = [np.isnan(X[rows, column]).sum() for column in numbers]
    quantiles = _find_column_quantiles(X, numbers, rows, weights, n_bins)
    median, edges = quantiles[1], quantiles[3:].T
    scaling, tails, deviation = _fit_scaling(
        X, numbers, rows, weights, quantiles, preprocessing, clips
    )
    none = np.array([], dtype=np.intp)
    encoding = TableEncoding(
        numbers=numbers,
        **scaling,
        fill=median,
        clips=clips,
        missing=np.flatnonzero((n_missing > 0) & (n_missing < len(rows))),
        edges=None,
        categories=categories,
        n_codes=tuple(int(n_categories[c][0]) for c in categories),
        other=tuple(int(n_categories[c][1]) for c in categories),
        has_missing=tuple(bool(np.isnan(X[rows, c]).any()) for c in categories),
        standardizes=preprocessing is not None,
        binned=none,
        direct=none,
        direct_scale=np.array([]),
    )
    direct, binned = none, np.arange(len(numbers)) if n_bins else none
    if clips and targets is not None and (chooses_bins or len(tails)):
        candidates = edges if chooses_bins else edges[:0]
        direct, jumping = _choose_columns(
            encoding, X, rows, targets, weights, tails, candidates
        )
        binned = jumping if chooses_bins else binned
    return replace(
        encoding,
        binned=binned,
        edges=_distinct_edges(edges[binned].T) if len(binned) else None,
        direct=direct,
        direct_scale=DIRECT_FACTOR / deviation[direct],
    )


def _find_column_quantiles(X, numbers, rows, weights, n_bins):
    """Return the quartiles and the bin edges of the numeric columns."""
    if len(rows) > _MAX_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MAX_ROWS, replace=False))
    probabilities = np.linspace(0, 1, n_bins + 1) if n_bins else np.array([])
    wanted = np.concatenate([[0.25, 0.5, 0.75], probabilities])
    quantiles = np.zeros((len(wanted), len(numbers)))
    w = None if weights is None else weights[rows]
    # A block of columns at a time: a copy of all would double the memory of a large fit.
    n_block = max(1, _BYTES_OF_COLUMNS // (8 * max(1, len(rows))))
    for start in range(0, len(numbers), n_block):
        some = slice(start, start + n_block)
        x = np.ascontiguousarray(X[rows[:, None], numbers[some]].T)
        quantiles[:, some] = find_quantiles(x, wanted, w, np.isnan(x).sum(axis=1))
        if n_bins:
            for values, of_column in zip(x, quantiles[3:, some].T, strict=True):
                _spread_edges(values, w, of_column)
    return quantiles


def _spread_edges(values, weights, edges):
    """Replace repeated edges, of frequent values, by quantiles of the other values.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
    edges : ndarray of shape (n_bins + 1,)
        Ascending; changed in place.
    """
    distinct, counts = np.unique(edges, return_counts=True)
    frequent = distinct[counts > 1]
    if not len(frequent):
        return
    is_other = ~(np.isin(values, frequent) | np.isnan(values))
    n_edges = len(edges) - len(frequent)
    if not is_other.any() or not n_edges:
        return
    others, w = values[is_other], None if weights is None else weights[is_other]
    wanted = np.linspace(0, 1, max(2, n_edges))[:n_edges]
    filled = find_quantiles(others[None], wanted, w, np.array([0]))[:, 0]
    # The ends of the column stay edges.
    ends = (edges[0], edges[-1])
    edges[:] = np.sort(np.concatenate([frequent, filled]))
    edges[0], edges[-1] = min(ends[0], edges[0]), max(ends[1], edges[-1])


def _fit_scaling(X, numbers, rows, weights, quantiles, preprocessing, clips):
    """Return center, scale and range, the columns with a heavy tail, and deviations."""
    n_numbers = len(numbers)
    found = {
        "center": np.zeros(n_numbers), "scale": np.ones(n_numbers),
        "low": np.zeros(n_numbers), "high": np.zeros(n_numbers),
    }  # fmt: skip
    deviation, has_tail = np.ones(n_numbers), np.zeros(n_numbers, dtype=bool)
    if preprocessing is None:
        return found, np.flatnonzero(has_tail), deviation
    q25, median, q75 = quantiles[:3]
    found["center"] = median
    w = None if weights is None else weights[rows]
    for place, column in enumerate(numbers):
        measured = _measure_column(X[rows, column], w, median[place], q75[place] - q25[place])
        found["scale"][place], found["low"][place], found["high"][place] = measured[:3]
        deviation[place], has_tail[place] = measured[3:]
    if not clips:
        found["scale"] = np.where(has_tail, found["scale"] / deviation, found["scale"])
    return found, np.flatnonzero(has_tail), deviation


def _measure_column(values, weights, median, spread):
    """Return the scale of a column, its scaled range and deviation, and if it has a heavy tail.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
    weights : ndarray of shape (n_rows,) or None
    median, spread : float
        The spread is the interquartile range.

    Returns
    -------
    scale, low, high : float
    deviation : float
        Root mean square of the scaled values; 1 if it is zero.
    has_tail : bool
    """
    is_there = ~np.isnan(values)
    values, weights = values[is_there], None if weights is None else weights[is_there]
    if not len(values):
        return 0.0, 0.0, 0.0, 1.0, False
    lowest, highest = float(values.min()), float(values.max())
    if spread <= 0:
        spread = (highest - lowest) / 2
    # Squares of scaled values must not overflow.
    if spread <= _SMALLEST_SPREAD:
        return 0.0, 0.0, 0.0, 1.0, False
    scale = 1 / spread
    low, high = (lowest - median) * scale, (highest - median) * scale
    if max(-low, high) <= CLIP:
        return scale, low, high, 1.0, False
    t = (values.astype(np.float64) - median) * scale
    has_tail = float(np.average(np.abs(t) > CLIP, weights=weights)) > _TAIL_SHARE
    largest = max(-low, high)
    deviation = largest * float(np.sqrt(np.average((t / largest) ** 2, weights=weights)))
    return scale, low, high, deviation, has_tail


def _spread_of(values, center):
    """Return the interquartile range of some values, or an estimate of it from few."""
    spread = float(np.subtract(*np.quantile(values, [0.75, 0.25])))
    if len(values) < 8 or spread <= 0:
        # For normal values the interquartile range is 1.69 mean absolute deviations.
        spread = 1.69 * float(np.mean(np.abs(values - center)))
    return spread


def _choose_columns(encoding, X, rows, targets, weights, tails, edges):
    """Return the columns with direct inputs, and those with bins, as indices into `numbers`."""
    rows, weights = sample_rows(X, rows, targets, weights)
    sample = X[rows]
    inputs = encoding.encode(sample, np.float64)
    residuals = Residuals(inputs, len(encoding.numbers), targets[rows], weights)
    direct, binned = [], []
    for place in tails.tolist():
        t = sample[:, encoding.numbers[place]] - encoding.center[place]
        if residuals.is_linear_in(np.nan_to_num(t * encoding.scale[place])):
            direct.append(place)
    for place, of_column in enumerate(edges):
        x = sample[:, encoding.numbers[place]]
        x = np.where(np.isnan(x), encoding.fill[place], x)
        inner = np.unique(of_column)[1:-1]
        if residuals.has_jumps_in(np.searchsorted(inner, x), len(inner) + 1):
            binned.append(place)
    return np.array(direct, dtype=np.intp), np.array(binned, dtype=np.intp)


def find_quantiles(columns, probabilities, weights, n_missing):
    """Find quantiles of each column among its values.

    Parameters
    ----------
    columns : ndarray of shape (n_columns, n_rows)
    probabilities : ndarray of shape (n_quantiles,)
    weights : ndarray of shape (n_rows,) or None
    n_missing : ndarray of int of shape (n_columns,)
        Number of NaN values of each column, which are excluded.

    Returns
    -------
    float64 ndarray of shape (n_quantiles, n_columns)
        0 for a column without values.
    """
    n_columns, n_rows = columns.shape
    found = np.zeros((len(probabilities), n_columns))
    of_weight = weights is not None and (weights != weights[0]).any()
    for column, values in enumerate(columns):
        n = n_rows - n_missing[column]
        if not n:
            continue
        # argsort puts NaN last.
        if of_weight:
            order = np.argsort(values, kind="stable")[:n]
            total = np.cumsum(weights[order], dtype=np.float64)
            places = np.searchsorted(total, probabilities * total[-1] * (1 - 1e-12))
            found[:, column] = values[order[np.minimum(places, n - 1)]]
            continue
        # The smallest value with at least this fraction of rows at or below it.
        places = np.ceil(probabilities * n - 1e-9).astype(int) - 1
        places = np.clip(places, 0, n - 1)
        found[:, column] = np.partition(values, np.unique(places))[places]
    return found


def _distinct_edges(quantiles):
    """Drop repeated edges and pad with infinity."""
    edges = np.full(quantiles.T.shape, np.inf)
    for column, values in enumerate(quantiles.T):
        distinct = np.unique(values)
        edges[column, : len(distinct)] = distinct
    n_edges = max(2, int(np.isfinite(edges).sum(axis=1).max(initial=0)))
    return edges[:, :n_edges]
