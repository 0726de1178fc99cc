"""Data-dependent hyperparameter values, for "auto"."""

import numpy as np
from scipy.sparse import issparse

# Limits of batch_size="auto", which is about 1.5 sqrt(n), a power of two. Small tables need
# many steps per epoch, large ones wide products.
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 1024
# Rate of dropout="auto" if columns outnumber rows. Accuracy of 0, 0.3, 0.4 and 0.5:
# 20 Newsgroups .827, .842, .847, .834; a synthetic set .251, .342, .340, .340.
WIDE_DROPOUT = 0.4
# Fewer columns are never wide: with so few rows there is no evidence for dropout.
_MIN_WIDE = 100


def resolve_dropout(dropout, n_rows, n_columns):
    """Return the dropout rate of a fit.

    Parameters
    ----------
    dropout : "auto" or float
    n_rows : int
        Training rows.
    n_columns : int
        Columns of X, before any encoding: bins and categories add nothing to memorize.

    Returns
    -------
    float
    """
    if dropout != "auto":
        return float(dropout)
    is_wide = n_columns >= _MIN_WIDE and n_columns > n_rows
    return WIDE_DROPOUT if is_wide else 0.0


def count_active_inputs(x):
    """Return the fan-in that the gain of the first layer is computed from, for sparse inputs.

    It is the geometric mean of the average number of non-zero inputs in a row and the number
    of inputs, rounded to a power of two so that folds agree. Example: 42,254 terms, 131 per
    text. With the number of inputs the weights move too little (accuracy .816 after 15
    epochs), with 131 too much (.836), with the mean .846.
    """
    n = x.count_nonzero() if issparse(x) else np.count_nonzero(x)
    n_active = max(1.0, n / x.shape[0])
    return 2 ** round(np.log2(np.sqrt(n_active * x.shape[1])))


def resolve_batch_size(batch_size, n_rows):
    """Return the number of rows in a batch.

    Parameters
    ----------
    batch_size : "auto" or int
    n_rows : int
        Training rows.

    Returns
    -------
    int

    Examples
    --------
    >>> [resolve_batch_size("auto", n) for n in (100, 1_500, 10_000, 100_000, 1_000_000)]
    [16, 64, 128, 512, 1024]
    >>> resolve_batch_size(1_000, 300)
    1000
    """
    if batch_size != "auto":
        return int(batch_size)
    nearest = 2 ** round(np.log2(1.5 * np.sqrt(n_rows)))
    return int(min(max(nearest, _SMALLEST_BATCH), _LARGEST_BATCH))
