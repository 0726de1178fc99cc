"""Predictors that need NumPy alone, and their files."""

import os
import warnings
from collections.abc import Iterator

import numpy as np

from ..inference.encoding import TableEncoding
from ..storage import container
from ..storage.tree import expect, pack, unpack
from .network import Categories, Labels, Network, Numbers
from .steps import (
    Arithmetic,
    Branches,
    Chain,
    Columns,
    Impute,
    Lookup,
    OneHot,
    Ordinal,
    Seen,
    rows_of,
)

# Raise it when a file that is written now could not be read, or be read otherwise, by the
# skscale before; keep reading all formats up to it, and keep a file of each in the tests.
FORMAT_VERSION = 1
_KIND = "frozen"
# What a file may hold.
PARTS = (
    Arithmetic,
    Branches,
    Categories,
    Chain,
    Impute,
    Labels,
    Lookup,
    Network,
    Numbers,
    OneHot,
    Ordinal,
    TableEncoding,
)
# Large inputs are computed in pieces, so that what lies between stays small.
_BLOCK_ROWS = 1 << 13


class FrozenPredictor:
    """Predict as the estimator or pipeline did that was frozen, by NumPy alone.

    `skscale.freeze` makes one, `skscale.load_frozen` reads one. It cannot be fitted.

    Parameters
    ----------
    chain : Chain
        What is done to a table before the network.
    network : Network
    n_features : int
        Columns of X.
    feature_names : ndarray of shape (n_features,) or None
        Names of the columns, where it was fitted on a frame.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str of shape (n_features,)
        Only where it was fitted on a frame.
    """

    def __init__(self, chain, network, n_features, feature_names):
        expect(isinstance(chain, Chain) and isinstance(network, Network), "steps, a network")
        expect(isinstance(n_features, int), "a number of columns")
        expect(chain.width_of(n_features) == network.n_columns, "columns for the network")
        self.chain, self.network = chain, network
        self.n_features_in_ = n_features
        if feature_names is not None:
            expect(feature_names.shape == (n_features,), "a name for each column")
            expect(all(type(name) is str for name in feature_names.tolist()), "strings")
            self.feature_names_in_ = feature_names
        self._has_categories = bool(self.is_categorical_.any())

    @property
    def is_categorical_(self):
        """bool ndarray of shape (n_features,): whether a column may hold what is no number."""
        seen = self._trace()
        return np.array([c not in seen.numbers for c in range(self.n_features_in_)])

    @property
    def missing_values_(self):
        """list of float or None: what to pass for a missing value of each column.

        NaN; None where that was a value to learn from, or is what an imputer fills, and NaN
        is not.
        """
        nones = self._trace().nones
        return [None if c in nones else float("nan") for c in range(self.n_features_in_)]

    def _trace(self):
        seen = Seen()
        self.network.trace(self.chain.trace(list(range(self.n_features_in_)), seen), seen)
        return seen

    def predict(self, X):
        """Predict labels or numbers.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Of a frame the columns are taken by name where it was fitted on one, in any order;
            others are left alone.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            As the estimator's.

        Raises
        ------
        ValueError, TypeError
            If X is not what it should be.
        """
        return self._compute(X, self.network.head.predict)

    def save(self, path):
        """Write it to a file, as a whole or not at all.

        Parameters
        ----------
        path : str or path-like
        """
        tree = {
            "chain": self.chain,
            "network": self.network,
            "n_features": self.n_features_in_,
            "feature_names": vars(self).get("feature_names_in_"),
        }
        container.write(path, _KIND, FORMAT_VERSION, pack(tree))

    def _compute(self, X, of_outputs):
        table = self._read(X)
        n_rows = table.shape[0]
        if n_rows <= _BLOCK_ROWS:
            return of_outputs(self._outputs(table))
        starts = range(0, n_rows, _BLOCK_ROWS)
        blocks = [rows_of(table, slice(s, s + _BLOCK_ROWS)) for s in starts]
        return np.concatenate([of_outputs(self._outputs(block)) for block in blocks])

    # What comes of it raises: see `Network.outputs`. As a decorator it takes 0.6 us, not 1.1.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _outputs(self, table):
        return self.network.outputs(self.chain.apply(table))

    def _read(self, X):
        # Of the class: a frame takes long to find out that it has no column of some name.
        is_frame = hasattr(type(X), "columns") and hasattr(type(X), "dtypes")
        table = self._read_frame(X) if is_frame else self._read_array(X)
        if table.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {table.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        if not table.shape[0]:
            raise ValueError("Found array with 0 sample(s). Expected a row at least.")
        return table

    def _read_array(self, X):
        _refuse_what_is_no_array(X)
        if "feature_names_in_" in vars(self) and hasattr(X, "dtype"):
            warnings.warn(
                f"X does not have feature names, but {type(self).__name__} was fitted with "
                "feature names: its columns are taken in the order of feature_names_in_.",
                UserWarning,
                stacklevel=5,
            )
        array = np.asarray(X)
        is_mixed = array.dtype.kind == "U" or (array.dtype.kind == "f" and self._has_categories)
        if is_mixed and array is not X and not hasattr(X, "dtype"):
            # Numbers among strings stay numbers, and whole ones whole.
            array = np.asarray(X, dtype=object)
        if array.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {array.ndim}D array instead. Reshape your data: "
                "X.reshape(1, -1) if it is a single sample, X.reshape(-1, 1) if it is a "
                "single feature."
            )
        return array

    def _read_frame(self, X):
        names = list(X.columns)
        if len(set(names)) < len(names):
            raise ValueError(
                "X has two columns of one name. Expected every column to have its own."
            )
        if "feature_names_in_" in vars(self):
            return Columns([_read_column(X, n) for n in self._choose(names)], len(X))
        return Columns([_read_column(X, name) for name in names], len(X))

    def _choose(self, names):
        wanted = self.feature_names_in_.tolist()
        first = self.chain.steps[0] if self.chain.steps else None
        read = first.read if isinstance(first, Branches) else range(len(wanted))
        present = set(names)
        missing = [wanted[place] for place in sorted(read) if wanted[place] not in present]
        if missing:
            raise ValueError(
                f"X lacks columns: expected {missing[:10]}, got {names[:10]}. The feature "
                "names should match those that were passed during fit."
            )
        return [name if name in present else None for name in wanted]


