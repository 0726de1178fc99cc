"""Rules, on tables written by hand and in searches."""

import pickle
import warnings

import joblib
import matplotlib.pyplot as plt
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
    Rule,
    ScaleCurveDisplay,
    ScaledMLPClassifier,
    SmallestWithin,
    cost_scoring,
    scale_report,
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
        (SmallestWithin(100), 1),  # constant differences have no error
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
def test_choices_of_each_rule_among_four(rule, chosen):
    assert rule(table(FOUR, COSTS)) == chosen


def test_equal_costs_are_ordered_by_score_then_by_position():
    results = table([[0.9], [0.88], [0.89], [0.89]], [40, 10, 10, 10])
    assert SmallestWithin(score_loss=0.05)(results) == 2
    assert BestUnder(n_parameters=10)(results) == 2
    assert ParetoKnee()(results) == 2


def test_equal_scores_are_ordered_by_cost_then_by_position():
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
        ValueError, match=r'one candidate with a finite score.*got none.*error_score="raise"'
    ):
        SmallestWithin()(table([[np.nan], [np.nan]], [1, 2]))


def test_a_candidate_of_unknown_cost_is_chosen_only_if_no_other_is_good_enough():
    results = table([[0.9], [0.8]], [np.nan, 20])
    assert SmallestWithin(score_loss=0.2)(results) == 1
    assert SmallestWithin(score_loss=0.01)(results) == 0
    assert BestUnder(n_parameters=100)(results) == 1
    assert ParetoKnee()(results) == 1


def test_only_the_last_iteration_of_a_halving_search_is_considered():
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
    with pytest.raises(ValueError, match=r"the score 'score' in.*\['auc', 'n_.*as score="):
        SmallestWithin()(results)
    with pytest.raises(ValueError, match=r"the cost 'size_bytes' in.*cost_scoring\("):
        SmallestWithin(cost="size_bytes", score="auc")(results)


def test_limits_that_no_candidate_meets_raise_an_error():
    with pytest.raises(
        ValueError,
        match=r"within the limits of BestUnder\(n_parameters=5\), got none: the lowest costs "
        r"are {'n_parameters': '10'}, and candidate 0 is nearest.*Raise the limits",
    ):
        BestUnder(n_parameters=5)(table(FOUR, COSTS))


def test_knees():
    # A straight line has no knee: the cheapest is chosen. A plateau has it at its start.
    assert ParetoKnee()(table([[0.1], [0.2], [0.3]], [10, 100, 1000])) == 0
    assert ParetoKnee()(table([[0.1], [0.80], [0.81], [0.82]], [1, 10, 100, 1000])) == 1
    # Dominated candidates are ignored.
    assert ParetoKnee()(table([[0.1], [0.05], [0.8], [0.82]], [1, 5, 10, 1000])) == 2
    assert ParetoKnee()(table([[0.5]], [10])) == 0
    assert ParetoKnee()(table([[0.5], [0.4]], [10, 20])) == 0


