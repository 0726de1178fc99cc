"""
Network growth that stops when it no longer pays
================================================

Network size can be chosen from below: train a small network, grow it without changing its
function (Chen, Goodfellow and Shlens 2016, "Net2Net"), continue training, and stop when a step
gains nothing. `warm_start` grows one network by hand. `GradualScaleSearchCV` grows networks
with cross-validation and stops by a rule.
"""

# %%
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skscale import GradualScaleSearchCV, ScaledMLPClassifier

try:
    import matplotlib.pyplot as plt

    from skscale import ScaleCurveDisplay
except ImportError:  # only the figure needs matplotlib
    plt = None

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)

# %%
# Growth with warm_start
# ----------------------
# A larger `depth` or `width` with `warm_start=True` grows the fitted network. A learning rate
# near zero shows that growth does not change predictions; with the usual one, training
# continues.

network = ScaledMLPClassifier(depth=1, width=8, max_epochs=20, random_state=0, warm_start=True)
network.fit(X_train, y_train)
before = network.predict_proba(X_test)
print(f"{network.complexity_.widths}: accuracy {network.score(X_test, y_test):.3f}")

network.set_params(depth=2, width=32, max_epochs=1, learning_rate=1e-20, calibrate=False)
after = network.fit(X_train, y_train).predict_proba(X_test)
print(
    f"{network.complexity_.widths}: probabilities differ by {np.abs(after - before).max():.0e}"
)
assert np.abs(after - before).max() < 1e-5

network.set_params(max_epochs=20, learning_rate=0.08, calibrate=True).fit(X_train, y_train)
print(f"{network.complexity_.widths}: accuracy {network.score(X_test, y_test):.3f}, trained on")

# %%
# GradualScaleSearchCV
# --------------------
# The width doubles at each scale. The networks of a scale (one per fold) train together and
# start from those of the previous scale.

search = GradualScaleSearchCV(ScaledMLPClassifier(max_epochs=20, random_state=0), cv=3)
search.fit(X_train, y_train)
results = search.cv_results_
for params, score, n, seconds in zip(
    results["params"],
    results["mean_test_score"],
    results["mean_test_n_parameters"],
    results["mean_fit_time"],
    strict=True,
):
    print(f"{params}: accuracy {score:.3f}, {n:,.0f} parameters, {seconds:.1f} s")
print(f"{len(results['params'])} of {len(search.scales_)} rungs; chosen: {search.best_params_}")
print(f"on the test rows {np.mean(search.predict(X_test) == y_test):.3f}")

# %%
# Score against parameters, with the fitted scaling law and the selected scale.

if plt is not None and len(results["params"]) >= 3:
    ScaleCurveDisplay.from_cv_results(search)
    plt.show()

# %%
# Limitation: a grown network is not better than a network of the same size trained from
# scratch. With few rows it can be worse, because it trained for longer. The gain is time: the
# search ends where larger networks no longer pay.
