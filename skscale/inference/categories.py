"""Lookup tables that map the categories of a column to codes."""

import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..storage.tree import Part, expect
from .advice import advise, join
from .columns import TIMES, is_missing, no_numbers

# Categories with fewer rows are infrequent: they share one code with unknown categories.
_MIN_ROWS = 5
# Largest number of codes in a column: the most frequent categories, and one infrequent code.
_MAX_CODES = 256


@dataclass(frozen=True, eq=False)
class Lookup(Part):
    """Lookup table from the known values of one column to codes.

    Parameters
    ----------
    values : list of int, float, bool, str or None
        If `missing` is None, None and NaN are ordinary values.
    codes : float64 ndarray of shape (n_values,)
    unknown : float or None
        Code of any other value; None rejects it.
    missing : float or None
        Code of any missing value; None looks it up like other values.
    """

    values: list
    codes: np.ndarray
    unknown: float | None
    missing: float | None

    @cached_property
    def _known(self):
        pairs = zip(self.values, self.codes.tolist(), strict=True)
        # NaN does not equal itself, so a dict cannot find it.
        return {value: code for value, code in pairs if value == value}

    @cached_property
    def _nan(self):
        codes = self.codes.tolist()
        return next((c for v, c in zip(self.values, codes, strict=True) if v != v), None)

    def find(self, column, label):
        """Return the code of each value of a column.

        Parameters
        ----------
        column : list
        label : str
            Name of the column in messages.

        Returns
        -------
        float64 ndarray of shape (n_values,)

        Raises
        ------
        ValueError
            If a value cannot be a category, or is unknown and rejected.
        """
        known, default, missing = self._known, self.unknown, self.missing
        try:
            if missing is not None:
                found = [
                    known.get(v, default) if type(v) is str or not is_missing(v) else missing
                    for v in column
                ]
            elif self._nan is not None:
                found = [known.get(v, default) if v == v else self._nan for v in column]
            else:
                found = [known.get(v, default) for v in column]
        except TypeError as error:
            raise ValueError(
                f"{label} contains a value that cannot be a category ({error}). Expected "
                "strings, numbers or booleans."
            ) from None
        if default is None and None in found:
            value = column[found.index(None)]
            raise ValueError(
                f"Found unknown categories [{value!r}] in {label[0].lower()}{label[1:]}. "
                f"Expected one of {self.values[:10]!r}{', ...' * (len(self.values) > 10)}."
            )
        return np.array(found, dtype=np.float64)

    def check(self):
        """Reject values and codes that do not match.

        Raises
        ------
        ValueError
        """
        expect(isinstance(self.values, list), "a list of values")
        plain = (int, float, str, bool, type(None))
        expect(all(type(value) in plain for value in self.values), "plain values")
        expect(type(self.codes) is np.ndarray, "an array of codes")
        expect(self.codes.dtype == np.float64, "float64 codes")
        expect(self.codes.shape == (len(self.values),), "one code per value")
        for code in (self.unknown, self.missing):
            expect(code is None or type(code) is float, "a float code or None")

    @property
    def n_codes(self):
        """int: number of distinct codes of known values."""
        return len(set(self.codes.tolist()))


def learn_categories(column, label, is_declared=False):
    """Learn the categories of a column.

    Parameters
    ----------
    column : list
    label : str
        Name of the column in messages.
    is_declared : bool, default=False
        Whether the user declared the column as categorical.

    Returns
    -------
    lookup : Lookup
        Codes count from 0, in the order of the categories. Infrequent categories share the
        last code with unknown ones. Without infrequent categories, unknown ones get -1. A
        missing value gets NaN, or the unknown code if the column had no missing value.
    advice : str or None
        Advice if a network learns little from the column; see `advise`.

    Raises
    ------
    TypeError
        If values are of unsupported types; the message names them.
    """
    try:
        counts = Counter(value for value in column if not is_missing(value))
    except TypeError as error:
        raise TypeError(
            f"{label} contains values that cannot be categories ({error}). Expected strings, "
            "numbers or booleans."
        ) from None
    counts = {_plain(value): n for value, n in counts.items()}
    kinds = {type(value) for value in counts}
    times = [k for k in kinds if issubclass(k, TIMES) or k.__name__ == "Period"]
    if times:
        raise no_numbers(label, times[0].__name__)
    if not kinds <= {str, bool, int, float}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(
            f"{label} contains values of type {names}. Expected strings, numbers or booleans "
            "as categories: convert the column, for example with .astype(str)."
        )
    known = sorted(counts, key=lambda value: (type(value) is str, value))
    rows = np.array([counts[value] for value in known], dtype=np.intp)
    is_rare = rows < _MIN_ROWS
    if len(rows) - is_rare.sum() + 1 > _MAX_CODES:
        # A stable sort: among equal counts, the first categories become infrequent.
        is_rare[np.argsort(rows, kind="stable")[: 1 - _MAX_CODES]] = True
    n_frequent = int((~is_rare).sum())
    codes = np.where(is_rare, n_frequent, np.cumsum(~is_rare) - 1).astype(np.float64)
    unknown = float(n_frequent) if is_rare.any() else -1.0
    has_missing = sum(counts.values()) < len(column)
    lookup = Lookup(known, codes, unknown, np.nan if has_missing else unknown)
    is_infrequent = dict(zip(known, is_rare.tolist(), strict=True))
    advice = advise(counts, map(is_infrequent.get, counts), is_declared)
    return lookup, advice


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def warn_of_silent_columns(advice):
    """Warn about columns from which a network learns little.

    Parameters
    ----------
    advice : dict of str to str
        By the label of the column; see `advise`.
    """
    if advice:
        warnings.warn(join(advice), UserWarning, stacklevel=2)
