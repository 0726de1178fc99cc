"""Rules, on tables written by hand and in searches."""

import pickle
import warnings

import joblib
import numpy as np
import optuna
import optuna_integration
import pytest
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    BestUnder,
    ParetoKnee,
    ScaledMLPClassifier,
    SmallestWithin,
    cost_scoring,
    select,
)


def table(splits, cost=None, score="score", **columns):
    """`cv_results_` of candidates with these scores in each split."""
    splits = np.array(splits, dtype=float)
    results = {f"split{i}_test_{score}": column for i, column in enumerate(splits.T)}
    results[f"mean_test_{score}"] = splits.mean(axis=1)
    results["params"] = [{"candidate": i} for i in range(len(splits))]
    if cost is not None:
        results["mean_test_n_parameters"] = np.array(cost, dtype=float)
    return results | {name: np.array(column) for name, column in columns.items()}


# Best: candidate 3. Differences to it in the splits: 0 has (.10, .10, .10), 1 has
# (.03, -.01, .01): mean .01, standard error .02 / sqrt(3) = .0115, 2 has (.02, .02, .02).
FOUR = [[0.80, 0.70, 0.60], [0.87, 0.81, 0.69], [0.88, 0.78, 0.68], [0.90, 0.80, 0.70]]
COSTS = [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        (SmallestWithin(), 1),  # .01 is within .0115
        (SmallestWithin(1), 1),
        (SmallestWithin(0.8), 3),  # .01 is not within .0092
        (SmallestWithin(0), 3),
        (SmallestWithin(100), 1),  # what is always .1 or .02 behind has no error at all
        (SmallestWithin(score_loss=0.005), 3),
        (SmallestWithin(score_loss=0.01), 1),
        (SmallestWithin(score_loss=0.02), 1),
        (SmallestWithin(score_loss=0.1), 0),
        (BestUnder(n_parameters=40), 3),
        (BestUnder(n_parameters=39), 1),
        (BestUnder(n_parameters=20), 1),
        (BestUnder(n_parameters=10), 0),
        # From (10, .70) to (40, .80): at 20 of log 2 / log 4 = .5 the score has .9 of the way.
        (ParetoKnee(), 1),
    ],
)
def test_what_each_rule_chooses_of_four(rule, chosen):
    assert rule(table(FOUR, COSTS)) == chosen


def test_candidates_that_cost_the_same_are_told_apart_by_score_then_by_place():
    results = table([[0.9], [0.88], [0.89], [0.89]], [40, 10, 10, 10])
    assert SmallestWithin(score_loss=0.05)(results) == 2
    assert BestUnder(n_parameters=10)(results) == 2
    assert ParetoKnee()(results) == 2


def test_candidates_that_score_the_same_are_told_apart_by_cost_then_by_place():
    results = table([[0.9], [0.9], [0.9]], [40, 10, 10])
    for rule in (SmallestWithin(), SmallestWithin(score_loss=0), BestUnder(n_parameters=50)):
        assert rule(results) == 1
    assert ParetoKnee()(results) == 1


def test_one_split_has_no_error_and_rounding_is_no_loss():
    results = table([[0.1 + 0.2], [0.3]], [40, 10])
    assert SmallestWithin()(results) == 1
    assert SmallestWithin()(table([[0.31], [0.3]], [40, 10])) == 0


def test_negative_scores_are_scores():
    results = table([[-1.0, -1.2], [-1.1, -1.15], [-9.0, -9.0]], [40, 10, 1])
    assert SmallestWithin()(results) == 1
    assert SmallestWithin(score_loss=0.01)(results) == 0
    assert SmallestWithin(score_loss=10)(results) == 2


def test_failed_candidates_are_never_chosen():
    results = table([[np.nan], [0.8], [0.9]], [1, 20, 30])
    for rule in (SmallestWithin(score_loss=1), BestUnder(n_parameters=25), ParetoKnee()):
        assert rule(results) == 1
    with pytest.raises(
        ValueError, match=r'No candidate has a finite score.*error_score="raise"'
    ):
        SmallestWithin()(table([[np.nan], [np.nan]], [1, 2]))


