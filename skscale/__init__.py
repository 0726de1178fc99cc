"""Neural networks of the right size, as scikit-learn estimators.

Names are loaded when they are first used, so that `import skscale` costs nothing and
unpickling and predicting need no torch.
"""

import importlib

from .registration import register_backend

__version__ = "0.1.0.dev1"

_EXPORTS = {
    "BestUnder": "skscale.selection.rules",
    "CompressionDisplay": "skscale.inspection.displays",
    "InvalidFileError": "skscale.storage.container",
    "GradualScaleSearchCV": "skscale.selection.gradual",
    "InconsistentVersionWarning": "skscale.estimators.pickling",
    "ParetoDisplay": "skscale.inspection.displays",
    "ParetoKnee": "skscale.selection.rules",
    "ScaleCurveDisplay": "skscale.inspection.displays",
    "ScaleHeatmapDisplay": "skscale.inspection.displays",
    "ScaledCNNClassifier": "skscale.estimators.cnn",
    "ScaledCNNRegressor": "skscale.estimators.cnn",
    "ScaledMLPClassifier": "skscale.estimators.mlp",
    "ScaledMLPRegressor": "skscale.estimators.mlp",
    "ScaledNetworkClassifier": "skscale.estimators.network",
    "ScaledNetworkRegressor": "skscale.estimators.network",
    "ScalingLaw": "skscale.inspection.law",
    "SmallestWithin": "skscale.selection.rules",
    "TRUSTED_TYPES": "skscale.persistence.trusted",
    "TrainingCurveDisplay": "skscale.inspection.displays",
    "complexity": "skscale.inspection.complexity",
    "cost_scoring": "skscale.selection.costs",
    "diagnose": "skscale.selection.diagnosis",
    "fit_compound_coefficients": "skscale.selection.compound",
    "freeze": "skscale.persistence.freezing",
    "last_fused_run": "skscale.training.fusion",
    "load": "skscale.persistence.files",
    "load_frozen": "skscale.persistence.frozen",
    "prune": "skscale.compression.fitted",
    "save": "skscale.persistence.files",
    "scale_grid": "skscale.selection.grids",
    "scale_report": "skscale.inspection.report",
    "select": "skscale.selection.rules",
}

__all__ = sorted([*_EXPORTS, "__version__"])


def __getattr__(name):
    if name not in _EXPORTS:
        raise AttributeError(f"module 'skscale' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__


register_backend()
