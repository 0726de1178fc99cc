"""Labels, probabilities and numbers in ONNX, as in `skscale.inference.heads`."""

import numpy as np

from ..inference.heads import Numbers


def add_joined(graph, outputs, head, dtype):
    """Add the outputs of an ensemble: see `Labels.join` and `Numbers.join`.

    Parameters
    ----------
    graph : Graph
    outputs : str
        Name of the outputs of its members, of shape (n_members, n, n_outputs).
    head : skscale.inference.heads.Labels or Numbers
    dtype : numpy dtype

    Returns
    -------
    str
    """
    if isinstance(head, Numbers):
        if head.is_log:
            return _add_mean_of_logarithms(graph, outputs)
        return graph.reduce("Mean", outputs, [0], keepdims=0)
    if head.n_outputs > 1 and not head.is_multilabel:
        return _add_mean_of_logarithms(graph, graph.add("LogSoftmax", outputs, axis=2))
    one = np.array(1, dtype)
    both = []
    for z in (outputs, graph.add("Neg", outputs)):
        # log sigmoid(z) = min(z, 0) - log(1 + exp(-|z|))
        e = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
        logarithm = graph.add("Log", graph.add("Add", e, one))
        below = graph.add("Min", z, np.array(0, dtype))
        both.append(_add_mean_of_logarithms(graph, graph.add("Sub", below, logarithm)))
    return graph.add("Sub", *both)


def _add_mean_of_logarithms(graph, logarithms):
    largest = graph.reduce("Max", logarithms, [0])
    shares = graph.add("Exp", graph.add("Sub", logarithms, largest))
    mean = graph.add("Log", graph.reduce("Mean", shares, [0]))
    squeezed = np.array([0], dtype=np.int64)
    return graph.add("Squeeze", graph.add("Add", largest, mean), squeezed)


def add_labels(graph, logits, head, classes, dtype, output):
    """Add the most probable labels.

    Parameters
    ----------
    graph : Graph
    logits : str
    head : skscale.inference.heads.Labels
    classes : ndarray of shape (n_classes,)
        int64, or objects that are strings.
    dtype : numpy dtype
        Type of the logits.
    output : str
        Name for the labels.
    """
    if head.n_outputs == 1 or head.is_multilabel:
        found = graph.cast(graph.add("Greater", logits, np.array(0, dtype)), np.int64)
        if head.is_multilabel:
            graph.add("Identity", found, output=output)
            return
        found = graph.add("Squeeze", found, np.array([1], dtype=np.int64))
    else:
        found = graph.add("ArgMax", logits, axis=1, keepdims=0)
    graph.add("Gather", classes, found, output=output, axis=0)


def add_scores(graph, logits, head):
    """Return the name of the logits of each class; for two classes, -logit and logit."""
    if head.n_outputs > 1 or head.is_multilabel:
        return logits
    return graph.join([graph.add("Neg", logits), logits])


def add_probabilities(graph, logits, head, dtype):
    """Add the probability of each class.

    Parameters
    ----------
    graph : Graph
    logits : str
    head : skscale.inference.heads.Labels
    dtype : numpy dtype
        Type of the logits.

    Returns
    -------
    str
        Name of the probabilities, of shape (n, n_classes).
    """
    if head.n_outputs > 1 and not head.is_multilabel:
        return graph.add("Softmax", logits, axis=1)
    z, one = add_scores(graph, logits, head), np.array(1, dtype)
    # Keeps the precision of small probabilities, as `skscale.inference.heads.sigmoid` does.
    e = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    is_positive = graph.add("Greater", z, np.array(0, dtype))
    return graph.add("Div", graph.add("Where", is_positive, one, e), graph.add("Add", e, one))


def add_numbers(graph, outputs, head, dtype, output):
    """Add the predictions of a regressor, of shape (n, n_outputs).

    Parameters
    ----------
    graph : Graph
    outputs : str
        Name of the standardized numbers, or logarithms of rates.
    head : skscale.inference.heads.Numbers
    dtype : numpy dtype
        Type of the predictions.
    output : str
        Name for the predictions.
    """
    numbers = graph.cast(outputs, np.float64)
    if head.is_log:
        numbers = graph.add("Mul", graph.add("Exp", numbers), head.scale)
    else:
        numbers = graph.add("Mul", numbers, head.scale)
        numbers = graph.add("Add", numbers, head.mean)
    graph.cast(numbers, dtype, output=output)
