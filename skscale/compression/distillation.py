"""Teacher predictions for distillation, cached by training rows.

In a process a teacher is fitted once for each set of training rows (`teacher_predictions`), for
any number of students, such as the candidates of a search, in sequence or in parallel threads.
"""

import os
import threading
import warnings
import weakref
from collections import OrderedDict

import numpy as np
import sklearn
from scipy.sparse import issparse
from scipy.special import logsumexp
from sklearn import get_config
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from .._sklearn_private import _num_samples, _safe_indexing
from .._version import __version__
from ..forks import hold_while_forking
from ..fusion.rendezvous import blocked, current_job, unblock
from ..storage.store import Store
from ..training.fingerprint import fingerprint

# Lower limit of teacher probabilities: that of zero would have an infinite logit.
_SMALLEST_PROBABILITY = 1e-6
# Size limit of the teacher predictions cached in a process.
_MAX_BYTES = 256 << 20
# Nearest neighbors of a row, one of which is drawn for mixing.
_N_NEIGHBORS = 5


class _CacheEntry:
    def __init__(self):
        self.is_done = threading.Event()
        self.waiting = []
        self.value = None
        self.error = None


class PredictionCache:
    """Thread-safe cache of arrays by key, each of which is computed once.

    A thread that asks for a key during its computation waits for the result.

    Parameters
    ----------
    max_bytes : int
        Beyond this size the least recently used entries are removed.
    """

    def __init__(self, max_bytes=_MAX_BYTES):
        self.max_bytes = max_bytes
        self._entries = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key, make):
        """Return the arrays of a key, computed by `make()` if they are not cached."""
        with self._lock:
            entry = self._entries.get(key)
            is_first = entry is None
            if is_first:
                entry = self._entries[key] = _CacheEntry()
            elif not entry.is_done.is_set():
                entry.waiting.append(current_job())
            self._entries.move_to_end(key)
        if not is_first:
            if not entry.is_done.is_set():
                with blocked():
                    entry.is_done.wait()
            if entry.error is not None:
                raise entry.error
            return entry.value
        try:
            entry.value = make()
        except BaseException as error:
            entry.error = error
            with self._lock:
                self._entries.pop(key, None)
            raise
        finally:
            with self._lock:
                # Before they wake: otherwise the rendezvous would train without these jobs.
                for job in entry.waiting:
                    unblock(job)
                entry.is_done.set()
        self._forget()
        return entry.value

    def _forget(self):
        with self._lock:
            n_bytes = 0
            for key, entry in list(reversed(self._entries.items())):
                if entry.value is None:
                    continue
                is_newest = n_bytes == 0
                n_bytes += sum(a.nbytes for a in entry.value if a is not None)
                if n_bytes > self.max_bytes and not is_newest:
                    del self._entries[key]

    def clear(self):
        """Remove all entries."""
        with self._lock:
            self._entries.clear()

    def forget_unfinished(self):
        """Remove the entries whose computation has not finished."""
        with self._lock:
            unfinished = [k for k, entry in self._entries.items() if not entry.is_done.is_set()]
            for key in unfinished:
                del self._entries[key]


prediction_cache = PredictionCache()
hold_while_forking(prediction_cache._lock)
if hasattr(os, "register_at_fork"):
    # The threads that compute these entries do not exist in the child process.
    os.register_at_fork(after_in_child=prediction_cache.forget_unfinished)
# Hashes of frozen teachers in each fused run.
_digests = weakref.WeakKeyDictionary()
_digests_lock = hold_while_forking(threading.Lock())