def test_a_candidate_of_unknown_cost_is_chosen_only_where_it_is_far_better():
    results = table([[0.9], [0.8]], [np.nan, 20])
    assert SmallestWithin(score_loss=0.2)(results) == 1
    assert SmallestWithin(score_loss=0.01)(results) == 0
    assert BestUnder(n_parameters=100)(results) == 1
    assert ParetoKnee()(results) == 1


def test_of_a_halving_search_the_last_iteration_counts():
    results = table([[0.99], [0.8], [0.85], [0.9]], [1, 10, 20, 30], iter=[0, 1, 1, 1])
    assert SmallestWithin(score_loss=1)(results) == 1
    assert BestUnder(n_parameters=25)(results) == 2
    assert ParetoKnee()(results) in (1, 2, 3)


def test_other_scores_and_costs_by_name():
    results = table(FOUR, COSTS, score="auc")
    results["mean_test_latency_us"] = np.array([4, 3, 2, 1])
    assert SmallestWithin(score="auc")(results) == 1
    assert SmallestWithin(score_loss=1, cost="latency_us", score="auc")(results) == 3
    assert BestUnder(score="auc", latency_us=3, n_parameters=30)(results) == 1
    with pytest.raises(ValueError, match=r"no score 'score', but \['auc', 'n_parameters'"):
        SmallestWithin()(results)
    with pytest.raises(ValueError, match=r"no cost 'size_bytes'.*cost_scoring\("):
        SmallestWithin(cost="size_bytes", score="auc")(results)


def test_nothing_fits():
    with pytest.raises(
        ValueError,
        match=r"No candidate keeps BestUnder\(n_parameters=5\): the least of each cost is "
        r"{'n_parameters': '10'}, and candidate 0 comes nearest.*raise the limits",
    ):
        BestUnder(n_parameters=5)(table(FOUR, COSTS))


def test_knees():
    # A straight line has none: the cheapest; a plateau has it where the plateau begins.
    assert ParetoKnee()(table([[0.1], [0.2], [0.3]], [10, 100, 1000])) == 0
    assert ParetoKnee()(table([[0.1], [0.80], [0.81], [0.82]], [1, 10, 100, 1000])) == 1
    # What others beat is not on the way.
    assert ParetoKnee()(table([[0.1], [0.05], [0.8], [0.82]], [1, 5, 10, 1000])) == 2
    assert ParetoKnee()(table([[0.5]], [10])) == 0
    assert ParetoKnee()(table([[0.5], [0.4]], [10, 20])) == 0


RULES = [
    SmallestWithin(), SmallestWithin(2), SmallestWithin(score_loss=0.01, cost="size_bytes"),
    BestUnder(latency_us=200, size_bytes=100_000), BestUnder("auc", n_macs=5),
    ParetoKnee(), ParetoKnee(cost="latency_us", score="auc"),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rules_are_read_and_written(rule):
    assert eval(repr(rule)) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert clone(GridSearchCV(None, {}, refit=rule)).refit == rule
    assert [other == rule for other in RULES].count(True) == 1


def test_rules_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="Expected one of them"):
        SmallestWithin(1, score_loss=0.01)
    with pytest.raises(ValueError, match="standard_errors must be at least 0"):
        SmallestWithin(-1)
    with pytest.raises(ValueError, match="Expected limits, such as"):
        BestUnder()


SCORING = cost_scoring("accuracy", costs=["n_parameters"])
MODEL = make_pipeline(
    StandardScaler(), ScaledMLPClassifier(depth=1, max_epochs=8, random_state=0)
)
GRID = {"scaledmlpclassifier__width": [2, 16, 64]}


@pytest.fixture(scope="module")
def rows(digits):
    return digits[0][:600], digits[1][:600]


