"""Converters for skl2onnx: parsers, shape calculators and node conversion."""

import numpy as np
from skl2onnx import get_model_alias, update_registered_converter

# Private: skl2onnx has no public function for the zipmap option of its own classifiers, and its
# parser for them assumes that probabilities have the type of the input.
from skl2onnx._parse import _apply_zipmap
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int8TensorType,
    Int16TensorType,
    Int32TensorType,
    Int64TensorType,
    StringTensorType,
    UInt8TensorType,
)
from skl2onnx.common.utils_classifier import get_label_classes
from sklearn.utils.validation import check_is_fitted

from ..estimators.classification import Classifies
from ..estimators.cnn import ScaledCNNClassifier, ScaledCNNRegressor
from ..estimators.mlp import ScaledMLPClassifier, ScaledMLPRegressor
from ..estimators.network import ScaledNetworkClassifier, ScaledNetworkRegressor
from ..inference.images import ImageInputs, read_image_shape
from .graph import Graph
from .outputs import add_joined, add_labels, add_numbers, add_probabilities, add_scores
from .table_encoding import add_inputs
from .tables import TensorColumns

_DENSE = (ScaledMLPClassifier, ScaledMLPRegressor)
_CONVOLUTIONAL = (ScaledCNNClassifier, ScaledCNNRegressor)
_OWN = (ScaledNetworkClassifier, ScaledNetworkRegressor)
_NUMBERS = (
    FloatTensorType,
    DoubleTensorType,
    Int64TensorType,
    Int32TensorType,
    Int16TensorType,
    Int8TensorType,
    UInt8TensorType,
    BooleanTensorType,
)
_OPTIONS = {  # of classifiers
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "raw_scores": [True, False],
}
_TENSORS = {np.dtype(np.float32): FloatTensorType, np.dtype(np.float64): DoubleTensorType}


def register():
    """Register a converter for each estimator with skl2onnx, replacing earlier ones."""
    for kind in (*_DENSE, *_CONVOLUTIONAL, *_OWN):
        is_classifier = issubclass(kind, Classifies)
        update_registered_converter(
            kind,
            f"Skscale{kind.__name__}",
            _set_types,
            _convert_classifier if is_classifier else _convert_regressor,
            parser=_parse_classifier if is_classifier else _parse_regressor,
            options=_OPTIONS if is_classifier else None,
        )


def _parse_classifier(scope, model, inputs, custom_parsers=None):
    _check(model, inputs)
    options = scope.get_options(model, {"zipmap": True})
    # ONNX maps hold float32, whatever the type of computation.
    dtype = np.dtype(np.float32) if options["zipmap"] is True else _dtype_of(model)
    tensor = _TENSORS[dtype]
    outputs = _declare(
        scope, model, inputs, dtype, label=Int64TensorType(), probabilities=tensor()
    )
    if not options["zipmap"]:
        return outputs
    return _apply_zipmap(options["zipmap"], scope, model, tensor(), outputs)


def _parse_regressor(scope, model, inputs, custom_parsers=None):
    _check(model, inputs)
    dtype = _dtype_of(model, inputs)
    if not model.predictor_.head.float32_holds_targets:
        dtype = np.dtype(np.float64)
    return _declare(scope, model, inputs, dtype, variable=_TENSORS[dtype]())


def _declare(scope, model, inputs, dtype, **outputs):
    operator = scope.declare_local_operator(get_model_alias(type(model)), model)
    operator.inputs = inputs
    # Type of probabilities and numbers, for the shape calculator and the converter.
    operator.dtype = dtype
    for name, kind in outputs.items():
        operator.outputs.append(scope.declare_local_variable(name, kind))
    return operator.outputs


def _dtype_of(model, inputs=()):
    """Return the type of computation; a regressor computes in float64 if X is float64."""
    if any(isinstance(variable.type, DoubleTensorType) for variable in inputs):
        return np.dtype(np.float64)
    return model.predictor_.network.dtype


def _dtype_of_outputs(operator):
    # Meta-estimators (voting, stacking, calibration) declare the operator without our parser;
    # the nodes that follow then have the type of the input.
    if hasattr(operator, "dtype"):
        return operator.dtype
    is_double = isinstance(operator.inputs[0].type, DoubleTensorType)
    return np.dtype(np.float64 if is_double else np.float32)


