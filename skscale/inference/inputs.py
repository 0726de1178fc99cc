"""Readers and encoders of rows: from any container to the input arrays of a network.

They are fitted once, on the training rows. The same code then reads and encodes training,
validation and prediction rows, in any number.
"""

import abc
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from ..networks.namespace import cast, dtype_in, namespace_of
from ..storage.tree import Part, expect, expect_places
from .categories import Lookup, learn_categories, warn_of_silent_columns
from .columns import (
    FEW_ROWS,
    FLOAT64,
    Columns,
    check_finite,
    column_of,
    find_categories,
    is_declared,
    join,
    label_of,
    numbers_of,
    read_table,
    rows_of,
    without_na,
)
from .encoding import TableEncoding, fit_encoding
from .steps import Branches, Chain, Seen

# Rows are encoded, and pass through frozen steps, in blocks of this size, so that
# intermediate arrays stay small.
_BLOCK_BYTES = 1 << 22
_BLOCK_ROWS = 1 << 12
# Most columns of a frozen pipeline, which may drop columns.
_MAX_COLUMNS = 1 << 22
# float32 has 24 significant bits. At a distance from zero of this many times the spread,
# fewer than 11 bits remain for the variation.
LOST_IN_FLOAT32 = 10_000
# Rows that tell which columns may be of that kind, at a tenth of the limit, and the most of
# these that are then looked at with all rows: images and sequences have very many columns.
_N_TELLING = 32
_MAX_SUSPECTED = 256


