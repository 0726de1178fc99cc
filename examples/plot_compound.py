"""Scale a regression network up and down by one number: 64-128-64-1 and its variants.

A base network of two hidden layers is scaled by `phi`, negative to be smaller, positive to be
larger: depth and width move together. One fused search tries all of them, the rule takes
the smallest whose R2 is at most 0.005 below the best, and `fit_compound_coefficients` says
how these data would share more computation between depth and width.

    python examples/compound.py

The data are made (Friedman 1991, eq. 61): 5 of 64 columns count, with noise of variance one;
nobody can do better than the R2 that is printed last.
"""

# %%
import joblib
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.model_selection import GridSearchCV, train_test_split

from skscale import (
    ScaledMLPRegressor,
    SmallestWithin,
    cost_scoring,
    fit_compound_coefficients,
)


def main():
    # %%
    X, y = make_friedman1(8000, n_features=64, noise=1.0, random_state=0)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=4000, random_state=0)
    base = ScaledMLPRegressor(depth=None, width=(128, 64), max_epochs=30, random_state=0)

    # %%
    # A larger coefficient of the width than the paper's: with two layers there is little depth
    # to scale, and a step of 1.1 would hardly change a network.
    model = clone(base).set_params(phi_width=1.6)
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
        f"{network.score(X_test, y_test):.4f}, of at most {1 - 1 / y_test.var():.4f}"
    )

    # %%
    # The paper's procedure: of all networks of twice the cost, the best.
    print()
    print(fit_compound_coefficients(base, X_train, y_train))


if __name__ == "__main__":
    main()
