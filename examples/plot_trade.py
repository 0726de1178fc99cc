"""
What scale buys, in pictures and in one report
==============================================

A search over depth and width, one over pruning, and a training: five displays of what they
found, and a report that says it in words, with what twice the parameters would gain.
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
except ImportError:  # all but the pictures works without
    plt = None

X, y = load_digits(return_X_y=True)
scoring = cost_scoring("accuracy", costs=["n_parameters", "loss", "size_bytes"])


def search(model, grid):
    """Search with all networks trained together."""
    found = GridSearchCV(model, grid, scoring=scoring, refit=SmallestWithin(), cv=3)
    with joblib.parallel_config(backend="skscale"):
        return found.fit(X, y)


# %%
# The report
# ----------
# Five steps: analyse, name the dimension, list the candidates, compare them, recommend one.
# Given the data it also diagnoses the recommended network.

model = ScaledMLPClassifier(max_epochs=15, random_state=0)
found = search(model, {"depth": [1, 2, 3], "width": [2, 4, 8, 16, 32, 64]})
report = scale_report(found, X, y, cv=3)
print(report)

with tempfile.TemporaryDirectory() as folder:
    page = pathlib.Path(folder) / "report.html"
    report.save(page)
    print(f"{page.name}: {page.stat().st_size:,} bytes, and nothing beside it")

# %%
# Score against size
# ------------------
# Each candidate with the standard error of its difference to the best, the power law fitted to
# the best of each size, its 80 % band up to twice the largest, and what the rule chose.

if plt is not None:
    ScaleCurveDisplay.from_cv_results(found)
    plt.show()

# %%
# Only those that no other beats in score at equal or lower cost are worth having.

if plt is not None:
    ParetoDisplay.from_cv_results(found, cost="size_bytes")
    plt.show()

# %%
# Two parameters at once.

if plt is not None:
    ScaleHeatmapDisplay.from_cv_results(found, x="width", y="depth")
    plt.show()

# %%
# Compression
# -----------
# How much of a network of 64 units a layer can go?

network = ScaledMLPClassifier(
    width=64, max_epochs=15, pruning=Pruning(finetune_epochs=10), random_state=0
)
amounts = [0.0, 0.5, 0.75, 0.875, 0.9375]
pruned = search(network, {"pruning__amount": amounts, "pruning__granularity": ["neurons"]})
if plt is not None:
    CompressionDisplay.from_cv_results(pruned, by="granularity")
    plt.show()

# %%
# A training
# ----------
# The loss on the training rows and on those set aside; the weights of the best epoch are kept.

if plt is not None:
    TrainingCurveDisplay.from_estimator(found)
    plt.show()

# %%
# Where it falls short: the law knows the range that was searched. It says what the next
# doubling would gain, not where the curve turns.