def teacher_predictions(
    teacher, X, y, weights, *, classes, is_multilabel, cv, memory, X_new=None
):
    """Return teacher predictions for training rows and for synthetic rows.

    Parameters
    ----------
    teacher : estimator
        Cloned and fitted on the rows. A FrozenEstimator is used as it is.
    X, y, weights : as passed to `fit`
        The student's training rows only. `weights` are sample weights or None.
    classes : ndarray or None
        The student's classes; None for a regressor.
    is_multilabel : bool
        Whether y is an indicator matrix.
    cv : int, cross-validation generator, iterable or None
        Splitter for out-of-fold predictions. None uses the teacher fitted on all rows.
    memory : str, path-like, joblib.Memory or None
        Storage of teacher predictions beyond the process.
    X_new : like X, or None
        Synthetic rows, predicted by the teacher fitted on all rows.

    Returns
    -------
    predictions : float64 ndarray of shape (n_rows, n_outputs)
        Logits of the student's classes (of two classes, only one column: the log odds of the
        second), or predictions of a regressor.
    predictions_new : float64 ndarray or None
        The same for `X_new`.
    """
    arguments = (X, y, weights, classes, is_multilabel, cv, X_new)
    try:
        is_frozen = isinstance(teacher, FrozenEstimator)
        own = _digest_once(teacher) if is_frozen else _without_memory(teacher)
        key = fingerprint(own, arguments, __version__, sklearn.__version__)
    except Exception:
        # Without a hash there is no key for the cache.
        return _compute_predictions(teacher, *arguments)
    store = Store.at(memory)

    def make():
        entry = None if store is None else store.get("predictions", key)
        if entry is None:
            predictions, predictions_new = _compute_predictions(teacher, *arguments)
            entry = {"predictions": predictions, "predictions_new": predictions_new}
            if store is not None:
                store.put("predictions", key, entry)
        return entry["predictions"], entry["predictions_new"]

    return prediction_cache.get(key, make)


def _without_memory(teacher):
    """Return a teacher with every `memory` set to None, which does not affect predictions."""
    places = [name for name in teacher.get_params() if name.rpartition("__")[2] == "memory"]
    return clone(teacher).set_params(**dict.fromkeys(places)) if places else teacher


def _digest_once(teacher):
    """Return the hash of a frozen teacher, computed once in a fused run.

    All candidates share the object, and hashing a large forest takes longer than training a
    small student. Outside a run the hash is computed again, since the teacher may have been
    refitted.
    """
    job = current_job()
    if job is None:
        return fingerprint(teacher)
    with _digests_lock:
        of_run = _digests.setdefault(job.call.rendezvous, {})
        if id(teacher) not in of_run:
            # The reference to the teacher prevents reuse of its id.
            of_run[id(teacher)] = teacher, fingerprint(teacher)
        return of_run[id(teacher)][1]


def _compute_predictions(teacher, X, y, weights, classes, is_multilabel, cv, X_new):
    fitted = teacher if isinstance(teacher, FrozenEstimator) else None
    if cv is None or fitted is not None:
        fitted = fitted or _fit(teacher, X, y, weights)
        predictions = _predict(fitted, X, classes, is_multilabel)
    else:
        splits = _splitter(cv, y, classes is not None and not is_multilabel).split(X, y)
        splits = list(splits)
        found = Parallel()(
            delayed(_predict_fold)(teacher, X, y, weights, classes, is_multilabel, train, test)
            for train, test in splits
        )
        predictions = np.full((_num_samples(X), found[0].shape[1]), np.nan)
        for (_, test), part in zip(splits, found, strict=True):
            predictions[test] = part
        if np.isnan(predictions).any():
            raise ValueError(
                f"cv={cv!r} of Distillation has rows that are in none of its test folds. "
                "Expected each row in one test fold: pass an int, or a splitter whose test "
                "folds are a partition."
            )
    predictions_new = None
    if X_new is not None:
        fitted = fitted or _fit(teacher, X, y, weights)
        predictions_new = _predict(fitted, X_new, classes, is_multilabel)
    return predictions, predictions_new


def _predict_fold(teacher, X, y, weights, classes, is_multilabel, train, test):
    own = None if weights is None else weights[train]
    fitted = _fit(teacher, _safe_indexing(X, train), _safe_indexing(y, train), own)
    return _predict(fitted, _safe_indexing(X, test), classes, is_multilabel)


def _splitter(cv, y, is_stratified):
    if not isinstance(cv, (int, np.integer)):
        return check_cv(cv, y, classifier=is_stratified)
    # Shuffled, since rows may be sorted; with a fixed seed, so that a teacher is fitted once.
    if is_stratified:
        least = np.unique(np.asarray(y), return_counts=True)[1].min()
        if least >= cv:
            return StratifiedKFold(cv, shuffle=True, random_state=0)
    return KFold(min(cv, len(y)), shuffle=True, random_state=0)


