"""Neural networks of the right size, as scikit-learn estimators.

Names are loaded when they are first used, so that `import skscale` costs nothing and
unpickling and predicting need no torch.
"""

import importlib

from ._version import __version__  # noqa: F401
from .registration import register_backend

_EXPORTS = {
    "AdamW": "skscale.training.optimizers",
    "Activation": "skscale.networks.activations",
    "BestUnder": "skscale.selection.rules",
    "CompressionDisplay": "skscale.plotting.displays",
    "InvalidFileError": "skscale.storage.container",
    "Cost": "skscale.costs.measures",
    "Distillation": "skscale.compression.groups",
    "GradualScaleSearchCV": "skscale.selection.gradual",
    "Importance": "skscale.compression.criteria",
    "InconsistentVersionWarning": "skscale.estimators.pickling",
    "Loss": "skscale.training.losses",
    "LRSchedule": "skscale.training.schedules",
    "Optimizer": "skscale.training.optimizers",
    "ParetoDisplay": "skscale.plotting.displays",
    "ParetoKnee": "skscale.selection.rules",
    "Pruning": "skscale.compression.groups",
    "Rule": "skscale.selection.rules",
    "SGD": "skscale.training.optimizers",
    "ScaleCurveDisplay": "skscale.plotting.displays",
    "ScaleHeatmapDisplay": "skscale.plotting.displays",
    "ScaledCNNClassifier": "skscale.estimators.cnn",
    "ScaledCNNRegressor": "skscale.estimators.cnn",
    "ScaledMLPClassifier": "skscale.estimators.mlp",
    "ScaledMLPRegressor": "skscale.estimators.mlp",
    "ScaledNetworkClassifier": "skscale.estimators.network",
    "ScaledNetworkRegressor": "skscale.estimators.network",
    "ScalingLaw": "skscale.selection.law",
    "SmallestWithin": "skscale.selection.rules",
    "TRUSTED_TYPES": "skscale.serving.trusted",
    "TrainingCurveDisplay": "skscale.plotting.displays",
    "complexity": "skscale.costs.complexity",
    "cost_scoring": "skscale.costs.scoring",
    "compare": "skscale.selection.candidates",
    "diagnose": "skscale.selection.diagnosis",
    "fit_compound_coefficients": "skscale.selection.compound",
    "freeze": "skscale.serving.freezing",
    "load": "skscale.serving.files",
    "load_frozen": "skscale.serving.frozen",
    "prune": "skscale.estimators.prune",
    "save": "skscale.serving.files",
    "scale_grid": "skscale.selection.grids",
    "scale_report": "skscale.plotting.report",
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
