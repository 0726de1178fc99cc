"""
Growing a network until more no longer pays
===========================================

How large a network should be can be found from below: train a small one, grow it without
changing what it computes (Chen, Goodfellow and Shlens 2016, "Net2Net"), train on, and stop
when a step no longer gains. First one network by hand, with `warm_start`; then
`GradualScaleSearchCV`, which climbs so with cross-validation and stops by its rule.
"""

# %%
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skscale import GradualScaleSearchCV, ScaledMLPClassifier

try:
    import matplotlib.pyplot as plt

    from skscale import ScaleCurveDisplay
except ImportError:  # all but the picture works without
    plt = None

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)

# %%
# One network, by hand
# --------------------
# A larger `depth` or `width` with `warm_start=True` grows the fitted network. With a learning
# rate of next to nothing one sees that growing itself changes nothing; with the usual one it
# learns on.

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
# A search that climbs
# --------------------
# The ladder doubles the width. The networks of a rung (one a fold) train together and begin as
# those of the rung before.

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
# The rungs as a curve: score against parameters, the law fitted to it, and the choice.

if plt is not None and len(results["params"]) >= 3:
    ScaleCurveDisplay.from_cv_results(search)
    plt.show()

# %%
# Where it falls short: a network that was grown is not better than one of its size that was
# trained from the beginning, and where there are few rows it can be worse, since it has been
# trained for longer. What is gained is time: the climb ends where larger networks no longer
# pay.