@pytest.mark.parametrize("backend", ["sequential", "skscale"])
@pytest.mark.parametrize("kind", ["grid", "randomized"])
def test_a_search_goes_on_with_what_a_rule_has_chosen(rows, backend, kind):
    rule = SmallestWithin(score_loss=0.1)
    if kind == "grid":
        search = GridSearchCV(MODEL, GRID, scoring=SCORING, refit=rule, cv=3)
    else:
        search = RandomizedSearchCV(
            MODEL, {**GRID, "scaledmlpclassifier__learning_rate": loguniform(1e-3, 1e-2)},
            n_iter=4, scoring=SCORING, refit=rule, cv=3, random_state=0,
        )  # fmt: skip
    with joblib.parallel_config(backend=backend):
        search.fit(*rows)
    results = search.cv_results_
    assert search.best_index_ == rule.select(results)
    assert search.best_score_ == results["mean_test_score"][search.best_index_]
    assert search.best_score_ > results["mean_test_score"].max() - 0.1
    assert search.best_params_ == results["params"][search.best_index_]
    assert search.predict(rows[0]).shape == rows[1].shape
    assert search.score(*rows) == search.best_estimator_.score(*rows)
    again = pickle.loads(pickle.dumps(search))
    assert again.score(*rows) == search.score(*rows)
    chosen = select(search, rule)
    assert chosen.index == search.best_index_
    assert chosen.score == search.best_score_
    assert chosen.costs == {
        "n_parameters": results["mean_test_n_parameters"][search.best_index_]
    }


def test_a_search_with_scorers_of_its_own_can_have_a_rule_too(rows):
    def n_units(estimator, X, y):
        return estimator[-1].complexity_.widths[0]

    search = GridSearchCV(
        MODEL, GRID, cv=2, scoring={"accuracy": "accuracy", "n_units": n_units},
        refit=SmallestWithin(score_loss=1, cost="n_units", score="accuracy"),
    ).fit(*rows)  # fmt: skip
    assert search.best_params_ == {"scaledmlpclassifier__width": 2}
    assert search.score(*rows) == search.best_estimator_.score(*rows)
    assert search.best_score_ == search.cv_results_["mean_test_accuracy"][0]


@pytest.mark.parametrize("backend", ["sequential", "skscale"])
def test_a_halving_search_scores_with_costs_and_is_selected_from(rows, backend):
    search = HalvingGridSearchCV(
        MODEL, {"scaledmlpclassifier__width": [2, 4, 16, 64]}, scoring=SCORING, refit="score",
        cv=2, random_state=0, factor=2, min_resources=100,
    )  # fmt: skip
    with joblib.parallel_config(backend=backend):
        search.fit(*rows)
    results = search.cv_results_
    assert results["iter"].max() > 0
    chosen = select(search, SmallestWithin(score_loss=1))
    assert results["iter"][chosen.index] == results["iter"].max()
    last = results["mean_test_n_parameters"][results["iter"] == results["iter"].max()]
    assert chosen.costs["n_parameters"] == last.min()


# Optuna's own: what its search calls is deprecated in Optuna.
@pytest.mark.filterwarnings("ignore:.optuna.terminator. module:FutureWarning")
def test_a_search_of_optuna_is_judged_by_a_rule(rows):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {"scaledmlpclassifier__width": optuna.distributions.IntDistribution(2, 24)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        search = optuna_integration.OptunaSearchCV(
            MODEL, space, scoring=SCORING, cv=3, n_trials=6, random_state=0
        )
    chosen = {}
    for backend in ("threading", "skscale"):
        with joblib.parallel_config(backend=backend):
            search.fit(*rows)
        chosen[backend] = select(search, SmallestWithin(score_loss=1))
    widths = [trial.params["scaledmlpclassifier__width"] for trial in search.trials_]
    assert len(set(widths)) > 1
    assert chosen["skscale"].params == {"scaledmlpclassifier__width": min(widths)}
    assert chosen["skscale"].costs["n_parameters"] == (64 + 1 + 10) * min(widths) + 10
    assert chosen["skscale"] == chosen["threading"]


def test_what_is_no_search_is_refused():
    assert select(table(FOUR, COSTS), lambda results: 2).index == 2
    with pytest.raises(TypeError, match="Expected a fitted search"):
        select(GridSearchCV(MODEL, GRID), SmallestWithin())


def test_a_class_in_place_of_a_rule_is_told():
    with pytest.raises(TypeError, match=r"refit must be a rule, SmallestWithin\(\)"):
        SmallestWithin({"mean_test_score": np.array([1.0])})
