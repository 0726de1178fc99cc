"""
An Optuna study over scale whose trials train together
======================================================

Optuna proposes candidates one after the other, from the results of those before. Networks train
much faster together. Both are possible: `ask` for a batch of trials, train all of them in one
fused search, `tell` the scores. The rules, the report and the scaling law read the study.
"""

# %%
import warnings

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split

from skscale import (
    ScaledMLPClassifier,
    ScalingLaw,
    SmallestWithin,
    cost_scoring,
    scale_report,
    select,
)

try:
    import optuna
except ImportError:  # pip install optuna
    raise SystemExit("This example needs Optuna: pip install optuna") from None

optuna.logging.set_verbosity(optuna.logging.WARNING)
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
network = ScaledMLPClassifier(max_epochs=15, random_state=0)

# %%
# Batches of trials
# -----------------
# All batches use the same folds, so that trials can be compared in pairs. `constant_liar` keeps
# the proposals of a batch apart. The columns of `cv_results_` are stored as user attributes.

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # constant_liar is experimental in Optuna
    sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True)
study = optuna.create_study(direction="maximize", sampler=sampler)
folds = StratifiedKFold(5, shuffle=True, random_state=0)
scoring = cost_scoring("accuracy", costs=["n_parameters"])

for _ in range(3):
    trials = [study.ask() for _ in range(8)]
    grid = [
        {
            "depth": [trial.suggest_int("depth", 1, 3)],
            "width": [trial.suggest_int("width", 4, 128, log=True)],
            "weight_decay": [trial.suggest_float("weight_decay", 1e-3, 1e-1, log=True)],
        }
        for trial in trials
    ]
    search = GridSearchCV(network, grid, scoring=scoring, refit=False, cv=folds)
    with joblib.parallel_config(backend="skscale"):
        results = search.fit(X_train, y_train).cv_results_
    for position, trial in enumerate(trials):
        for name, column in results.items():
            if "_test_" in name:
                trial.set_user_attr(name, float(column[position]))
        study.tell(trial, results["mean_test_score"][position])
    print(f"{len(study.trials)} trials, best accuracy {study.best_value:.4f}")

# %%
# The right size
# --------------
# Optuna's best trial is the one with the highest mean. The rule chooses the smallest network
# that is about as good, and `comparison` holds its difference to the best.

selection = select(study, SmallestWithin())
print(selection.params, selection.costs)
print(selection.comparison)

# %%
# Report and law
# --------------
# The parameters vary all at once, so no two candidates differ in one of them only: the report
# then shows no effect of a single dimension.

report = scale_report(study)
print(report)
law = ScalingLaw.from_cv_results(study)
print(f"twice the largest network: {law.gain().mean:+.4f}")

# %%
# The chosen network on the test rows.

chosen = network.set_params(**selection.params).fit(X_train, y_train)
best = ScaledMLPClassifier(max_epochs=15, random_state=0, **study.best_params)
best.fit(X_train, y_train)
for name, model in {"chosen": chosen, "best": best}.items():
    n_parameters = model.complexity_.n_parameters
    print(f"{name}: {model.score(X_test, y_test):.4f}, {n_parameters:,} parameters")
assert chosen.complexity_.n_parameters <= best.complexity_.n_parameters
assert np.isfinite(law.gain().mean)

# %%
# An honest limitation: within a batch, Optuna does not know the scores of the other trials.
# Eight trials at a time learn a little less per trial than one at a time, in a fraction of the
# time.