RULES = [
    SmallestWithin(), SmallestWithin(2), SmallestWithin(score_loss=0.01, cost="size_bytes"),
    BestUnder(latency_us=200, size_bytes=100_000), BestUnder("auc", n_macs=5),
    ParetoKnee(), ParetoKnee(cost="latency_us", score="auc"),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rules_survive_repr_pickle_and_clone(rule):
    assert eval(repr(rule)) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert clone(GridSearchCV(None, {}, refit=rule)).refit == rule
    assert [other == rule for other in RULES].count(True) == 1


def test_invalid_rules_raise_errors():
    with pytest.raises(ValueError, match="Expected one of standard_errors and score_loss"):
        SmallestWithin(1, score_loss=0.01)
    with pytest.raises(ValueError, match="standard_errors must be at least 0"):
        SmallestWithin(-1)
    with pytest.raises(ValueError, match=r"Expected at least one limit.*BestUnder\(latency_us"):
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
def test_a_search_refits_the_candidate_that_its_rule_chooses(rows, backend, kind):
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


def test_a_rule_chooses_by_a_score_and_a_cost_of_a_dict_of_scorers(rows):
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
def test_select_chooses_from_a_halving_search_with_costs(rows, backend):
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


# Optuna's search calls a function that Optuna deprecated.
@pytest.mark.filterwarnings("ignore:.optuna.terminator. module:FutureWarning")
def test_select_applies_a_rule_to_a_search_of_optuna(rows):
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


def test_select_raises_for_a_search_that_is_not_fitted():
    assert select(table(FOUR, COSTS), lambda results: 2).index == 2
    with pytest.raises(TypeError, match="Expected a fitted search"):
        select(GridSearchCV(MODEL, GRID), SmallestWithin())


def test_a_class_instead_of_a_rule_raises_an_error():
    with pytest.raises(TypeError, match=r"got the class.*Pass SmallestWithin\(\)"):
        SmallestWithin({"mean_test_score": np.array([1.0])})


class MedianUnder(Rule):
    """The best median over the splits, of candidates up to a cost."""

    def __init__(self, limit, cost="n_parameters", score="score"):
        self.limit = limit
        self.cost = cost
        self.score = score

    @property
    def costs(self):
        return (self.cost,)

    def choose(self, candidates):
        is_under = candidates.cost(self.cost) <= self.limit
        return np.where(is_under, np.median(candidates.splits, axis=1), -np.inf).argmax()


class Worst(Rule):
    def choose(self, candidates):
        return int(candidates.mean.argmin())


@pytest.mark.parametrize("backend", ["sequential", "loky", "skscale"])
def test_a_rule_of_ones_own_is_the_refit_of_a_search(rows, backend):
    rule = MedianUnder(2000)
    search = GridSearchCV(MODEL, GRID, scoring=SCORING, refit=rule, cv=3)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        search.fit(*rows)
    results = search.cv_results_
    assert search.best_params_ == {"scaledmlpclassifier__width": 16}
    assert search.best_score_ == results["mean_test_score"][1]
    assert search.score(*rows) == search.best_estimator_.score(*rows)
    again = pickle.loads(pickle.dumps(search))
    assert again.refit == rule == clone(search).refit
    assert again.score(*rows) == search.score(*rows)
    assert select(search, MedianUnder(500)).params == {"scaledmlpclassifier__width": 2}
    # Displays and the report choose by the rule of the search.
    assert scale_report(search).rule is rule
    assert scale_report(search).recommended.index == 1
    display = ScaleCurveDisplay.from_cv_results(search)
    assert (display.rule, display.chosen) == ("MedianUnder(limit=2000)", 1)
    plt.close("all")


def test_a_rule_of_ones_own_needs_only_choose(rows):
    search = GridSearchCV(MODEL, GRID, scoring=SCORING, refit=Worst(), cv=2).fit(*rows)
    assert search.best_index_ == search.cv_results_["mean_test_score"].argmin()
    assert Worst() == "score" == Worst()
    assert repr(Worst()) == "Worst()"
    # A rule without costs is shown against any cost.
    assert ScaleCurveDisplay.from_cv_results(search).rule == "Worst()"
    plt.close("all")
    rule = MedianUnder(5, cost="n_macs", score="auc")
    assert repr(rule) == "MedianUnder(limit=5, cost='n_macs', score='auc')"
    assert rule == MedianUnder(5, cost="n_macs", score="auc") != MedianUnder(6)
    assert {"auc": 1}[rule] == 1


@pytest.mark.parametrize("position", [4, -1, 0.5, None, np.array([1])], ids=repr)
def test_a_rule_that_returns_no_position_raises_an_error(position):
    class Own(Rule):
        def choose(self, candidates):
            return position

    with pytest.raises(TypeError, match=r"Own.choose must return the position.*from 0 to 3"):
        Own()(table(FOUR, COSTS))


def test_a_rule_without_choose_cannot_be_made():
    class Empty(Rule):
        pass

    with pytest.raises(TypeError, match="abstract method"):
        Empty()