def _fit(teacher, X, y, weights):
    fitted = clone(teacher)
    if weights is None:
        return fitted.fit(X, y)
    names, inner = [], fitted
    while hasattr(inner, "steps"):
        last, inner = inner.steps[-1]
        names.append(last)
    if get_config()["enable_metadata_routing"]:
        names = []  # each step has requested sample weights or not
    name = "__".join([*names, "sample_weight"])
    if not has_fit_parameter(inner, "sample_weight"):
        warnings.warn(
            f"The teacher {type(inner).__name__} does not support sample_weight, so it is "
            "fitted without sample weights.",
            UserWarning,
            stacklevel=2,
        )
        return fitted.fit(X, y)
    return fitted.fit(X, y, **{name: weights})


def _predict(fitted, X, classes, is_multilabel):
    """Return logits of the student's classes, or regression predictions without classes."""
    if classes is None:
        predicted = np.asarray(fitted.predict(X), dtype=np.float64)
        predicted = predicted.reshape(len(predicted), -1)
        if not np.isfinite(predicted).all():
            raise ValueError(
                f"The teacher {type(fitted).__name__} predicts values that are not finite. "
                "Expected finite predictions."
            )
        return predicted
    if hasattr(fitted, "predict_proba"):
        p = fitted.predict_proba(X)
        if is_multilabel:
            found = _multilabel_logits(fitted, p)
        else:
            p = np.asarray(p, dtype=np.float64)
            found = np.log(np.maximum(p, _SMALLEST_PROBABILITY))
    elif hasattr(fitted, "decision_function"):
        found = np.asarray(fitted.decision_function(X), dtype=np.float64)
        if is_multilabel:
            largest = -np.log(_SMALLEST_PROBABILITY)
            found = np.clip(found, -largest, largest)
        else:
            if found.ndim == 1:
                found = np.stack([np.zeros_like(found), found], axis=1)
            found = found - logsumexp(found, axis=1, keepdims=True)
            found = np.maximum(found, np.log(_SMALLEST_PROBABILITY))
    else:
        raise TypeError(
            f"The teacher {type(fitted).__name__} has neither predict_proba nor "
            "decision_function. Expected a classifier with one of them."
        )
    if not np.isfinite(found).all():
        raise ValueError(
            f"The teacher {type(fitted).__name__} predicts probabilities that are not finite. "
            "Expected finite probabilities."
        )
    if not is_multilabel:
        return _align(fitted, found, classes)
    if found.shape[1] != len(classes):
        raise ValueError(
            f"The teacher {type(fitted).__name__} predicts {found.shape[1]} labels, but y has "
            f"{len(classes)}. Expected a teacher of the same labels."
        )
    return found


def _multilabel_logits(fitted, p):
    if isinstance(p, list):
        # One array per label, with one column for each value in the training rows.
        columns = []
        for values, own in zip(fitted.classes_, p, strict=True):
            place = np.flatnonzero(np.asarray(values) == 1)
            columns.append(own[:, place[0]] if len(place) else np.zeros(len(own)))
        p = np.stack(columns, axis=1)
    p = np.clip(p, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY).astype(np.float64)
    return np.log(p) - np.log1p(-p)


def _align(fitted, logarithms, classes):
    """Return logits of the student's classes from log probabilities of the teacher's."""
    # A class that the teacher's rows lacked gets the lowest probability.
    known = np.asarray(fitted.classes_)
    others = [label for label in known.tolist() if label not in set(classes.tolist())]
    if others:
        raise ValueError(
            f"Expected a teacher of the labels of y, {classes.tolist()}, got "
            f"{type(fitted).__name__} with the labels {known.tolist()}: y lacks {others}. Fit "
            "the teacher on the labels of the student."
        )
    inner = fitted.estimator if isinstance(fitted, FrozenEstimator) else fitted
    inner = inner[-1] if hasattr(inner, "steps") else inner
    is_ovo = getattr(inner, "decision_function_shape", None) == "ovo" and len(known) > 2
    returns_votes = is_ovo and not hasattr(fitted, "predict_proba")
    if logarithms.shape[1] != len(known) or returns_votes:
        raise ValueError(
            f"The teacher {type(fitted).__name__} has {len(known)} classes, and its decision "
            f"function has {logarithms.shape[1]} columns. Expected one score per class: for an "
            'SVC, set decision_function_shape="ovr".'
        )
    aligned = np.full((len(logarithms), len(classes)), np.log(_SMALLEST_PROBABILITY))
    for column, label in enumerate(classes):
        place = np.flatnonzero(known == label)
        if len(place):
            aligned[:, column] = logarithms[:, place[0]]
    if len(classes) == 2:
        return aligned[:, 1:] - aligned[:, :1]
    return aligned - logsumexp(aligned, axis=1, keepdims=True)


