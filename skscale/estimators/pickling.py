"""Placeholders in pickles of fitted estimators, and the version warning."""

import pickle

import joblib
from sklearn import exceptions
from sklearn.frozen import FrozenEstimator


class InconsistentVersionWarning(exceptions.InconsistentVersionWarning):
    """Warning about a pickle made by another version of skscale.

    Parameters
    ----------
    estimator_name : str
    current_version : str
    original_version : str
    """

    def __init__(self, *, estimator_name, current_version, original_version):
        super().__init__(
            estimator_name=estimator_name,
            current_sklearn_version=current_version,
            original_sklearn_version=original_version,
        )

    def __str__(self):
        return (
            f"Unpickling {self.estimator_name} from skscale "
            f"{self.original_sklearn_version} with skscale {self.current_sklearn_version}. "
            "Predictions may differ or fail. Expected the same version: install it, or fit "
            "again."
        )


class CallbacksLeftOut:
    """Placeholder for the callbacks of a fitted estimator in its pickle.

    A served estimator needs no callbacks, and unpickling them would require skorch.

    Parameters
    ----------
    names : list of str
        Class names of the callbacks.
    """

    def __init__(self, names):
        self.names = list(names)

    @classmethod
    def of(cls, callbacks):
        """Return the placeholder for a list of callbacks; a placeholder stays unchanged."""
        if isinstance(callbacks, cls):
            return callbacks
        names = []
        for item in callbacks:
            callback = item[1] if isinstance(item, tuple) else item
            kind = callback if isinstance(callback, type) else type(callback)
            names.append(kind.__name__)
        return cls(names)

    def __repr__(self):
        return f"CallbacksLeftOut({self.names})"

    def __eq__(self, other):
        return isinstance(other, CallbacksLeftOut) and self.names == other.names

    def __hash__(self):
        return hash(tuple(self.names))


class TeacherLeftOut:
    """Placeholder for the teacher of a fitted student in its pickle.

    A served student needs no teacher, which may be far larger than the student.

    Parameters
    ----------
    name : str
        Class name of the teacher.
    digest : str or None
        Hash of the teacher (`joblib.hash`) as it was passed; None if it cannot be hashed.
    """

    def __init__(self, name, digest):
        self.name = name
        self.digest = digest

    @classmethod
    def of(cls, teacher):
        """Return the placeholder for a teacher; a placeholder stays unchanged."""
        if isinstance(teacher, cls):
            return teacher
        inner = teacher.estimator if isinstance(teacher, FrozenEstimator) else teacher
        try:
            digest = joblib.hash(teacher)
        except (AttributeError, TypeError, pickle.PicklingError):
            digest = None  # it has parts that cannot be pickled
        return cls(type(inner).__name__, digest)

    def fit(self, X, y=None, **fit_params):
        """Raise an error: there is nothing to fit.

        Raises
        ------
        ValueError
            Always; the message says how to pass the teacher.
        """
        raise ValueError(
            f"This estimator was fitted with a teacher, a {self.name} (hash {self.digest}), "
            "which its pickle left out. Pass it again before fitting, by "
            "set_params(teacher=...), or set teacher=None to fit without."
        )

    def __repr__(self):
        return f"TeacherLeftOut({self.name!r}, {self.digest!r})"

    def __eq__(self, other):
        return isinstance(other, TeacherLeftOut) and (
            (self.name, self.digest) == (other.name, other.digest)
        )

    def __hash__(self):
        return hash((self.name, self.digest))
