"""What a pickle of a fitted estimator says, and what it leaves out."""

from sklearn import exceptions


class InconsistentVersionWarning(exceptions.InconsistentVersionWarning):
    """Warn that a pickle was made by another version of skscale.

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
    """Stands for the callbacks of a fitted estimator in its pickle.

    A served estimator needs no callbacks, and theirs would need skorch to be read.

    Parameters
    ----------
    names : list of str
        Class names of the callbacks.
    """

    def __init__(self, names):
        self.names = list(names)

    @classmethod
    def of(cls, callbacks):
        """Return what stands for a list of callbacks, or for what stands for one."""
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
