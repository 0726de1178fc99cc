"""Columns of categories as codes: a frame as it comes becomes one array of numbers."""

from numbers import Integral

import numpy as np
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils.validation import check_array

from .._sklearn_private import _check_categorical_features, _num_samples, _safe_indexing

# Categories of fewer rows are taken together with what comes unknown later.
_FEWEST_ROWS = 5
# So many of the most frequent categories of a column have an input of their own.
_MOST_CODES = 256
# Up to so many rows are looked up value by value: scikit-learn's encoder takes milliseconds
# whatever their number.
_FEW_ROWS = 32
# Beyond it float64 does not hold every whole number.
_LARGEST_WHOLE = 1 << 53
_WORDS = ("category", "categorical", "enum", "string", "str", "utf8", "object")


class CategoryReader:
    """Turn a table with columns of categories into an array of numbers and codes.

    Parameters
    ----------
    X : frame or array of shape (n_rows, n_columns)
    is_categorical : bool ndarray of shape (n_columns,)
    present : bool ndarray of shape (n_rows,) or None
        The rows to learn the categories from; None is all.

    Attributes
    ----------
    n_categories : dict of int to (int, int)
        Of each column of codes how many there are, and the code of all other values or -1.
    """

    def __init__(self, X, is_categorical, present=None):
        self.categorical = np.flatnonzero(is_categorical)
        self.numeric = np.flatnonzero(~is_categorical)
        columns = self._take(X, self.categorical)
        if present is not None and not present.all():
            columns = _safe_indexing(columns, np.flatnonzero(present))
        self.encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            min_frequency=_FEWEST_ROWS,
            max_categories=_MOST_CODES,
        ).fit(columns)
        self.n_categories = {}
        # The code of None, which scikit-learn tells apart from NaN.
        self.none = []
        # Of each column the code of each value, and that of a missing one.
        self.codes = []
        for place, column in enumerate(self.categorical):
            rare = self.encoder.infrequent_categories_[place]
            rare = [] if rare is None else list(rare)
            known = self.encoder.categories_[place]
            n = sum(map(_is_there, known)) - sum(map(_is_there, rare))
            has_none = any(v is None for v in known) and not any(v is None for v in rare)
            self.none.append(n if has_none else None)
            self.n_categories[int(column)] = (n + 1, n) if rare else (n, -1)
            is_rare = set(filter(_is_there, rare))
            frequent = [v for v in known if _is_there(v) and v not in is_rare]
            codes = dict.fromkeys(is_rare, n) | {v: code for code, v in enumerate(frequent)}
            missing = -1.0
            if not all(map(_is_there, known)):
                missing = np.nan if all(map(_is_there, rare)) else float(n)
            self.codes.append((codes, missing))
        # A frame of several types is read as a whole by way of float64.
        self.holds_large = any(
            isinstance(value, Integral) and abs(value) > _LARGEST_WHOLE
            for codes, _ in self.codes
            for value in codes
        )

    @staticmethod
    def _take(X, columns):
        taken = _safe_indexing(X, columns, axis=1)
        if not hasattr(taken, "isna"):
            return taken
        # pandas' NA can be neither sorted nor compared.
        is_missing = taken.isna()
        if taken.ndim == 1:
            return taken.astype(object).where(~is_missing, np.nan)
        has_missing = is_missing.any()
        names = list(has_missing.index[has_missing])
        as_objects = {n: taken[n].astype(object).where(~is_missing[n], np.nan) for n in names}
        return taken.assign(**as_objects) if names else taken

    def read(self, X):
        """Return the table as a float ndarray; NaN is missing, -1 an unknown category."""
        if _num_samples(X) <= _FEW_ROWS and not self.holds_large:
            table = self._read_few(X)
            if table is not None:
                return table
        codes = self.encoder.transform(self._take(X, self.categorical))
        for column, none in zip(codes.T, self.none, strict=True):
            if none is not None:
                is_none, is_other = column == none, column == none + 1
                column[is_none], column[is_other] = np.nan, none
        self._mark_missing(X, codes)
        if not len(self.numeric):
            return codes
        numbers = check_array(
            self._take(X, self.numeric),
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            input_name="X",
            ensure_min_samples=0,
        )
        table = np.empty((len(codes), len(self.categorical) + len(self.numeric)))
        table[:, self.categorical] = codes
        table[:, self.numeric] = numbers
        return table

    def _mark_missing(self, X, codes):
        # To scikit-learn None, NaN and pandas' NA are three values: of those that were not
        # there to learn from, each is unknown.
        for place, (_, missing) in enumerate(self.codes):
            unknown = np.flatnonzero(codes[:, place] == -1)
            if not len(unknown) or missing == -1:
                continue
            values = _safe_indexing(self._take(X, int(self.categorical[place])), unknown)
            is_missing = [not _is_there(value) for value in values]
            codes[unknown[is_missing], place] = missing

    def _read_few(self, X):
        try:
            values = np.asarray(X, dtype=object)
            table = np.empty(values.shape)
            table[:, self.numeric] = values[:, self.numeric].astype(np.float64)
            for column, (codes, missing) in zip(self.categorical, self.codes, strict=True):
                table[:, column] = [
                    codes.get(value, -1) if _is_there(value) else missing
                    for value in values[:, column]
                ]
        except (TypeError, ValueError, IndexError):
            return None  # let scikit-learn say what is wrong
        return table


def _is_there(value):
    # pandas' NA has no truth: it is told by its name, so that nobody needs pandas.
    return value is not None and type(value).__name__ != "NAType" and value == value


def find_categorical(X, categorical_features):
    """Return which columns hold categories, or None without any.

    Parameters
    ----------
    X : array-like
    categorical_features : "from_dtype", array-like of bool, int or str, or None
        "from_dtype" takes the columns of a frame that hold categories or strings, and those
        of Python objects that are no numbers.

    Returns
    -------
    bool ndarray of shape (n_columns,) or None

    Raises
    ------
    ValueError
        If `categorical_features` does not fit X.
    """
    if not isinstance(categorical_features, str) or categorical_features != "from_dtype":
        return _check_categorical_features(X, categorical_features)
    if not (hasattr(type(X), "columns") and hasattr(type(X), "dtypes")):
        return None
    is_categorical = np.zeros(X.shape[1], dtype=bool)
    for place, dtype in enumerate(X.dtypes):
        kind = str(dtype).lower()
        if kind.startswith(_WORDS):
            is_categorical[place] = not kind.startswith("object") or not _holds_numbers(
                _safe_indexing(X, place, axis=1)
            )
    return is_categorical if is_categorical.any() else None


def _holds_numbers(column):
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True