def check_teacher(teacher, is_for_classes):
    """Check that an estimator can be a teacher; warn if it is already fitted.

    Raises
    ------
    TypeError
        If it is not an estimator, or not of the student's kind.
    """
    inner = teacher.estimator if isinstance(teacher, FrozenEstimator) else teacher
    if not hasattr(inner, "fit") or not hasattr(inner, "get_params"):
        raise TypeError(
            "teacher must be a scikit-learn estimator, a fitted one wrapped in "
            f"FrozenEstimator, or None, got {teacher!r}."
        )
    kind, fits = (
        ("classifier", is_classifier) if is_for_classes else ("regressor", is_regressor)
    )
    if not fits(inner):
        raise TypeError(f"teacher must be a {kind}, got {type(inner).__name__}.")
    if inner is not teacher:
        return
    fitted = [k for k in vars(inner) if k.endswith("_") and not k.startswith("__")]
    if fitted or getattr(inner, "__sklearn_is_fitted__", bool)():
        warnings.warn(
            f"The teacher {type(inner).__name__} is already fitted, but it is cloned and "
            "fitted again on the student's training rows. To use it without fitting, wrap it: "
            "FrozenEstimator(teacher), from sklearn.frozen.",
            UserWarning,
            stacklevel=2,
        )


def mix_sources(inputs, n_new):
    """Choose the pairs of training rows that synthetic rows are mixed from.

    A synthetic row takes each column from a training row or, with equal probability, from one
    of its nearest neighbors: after MUNGE (Bucila, Caruana, Niculescu-Mizil 2006, "Model
    compression", section 2), which also adds noise to numbers. Deterministic for given rows.

    Parameters
    ----------
    inputs : ndarray of shape (n_rows, n_inputs)
        Network inputs of the rows, for the distances.
    n_new : int

    Returns
    -------
    rows, others : ndarrays of int of shape (n_new,)
    random : numpy.random.Generator
        For the choice of columns.
    """
    random = np.random.default_rng(0)
    n_rows = len(inputs)
    n_neighbors = min(_N_NEIGHBORS, n_rows - 1)
    rows = np.concatenate([random.permutation(n_rows) for _ in range(-(-n_new // n_rows))])
    rows = rows[:n_new]
    if n_neighbors == 0:
        return rows, rows, random
    nearest = NearestNeighbors(n_neighbors=n_neighbors).fit(inputs)
    neighbors = nearest.kneighbors(return_distance=False)
    return rows, neighbors[rows, random.integers(n_neighbors, size=n_new)], random


def mix_columns(X, rows, others, is_other):
    """Return synthetic rows, each with columns from two rows.

    Parameters
    ----------
    X : ndarray, or pandas or polars frame of shape (n_rows, n_columns)
    rows, others : ndarrays of int of shape (n_new,)
    is_other : ndarray of bool of shape (n_new, n_columns)

    Returns
    -------
    Like X, of `n_new` rows.
    """
    sources = np.where(is_other, others[:, None], rows[:, None])
    if issparse(X):
        raise ValueError(
            "Expected a dense X for n_synthetic, which mixes the columns of rows, got a sparse "
            "one. Set n_synthetic=0, or pass X.toarray()."
        )
    if hasattr(X, "iloc"):
        mixed = X.iloc[rows].reset_index(drop=True)
        for place in range(X.shape[1]):
            column = X.iloc[:, place].take(sources[:, place])
            column.index = mixed.index
            mixed.isetitem(place, column)
        return mixed
    if hasattr(X, "columns"):
        return X.select([X[name][sources[:, place]] for place, name in enumerate(X.columns)])
    return np.asarray(X)[sources, np.arange(sources.shape[1])]
