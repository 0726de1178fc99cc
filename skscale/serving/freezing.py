"""Conversion of fitted estimators and scikit-learn pipelines to NumPy-only predictors."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted

from ..estimators.mlp import ScaledMLPClassifier, ScaledMLPRegressor
from ..inference.categories import Lookup
from ..inference.inputs import PipelineInputs
from ..inference.predictor import make_predictor
from ..inference.steps import Arithmetic, Branches, Chain, Impute, OneHot, Ordinal

_NETWORKS = (ScaledMLPClassifier, ScaledMLPRegressor)
# Steps of these modules can be removed; vectorizers of text and dates can not.
_DONE_BY_NETWORKS = ("sklearn.preprocessing", "sklearn.impute")
_REMOVE = " Or remove the step: the networks scale, encode and impute by themselves."


def freeze(estimator):
    """Make a predictor that needs only NumPy.

    Its predictions agree with the estimator's to 1e-6. It can be loaded without scikit-learn,
    SciPy and torch. These preprocessing steps of scikit-learn are included: StandardScaler,
    MinMaxScaler, RobustScaler, MaxAbsScaler, OneHotEncoder, OrdinalEncoder, SimpleImputer,
    ColumnTransformer, Pipeline, "passthrough" and FunctionTransformer without a function.

    Parameters
    ----------
    estimator : estimator
        A fitted ScaledMLPClassifier or ScaledMLPRegressor, a pipeline that ends in one, or a
        search (any object with `best_estimator_`) over one of these.

    Returns
    -------
    Predictor
        The `predictor_` of the estimator, or a predictor of the whole pipeline. It has
        `predict`, `save` and, for a classifier, `predict_proba`.

    Raises
    ------
    NotFittedError
        If a step or the network is not fitted.
    TypeError
        If a step is not listed above, or has an unsupported setting.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skscale import ScaledMLPClassifier, freeze, load_frozen
    >>> X, y = load_iris(return_X_y=True)
    >>> network = ScaledMLPClassifier(width=8, max_epochs=2, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), network).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "iris.skscale"
    ...     freeze(pipeline).save(path)
    ...     predictor = load_frozen(path)
    >>> bool((predictor.predict(X) == pipeline.predict(X)).all())
    True
    """
    *steps, network = _steps_of(estimator)
    if type(network) not in _NETWORKS:
        names = " or ".join(kind.__name__ for kind in _NETWORKS)
        raise TypeError(
            f"Expected a fitted {names}, alone or at the end of a pipeline, got "
            f"{_name(network)}. Save the estimator itself with skscale.save or pickle."
        )
    check_is_fitted(network)
    predictor, chain = network.predictor_, Chain(_convert_all(steps))
    if not steps:
        return predictor
    first = next(step for step in [*steps, network] if hasattr(step, "n_features_in_"))
    names = getattr(first, "feature_names_in_", None)
    inputs = PipelineInputs(
        predictor.inputs.owner,
        int(first.n_features_in_),
        None if names is None else list(names),
        chain,
        predictor.inputs,
    )
    return make_predictor(inputs, predictor.network, predictor.head)


def _unwrap(estimator):
    while True:
        if type(estimator) is FrozenEstimator:
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def _steps_of(estimator):
    """Return the steps of a pipeline, with nested pipelines flattened."""
    estimator = _unwrap(estimator)
    if type(estimator) is not Pipeline:
        return [estimator]
    return [inner for _, step in estimator.steps for inner in _steps_of(step)]


def _convert_all(steps):
    return [step for step in map(_convert, steps) if step is not None]


def _convert(step):
    """Convert a step of scikit-learn; None if it does nothing."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return None
    step = _unwrap(step)
    if type(step) is Pipeline:
        return Chain(_convert_all(_steps_of(step)))
    if type(step) not in _CONVERTERS:
        known = ", ".join(kind.__name__ for kind in _CONVERTERS)
        raise TypeError(
            f"{_name(step)} cannot be frozen. Expected only these steps: Pipeline, {known}. "
            "Freeze the network alone, skscale.freeze(pipeline[-1]), which predicts from "
            "pipeline[:-1].transform(X), or save the whole pipeline: skscale.save, pickle."
            f"{_REMOVE * type(step).__module__.startswith(_DONE_BY_NETWORKS)}"
        )
    check_is_fitted(step)
    return _CONVERTERS[type(step)](step)


def _name(step):
    kind = type(step)
    return (
        f"{kind.__module__}.{kind.__name__}" if isinstance(step, BaseEstimator) else f"{step!r}"
    )


def _refuse(step, setting, remedy):
    raise TypeError(f"{_name(step)} with {setting} cannot be frozen. {remedy}")


def _arithmetic(step, operations, casts=False, bounds=None):
    done = [(name, numbers) for name, numbers in operations if numbers is not None]
    if not done:
        return None
    return Arithmetic(
        operations=tuple(name for name, _ in done),
        numbers=tuple(np.asarray(numbers, dtype=np.float64) for _, numbers in done),
        casts=casts,
        bounds=bounds,
        n_columns=int(step.n_features_in_),
    )


def _convert_standard(step):
    mean = step.mean_ if step.with_mean else None
    scale = step.scale_ if step.with_std else None
    return _arithmetic(step, [("subtract", mean), ("divide", scale)], casts=True)


def _convert_robust(step):
    center = step.center_ if step.with_centering else None
    scale = step.scale_ if step.with_scaling else None
    return _arithmetic(step, [("subtract", center), ("divide", scale)])


def _convert_min_max(step):
    bounds = tuple(float(bound) for bound in step.feature_range) if step.clip else None
    return _arithmetic(step, [("multiply", step.scale_), ("add", step.min_)], bounds=bounds)


