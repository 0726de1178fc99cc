"""One node of an ONNX graph at a time."""

import numpy as np
from onnx import TensorProto, numpy_helper

# The first version in which sums take their axes as an input, and softmax one axis: ONNX 1.8,
# of 2020, which ONNX Runtime reads from 1.6 on.
OLDEST_OPSET = 13
_OF_MEANS = 18  # from here on means and maxima take their axes as an input, too

_TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int64): TensorProto.INT64,
}


class Graph:
    """Add nodes to the container of a converter; values are named, as in ONNX.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        Makes names.
    container : skl2onnx.common._container.ModelComponentContainer
        Takes nodes.

    Raises
    ------
    ValueError
        If a version of ONNX is wanted that is too old.
    """

    def __init__(self, scope, container):
        self.opset = container.target_opset
        if self.opset < OLDEST_OPSET:
            raise ValueError(
                f"target_opset={self.opset} is too old for networks of skscale. Expected "
                f"{OLDEST_OPSET} at least."
            )
        self._scope, self._container = scope, container

    def add(self, kind, *inputs, output=None, domain="", **attributes):
        """Add a node.

        Parameters
        ----------
        kind : str
            The operator.
        *inputs : str or ndarray
            Values by name, or constants.
        output : str or None, default=None
            The name of what comes of it; None makes one.
        domain : str, default=""
            The operator's.
        **attributes : anything

        Returns
        -------
        str
            The name of what comes of it.
        """
        names = [self.constant(i) if isinstance(i, np.ndarray) else i for i in inputs]
        output = output or self._scope.get_unique_variable_name(kind.lower())
        self._container.add_node(
            kind,
            names,
            output,
            op_domain=domain,
            name=self._scope.get_unique_operator_name(kind),
            **attributes,
        )
        return output

    def constant(self, array):
        """Return the name of a constant: numbers, or objects that are strings."""
        name = self._scope.get_unique_variable_name("constant")
        if array.dtype == object:
            values = [value.encode() for value in array.ravel()]
            self._container.add_initializer(name, TensorProto.STRING, array.shape, values)
        else:
            tensor = numpy_helper.from_array(np.ascontiguousarray(array), name)
            self._container.add_initializer(name, None, None, tensor)
        return name

    def weights(self, array, dtype):
        """Return the name of a constant that is stored in its own type and used in another."""
        name = self.constant(array)
        return name if array.dtype == dtype else self.cast(name, dtype)

    def cast(self, x, dtype, **where):
        """Return a value in another type."""
        return self.add("Cast", x, to=_TYPES[np.dtype(dtype)], **where)

    def take(self, x, places, axis=1):
        """Return some columns."""
        return self.add("Gather", x, np.asarray(places, dtype=np.int64), axis=axis)

    def join(self, parts, axis=1):
        """Return values side by side."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=axis)

    def reshape(self, x, *shape):
        """Return a value in another shape; 0 stands for an axis that stays."""
        return self.add("Reshape", x, np.array(shape, dtype=np.int64))

    def reduce(self, kind, x, axes, keepdims=1):
        """Return the "Sum", "Mean" or "Max" over some axes."""
        if kind != "Sum" and self.opset < _OF_MEANS:
            return self.add(f"Reduce{kind}", x, axes=axes, keepdims=keepdims)
        axes = np.array(axes, dtype=np.int64)
        return self.add(f"Reduce{kind}", x, axes, keepdims=keepdims)
