"""ONNX converters for `skl2onnx.to_onnx`.

Importing this package registers the converters with skl2onnx. A fitted estimator, alone or
inside scikit-learn (in a pipeline, behind a ColumnTransformer, found by a GridSearchCV), then
becomes one ONNX graph, which ONNX Runtime computes without Python::

    import skl2onnx
    import skscale.onnx

    graph = skl2onnx.to_onnx(pipeline, X[:1].astype("float32"), options={"zipmap": False})

- `tables`: the inputs of the graph, of one or several types.
- `table_encoding`: the encoding of a table. The networks themselves are converted by their
  families (`skscale.networks`), from their plain parts.
- `outputs`: labels, probabilities and numbers.
- `graph`: a builder of nodes for the requested opset.
- `converters`: the converters and their registration with skl2onnx.
"""

try:
    import onnx  # noqa: F401
    import skl2onnx  # noqa: F401
except ImportError as error:
    raise ImportError(
        "skscale.onnx needs the packages onnx and skl2onnx, which cannot be imported "
        f'({error}). Install them: pip install "skscale[onnx]".'
    ) from error

from .converters import register

register()