def _check(model, inputs):
    """Refuse unfitted estimators, user-defined modules, and inputs of unsupported types."""
    check_is_fitted(model)
    if isinstance(model, _OWN):
        raise TypeError(
            f"Expected a dense or a convolutional network, got {type(model).__name__} with the "
            f"custom module {getattr(model.module, '__name__', repr(model.module))}, which "
            "skl2onnx cannot convert. Export the module with "
            "torch.onnx.export(estimator.net_.module_, (rows,), path, "
            'dynamic_shapes=({0: "n"},)), and convert the preceding steps with skl2onnx.'
        )
    has_categories = bool(model.predictor_.inputs.coded)
    kinds = (*_NUMBERS, StringTensorType) if has_categories else _NUMBERS
    for variable in inputs:
        if not isinstance(variable.type, kinds):
            raise TypeError(
                f"The input {variable.raw_name!r} has type {variable.type}. Expected "
                + (
                    "numbers or strings."
                    if has_categories
                    else f"numbers: this {type(model).__name__} was fitted without categorical "
                    "columns (see categorical_features)."
                )
            )


def _labels_of(scope, model):
    """Return the labels as types of ONNX: int64, or an object array of strings."""
    classes = np.asarray(get_label_classes(scope, model))
    if classes.dtype.kind in "UO" and all(isinstance(label, str) for label in classes):
        return classes.astype(object)
    if classes.dtype.kind in "biuf":
        with np.errstate(invalid="ignore"):
            numbers = classes.astype(np.int64)
        if (numbers == classes).all():
            return numbers
    raise ValueError(
        "Expected strings or integers as labels, the only types of classes in ONNX, got "
        f"{classes[:5].tolist()!r}. Encode the labels before fitting, for example with "
        'sklearn.preprocessing.LabelEncoder, or pass options={"nocl": True} for their indices '
        "in classes_."
    )


def _set_types(operator):
    """Set types and shapes of the outputs, labels before probabilities."""
    model = operator.raw_operator
    _check(model, operator.inputs)
    n, head = operator.inputs[0].get_first_dimension(), model.predictor_.head
    width = head.n_outputs
    if isinstance(model, Classifies):
        labels = _labels_of(operator.scope_inst, model)
        width = len(labels)
        kind = StringTensorType if labels.dtype == object else Int64TensorType
        operator.outputs[0].set_type(kind([n, width] if head.is_multilabel else [n]))
    operator.outputs[-1].set_type(_TENSORS[_dtype_of_outputs(operator)]([n, width]))


def _convert_classifier(scope, operator, container):
    model, graph = operator.raw_operator, Graph(scope, container)
    label, probabilities = (variable.full_name for variable in operator.outputs)
    head, dtype = model.predictor_.head, _dtype_of(model)
    logits = _add_outputs(graph, model, operator.inputs, dtype)
    add_labels(graph, logits, head, _labels_of(scope, model), dtype, label)
    if container.get_options(model, {"raw_scores": False})["raw_scores"]:
        scores = add_scores(graph, logits, head)
    else:
        scores = add_probabilities(graph, logits, head, dtype)
    graph.cast(scores, _dtype_of_outputs(operator), output=probabilities)


def _convert_regressor(scope, operator, container):
    model, graph = operator.raw_operator, Graph(scope, container)
    (variable,) = (variable.full_name for variable in operator.outputs)
    outputs = _add_outputs(graph, model, operator.inputs, _dtype_of(model, operator.inputs))
    add_numbers(graph, outputs, model.predictor_.head, _dtype_of_outputs(operator), variable)


def _add_outputs(graph, model, inputs, dtype):
    """Add the outputs of a network, or the joined outputs of an ensemble."""
    table, network = model.predictor_.inputs, model.predictor_.network
    if isinstance(table, ImageInputs):
        _check_images(model, inputs)
        x = inputs[0].full_name
    else:
        columns = TensorColumns(graph, inputs, table.n_features, table.names)
        x = add_inputs(graph, columns, table, dtype)
    outputs = network.architecture.family.add_to_graph(graph, x, network, dtype)
    if network.weights.n_members is None:
        return outputs
    return add_joined(graph, outputs, model.predictor_.head, dtype)


def _check_images(model, inputs):
    """Refuse inputs that are not images of the shape that the network was fitted on."""
    if len(inputs) > 1:
        raise ValueError(
            f"The model has {len(inputs)} inputs. Expected one tensor of images, or of rows of "
            "pixels."
        )
    shape = inputs[0].type.shape
    if not all(isinstance(n, (int, np.integer)) for n in shape[1:]):
        return  # unknown until the graph runs
    if len(shape) == 2:
        fits = shape[1] == model.n_features_in_
    else:
        channels = "first" if model.predictor_.inputs.channels_first else "last"
        fits = read_image_shape(shape, None, channels) == model.image_shape_
    if not fits:
        raise ValueError(
            f"The input has shape {list(shape)}. Expected images of shape "
            f"{model.image_shape_}, on which {type(model).__name__} was fitted, or rows of "
            f"{model.n_features_in_} pixel values."
        )