@dataclass(frozen=True, eq=False)
class Inputs(Part, abc.ABC):
    """Reader and encoder of rows.

    Parameters
    ----------
    owner : str
        Class name of the estimator, for messages.
    n_features : int
        Number of columns of X, or of values in a sample.
    names : list of str or None
        Column names, if fitted on a frame.

    Attributes
    ----------
    encoding : TableEncoding or None
        How columns become inputs of the network; None if they are used as they are.
    """

    owner: str
    n_features: int
    names: list | None

    encoding = None

    @abc.abstractmethod
    def read(self, X):
        """Check rows and convert them to numbers.

        Parameters
        ----------
        X : array-like, frame or sparse matrix

        Returns
        -------
        numbers : array of shape (n_rows, n_features)
        is_complete : bool
            Whether no number is known to be missing.

        Raises
        ------
        TypeError, ValueError
            If X does not match the training rows.
        """

    def transform(self, X, dtype, keeps_float64=False):
        """Read and encode rows.

        Parameters
        ----------
        X : array-like, frame or sparse matrix
        dtype : numpy dtype
            float32 or float64.
        keeps_float64 : bool, default=False
            Whether float64 rows are encoded in float64 even if `dtype` is float32.

        Returns
        -------
        array of shape (n_rows, n_inputs)

        Raises
        ------
        TypeError, ValueError
            If X does not match the training rows.
        """
        numbers, is_complete = self.read(X)
        if keeps_float64 and numbers.dtype == FLOAT64:
            dtype = FLOAT64
        return self.encode(numbers, dtype, is_complete)

    def fit_encoding(self, numbers, is_complete, rows, weights, dtype, targets=None, **options):
        """Return inputs with a fitted encoding, if there is anything to fit.

        Parameters
        ----------
        numbers, is_complete
            As returned by `read`.
        rows : ndarray of int
            Rows to learn from.
        weights : ndarray of shape (n_rows,) or None
        dtype : numpy dtype
            Dtype of the network.
        targets : ndarray of shape (n_rows,) or (n_rows, n_outputs), default=None
            Class codes if integers, else numbers.
        **options
            Options of the family of networks.
        """
        return self

    def _warn_of_lost_digits(self, columns, center, scale, dtype=None):
        """Warn if the variation of a column has few digits in float32.

        Parameters
        ----------
        columns : ndarray of int
        center, scale : ndarrays of shape (n_columns,)
            Their medians, and the inverse of their spreads.
        dtype : numpy dtype or None, default=None
            Dtype of the network, if it gets the numbers as they are; None if they are centered
            first, in the dtype of X.
        """
        with np.errstate(over="ignore"):
            is_lost = np.abs(center) * scale > LOST_IN_FLOAT32
        if not is_lost.any():
            return
        first, n_others = is_lost.argmax(), int(is_lost.sum()) - 1
        label = self._label_of(int(columns[first]))
        if n_others:
            label += f" (like {n_others} other{'s' if n_others > 1 else ''})"
        computing = "X is float32"
        remedy = "Pass X as float64, or subtract the median first."
        if dtype is not None:
            remedy = (
                "Subtract the median from float64 values, as a StandardScaler before the "
                "network does"
            )
            if dtype == FLOAT64:
                remedy += "."
            else:
                computing = "the network gets it in float32"
                remedy += ', or set precision="float64".'
        warnings.warn(
            f"{label} has a median of over {LOST_IN_FLOAT32:,} times its spread, here "
            f"{center[first]:g}, and {computing}, which has few digits left for the variation. "
            + remedy,
            UserWarning,
            stacklevel=4,
        )

    def _check_digits(self, numbers, rows, weights, dtype):
        """Warn of lost digits in numbers that the network gets as they are."""
        is_float32 = numbers.dtype == np.float32
        if hasattr(numbers, "tocsr") or numbers.dtype.kind != "f":
            return
        if not is_float32 and dtype == FLOAT64:
            return
        telling = rows[np.linspace(0, len(rows) - 1, min(_N_TELLING, len(rows))).astype(int)]
        low, median, high = np.sort(numbers[telling], axis=0)[
            [len(telling) // 4, len(telling) // 2, 3 * len(telling) // 4]
        ]
        with np.errstate(over="ignore", invalid="ignore"):
            is_suspected = np.abs(median) * (10 / LOST_IN_FLOAT32) > high - low
        columns = np.setdiff1d(np.flatnonzero(is_suspected), self.coded)[:_MAX_SUSPECTED]
        if not len(columns):
            return
        found = fit_encoding(
            numbers[:, columns], {}, rows, weights, preprocessing="auto", n_bins=0
        )
        self._warn_of_lost_digits(
            columns, found.center, found.scale, FLOAT64 if is_float32 else dtype
        )

    def _label_of(self, place):
        return f"Column {place if self.names is None else self.names[place]!r} of X"

    def follow(self, numbers, rows, n_before):
        """Return the inputs after further training rows of a fitted network.

        Parameters
        ----------
        numbers
            As returned by `read`.
        rows : ndarray of int
            Rows to learn from.
        n_before : int
            Number of training rows before.
        """
        return self

    @abc.abstractmethod
    def encode(self, numbers, dtype, is_complete=False):
        """Convert numbers to network inputs.

        Parameters
        ----------
        numbers, is_complete
            As returned by `read`.
        dtype : numpy dtype
            float32 or float64.

        Returns
        -------
        array of shape (n_rows, n_inputs)
        """

    @property
    def coded(self):
        """list of int: columns read as categories."""
        return []

    # Whether a network multiplies each input by a trained scale.
    scales = True

    @property
    def nones(self):
        """set of int: columns in which None is missing, and NaN is another value."""
        return set()

    def check(self, n_inputs):
        """Reject parts that do not match each other or the number of network inputs.

        Raises
        ------
        ValueError
        """
        expect(isinstance(self.owner, str), "owner as a string")
        expect(type(self.n_features) is int and self.n_features > 0, "one column or more")
        if self.names is not None:
            expect(isinstance(self.names, list), "column names as a list")
            expect(len(self.names) == self.n_features, "one name per column")
            expect(all(type(name) is str for name in self.names), "column names as strings")

    def check_rows(self, shape, names=None, least=1):
        """Reject too few rows, another number of columns, and other column names."""
        n_rows, n_columns = shape[0], prod(shape[1:])
        self._check_names(names)
        if n_rows < least:
            raise ValueError(
                f"Found array with {n_rows} sample(s) (shape={tuple(shape)}) while a minimum "
                f"of {least} is required by {self.owner}."
            )
        if n_columns != self.n_features:
            raise ValueError(
                f"X has {n_columns} features, but {self.owner} is expecting {self.n_features} "
                "features as input."
            )

    def _check_names(self, names):
        if names == self.names:
            return
        if names is None:
            warnings.warn(
                f"X does not have valid feature names, but {self.owner} was fitted with "
                "feature names",
                UserWarning,
                stacklevel=2,
            )
        elif self.names is None:
            warnings.warn(
                f"X has feature names, but {self.owner} was fitted without feature names",
                UserWarning,
                stacklevel=2,
            )
        else:
            raise ValueError(_other_names(self.names, names))


def _other_names(wanted, names):
    parts = ["The feature names should match those that were passed during fit."]
    unseen = [name for name in names if name not in set(wanted)]
    missing = [name for name in wanted if name not in set(names)]
    for title, some in (
        ("Feature names unseen at fit time:", unseen),
        ("Feature names seen at fit time, yet now missing:", missing),
    ):
        if some:
            lines = [f"- {name}" for name in sorted(some)[:5]]
            parts += [title, *lines, *(["- ..."] if len(some) > 5 else [])]
    if not unseen and not missing:
        parts.append("Feature names must be in the same order as they were in fit.")
    return "\n".join(parts) + "\n"


def check_first_rows(shape, owner, least):
    """Reject a table with too few rows, or without columns."""
    for n, unit, fewest in ((shape[0], "sample", least), (prod(shape[1:]), "feature", 1)):
        if n < fewest:
            raise ValueError(
                f"Found array with {n} {unit}(s) (shape={tuple(shape)}) while a minimum of "
                f"{fewest} is required by {owner}."
            )


@dataclass(frozen=True, eq=False)
class TableInputs(Inputs):
    """Inputs from a table of numbers, categories and missing values.

    Parameters
    ----------
    owner, n_features, names
        As in `Inputs`.
    places : ndarray of int
        Indices of categorical columns.
    lookups : list of Lookup
        Their lookup tables: see `learn_categories`.
    encoding : TableEncoding or None
        None leaves numbers unchanged.
    """

    places: np.ndarray
    lookups: list
    encoding: TableEncoding | None = None

    @classmethod
    def fit(cls, X, owner, rows=None, least=1, *, categorical_features=None):
        """Learn to read rows, and read them. `fit_encoding` learns the encoding.

        Parameters
        ----------
        X : array-like, frame or sparse matrix
        owner : str
        rows : ndarray of int or None
            Rows to learn categories from; None uses all.
        least : int, default=1
            Minimum number of rows.
        categorical_features : "from_dtype", array-like of bool, int or str, or None
            Categorical columns: see `find_categories`. None treats no column as categorical.

        Returns
        -------
        inputs : TableInputs
        numbers, is_complete
            As returned by `read`.

        Raises
        ------
        TypeError, ValueError
            If X cannot be read.
        """
        by_place = categorical_features
        if isinstance(by_place, str):
            by_place = None
        table, names = read_table(X, is_exact=by_place is not None, keeps_types=True)
        check_first_rows(table.shape, owner, least)
        places = np.array([], dtype=np.intp)
        if by_place is not None and hasattr(table, "tocsr"):
            raise ValueError(
                f"categorical_features={by_place!r} needs a dense X, got a sparse one. Pass "
                "X.toarray(), or set categorical_features=None."
            )
        if by_place is not None:
            # Imported here, since prediction must not need scikit-learn.
            from .._sklearn_private import _check_categorical_features

            is_named = isinstance(table, Columns)
            places = _check_categorical_features(X if is_named else table, by_place)
            places = np.flatnonzero(places)
        elif categorical_features is not None and isinstance(table, Columns):
            places = np.flatnonzero(find_categories(table))
        lookups, advice_on = [], {}
        for place in places.tolist():
            label, column = label_of(table, place), column_of(table, place)
            learned = column if rows is None else [column[row] for row in rows.tolist()]
            declared = by_place is not None or is_declared(table, place)
            lookup, advice = learn_categories(learned, label, declared)
            lookups.append(lookup)
            if advice is not None:
                advice_on[label] = advice
        warn_of_silent_columns(advice_on)
        inputs = cls(owner, table.shape[1], names, places, lookups)
        return inputs, *numbers_of(table, inputs.lookup_of)

    def follow(self, numbers, rows, n_before):
        """Return the inputs after further rows of a stream: see `TableEncoding.follow`."""
        if self.encoding is None or hasattr(numbers, "tocsr"):
            return self
        return replace(self, encoding=self.encoding.follow(numbers, rows, n_before))

    def fit_encoding(
        self, numbers, is_complete, rows, weights, dtype, targets=None, *,
        preprocessing, n_bins, chooses_bins=False, clips=True,
    ):  # fmt: skip
        """Return these inputs with a TableEncoding: see `Inputs.fit_encoding`."""
        if hasattr(numbers, "tocsr"):
            return self
        encoding = fit_encoding(
            numbers,
            {place: (own.n_codes, int(own.unknown)) for place, own in self.lookup_of.items()},
            rows,
            weights,
            preprocessing=preprocessing,
            n_bins=n_bins,
            chooses_bins=chooses_bins,
            clips=clips,
            targets=targets,
            is_complete=is_complete,
        )
        if encoding is None or not encoding.clips:
            self._check_digits(numbers, rows, weights, dtype)
        elif numbers.dtype == np.float32:
            self._warn_of_lost_digits(encoding.numbers, encoding.center, encoding.scale)
        return replace(self, encoding=encoding)

    @property
    def coded(self):
        """list of int: columns read as categories."""
        return self.places.tolist()

    @property
    def scales(self):
        """bool: whether a network multiplies each input by a trained scale."""
        return self.encoding is not None and self.encoding.standardizes

    @property
    def n_direct(self):
        """int: number of inputs, the last ones, that skip the hidden layers."""
        return 0 if self.encoding is None else self.encoding.n_direct

    @cached_property
    def lookup_of(self):
        """dict of int to Lookup: lookup table of each categorical column."""
        return dict(zip(self.places.tolist(), self.lookups, strict=True))

    @property
    def n_inputs(self):
        """int: number of columns that `encode` returns."""
        return self.n_features if self.encoding is None else self.encoding.n_inputs

    def read(self, X):
        """Check rows and convert them to numbers and codes: see `Inputs.read`.

        Returns
        -------
        numbers : float32 or float64 ndarray, or SciPy CSR array
            NaN is missing; -1 is unknown if the column has no infrequent category.
        is_complete : bool
        """
        table, names = read_table(X, self.names, is_exact=bool(len(self.places)))
        self.check_rows(table.shape, names)
        return numbers_of(table, self.lookup_of)

    def transform(self, X, dtype, keeps_float64=False):
        """Read and encode rows: see `Inputs.transform`."""
        # Fast path: a served estimator nearly always gets a few rows of a plain array.
        if (
            self._takes_numbers
            and type(X) is np.ndarray
            and X.ndim == 2
            and 0 < X.shape[0] <= FEW_ROWS
            and X.shape[1] == self.n_features
        ):
            numbers, is_complete = numbers_of(X)
            if keeps_float64 and numbers.dtype == FLOAT64:
                dtype = FLOAT64
            if self.encoding is not None:
                return self.encoding.encode(numbers, dtype, is_complete)
            return self.encode(numbers, dtype, is_complete)
        return super().transform(X, dtype, keeps_float64)

    @cached_property
    def _takes_numbers(self):
        return self.names is None and not len(self.places)

    def encode(self, numbers, dtype, is_complete=False):
        """Convert numbers to network inputs: see `Inputs.encode`."""
        encoding, n_rows = self.encoding, numbers.shape[0]
        if encoding is None:
            if not is_complete:
                check_finite(numbers, has_missing=False, label=self._label_of)
            return _in_dtype(numbers, dtype)
        n_block = max(16, _BLOCK_BYTES // (8 * max(1, self.n_inputs, self.n_features)))
        is_sparse = hasattr(numbers, "tocsr")
        if n_rows <= n_block:
            block = numbers.toarray() if is_sparse else numbers
            return encoding.encode(block, dtype, is_complete)
        xp, device = namespace_of(numbers), {}
        if xp is not np:
            device["device"] = numbers.device
        inputs = xp.empty((n_rows, self.n_inputs), dtype=dtype_in(xp, dtype), **device)
        for start in range(0, n_rows, n_block):
            rows = slice(start, start + n_block)
            block = numbers[rows, :].toarray() if is_sparse else numbers[rows, :]
            encoding.encode(block, dtype, is_complete, out=inputs[rows, :])
        return inputs

    def trace(self, columns, seen):
        """Record the columns read as numbers: see `skscale.inference.steps.Seen`."""
        coded = set(self.coded)
        seen.numbers.update(c for place, c in enumerate(columns) if place not in coded)

    def check(self, n_inputs):
        """Reject parts that do not match: see `Inputs.check`."""
        super().check(n_inputs)
        expect_places(self.places, self.n_features)
        expect(isinstance(self.lookups, list), "a list of lookup tables")
        expect(len(self.lookups) == len(self.places), "one lookup table per categorical column")
        for lookup in self.lookups:
            expect(isinstance(lookup, Lookup), "lookup tables")
            lookup.check()
            has_codes = lookup.unknown is not None and lookup.missing is not None
            expect(has_codes, "codes of unknown categories and of missing values")
        encoding = self.encoding
        if encoding is not None:
            expect(isinstance(encoding, TableEncoding), "a TableEncoding")
            encoding.check(self.n_features)
            is_same = np.array_equal(encoding.categories, self.places)
            is_same &= [*encoding.n_codes] == [own.n_codes for own in self.lookups]
            is_same &= [*encoding.other] == [own.unknown for own in self.lookups]
            expect(is_same, "equal codes in encoding and lookup tables")
        expect(not len(self.places) or encoding is not None, "an encoding of categories")
        expect(self.n_inputs == n_inputs, f"a network of {self.n_inputs} inputs")


@dataclass(frozen=True, eq=False)
class PipelineInputs(Inputs):
    """Inputs of a pipeline: its frozen steps, then the inputs of its network.

    Parameters
    ----------
    owner, n_features, names
        As in `Inputs`.
    chain : Chain
    inner : TableInputs
    """

    chain: Chain
    inner: TableInputs

    @cached_property
    def coded(self):
        """list of int: columns that may hold values other than numbers."""
        numbers = self.trace().numbers
        return [c for c in range(self.n_features) if c not in numbers]

    @property
    def nones(self):
        """set of int: columns in which None is missing, and NaN is another value."""
        return self.trace().nones

    def trace(self):
        """Find the columns that the steps and the network use as numbers."""
        seen = Seen()
        self.inner.trace(self.chain.trace(list(range(self.n_features)), seen), seen)
        return seen

    def read(self, X):
        """Check rows and convert them to a table: see `Inputs.read`."""
        table, names = read_table(X, self.names, is_exact=bool(self.coded), keeps_types=True)
        if type(table) is not np.ndarray and hasattr(table, "tocsr"):
            raise TypeError(
                "Sparse data was passed for X, but a frozen pipeline requires dense data. Pass "
                "X.toarray(), or predict with the original pipeline."
            )
        if names is not None and self.names is not None and names != self.names:
            table, names = self._by_name(table, names)
        self.check_rows(table.shape, names)
        return self._apply(without_na(table))

    def _by_name(self, table, names):
        # A ColumnTransformer selects its columns by name, in any order.
        first = self.chain.steps[0] if self.chain.steps else None
        read = first.read if isinstance(first, Branches) else ()
        place_of = {name: place for place, name in enumerate(names)}
        if not read or any(self.names[place] not in place_of for place in read):
            raise ValueError(_other_names(self.names, names))
        columns = [
            table.columns[place_of[name]] if place in read else None
            for place, name in enumerate(self.names)
        ]
        return Columns(columns, table.shape[0], self.names), self.names

    def _apply(self, table):
        n_rows = table.shape[0]
        if n_rows <= _BLOCK_ROWS:
            return self._apply_block(table)
        starts = range(0, n_rows, _BLOCK_ROWS)
        blocks = (rows_of(table, slice(start, start + _BLOCK_ROWS)) for start in starts)
        numbers, is_complete = zip(*map(self._apply_block, blocks), strict=True)
        return np.concatenate(numbers), all(is_complete)

    def _apply_block(self, table):
        return numbers_of(self.chain.apply(table), self.inner.lookup_of)

    def encode(self, numbers, dtype, is_complete=False):
        """Convert numbers to network inputs: see `Inputs.encode`."""
        return self.inner.encode(numbers, dtype, is_complete)

    def check(self, n_inputs):
        """Reject parts that do not match: see `Inputs.check`."""
        super().check(n_inputs)
        # The steps process all columns, also unused ones.
        expect(self.n_features <= _MAX_COLUMNS, f"at most {_MAX_COLUMNS} columns")
        expect(isinstance(self.chain, Chain), "a Chain")
        expect(isinstance(self.inner, TableInputs), "a TableInputs")
        self.inner.check(n_inputs)
        width = self.chain.width_of(self.n_features)
        wanted = self.inner.n_features
        expect(width == wanted, f"steps with {wanted} output columns")


@dataclass(frozen=True, eq=False)
class SampleInputs(Inputs):
    """Inputs of a module: samples of any shape.

    Parameters
    ----------
    owner, n_features, names
        As in `Inputs`.
    shape : tuple of int
        Shape of a sample.
    takes_integers : bool
        Whether samples are integers, such as word indices.
    """

    shape: tuple
    takes_integers: bool = False

    @classmethod
    def fit(cls, X, owner, rows=None, least=1, **options):
        """Learn the shape of samples, and read them.

        Parameters
        ----------
        X : array-like or frame
        owner : str
        rows : ndarray of int or None
            Ignored: only the shape is learned.
        least : int, default=1
            Minimum number of rows.
        **options
            Values of further fields.

        Returns
        -------
        inputs : SampleInputs
        numbers, is_complete
            As returned by `read`.
        """
        samples, names = cls._read_samples(X, owner)
        shape, options = cls._find_shape(samples.shape, **options)
        check_first_rows(samples.shape, owner, least)
        inputs = cls(owner, prod(shape), names, shape, **options)
        return inputs, inputs._numbers(samples), True

    def fit_encoding(self, numbers, is_complete, rows, weights, dtype, targets=None, **options):
        """Return these inputs; warn of digits lost in float32: see `Inputs.fit_encoding`."""
        self._check_digits(numbers, rows, weights, dtype)
        return self

    def _label_of(self, place):
        if len(self.shape) == 1:
            return super()._label_of(place)
        index = tuple(int(k) for k in np.unravel_index(place, self.shape))
        return f"The value at {index} of the samples in X"

    @staticmethod
    def _find_shape(X_shape, **options):
        """Return the shape of a sample, and the values of further fields."""
        return tuple(int(n) for n in X_shape[1:]), options

    @staticmethod
    def _read_samples(X, owner, known=None):
        if hasattr(X, "tocsr"):
            raise TypeError(
                f"Sparse data was passed for X, but dense data is required by {owner}. Use "
                "X.toarray() to convert it to a dense array."
            )
        return read_table(X, known, keeps_types=True, n_dims=None)

    def read(self, X):
        """Check samples and flatten each to a row: see `Inputs.read`.

        Returns
        -------
        numbers : ndarray of shape (n, n_features)
            uint8, float32 or float64; int64 for integer samples. A view if X has one of
            these types.
        is_complete : bool
        """
        samples, names = self._read_samples(X, self.owner, self.names)
        self._check_shape(samples.shape, names)
        return self._numbers(samples), True

    def _check_shape(self, shape, names):
        if len(shape) == len(self.shape) + 1 == 2:
            self.check_rows(shape, names)
        elif tuple(shape[1:]) != self.shape:
            raise ValueError(
                f"X has samples of shape {tuple(shape[1:])}, but {self.owner} was fitted on "
                f"samples of shape {self.shape}."
            )
        elif not shape[0]:
            self.check_rows(shape, self.names)

    def _numbers(self, samples):
        if not isinstance(samples, Columns):
            samples = samples.reshape(len(samples), -1)
        array = join(samples)
        if self.takes_integers and array.dtype.kind in "fc":
            raise ValueError(
                'Expected integers in X for input_dtype="int", such as word indices, got '
                f'{array.dtype}. Convert X, or set input_dtype="float".'
            )
        if self.takes_integers and array.dtype.kind in "biu":
            return array.astype(np.int64, copy=False)
        if array.dtype == np.uint8 and not self.takes_integers:
            return array
        numbers, _ = numbers_of(samples, has_missing=False)
        if not self.takes_integers:
            return numbers
        if (numbers != np.trunc(numbers)).any():
            raise ValueError(
                'Expected integers in X for input_dtype="int", such as word indices, got '
                'fractions. Convert X, or set input_dtype="float".'
            )
        return numbers.astype(np.int64)

    def check(self, n_inputs):
        """Reject parts that do not match: see `Inputs.check`."""
        super().check(n_inputs)
        expect(isinstance(self.shape, tuple), "a shape as a tuple")
        is_positive = all(type(n) is int and n > 0 for n in self.shape)
        expect(is_positive, "a shape of positive integers")
        expect(prod(self.shape) == self.n_features == n_inputs, f"samples of {n_inputs} values")
        expect(isinstance(self.takes_integers, bool), "a boolean")

    def encode(self, numbers, dtype, is_complete=False):
        """Cast floats to the dtype of the module; leave bytes and integers unchanged."""
        return numbers if numbers.dtype.kind in "iu" else _in_dtype(numbers, dtype)


def _in_dtype(numbers, dtype):
    """Cast numbers that `check_finite` found to fit float32."""
    if isinstance(numbers, np.ndarray):
        return numbers.astype(dtype, copy=False)
    if hasattr(numbers, "tocsr"):
        values = numbers.data.astype(dtype, copy=False)
        return type(numbers)((values, numbers.indices, numbers.indptr), shape=numbers.shape)
    xp = namespace_of(numbers)
    return cast(xp, numbers, dtype_in(xp, dtype))