class FrozenClassifier(FrozenPredictor):
    """A frozen classifier: see `FrozenPredictor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    """

    @property
    def classes_(self):
        """ndarray of shape (n_classes,): labels, in the order of the probabilities."""
        return self.network.head.classes

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            As the estimator's.
        """
        return self._compute(X, self.network.head.predict_proba)


class FrozenRegressor(FrozenPredictor):
    """A frozen regressor: see `FrozenPredictor`."""


def make_predictor(chain, network, n_features, feature_names):
    """Return the predictor of a network: see `FrozenPredictor`."""
    is_classifier = isinstance(network, Network) and isinstance(network.head, Labels)
    kind = FrozenClassifier if is_classifier else FrozenRegressor
    return kind(chain, network, n_features, feature_names)


def load_frozen(path):
    """Read a predictor that `FrozenPredictor.save` wrote. Needs NumPy alone.

    Nothing in the file is executed. Its hash finds damage; it does not say who wrote the file.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    FrozenPredictor

    Raises
    ------
    FileError
        If the file is damaged, holds something else, or is of a newer format.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_diabetes
    >>> from skscale import ScaledMLPRegressor, freeze, load_frozen
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = ScaledMLPRegressor(width=8, max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "diabetes.skscale"
    ...     freeze(network).save(path)
    ...     predictor = load_frozen(path)
    >>> predictor.predict(X[:3]).shape
    (3,)
    """
    content, _ = container.read(path, _KIND, FORMAT_VERSION)
    try:
        tree = unpack(content, PARTS)
        expect(isinstance(tree, dict), "a predictor")
        return make_predictor(**tree)
    except Exception as error:  # whatever comes of what others wrote
        raise container.FileError(
            f"{os.fspath(path)!r} holds no predictor, though its hash is right: {error}. "
            "Expected a file that FrozenPredictor.save wrote."
        ) from error


def _read_column(X, name):
    """Return a column of a frame as an array; all that is missing is NaN or None."""
    if name is None:
        return None  # left out, and nobody reads it
    column = np.asarray(X[name])
    if column.dtype.kind == "O":
        is_missing = [type(value).__name__ == "NAType" for value in column]
        if any(is_missing):
            column = column.copy()
            column[is_missing] = np.nan
    return column


def _refuse_what_is_no_array(X):
    if X is None:
        raise ValueError("X is None. Expected an array of shape (n_samples, n_features).")
    if hasattr(X, "tocsr"):
        raise TypeError(
            "Sparse data was passed for X, but a frozen predictor takes dense data. Pass "
            "X.toarray(), or predict by the estimator itself."
        )
    if isinstance(X, Iterator):
        raise TypeError(
            f"X is a {type(X).__name__}, which can be read but once. Expected an array of "
            "shape (n_samples, n_features): pass list(X)."
        )
    if isinstance(X, np.matrix):
        raise TypeError("X is a numpy.matrix. Expected an array: pass numpy.asarray(X).")
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            "X is a masked array with masked values, which would be taken as if they were "
            "not. Expected all values: fill them in first."
        )
