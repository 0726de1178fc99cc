"""
Score-cost trade-off: displays and report
=========================================

Five displays show a search over depth and width, a search over pruning, and a training. The
report states the results in text, with the forecast gain of twice the parameters.
"""

# %%
import pathlib
import tempfile

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skscale import Pruning, ScaledMLPClassifier, SmallestWithin, cost_scoring, scale_report

try:
    import matplotlib.pyplot as plt

    from skscale import (
        CompressionDisplay,
        ParetoDisplay,
        ScaleCurveDisplay,
        ScaleHeatmapDisplay,
        TrainingCurveDisplay,
    )
except ImportError:  # only the figures need matplotlib
    plt = None

X, y = load_digits(return_X_y=True)
scoring = cost_scoring("accuracy", costs=["n_parameters", "loss", "size_bytes"])


def search(model, grid):
    """Run a fused search."""
    found = GridSearchCV(model, grid, scoring=scoring, refit=SmallestWithin(), cv=3)
    with joblib.parallel_config(backend="skscale"):
        return found.fit(X, y)


# %%
# Report
# ------
# Five steps: analysis, dimension to scale, candidates, comparison, recommendation. With the
# data passed, it also diagnoses the recommended network.

model = ScaledMLPClassifier(max_epochs=15, random_state=0)
found = search(model, {"depth": [1, 2, 3], "width": [2, 4, 8, 16, 32, 64, 128]})
report = scale_report(found, X, y, cv=3)
print(report)

with tempfile.TemporaryDirectory() as folder:
    page = pathlib.Path(folder) / "report.html"
    report.save(page)
    print(f"{page.name}: {page.stat().st_size:,} bytes, and nothing beside it")

# %%
# Score against size
# ------------------
# All candidates with the standard error of the difference to the best, the power law fitted to
# the best of each size, its 80 % band up to twice the largest size, and the selected candidate.

if plt is not None:
    ScaleCurveDisplay.from_cv_results(found)
    plt.show()

# %%
# Pareto front: candidates that no other beats in score at equal or lower cost.

if plt is not None:
    ParetoDisplay.from_cv_results(found, cost="size_bytes")
    plt.show()

# %%
# The score over two parameters.

if plt is not None:
    ScaleHeatmapDisplay.from_cv_results(found, x="width", y="depth")
    plt.show()

# %%
# Pruning
# -------
# Score against compression of a network with 64 units per layer.

network = ScaledMLPClassifier(
    width=64, max_epochs=15, pruning=Pruning(finetune_epochs=10), random_state=0
)
amounts = [0.0, 0.5, 0.75, 0.875, 0.9375]
pruned = search(network, {"pruning__amount": amounts, "pruning__granularity": ["neurons"]})
if plt is not None:
    CompressionDisplay.from_cv_results(pruned, by="granularity")
    plt.show()

# %%
# Training curve
# --------------
# The loss on the training and validation set; the weights of the best epoch are restored.

if plt is not None:
    TrainingCurveDisplay.from_estimator(found)
    plt.show()

# %%
# Limitation: the law is fitted to the searched range. It forecasts the gain of the next
# doubling, not a later change of the curve.
