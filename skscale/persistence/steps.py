"""What scikit-learn's common preprocessing does to a table, in NumPy alone.

A table is a two-dimensional array, or `Columns`: those of a frame, each with its own type.
Steps compute in the order and in the types of scikit-learn, so that nothing is rounded
otherwise. Every step says how many columns it makes of how many (`width_of`), by which a file
is checked before it predicts, and which columns it takes as numbers (`trace`): of those that
it is given, by the columns of the table that came first, or None for one that a step made, it
adds these to a set, and returns what stands where afterwards.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from ..storage.tree import expect

_FLOATS = (np.float64, np.float32, np.float16)
_OPERATIONS = {
    "subtract": np.subtract,
    "divide": np.divide,
    "multiply": np.multiply,
    "add": np.add,
}


class Columns:
    """Columns of a frame, each an array of its own type.

    Parameters
    ----------
    columns : list of ndarray of shape (n_rows,) or None
        None stands for a column that nobody reads.
    n_rows : int
    """

    def __init__(self, columns, n_rows):
        self.columns = columns
        self.shape = (n_rows, len(columns))

    def take(self, places):
        """Return some of the columns."""
        return Columns([self.columns[place] for place in places], self.shape[0])

    def rows(self, rows):
        """Return some of the rows."""
        columns = [None if c is None else c[rows] for c in self.columns]
        return Columns(columns, len(range(*rows.indices(self.shape[0]))))

    def join(self):
        """Return them as one array, of objects where no other type holds all."""
        if not self.columns:
            return np.empty(self.shape)
        kinds = {column.dtype.kind for column in self.columns}
        is_mixed = bool(kinds - set("biuf")) and len(kinds) > 1
        dtype = object if is_mixed or kinds == {"U"} else np.result_type(*self.columns)
        return np.stack([column.astype(dtype) for column in self.columns], axis=1)


def take(table, places):
    """Return some columns of a table."""
    return table.take(places) if isinstance(table, Columns) else table[:, places]


def rows_of(table, rows):
    """Return a slice of the rows of a table."""
    return table.rows(rows) if isinstance(table, Columns) else table[rows]


def join(table):
    """Return a table as one array."""
    return table.join() if isinstance(table, Columns) else table


def column_of(table, place):
    """Return the values of one column as a list of Python objects."""
    column = table.columns[place] if isinstance(table, Columns) else table[:, place]
    return column.tolist()


def floats_of(table, dtypes=_FLOATS):
    """Return a table as floating-point numbers, missing values as NaN.

    Parameters
    ----------
    table : ndarray or Columns
    dtypes : tuple of type, default=(float64, float32, float16)
        Types to be left as they are; all others become the first.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)

    Raises
    ------
    ValueError
        If something is no number, or infinite.
    """
    X = join(table)
    if X.dtype.kind in "cmMV":
        raise ValueError(f"X holds values of type {X.dtype}. Expected numbers.")
    if X.dtype not in dtypes:
        try:
            X = X.astype(dtypes[0])
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{error}. Expected numbers in these columns of X.") from None
    if _may_be_infinite(X) and np.isinf(X).any():
        raise ValueError(
            f"Input X contains infinity or a value too large for {X.dtype!r}. Expected "
            "numbers of moderate size."
        )
    return X


def _may_be_infinite(X):
    # One pass without another array. (float16 has no product in BLAS, and would overflow.)
    return X.dtype.itemsize < 4 or not math.isfinite(np.vdot(X, X))


def is_there(value):
    """Whether a value is not missing."""
    # pandas' NA has no truth: it is told by its name.
    return value is not None and type(value).__name__ != "NAType" and value == value


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
            expect(all(isinstance(b, (int, float)) for b in self.bounds), "numbers as bounds")

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
        expect(isinstance(self.fill, np.ndarray) and self.fill.ndim == 1, "values to fill in")
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
class Lookup:
    """Known values of one column, and the number of each.

    Parameters
    ----------
    values : list of int, float, bool, str or None
        None and NaN are values as others are.
    codes : float64 ndarray of shape (n_values,)
    unknown : float or None
        The number of any other value; None refuses it.
    missing : float or None
        The number of any missing value; None looks it up like others.
    """

    values: list
    codes: np.ndarray
    unknown: float | None
    missing: float | None

    def __post_init__(self):
        expect(isinstance(self.values, list), "a list of values")
        plain = (int, float, str, bool, type(None))
        expect(all(isinstance(value, plain) for value in self.values), "plain values")
        expect(isinstance(self.codes, np.ndarray), "codes as an array")
        expect(self.codes.dtype == np.float64, "codes as float64")
        expect(self.codes.shape == (len(self.values),), "a code for each value")
        for code in (self.unknown, self.missing):
            expect(code is None or isinstance(code, (int, float)), "a number")
        pairs = zip(self.values, self.codes.tolist(), strict=True)
        # NaN is unlike itself: it has no place in a dict.
        known = {value: code for value, code in pairs if value == value}
        nans = [code for v, code in zip(self.values, self.codes, strict=True) if v != v]
        object.__setattr__(self, "_known", known)
        object.__setattr__(self, "_nan", float(nans[0]) if nans else None)

    def find(self, column, place):
        """Return the number of each value of a column, as float64."""
        known, default = self._known, self.unknown
        try:
            if self.missing is not None:
                found = [known.get(v, default) if is_there(v) else self.missing for v in column]
            elif self._nan is not None:
                found = [known.get(v, default) if v == v else self._nan for v in column]
            else:
                found = [known.get(v, default) for v in column]
        except TypeError as error:
            raise ValueError(
                f"Column {place} of X holds what is no category ({error}). Expected strings "
                "or numbers."
            ) from None
        if default is None and None in found:
            value = column[found.index(None)]
            raise ValueError(
                f"Found unknown categories [{value!r}] in column {place} of X. Expected one of "
                f"{self.values[:10]!r}{', ...' if len(self.values) > 10 else ''}."
            )
        return np.array(found, dtype=np.float64)


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
            numbers[:, place] = lookup.find(column_of(table, place), place)
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
            found = lookup.find(column_of(table, place), place).astype(np.intp)
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


def expect_floats(array, shape):
    """Refuse what is no array of floats of a shape."""
    expect(isinstance(array, np.ndarray) and array.dtype.kind == "f", "an array of floats")
    expect(array.shape == shape, f"numbers of shape {shape}, not {array.shape}")


def expect_places(places, n_columns):
    """Refuse what is no array of the places of columns."""
    expect(isinstance(places, np.ndarray) and places.ndim == 1, "an array of places")
    expect(places.dtype.kind == "i", "places as ints")
    expect(bool(((places >= 0) & (places < n_columns)).all()), f"places below {n_columns}")


def expect_lookups(lookups):
    """Refuse what is no list of lookups."""
    expect(isinstance(lookups, list), "a list of lookups")
    expect(all(isinstance(lookup, Lookup) for lookup in lookups), "lookups")


def expect_number_type(dtype):
    """Refuse what is no name of a type of numbers."""
    expect(isinstance(dtype, str) and len(dtype) <= 3, "the name of a type")
    kind = np.dtype(dtype)
    expect(kind.kind in "biuf" and kind.itemsize <= 8, "a type of numbers")
