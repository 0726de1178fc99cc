"""A table with numbers, categories and gaps goes in as it is; one number finds its size.

A frame of flats: areas and years of any scale, districts and heatings as words, values that
are missing. The network takes it without a scaler, an encoder or an imputer; a fused search
over `phi` says how large it has to be, beside a gradient boosting of scikit-learn on the same
columns.

    python examples/mixed_columns.py

The rents are made, with noise of a standard deviation of 60: nobody can do better than the R2
that is printed last. On real tables neither kind wins always
(`benchmarks/README.md`, "Accuracy").
"""

# %%
import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV, train_test_split

from skscale import ScaledMLPRegressor, SmallestWithin, cost_scoring

NOISE = 60.0


def make_flats(n=4000, seed=0):
    """Return a frame of flats, and their rents."""
    rng = np.random.default_rng(seed)
    district = rng.choice(["harbour", "hill", "mill", "old town", "station"], n)
    heating = rng.choice(["gas", "district", "oil", "heat pump"], n, p=[0.5, 0.3, 0.1, 0.1])
    area = np.exp(rng.normal(4.2, 0.35, n))
    year = rng.integers(1890, 2024, n).astype(float)
    level = rng.integers(0, 9, n)
    of_district = pd.Series(district).map(
        {"harbour": 1.3, "hill": 1.15, "mill": 0.8, "old town": 1.0, "station": 0.9}
    )
    # The old town likes old houses, the others new ones; a view counts at the harbour.
    age = np.where(district == "old town", (1950 - year) / 60, (year - 1960) / 40)
    rent = 9 * area**0.9 * of_district * (1 + 0.12 * np.tanh(age))
    rent += np.where(district == "harbour", 18.0 * level, 4.0 * level)
    rent += pd.Series(heating).map({"gas": 0, "district": 25, "oil": -30, "heat pump": 45})
    rent = rent.to_numpy() + rng.normal(0, NOISE, n)
    frame = pd.DataFrame(
        {"area": area, "year": year, "level": level, "district": district, "heating": heating}
    )
    frame.loc[rng.random(n) < 0.1, "year"] = np.nan
    frame.loc[rng.random(n) < 0.05, "heating"] = None
    return frame.astype({"district": "category", "heating": "category"}), rent


def main():
    # %%
    X, y = make_flats()
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=2500, random_state=0)
    print(X.head(4).to_string(), end="\n\n")

    # %%
    network = ScaledMLPRegressor(depth=2, width=32, random_state=0)
    grid = {"phi": [-6, -4, -2, 0, 2, 4], "phi_width": [1.4]}
    with joblib.parallel_config(backend="skscale"):
        search = GridSearchCV(
            network, grid, scoring=cost_scoring("r2"), refit=SmallestWithin(), cv=5
        ).fit(X_train, y_train)
    results = search.cv_results_
    for k, phi in enumerate(grid["phi"]):
        chosen = "  <- chosen" if k == search.best_index_ else ""
        print(
            f"phi {phi:2}: {results['mean_test_n_parameters'][k]:8,.0f} parameters, R2 "
            f"{results['mean_test_score'][k]:.4f}{chosen}"
        )

    # %%
    boosting = HistGradientBoostingRegressor(
        categorical_features="from_dtype", random_state=0
    ).fit(X_train, y_train)
    print(f"\non new flats: network {search.score(X_test, y_test):.4f}, ", end="")
    print(f"gradient boosting {boosting.score(X_test, y_test):.4f}, ", end="")
    print(f"of at most {1 - NOISE**2 / y_test.var():.4f}")


if __name__ == "__main__":
    main()
