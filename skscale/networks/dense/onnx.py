"""Dense networks as ONNX operators."""

import numpy as np

from ..activations import activation_of
from ..constants import NORM_EPS


def add_network(graph, h, network, dtype):
    """Add a dense network to a graph.

    Parameters
    ----------
    graph : skscale.onnx.graph.Graph
    h : str
        Name of its inputs, in the type of computation.
    network : Dense
    dtype : numpy dtype
        Type of computation, which may be wider than that of the weights.

    Returns
    -------
    str
        Name of its outputs, of shape (n, n_outputs) or (n_members, n, n_outputs).
    """
    architecture, (coefs, intercepts, _) = network.architecture, network.weights.parts
    last, n_direct = len(coefs) - 1, architecture.n_direct
    if n_direct:
        places = np.arange(architecture.n_features)
        direct = graph.take(h, places[-n_direct:])
        h = graph.take(h, places[:-n_direct])
    for layer, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        x = _add_layer_norm(graph, h, dtype) if architecture.is_normalized(layer) else h
        bias = intercept if intercept.ndim == 1 else intercept[:, None]
        n_inputs = coef.shape[-2] - (n_direct if layer == last else 0)
        z = graph.add("MatMul", x, graph.weights(coef[..., :n_inputs, :], dtype))
        z = graph.add("Add", z, graph.weights(bias, dtype))
        if layer == last:
            if n_direct:
                linear = graph.weights(coef[..., n_inputs:, :], dtype)
                z = graph.add("Add", z, graph.add("MatMul", direct, linear))
            return z
        a = activation_of(architecture.activation).add_to_graph(graph, z, dtype)
        if architecture.is_residual(layer):
            a = graph.add("Add", a, h)
        h = a


def _add_layer_norm(graph, h, dtype):
    centered = graph.add("Sub", h, graph.reduce("Mean", h, [-1]))
    variance = graph.reduce("Mean", graph.add("Mul", centered, centered), [-1])
    variance = graph.add("Add", variance, np.array(NORM_EPS, dtype))
    # If the squares overflow, all activations would become zero and the prediction constant.
    too_large = graph.add("IsInf", variance)
    variance = graph.add("Where", too_large, np.array(np.nan, dtype), variance)
    return graph.add("Div", centered, graph.add("Sqrt", variance))
