"""Equality by value for parameters that are objects."""

from numbers import Real


class ByValue:
    """Base of parameters that are objects, such as activations, optimizers and groups.

    Equality lets fused searches stack them, and tests and checkpoints recognize them.
    """

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        own, others = vars(self), vars(other)
        return own.keys() == others.keys() and all(
            _are_equal(own[name], others[name]) for name in own
        )

    def __hash__(self):
        return hash((type(self), *(v for v in vars(self).values() if _is_plain(v))))

    def __repr__(self):
        values = ", ".join(f"{name}={value!r}" for name, value in sorted(vars(self).items()))
        return f"{type(self).__name__}({values})"


def _is_plain(value):
    return isinstance(value, (Real, str))


def _are_equal(a, b):
    if _is_plain(a) or _is_plain(b):
        return _is_plain(a) and _is_plain(b) and a == b
    if a is b:
        return True
    import joblib  # arrays and lists of arrays have no single truth value

    return joblib.hash(a) == joblib.hash(b)
