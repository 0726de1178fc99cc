"""
Choose the size of a convolutional network by one number
========================================================

A small network is scaled in depth, channels and pixels together by `phi`, down and up; one
search trains all of them, the rule takes the smallest that is within one standard error of the
best, and what was chosen is then pruned.
"""

# %%
import pickle

import joblib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

from skscale import ScaledCNNClassifier, SmallestWithin, cost_scoring

# %%
# The images are scikit-learn's 1,797 digits of 8x8 pixels: (n, height, width), bytes, which
# the network scales itself.
digits = load_digits()
images = digits.images.astype("uint8")
X_train, X_test, y_train, y_test = train_test_split(
    images, digits.target, train_size=1000, random_state=0
)
base = ScaledCNNClassifier(width=16, max_epochs=10, random_state=0)

# %%
# Smaller and larger
# ------------------
# Depth by 1.2, channels by 1.1 and pixels by 1.15 for each unit of `phi`.
grid = {"phi": [-2, -1, 0, 1]}
with joblib.parallel_config(backend="skscale"):
    search = GridSearchCV(
        base, grid, scoring=cost_scoring("accuracy"), refit=SmallestWithin(), cv=3
    ).fit(X_train, y_train)

results = search.cv_results_
print("  phi  parameters  multiply-accumulates  us an image  accuracy")
for k, phi in enumerate(grid["phi"]):
    chosen = "  <- chosen" if k == search.best_index_ else ""
    print(
        f"{phi:5}{results['mean_test_n_parameters'][k]:12,.0f}"
        f"{results['mean_test_n_macs'][k]:22,.0f}{results['mean_test_latency_us'][k]:13,.0f}"
        f"{results['mean_test_score'][k]:10.4f}{chosen}"
    )
network = search.best_estimator_
print(
    f"built: {network.depth_} blocks a stage, {network.width_} channels at first, "
    f"{network.resolution_} pixels; accuracy on new images {network.score(X_test, y_test):.4f}"
)

# %%
# What an image costs grows fast with `phi`, and accuracy slowly, if the folds can tell at all.
score = results["mean_test_score"]
folds = np.stack([results[f"split{k}_test_score"] for k in range(3)])
places = np.arange(len(score))
_, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.plot(places, score, color="#0072B2", marker="o", label="mean")
ax.scatter(np.tile(places, 3), folds, color="#0072B2", marker="_", s=120, label="each fold")
ring = {"s": 260, "facecolors": "none", "edgecolors": "#D55E00", "linewidths": 2.5}
ax.scatter(search.best_index_, score[search.best_index_], **ring, zorder=3, label="chosen")
costs = zip(grid["phi"], results["mean_test_n_macs"], strict=True)
ax.set_xticks(places, [f"{phi}\n{macs:,.0f}" for phi, macs in costs])
ax.set(xlabel="phi, and multiply-accumulates an image", ylabel="accuracy")
ax.margins(x=0.1, y=0.1)
ax.grid(alpha=0.3)
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# Pruned
# ------
# The same network, without three quarters of the channels inside its blocks.
pruned = clone(network).set_params(pruning=0.75).fit(X_train, y_train)
for name, fitted in (("chosen", network), ("pruned", pruned)):
    print(
        f"{name}: {fitted.complexity_.n_parameters:,} parameters, "
        f"{len(pickle.dumps(fitted)):,} bytes, {fitted.score(X_test, y_test):.4f}"
    )

# %%
# Honest limitation: for so small a set of images the small networks are as good as the large
# ones. On large images more pixels are what pays first
# (`benchmarks/bench_compound_scaling.py`).
