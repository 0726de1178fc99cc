"""
Size of a convolutional network with one parameter, phi
=======================================================

`phi` scales depth, channels and resolution of a small network together. One search trains all
sizes, the rule selects the smallest within one standard error of the best, and the selected
network is then pruned.
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
# scikit-learn's 1,797 digits of 8x8 pixels, as bytes of shape (n, height, width); the network
# scales them.
digits = load_digits()
images = digits.images.astype("uint8")
X_train, X_test, y_train, y_test = train_test_split(
    images, digits.target, train_size=1000, random_state=0
)
base = ScaledCNNClassifier(width=16, max_epochs=10, random_state=0)

# %%
# Sweep over phi
# --------------
# A unit of `phi` multiplies depth by 1.2, channels by 1.1 and side length by 1.15.
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
# The cost per image grows fast with `phi`; accuracy grows slowly, within the noise of the
# folds.
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
# Channel pruning
# ---------------
# The same network without three quarters of the channels inside its blocks.
pruned = clone(network).set_params(pruning=0.75).fit(X_train, y_train)
for name, fitted in (("chosen", network), ("pruned", pruned)):
    print(
        f"{name}: {fitted.complexity_.n_parameters:,} parameters, "
        f"{len(pickle.dumps(fitted)):,} bytes, {fitted.score(X_test, y_test):.4f}"
    )

# %%
# Limitation: on a data set this small, small networks are as good as large ones. On large
# images, a higher resolution helps first (`benchmarks/bench_compound_scaling.py`).
