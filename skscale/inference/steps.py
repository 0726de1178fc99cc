"""Frozen steps: the common preprocessing of scikit-learn, in NumPy only.

Each step maps a table (see `skscale.inference.columns`) to a table. Steps compute in the order
and the types of scikit-learn, so that rounding is the same.

`width_of` returns the number of output columns, to check a file before it predicts. `trace`
takes, for each input column, the index of its column in the first table, or None if a step
made it. It records those used as numbers, and returns the same for the output columns.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from ..storage.tree import expect, expect_floats, expect_places
from .categories import Lookup
from .columns import column_of, join, label_of, numbers_of, take

_FLOATS = (np.float64, np.float32, np.float16)
_OPERATIONS = {
    "subtract": np.subtract,
    "divide": np.divide,
    "multiply": np.multiply,
    "add": np.add,
}


def floats_of(table):
    """Convert a table to floating-point numbers, with NaN for missing values.

    Parameters
    ----------
    table : ndarray or Columns
        float64, float32 and float16 are unchanged, other types become float64.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)

    Raises
    ------
    ValueError
        If a value is not a number, or is infinite.
    """
    X = join(table)
    if X.dtype not in _FLOATS:
        X = X.astype(np.float64) if X.dtype.kind in "biuf" else numbers_of(table)[0]
    if _may_be_infinite(X) and np.isinf(X).any():
        raise ValueError(
            f"Input X contains infinity or a value too large for {X.dtype!r}. Expected "
            "finite numbers of moderate size: rescale the column, or drop such rows."
        )
    return X


def _may_be_infinite(X):
    # One pass without a copy. (BLAS has no float16 product, and it would overflow.)
    return X.dtype.itemsize < 4 or not math.isfinite(np.vdot(X, X))


@dataclass
class Seen:
    """Record of how the steps use the columns of X.

    Parameters
    ----------
    numbers : set of int
        Columns used as numbers.
    nones : set of int
        Columns in which None is a value or is missing, and NaN is neither.
    """

    numbers: set = field(default_factory=set)
    nones: set = field(default_factory=set)


def _note_nones(columns, lookups, seen):
    for column, lookup in zip(columns, lookups, strict=True):
        if None in lookup.values and not any(value != value for value in lookup.values):
            seen.nones.add(column)


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """Sequence of arithmetic operations with one number per column, as of a scaler.

    Parameters
    ----------
    operations : tuple of str
        Each of "subtract", "divide", "multiply", "add".
    numbers : tuple of float ndarray of shape (n_columns,)
        Operand of each operation.
    casts : bool
        Whether operands are first rounded to the dtype of the table.
    bounds : tuple of float or None
        Lower and upper bound of the result.
    n_columns : int
    """

    operations: tuple
    numbers: tuple
    casts: bool
    bounds: tuple | None
    n_columns: int

    def __post_init__(self):
        expect(0 < len(self.operations) == len(self.numbers), "one operand per operation")
        expect(set(self.operations) <= set(_OPERATIONS), "known operations")
        for numbers in self.numbers:
            expect_floats(numbers, (self.n_columns,))
        expect(isinstance(self.casts, bool), "a boolean")
        if self.bounds is not None:
            expect(len(self.bounds) == 2, "two bounds")
            expect(all(type(bound) is float for bound in self.bounds), "bounds as floats")

    def width_of(self, n_columns):
        """Return the number of output columns."""
        expect(n_columns == self.n_columns, f"{self.n_columns} columns to scale")
        return n_columns

    def trace(self, columns, seen):
        """Record its columns as numbers: see `Seen`."""
        seen.numbers.update(columns)
        return [None] * len(columns)

    def apply(self, table):
        """Scale the table."""
        X = floats_of(table).copy()
        x = X[0] if len(X) == 1 else X  # vectors take half the time
        for operation, numbers in zip(self.operations, self.numbers, strict=True):
            operand = numbers.astype(X.dtype, copy=False) if self.casts else numbers
            _OPERATIONS[operation](x, operand, out=x, casting="same_kind")
        if self.bounds is not None:
            np.clip(X, *(X.dtype.type(bound) for bound in self.bounds), out=X)
        return X


@dataclass(frozen=True, eq=False)
class Impute:
    """Imputation of missing values.

    Parameters
    ----------
    missing : float, int, str or None
        Value that stands for a missing one; NaN for any value unequal to itself.
    reads : {"floats", "objects", "numbers"}
        Type of the table as the imputer reads it.
    fill : ndarray of shape (n_columns,)
        Replacement values; ignored for dropped columns.
    kept : ndarray of int
        Output columns; the others are dropped.
    indicated : ndarray of int or None
        Columns that get a missing indicator; None adds none.
    """

    missing: object
    reads: str
    fill: np.ndarray
    kept: np.ndarray
    indicated: np.ndarray | None

    def __post_init__(self):
        expect(self.reads in ("floats", "objects", "numbers"), "a known type of input")
        is_plain = self.missing is None or isinstance(self.missing, (int, float, str))
        expect(is_plain, "a plain missing value")
        if isinstance(self.missing, int):
            expect(-(1 << 63) <= self.missing < 1 << 63, "a 64-bit integer")
        is_1d = isinstance(self.fill, np.ndarray) and self.fill.ndim == 1
        expect(is_1d, "a 1D array of fill values")
        # With a string dtype, each filled value would take the memory of the longest.
        kinds = "O" if self.reads == "objects" else "biuf"
        expect(self.fill.dtype.kind in kinds, "fill values of the type of the input")
        for places in (self.kept, self.indicated):
            if places is not None:
                expect_places(places, len(self.fill))

    def width_of(self, n_columns):
        """Return the number of output columns."""
        expect(n_columns == len(self.fill), f"{len(self.fill)} columns to impute")
        return len(self.kept) + (0 if self.indicated is None else len(self.indicated))

    def trace(self, columns, seen):
        """Record columns used as numbers, and columns where None is missing: see `Seen`."""
        if self.reads != "objects":
            seen.numbers.update(columns)
        if self.missing is None:
            seen.nones.update(columns)
        made = [None] * (0 if self.indicated is None else len(self.indicated))
        return [columns[place] for place in self.kept.tolist()] + made

    def apply(self, table):
        """Fill the missing values of the table."""
        X = self._read(table)
        is_missing = self._find_missing(X)
        filled = X[:, self.kept]
        fill, where = self.fill[self.kept], is_missing[:, self.kept]
        filled[where] = np.broadcast_to(fill, where.shape)[where]
        if self.indicated is None:
            return filled
        return np.hstack([filled, is_missing[:, self.indicated]])

    def _read(self, table):
        if self.reads == "floats":
            return floats_of(table)
        X = join(table)
        if self.reads == "objects":
            return X.astype(object)
        return X if X.dtype.kind in "iuf" else floats_of(X)

    def _find_missing(self, X):
        if self.missing != self.missing:
            return X != X
        if X.dtype.kind in "fO" and (X != X).any():
            raise ValueError(
                f"Input X contains NaN, but the imputer has missing_values={self.missing!r}. "
                f"Expected {self.missing!r} or values that are not missing."
            )
        if self.missing is None:
            return np.frompyfunc(lambda value: value is None, 1, 1)(X).astype(bool)
        return (self.missing == X).astype(bool)


@dataclass(frozen=True, eq=False)
class Ordinal:
    """Encoding of each category as a number.

    Parameters
    ----------
    lookups : list of Lookup
        Lookup table of each column.
    dtype : str
        Dtype of the numbers.
    """

    lookups: list
    dtype: str

    def __post_init__(self):
        expect_lookups(self.lookups)
        expect_number_type(self.dtype)

    def width_of(self, n_columns):
        """Return the number of output columns."""
        expect(n_columns == len(self.lookups), f"{len(self.lookups)} categorical columns")
        return n_columns

    def trace(self, columns, seen):
        """Record the columns in which None is a value: see `Seen`."""
        _note_nones(columns, self.lookups, seen)
        return [None] * len(columns)

    def apply(self, table):
        """Encode the table."""
        numbers = np.empty(table.shape, dtype=np.float64)
        for place, lookup in enumerate(self.lookups):
            numbers[:, place] = lookup.find(column_of(table, place), label_of(table, place))
        return numbers.astype(self.dtype)


@dataclass(frozen=True, eq=False)
class OneHot:
    """One-hot encoding of categories.

    Parameters
    ----------
    lookups : list of Lookup
        For each column, maps a value to the index of its output, -1 for none.
    widths : tuple of int
        Number of outputs of each column.
    dtype : str
        Dtype of the outputs.
    """

    lookups: list
    widths: tuple
    dtype: str

    def __post_init__(self):
        expect_lookups(self.lookups)
        expect_number_type(self.dtype)
        expect(len(self.widths) == len(self.lookups), "one width per column")
        for lookup, width in zip(self.lookups, self.widths, strict=True):
            places = [
                *lookup.codes.tolist(),
                -1.0 if lookup.unknown is None else lookup.unknown,
            ]
            expect(
                isinstance(width, int) and 0 <= width <= len(lookup.values),
                "at most one output per known value",
            )
            is_index = all(float(p).is_integer() and -1 <= p < width for p in places)
            expect(is_index, f"output indices below {width}")

    def width_of(self, n_columns):
        """Return the number of output columns."""
        expect(n_columns == len(self.lookups), f"{len(self.lookups)} categorical columns")
        return sum(self.widths)

    def trace(self, columns, seen):
        """Record the columns in which None is a value: see `Seen`."""
        _note_nones(columns, self.lookups, seen)
        return [None] * sum(self.widths)

    def apply(self, table):
        """Encode the table as zeros and ones."""
        n_rows = table.shape[0]
        outputs = np.zeros((n_rows, sum(self.widths)), dtype=self.dtype)
        start = 0
        for place, (lookup, width) in enumerate(zip(self.lookups, self.widths, strict=True)):
            found = lookup.find(column_of(table, place), label_of(table, place)).astype(np.intp)
            rows = np.flatnonzero(found >= 0)
            outputs[rows, start + found[rows]] = 1
            start += width
        return outputs


@dataclass(frozen=True, eq=False)
class Chain:
    """Sequence of steps; an empty one is the identity.

    Parameters
    ----------
    steps : list
    """

    steps: list

    def __post_init__(self):
        kinds = (Arithmetic, Impute, Ordinal, OneHot, Chain, Branches)
        expect(isinstance(self.steps, list), "a list of steps")
        expect(all(isinstance(step, kinds) for step in self.steps), "known steps")

    def width_of(self, n_columns):
        """Return the number of output columns."""
        for step in self.steps:
            n_columns = step.width_of(n_columns)
        return n_columns

    def trace(self, columns, seen):
        """Record how its steps use their columns: see `Seen`."""
        for step in self.steps:
            columns = step.trace(columns, seen)
        return columns

    def apply(self, table):
        """Apply the steps in order."""
        for step in self.steps:
            table = step.apply(table)
        return table


@dataclass(frozen=True, eq=False)
class Branches:
    """Parallel chains of steps, each on its columns, with outputs side by side.

    Parameters
    ----------
    columns : list of ndarray of int
        Input columns of each branch.
    chains : list of Chain
    n_columns : int
        Number of columns of the whole table.
    """

    columns: list
    chains: list
    n_columns: int

    def __post_init__(self):
        expect(len(self.columns) == len(self.chains), "one array of columns per branch")
        expect(all(isinstance(chain, Chain) for chain in self.chains), "a Chain per branch")
        expect(isinstance(self.n_columns, int), "an integer number of columns")
        for places in self.columns:
            expect_places(places, self.n_columns)

    @property
    def read(self):
        """set of int: columns that any branch reads."""
        return {place for places in self.columns for place in places.tolist()}

    def width_of(self, n_columns):
        """Return the number of output columns."""
        expect(n_columns == self.n_columns, f"a table of {self.n_columns} columns")
        pairs = zip(self.columns, self.chains, strict=True)
        return sum(chain.width_of(len(places)) for places, chain in pairs)

    def trace(self, columns, seen):
        """Record how its branches use their columns: see `Seen`."""
        found = []
        for places, chain in zip(self.columns, self.chains, strict=True):
            found += chain.trace([columns[place] for place in places.tolist()], seen)
        return found

    def apply(self, table):
        """Apply the branches and join their outputs."""
        pairs = zip(self.columns, self.chains, strict=True)
        parts = [join(chain.apply(take(table, places))) for places, chain in pairs]
        if any(part.dtype.kind not in "biuf" for part in parts):
            parts = [part.astype(object) for part in parts]
        return np.hstack(parts) if parts else np.zeros((table.shape[0], 0))


def expect_lookups(lookups):
    """Reject a value that is not a list of lookup tables."""
    expect(isinstance(lookups, list), "a list of lookup tables")
    for lookup in lookups:
        expect(isinstance(lookup, Lookup), "lookup tables")
        lookup.check()
        expect(lookup.missing is None, "no separate code of missing values")


def expect_number_type(dtype):
    """Reject a value that is not the name of a numeric dtype."""
    expect(isinstance(dtype, str) and len(dtype) <= 3, "the name of a dtype")
    kind = np.dtype(dtype)
    expect(kind.kind in "biuf" and kind.itemsize <= 8, "a numeric dtype of 8 bytes or less")
