"""Encoding of table columns as network inputs, for any array namespace.

It maps numbers and category codes to the inputs of the first layer. Fitting, by
`fit_encoding`, also needs NumPy only.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..networks.namespace import as_constant, cast, dtype_in, in_place, namespace_of
from ..storage.tree import Part, expect, expect_floats, expect_places

# Smooth clipping bounds every value by this number of units (Holzmueller et al. 2024, "Better
# by default", section 3.1).
CLIP = 3
# A column with a smaller spread counts as constant.
_SMALLEST_SPREAD = 1e-100
# Upper bounds of numbers of X, which end as float32, and of scales, so that squares of scaled
# values do not overflow.
_LARGEST_NUMBER = 1e39
_LARGEST_SCALE = 1.01 / _SMALLEST_SPREAD
# Columns are fitted in blocks of this size, so that copies stay small.
_BYTES_OF_COLUMNS = 1 << 22
# Quantiles use at most this many rows, drawn at random. The standard error of a quartile is a
# quarter of a percent of the rows, and 50 columns of 160,000 rows take 0.06 s instead of
# 0.26 s.
_MAX_ROWS = 1 << 15


@dataclass(frozen=True, eq=False)
class TableEncoding(Part):
    """Encoding of the columns of a table as network inputs.

    A numeric column becomes `(x - center) * scale`, smoothly clipped if `clips`::

        t / sqrt(1 + (t / 3)**2)

    A missing value becomes `fill`. A column with missing values in training also gets a
    missing indicator. With `edges`, a numeric column is also encoded piecewise-linearly
    (Gorishniy et al. 2022, "On embeddings for numerical features", eq. 1): one input per
    bin, 0 below it, 1 above it, linear within; the outermost bins extrapolate. A categorical
    column becomes one input per category.

    Parameters
    ----------
    numbers : ndarray of int of shape (n_numbers,)
        Numeric columns.
    center, scale, fill : float64 ndarrays of shape (n_numbers,)
    clips : bool
    missing : ndarray of int
        Indices into `numbers` of columns with missing values in training.
    edges : float64 ndarray of shape (n_numbers, n_bins + 1) or None
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

    @property
    def n_bins(self):
        """int: number of bins of each numeric column."""
        return 0 if self.edges is None else self.edges.shape[1] - 1

    @property
    def n_inputs(self):
        """int: number of network inputs."""
        n_numbers = len(self.numbers)
        n = n_numbers * (1 + self.n_bins) + len(self.missing)
        return n + sum(map(self.width_of, range(len(self.categories))))

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
        x, t, is_missing, n_numbers = X, None, None, len(self.numbers)
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
            if self.clips:
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
            start, stop = stop, stop + n_numbers * self.n_bins
            out[:, start:stop] = self._encode_bins(xp, x)
        for place, column in enumerate(self.categories.tolist()):
            start, stop = stop, stop + self.width_of(place)
            out[:, start:stop] = self._encode_category(xp, place, X[:, column])
        return out

    @cached_property
    def _is_plain(self):
        # Whether each column is encoded as one number.
        return not len(self.categories) and not len(self.missing) and self.edges is None

    @cached_property
    def bins(self):
        """Left edge, slope and bounds of bins: four ndarrays of shape (n_numbers, n_bins).

        An input is `(x - left) * slope`, clipped to the bounds (third and fourth array).
        """
        left, right = self.edges[:, :-1], self.edges[:, 1:]
        is_bin = np.isfinite(right)
        left = np.where(is_bin, left, 0)
        # A bin of almost zero width would have an infinite slope.
        width = np.where(is_bin, right - left, 1)
        is_wide = width > _SMALLEST_SPREAD
        slope = np.where(is_bin & is_wide, 1 / np.where(is_wide, width, 1), 0)
        lowest = np.zeros(left.shape)
        highest = np.ones(left.shape)
        # The encoding extrapolates beyond the outermost edges by one bin width.
        lowest[:, 0] = -1
        last = is_bin.sum(axis=1) - 1
        highest[np.arange(len(last)), np.maximum(last, 0)] = 2
        return left, slope, lowest, highest

    def _encode_bins(self, xp, x):
        left, slope, lowest, highest = (as_constant(xp, part, x) for part in self.bins)
        inside = x[:, :, None] - left
        inside *= slope
        inside = in_place(xp, xp.clip, inside, lowest, highest)
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
        if self.edges is not None:
            expect(self.edges.ndim == 2 and self.edges.shape[1] > 1, "a 2D array of bin edges")
            expect_floats(self.edges, (n_numbers, self.edges.shape[1]))
            left, right = self.edges[:, :-1], self.edges[:, 1:]
            expect(bool(np.isfinite(self.edges[:, 0]).all()), "finite first bin edges")
            expect(bool(((left < right) | (right == np.inf)).all()), "ascending bin edges")
            is_moderate = (np.abs(self.edges) <= _LARGEST_NUMBER) | (self.edges == np.inf)
            expect(bool(is_moderate.all()), f"bin edges up to {_LARGEST_NUMBER:g}")
        expect(isinstance(self.clips, bool), "a boolean")
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


def fit_encoding(X, n_categories, rows, weights, *, preprocessing, n_bins, is_complete=False):
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
    is_plain = preprocessing is None and not n_bins and not len(categories)
    if is_plain and (is_complete or not np.isnan(X).any()):
        return None
    n_missing = np.zeros(len(numbers), dtype=np.intp)
    if not is_complete:
        n_missing[:] = [np.isnan(X[rows, column]).sum() for column in numbers]
    some_rows = rows
    if len(rows) > _MAX_ROWS:
        some_rows = np.sort(np.random.default_rng(0).choice(rows, _MAX_ROWS, replace=False))
    probabilities = np.linspace(0, 1, n_bins + 1) if n_bins else np.array([])
    wanted = np.concatenate([[0.25, 0.5, 0.75], probabilities])
    quantiles = np.zeros((len(wanted), len(numbers)))
    w = None if weights is None else weights[some_rows]
    # A block of columns at a time: a copy of all would double the memory of a large fit.
    n_block = max(1, _BYTES_OF_COLUMNS // (8 * max(1, len(some_rows))))
    for start in range(0, len(numbers), n_block):
        some = slice(start, start + n_block)
        x = np.ascontiguousarray(X[some_rows[:, None], numbers[some]].T)
        quantiles[:, some] = find_quantiles(x, wanted, w, np.isnan(x).sum(axis=1))
    missing = np.flatnonzero((n_missing > 0) & (n_missing < len(rows)))
    low, median, high = quantiles[:3]
    center, scale = np.zeros(len(numbers)), np.ones(len(numbers))
    if preprocessing is not None:
        center = median
        spread = high - low
        for column in np.flatnonzero(spread <= 0):
            values = X[rows, numbers[column]]
            values = values[~np.isnan(values)]
            if len(values):
                spread[column] = (float(values.max()) - float(values.min())) / 2
        # Squares of scaled values must not overflow.
        is_spread = spread > _SMALLEST_SPREAD
        scale = np.where(is_spread, 1 / np.where(is_spread, spread, 1.0), 0.0)
    has_missing = tuple(bool(np.isnan(X[rows, c]).any()) for c in categories)
    return TableEncoding(
        numbers=numbers,
        center=center,
        scale=scale,
        fill=median,
        clips=preprocessing is not None,
        missing=missing,
        edges=_distinct_edges(quantiles[3:]) if n_bins else None,
        categories=categories,
        n_codes=tuple(int(n_categories[c][0]) for c in categories),
        other=tuple(int(n_categories[c][1]) for c in categories),
        has_missing=has_missing,
    )


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
