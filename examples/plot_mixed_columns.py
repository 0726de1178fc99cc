"""
Tables with numbers, categories and missing values
==================================================

A frame of flats has areas and years of any scale, districts and heatings as strings, and
missing values. The network takes it without scaler, encoder or imputer. A fused search over
`phi` selects its size; scikit-learn's gradient boosting on the same columns is the baseline.
"""

# %%
import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV, train_test_split

from skscale import ScaledMLPRegressor, SmallestWithin, cost_scoring

# %%
# Data
# ----
# The rents are synthetic, with noise of standard deviation 60. Rent depends on the district,
# the level counts more at the harbour, and old houses cost more in the old town only.
NOISE = 60.0
OF_DISTRICT = {"harbour": 1.3, "hill": 1.15, "mill": 0.8, "old town": 1.0, "station": 0.9}
OF_HEATING = {"gas": 0, "district": 25, "oil": -30, "heat pump": 45}


def rent_of(flats):
    """Return the noise-free rents of a frame of flats."""
    old_town = flats["district"] == "old town"
    age = np.where(old_town, (1950 - flats["year"]) / 60, (flats["year"] - 1960) / 40)
    rent = 9 * flats["area"] ** 0.9 * flats["district"].map(OF_DISTRICT).astype(float)
    rent = rent * (1 + 0.12 * np.tanh(age))
    rent += flats["level"] * np.where(flats["district"] == "harbour", 18.0, 4.0)
    return (rent + flats["heating"].map(OF_HEATING).astype(float)).to_numpy()


def make_flats(n=4000, seed=0):
    """Return a frame of flats and their rents."""
    rng = np.random.default_rng(seed)
    flats = pd.DataFrame(
        {
            "area": np.exp(rng.normal(4.2, 0.35, n)),
            "year": rng.integers(1890, 2024, n).astype(float),
            "level": rng.integers(0, 9, n),
            "district": rng.choice(list(OF_DISTRICT), n),
            "heating": rng.choice(list(OF_HEATING), n, p=[0.5, 0.3, 0.1, 0.1]),
        }
    )
    rent = rent_of(flats) + rng.normal(0, NOISE, n)
    flats.loc[rng.random(n) < 0.1, "year"] = np.nan
    flats.loc[rng.random(n) < 0.05, "heating"] = None
    return flats.astype({"district": "category", "heating": "category"}), rent


X, y = make_flats()
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=2500, random_state=0)
print(X.head(4).to_string())

# %%
# Search over phi
# ---------------
network = ScaledMLPRegressor(depth=2, width=32, random_state=0)
grid = {"phi": [-6, -4, -2, 0, 2, 4], "phi_coefficients": [(1.2, 1.4, 1.15)]}
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

boosting = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
boosting.fit(X_train, y_train)
print(
    f"on new flats: network {search.score(X_test, y_test):.4f}, gradient boosting "
    f"{boosting.score(X_test, y_test):.4f}, of at most {1 - NOISE**2 / y_test.var():.4f}"
)

# %%
# Learned functions
# -----------------
# Rent by year of construction, for a flat of 70 square meters on the second level with gas
# heating. The true rent is dashed.
years = np.arange(1890, 2024)
_, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
looks = {"harbour": "#0072B2", "old town": "#D55E00", "mill": "#009E73"}
for ax, (name, model) in zip(
    axes, {"network": search, "gradient boosting": boosting}.items(), strict=True
):
    for district, color in looks.items():
        flats = pd.DataFrame(
            {"area": 70.0, "year": years, "level": 2, "district": district, "heating": "gas"}
        ).astype(X.dtypes)
        ax.plot(years, model.predict(flats), color=color, label=district)
        ax.plot(years, rent_of(flats), color=color, linestyle="--", linewidth=1)
    ax.set(title=name, xlabel="year of the house")
    ax.grid(alpha=0.3)
axes[0].set_ylabel("rent")
axes[0].legend(frameon=False)
plt.show()

# %%
# Limitation: these rents are smooth, which suits a network. On real tables neither method
# always wins (`benchmarks/README.md`, "Accuracy").
