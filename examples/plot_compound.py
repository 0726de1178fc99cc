"""
Compound scaling with one parameter, phi
========================================

`phi` scales depth and width of a base network with two hidden layers (64-128-64-1) together;
negative values make it smaller. One fused search covers all values. The rule selects the
smallest network whose R2 is at most 0.005 below the best. `fit_compound_coefficients` then
finds the shares of depth and width in additional computation for these data.
"""

# %%
import joblib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.model_selection import GridSearchCV, train_test_split

from skscale import (
    ScaledMLPRegressor,
    SmallestWithin,
    cost_scoring,
    fit_compound_coefficients,
)

# %%
# Synthetic data (Friedman 1991, eq. 61): 5 of 64 columns are informative. The noise has
# variance one, so the best possible R2 is known.
X, y = make_friedman1(8000, n_features=64, noise=1.0, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=4000, random_state=0)
ceiling = 1 - 1 / y_test.var()
base = ScaledMLPRegressor(depth=None, width=(128, 64), max_epochs=30, random_state=0)

# %%
# Sweep over phi
# --------------
# The width coefficient is larger than the paper's: two layers leave little depth to scale, and
# a step of 1.1 would hardly change the network.
model = clone(base).set_params(phi_coefficients=(1.2, 1.6, 1.15))
grid = {"phi": [-6, -5, -4, -3, -2, -1, 0, 1, 2]}
rule = SmallestWithin(score_loss=0.005)
with joblib.parallel_config(backend="skscale"):
    search = GridSearchCV(model, grid, scoring=cost_scoring("r2"), refit=rule, cv=5)
    search.fit(X_train, y_train)

results = search.cv_results_
print("  phi  parameters  us a row      R2")
for k, phi in enumerate(grid["phi"]):
    chosen = "  <- chosen" if k == search.best_index_ else ""
    print(
        f"{phi:5}{results['mean_test_n_parameters'][k]:12,.0f}"
        f"{results['mean_test_latency_us'][k]:10.0f}"
        f"{results['mean_test_score'][k]:8.4f}{chosen}"
    )
network = search.best_estimator_
print(
    f"built: hidden layers of {network.width_} units; R2 on new rows "
    f"{network.score(X_test, y_test):.4f}, of at most {ceiling:.4f}"
)

# %%
# Networks larger than the selected one score hardly better. Bars are standard errors over
# folds.
size, score = results["mean_test_n_parameters"], results["mean_test_score"]
folds = np.stack([results[f"split{k}_test_score"] for k in range(5)])
error = folds.std(axis=0, ddof=1) / 5**0.5
_, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.errorbar(size, score, error, color="#0072B2", marker="o", capsize=3, label="R2 over 5 folds")
for k, phi in enumerate(grid["phi"]):
    ax.annotate(
        f"phi={phi}" if k == 0 else f"{phi}",
        (size[k], score[k] - error[k]),
        (8, -19) if k == search.best_index_ else (0, -13),  # beside the ring
        textcoords="offset points",
        ha="center",
    )
ax.axhline(ceiling, color="#000000", linestyle="--", label="the best that is possible")
ring = {"s": 260, "facecolors": "none", "edgecolors": "#D55E00", "linewidths": 2.5}
ax.scatter(
    size[search.best_index_], score[search.best_index_], **ring, zorder=3, label="chosen"
)
ax.set(xscale="log", xlabel="parameters", ylabel="R2")
ax.margins(x=0.08, y=0.15)
ax.grid(alpha=0.3)
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# Coefficients of compound scaling
# --------------------------------
# The paper's procedure (Tan and Le 2019) finds the best network of twice the cost.
print(fit_compound_coefficients(base, X_train, y_train))

# %%
# Limitation: if the base is as good as the data allow, as here, no larger network is better,
# and the coefficients are not informative.
