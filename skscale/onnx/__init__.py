"""ONNX: `import skscale.onnx`, and `skl2onnx.to_onnx` converts what holds our networks.

Importing this registers converters with skl2onnx, by which a fitted estimator, alone or where
scikit-learn has it (in a pipeline, behind a ColumnTransformer, found by a GridSearchCV),
becomes one ONNX graph that ONNX Runtime computes without Python::

    import skl2onnx
    import skscale.onnx

    graph = skl2onnx.to_onnx(pipeline, X[:1].astype("float32"), options={"zipmap": False})

- `tables`: the inputs of the graph, of one type or of several.
- `dense`, `convolutional`: the networks, from the plain parts of which frozen predictors are
  made as well (`skscale.serving.frozen`).
- `outputs`: labels, probabilities and numbers.
- `graph`: one node of a graph at a time, in the version that is asked for.
- `converters`: their registration with skl2onnx.
"""

try:
    import onnx  # noqa: F401
    import skl2onnx  # noqa: F401
except ImportError as error:
    raise ImportError(
        "Converting to ONNX needs the packages onnx and skl2onnx: pip install "
        f'"skscale[onnx]". What failed: {error}'
    ) from error

from .converters import register

register()
