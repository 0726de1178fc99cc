"""Builder of ONNX graphs, node by node."""

import numpy as np
from onnx import TensorProto, numpy_helper

# The first opset in which sums take their axes as an input, and softmax a single axis: ONNX 1.8
# of 2020, supported by ONNX Runtime from 1.6 on.
OLDEST_OPSET = 13
_OF_MEANS = 18  # from this opset on, means and maxima take their axes as an input, too

_TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int64): TensorProto.INT64,
}


class Graph:
    """Builder of nodes in the container of a converter. Values have names, as in ONNX.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        Generates unique names.
    container : skl2onnx.common._container.ModelComponentContainer
        Receives the nodes.

    Raises
    ------
    ValueError
        If the target opset is too old.
    """

    def __init__(self, scope, container):
        self.opset = container.target_opset
        if self.opset < OLDEST_OPSET:
            raise ValueError(
                f"target_opset={self.opset} is too old for networks of skscale. Expected "
                f"{OLDEST_OPSET} or newer."
            )
        self._scope, self._container = scope, container

    def add(self, kind, *inputs, output=None, domain="", **attributes):
        """Add a node.

        Parameters
        ----------
        kind : str
            Type of the operator.
        *inputs : str or ndarray
            Names of values, or constants.
        output : str or None, default=None
            Name of the output; None generates one.
        domain : str, default=""
            Domain of the operator.
        **attributes : anything

        Returns
        -------
        str
            Name of the output.
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
        """Add a constant: numbers, or an object array of strings. Return its name."""
        name = self._scope.get_unique_variable_name("constant")
        if array.dtype == object:
            values = [value.encode() for value in array.ravel()]
            self._container.add_initializer(name, TensorProto.STRING, array.shape, values)
        else:
            tensor = numpy_helper.from_array(np.ascontiguousarray(array), name)
            self._container.add_initializer(name, None, None, tensor)
        return name

    def weights(self, array, dtype):
        """Add a constant, stored in its own type and cast to another. Return its name."""
        name = self.constant(array)
        return name if array.dtype == dtype else self.cast(name, dtype)

    def cast(self, x, dtype, **where):
        """Cast a value to another type."""
        return self.add("Cast", x, to=_TYPES[np.dtype(dtype)], **where)

    def take(self, x, places, axis=1):
        """Select entries along an axis, columns by default."""
        return self.add("Gather", x, np.asarray(places, dtype=np.int64), axis=axis)

    def join(self, parts, axis=1):
        """Concatenate values along an axis."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=axis)

    def reshape(self, x, *shape):
        """Reshape a value; 0 keeps the length of an axis."""
        return self.add("Reshape", x, np.array(shape, dtype=np.int64))

    def reduce(self, kind, x, axes, keepdims=1):
        """Reduce a value by "Sum", "Mean" or "Max" over some axes."""
        if kind != "Sum" and self.opset < _OF_MEANS:
            return self.add(f"Reduce{kind}", x, axes=axes, keepdims=keepdims)
        axes = np.array(axes, dtype=np.int64)
        return self.add(f"Reduce{kind}", x, axes, keepdims=keepdims)