def _convert_max_abs(step):
    bounds = (-1.0, 1.0) if step.clip else None
    return _arithmetic(step, [("divide", step.scale_)], bounds=bounds)


def _convert_imputer(step):
    if type(step.missing_values).__name__ == "NAType":
        _refuse(
            step,
            "missing_values=pd.NA",
            "pd.NA also stands for None and NaN. Remove the imputer: the networks accept "
            "missing values.",
        )
    fill = np.asarray(step.statistics_)
    is_empty = np.array([value != value for value in fill.tolist()], dtype=bool)
    used = np.arange(len(fill)) if step.keep_empty_features else np.flatnonzero(~is_empty)
    # Private: the dtype of the training data decides the dtype to which X is converted.
    if step._fit_dtype.kind == "O":
        reads = "objects"
    else:
        reads = "numbers" if step.strategy in ("most_frequent", "constant") else "floats"
        fill = np.where(is_empty, 0, fill).astype(step._fill_dtype)
    indicator = step.indicator_
    return Impute(
        missing=_plain(step.missing_values, step),
        reads=reads,
        fill=fill,
        kept=used,
        indicated=None if indicator is None else np.asarray(indicator.features_, dtype=np.intp),
    )


def _plain(value, step):
    """Convert a value to a plain Python value; a missing one to NaN or None."""
    if type(value).__name__ == "NAType":
        return float("nan")
    value = value.item() if isinstance(value, np.generic) else value
    if value is not None and not isinstance(value, (bool, int, float, str)):
        _refuse(step, f"the value {value!r}", "Expected strings, numbers, None or NaN.")
    return value


def _rank(known, rare):
    """Return the code of each category; infrequent categories share the last code."""
    rare = set() if rare is None else {_key(value) for value in rare}
    codes, n = [], 0
    for value in known:
        codes.append(None if _key(value) in rare else n)
        n += _key(value) not in rare
    return [n if code is None else code for code in codes], n if rare else None


def _key(value):
    return "NaN" if value != value else (value,)


def _known_of(encoder, place):
    categories = encoder.categories_[place]
    if categories.dtype.kind in "mM":
        _refuse(encoder, "dates or times as categories", "Convert them to strings or numbers.")
    known = [_plain(value, encoder) for value in categories.tolist()]
    if not hasattr(encoder, "infrequent_categories_"):  # no infrequent categories
        return known, None
    rare = encoder.infrequent_categories_[place]
    return known, None if rare is None else [_plain(value, encoder) for value in rare.tolist()]


def _look_up(known, codes, unknown):
    """Return the Lookup of a column; None counts as NaN if only NaN was seen.

    scikit-learn would treat None as an unknown category. But pandas converts None in a string
    column to NaN, also between the steps of a pipeline, and JSON has only None for NaN.
    """
    is_nan = [value != value for value in known]
    if any(is_nan) and None not in known:
        known, codes = [*known, None], np.append(codes, codes[is_nan.index(True)])
    return Lookup(known, codes, unknown, None)


def _convert_one_hot(step):
    lookups, widths = [], []
    for place in range(len(step.categories_)):
        known, rare = _known_of(step, place)
        codes, rare_code = _rank(known, rare)
        n_codes = len(set(codes))
        drop = None if step.drop_idx_ is None else step.drop_idx_[place]
        dropped = None if drop is None else codes[drop]
        encoded = [code for code in range(n_codes) if code != dropped]
        place_of = {code: float(i) for i, code in enumerate(encoded)}
        unknown = -1.0
        if step.handle_unknown in ("infrequent_if_exist", "warn"):
            unknown = place_of.get(rare_code, -1.0)
        codes = np.array([place_of.get(code, -1.0) for code in codes])
        is_error = step.handle_unknown == "error"
        lookups.append(_look_up(known, codes, None if is_error else unknown))
        widths.append(len(encoded))
    return OneHot(lookups, tuple(widths), np.dtype(step.dtype).str[1:])


def _convert_ordinal(step):
    unknown = None
    if step.handle_unknown == "use_encoded_value":
        unknown = float(step.unknown_value)
    lookups = []
    for place in range(len(step.categories_)):
        known, rare = _known_of(step, place)
        # A missing value is not a category: it has its own number.
        there = [value for value in known if value == value]
        codes = dict(zip(map(_key, there), _rank(there, rare)[0], strict=True))
        missing = float(step.encoded_missing_value)
        numbers = [float(codes.get(_key(value), missing)) for value in known]
        lookups.append(_look_up(known, np.array(numbers), unknown))
    return Ordinal(lookups, np.dtype(step.dtype).str[1:])


def _convert_columns(step):
    if step.transformer_weights:
        _refuse(step, "transformer_weights", "Remove them: a network learns its own weights.")
    columns, chains = [], []
    for name, inner, _ in step.transformers_:
        # Private: the indices of columns selected by name, mask, slice or function.
        places = np.asarray(step._transformer_to_input_indices[name], dtype=np.intp)
        if not len(places) or (isinstance(inner, str) and inner == "drop"):
            continue
        columns.append(places)
        chains.append(Chain(_convert_all([inner])))
    return Branches(columns, chains, int(step.n_features_in_))


def _convert_function(step):
    if step.func is not None:
        _refuse(
            step,
            f"func={step.func!r}",
            "A frozen predictor contains no code. Save the whole pipeline with skscale.save or "
            "pickle.",
        )


_CONVERTERS = {
    StandardScaler: _convert_standard,
    MinMaxScaler: _convert_min_max,
    RobustScaler: _convert_robust,
    MaxAbsScaler: _convert_max_abs,
    OneHotEncoder: _convert_one_hot,
    OrdinalEncoder: _convert_ordinal,
    SimpleImputer: _convert_imputer,
    ColumnTransformer: _convert_columns,
    FunctionTransformer: _convert_function,
}
