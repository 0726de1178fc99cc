"""Private names of scikit-learn, imported here and nowhere else.

But for that of its searches, which serving need not load: `selection._search_private`.

- `_fit_context` validates parameters by `_parameter_constraints` and, since 1.9, tears
  callbacks down after a fit: there is no public way to have both.
- `Interval`, `Options`, `StrOptions` are the words of those constraints.
- `_check_categorical_features` reads the words of `categorical_features`.
- `_check_sample_weight` checks weights in scikit-learn's own estimators.
- `_num_samples` and `_safe_indexing` count and take rows of anything that X may be.
"""

from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import (
    _check_categorical_features,
    _check_sample_weight,
    _num_samples,
)

__all__ = [
    "Interval",
    "Options",
    "StrOptions",
    "_check_categorical_features",
    "_check_sample_weight",
    "_fit_context",
    "_num_samples",
    "_safe_indexing",
]
