"""Frozen steps: the common preprocessing of scikit-learn, in NumPy alone.

Each takes a table (see `skscale.inference.columns`) and returns one. Steps compute in the order
and in the types of scikit-learn, so that nothing is rounded otherwise.

Every step says how many columns it makes of how many (`width_of`), by which a file is checked
before it predicts, and which columns it takes as numbers (`trace`): of those that it is given,
by the columns of the table that came first, or None for one that a step made, it adds these to
a set, and returns what stands where afterwards.
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
    """Return a table as floating-point numbers, missing values as NaN.

    Parameters
    ----------
    table : ndarray or Columns
        float64, float32 and float16 stay, all else becomes float64.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)

    Raises
    ------
    ValueError
        If something is no number, or infinite.
    """
    X = join(table)
    if X.dtype not in _FLOATS:
        X = X.astype(np.float64) if X.dtype.kind in "biuf" else numbers_of(table)[0]
    if _may_be_infinite(X) and np.isinf(X).any():
        raise ValueError(
            f"Input X contains infinity or a value too large for {X.dtype!r}. Expected "
            "numbers of moderate size."
        )
    return X


def _may_be_infinite(X):
    # One pass without another array. (float16 has no product in BLAS, and would overflow.)
    return X.dtype.itemsize < 4 or not math.isfinite(np.vdot(X, X))


@dataclass
class Seen:
    """What steps take the columns of X for.

    Parameters
    ----------
    numbers : set of int
        Columns that are taken as numbers.
    nones : set of int
        Columns in which None is a value, or missing, and NaN is not.
    """

    numbers: set = field(default_factory=set)
    nones: set = field(default_factory=set)


def _note_nones(columns, lookups, seen):
    for column, lookup in zip(columns, lookups, strict=True):
        if None in lookup.values and not any(value != value for value in lookup.values):
            seen.nones.add(column)


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """Operations with one number a column, one after the other: a scaler.

    Parameters
    ----------
    operations : tuple of str
        Of "subtract", "divide", "multiply", "add".
    numbers : tuple of float ndarray of shape (n_columns,)
        What each of them takes.
    casts : bool
        Whether these are rounded to the type of the table first.
    bounds : tuple of float or None
        The least and largest number that may come of it.
    n_columns : int
    """

    operations: tuple
    numbers: tuple
    casts: bool
    bounds: tuple | None
    n_columns: int

    def __post_init__(self):
        expect(0 < len(self.operations) == len(self.numbers), "a number for each operation")
        expect(set(self.operations) <= set(_OPERATIONS), "known operations")
        for numbers in self.numbers:
            expect_floats(numbers, (self.n_columns,))
        expect(isinstance(self.casts, bool), "true or false")
        if self.bounds is not None:
            expect(len(self.bounds) == 2, "two bounds")
            expect(all(type(bound) is float for bound in self.bounds), "numbers as bounds")

    def width_of(self, n_columns):
        """Return how many columns it makes."""
        expect(n_columns == self.n_columns, f"{self.n_columns} columns to scale")
        return n_columns

    def trace(self, columns, seen):
        """Note which columns it takes as numbers: see `Seen`."""
        seen.numbers.update(columns)
        return [None] * len(columns)

    def apply(self, table):
        """Return the scaled table."""
        X = floats_of(table).copy()
        x = X[0] if len(X) == 1 else X  # of two vectors it takes half the time
        for operation, numbers in zip(self.operations, self.numbers, strict=True):
            operand = numbers.astype(X.dtype, copy=False) if self.casts else numbers
            _OPERATIONS[operation](x, operand, out=x, casting="same_kind")
        if self.bounds is not None:
            np.clip(X, *(X.dtype.type(bound) for bound in self.bounds), out=X)
        return X


@dataclass(frozen=True, eq=False)
class Impute:
    """Fill missing values.

    Parameters
    ----------
    missing : float, int, str or None
        What stands for a missing value; NaN for what is unlike itself.
    reads : {"floats", "objects", "numbers"}
        As what the table is taken.
    fill : ndarray of shape (n_columns,)
        What takes their place; not read where a column is not kept.
    kept : ndarray of int
        Columns that are kept.
    indicated : ndarray of int or None
        Columns to say of whether a value was missing; None adds no column.
    """

    missing: object
    reads: str
    fill: np.ndarray
    kept: np.ndarray
    indicated: np.ndarray | None

    def __post_init__(self):
        expect(self.reads in ("floats", "objects", "numbers"), "a known type of table")
        expect(self.missing is None or isinstance(self.missing, (int, float, str)), "a value")
        if isinstance(self.missing, int):
            expect(-(1 << 63) <= self.missing < 1 << 63, "an int of 64 bits")
        expect(isinstance(self.fill, np.ndarray) and self.fill.ndim == 1, "values to fill in")
        # Of a type of strings each value that is filled in would take the room of the longest.
        kinds = "O" if self.reads == "objects" else "biuf"
        expect(self.fill.dtype.kind in kinds, "values of the type of the table")
        for places in (self.kept, self.indicated):
            if places is not None:
                expect_places(places, len(self.fill))

    def width_of(self, n_columns):
        """Return how many columns it makes."""
        expect(n_columns == len(self.fill), f"{len(self.fill)} columns to impute")
        return len(self.kept) + (0 if self.indicated is None else len(self.indicated))

    def trace(self, columns, seen):
        """Note which columns it takes as numbers, and where None is missing: see `Seen`."""
        if self.reads != "objects":
            seen.numbers.update(columns)
        if self.missing is None:
            seen.nones.update(columns)
        made = [None] * (0 if self.indicated is None else len(self.indicated))
        return [columns[place] for place in self.kept.tolist()] + made

    def apply(self, table):
        """Return the table without missing values."""
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
                f"Input X contains NaN, and missing values are {self.missing!r} here. Expected "
                "these, or numbers."
            )
        if self.missing is None:
            return np.frompyfunc(lambda value: value is None, 1, 1)(X).astype(bool)
        return (self.missing == X).astype(bool)


@dataclass(frozen=True, eq=False)
class Ordinal:
    """Put a number in the place of each category.

    Parameters
    ----------
    lookups : list of Lookup
        Of each column.
    dtype : str
        Of the numbers.
    """

    lookups: list
    dtype: str

    def __post_init__(self):
        expect_lookups(self.lookups)
        expect_number_type(self.dtype)

    def width_of(self, n_columns):
        """Return how many columns it makes."""
        expect(n_columns == len(self.lookups), f"{len(self.lookups)} columns of categories")
        return n_columns

    def trace(self, columns, seen):
        """Note in which columns None is a value: see `Seen`."""
        _note_nones(columns, self.lookups, seen)
        return [None] * len(columns)

    def apply(self, table):
        """Return the numbers."""
        numbers = np.empty(table.shape, dtype=np.float64)
        for place, lookup in enumerate(self.lookups):
            numbers[:, place] = lookup.find(column_of(table, place), label_of(table, place))
        return numbers.astype(self.dtype)


@dataclass(frozen=True, eq=False)
class OneHot:
    """Put zeros and a one in the place of each category.

    Parameters
    ----------
    lookups : list of Lookup
        Of each column: which of its outputs is one, -1 for none.
    widths : tuple of int
        Outputs of each column.
    dtype : str
        Of the outputs.
    """

    lookups: list
    widths: tuple
    dtype: str

    def __post_init__(self):
        expect_lookups(self.lookups)
        expect_number_type(self.dtype)
        expect(len(self.widths) == len(self.lookups), "a width for each column")
        for lookup, width in zip(self.lookups, self.widths, strict=True):
            places = [
                *lookup.codes.tolist(),
                -1.0 if lookup.unknown is None else lookup.unknown,
            ]
            expect(
                isinstance(width, int) and 0 <= width <= len(lookup.values),
                "outputs of known values",
            )
            expect(all(float(p).is_integer() and -1 <= p < width for p in places), "places")

    def width_of(self, n_columns):
        """Return how many columns it makes."""
        expect(n_columns == len(self.lookups), f"{len(self.lookups)} columns of categories")
        return sum(self.widths)

    def trace(self, columns, seen):
        """Note in which columns None is a value: see `Seen`."""
        _note_nones(columns, self.lookups, seen)
        return [None] * sum(self.widths)

    def apply(self, table):
        """Return zeros and ones."""
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
    """Steps one after the other; none leaves a table as it is.

    Parameters
    ----------
    steps : list
    """

    steps: list

    def __post_init__(self):
        kinds = (Arithmetic, Impute, Ordinal, OneHot, Chain, Branches)
        expect(isinstance(self.steps, list), "a list of steps")
        expect(all(isinstance(step, kinds) for step in self.steps), "steps")

    def width_of(self, n_columns):
        """Return how many columns it makes."""
        for step in self.steps:
            n_columns = step.width_of(n_columns)
        return n_columns

    def trace(self, columns, seen):
        """Note what its steps take their columns for: see `Seen`."""
        for step in self.steps:
            columns = step.trace(columns, seen)
        return columns

    def apply(self, table):
        """Return what the last step makes."""
        for step in self.steps:
            table = step.apply(table)
        return table


@dataclass(frozen=True, eq=False)
class Branches:
    """Columns that go through steps of their own, and side by side out of them.

    Parameters
    ----------
    columns : list of ndarray of int
        Those that each branch takes.
    chains : list of Chain
    n_columns : int
        Of the whole table.
    """

    columns: list
    chains: list
    n_columns: int

    def __post_init__(self):
        expect(len(self.columns) == len(self.chains), "columns for each branch")
        expect(all(isinstance(chain, Chain) for chain in self.chains), "branches")
        expect(isinstance(self.n_columns, int), "a number of columns")
        for places in self.columns:
            expect_places(places, self.n_columns)

    @property
    def read(self):
        """set of int: columns that any branch reads."""
        return {place for places in self.columns for place in places.tolist()}

    def width_of(self, n_columns):
        """Return how many columns it makes."""
        expect(n_columns == self.n_columns, f"{self.n_columns} columns to choose from")
        pairs = zip(self.columns, self.chains, strict=True)
        return sum(chain.width_of(len(places)) for places, chain in pairs)

    def trace(self, columns, seen):
        """Note what its branches take their columns for: see `Seen`."""
        found = []
        for places, chain in zip(self.columns, self.chains, strict=True):
            found += chain.trace([columns[place] for place in places.tolist()], seen)
        return found

    def apply(self, table):
        """Return what the branches make, joined."""
        pairs = zip(self.columns, self.chains, strict=True)
        parts = [join(chain.apply(take(table, places))) for places, chain in pairs]
        if any(part.dtype.kind not in "biuf" for part in parts):
            parts = [part.astype(object) for part in parts]
        return np.hstack(parts) if parts else np.zeros((table.shape[0], 0))


def expect_lookups(lookups):
    """Refuse what is no list of lookups."""
    expect(isinstance(lookups, list), "a list of lookups")
    for lookup in lookups:
        expect(isinstance(lookup, Lookup), "lookups")
        lookup.check()
        expect(lookup.missing is None, "missing values among the others")


def expect_number_type(dtype):
    """Refuse what is no name of a type of numbers."""
    expect(isinstance(dtype, str) and len(dtype) <= 3, "the name of a type")
    kind = np.dtype(dtype)
    expect(kind.kind in "biuf" and kind.itemsize <= 8, "a type of numbers")
