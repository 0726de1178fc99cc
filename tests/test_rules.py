"""Rules, on tables written by hand and in searches."""

import pickle
import re
import warnings

import joblib
import matplotlib.pyplot as plt
import numpy as np
import optuna
import optuna_integration
import pytest
from scipy.special import digamma
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
# (.03, -.01, .01): mean .01, 2 has (.02, .02, .02). Pairs that differ have a variance of .02^2.
FOUR = [[0.80, 0.70, 0.60], [0.87, 0.81, 0.69], [0.88, 0.78, 0.68], [0.90, 0.80, 0.70]]
COSTS = [10, 20, 30, 40]


def moderated(own, of_pairs):
    """Moderated variance in three splits, if the pairs that differ have one variance.

    The prior, of 10 degrees of freedom, is exp of the mean of log s2, corrected for the bias of
    the logarithm: s2 of 2 degrees of freedom lies below by Euler's constant (Smyth 2004).
    """
    prior = of_pairs * np.exp(np.euler_gamma + digamma(5) - np.log(5))
    return (10 * prior + 2 * own) / 12


ERROR = np.sqrt(moderated(0.02**2, 0.02**2) / 3)  # .0150, of candidate 1
CONSTANT = np.sqrt(moderated(0, 0.02**2) / 3)  # .0146, of 0 and 2


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        (SmallestWithin(), 1),  # .01 is within .0150, .10 is not
        (SmallestWithin(1), 1),
        (SmallestWithin(0.01 / ERROR + 1e-3), 1),
        (SmallestWithin(0.01 / ERROR - 1e-3), 3),
        (SmallestWithin(0), 3),
        (SmallestWithin(0.10 / CONSTANT - 1e-3), 1),
        (SmallestWithin(0.10 / CONSTANT + 1e-3), 0),
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
    assert rule.select(table(FOUR, COSTS)).index == chosen


def test_equal_costs_are_ordered_by_score_then_by_position():
    results = table([[0.9], [0.88], [0.89], [0.89]], [40, 10, 10, 10])
    assert SmallestWithin(score_loss=0.05)(results) == 2
    assert BestUnder(n_parameters=10)(results) == 2
    assert ParetoKnee()(results) == 2


def test_equal_scores_are_ordered_by_cost_then_by_position():
    results = table([[0.9], [0.9], [0.9]], [40, 10, 10])
    for rule in (SmallestWithin(), SmallestWithin(score_loss=0), BestUnder(n_parameters=50)):
        assert rule.select(results).index == 1
    assert ParetoKnee()(results) == 1


def test_rounding_is_no_loss():
    results = table([[0.1 + 0.2] * 3, [0.3] * 3], [40, 10])
    assert SmallestWithin()(results) == 1
    assert SmallestWithin(0)(results) == 1
    assert SmallestWithin()(table([[0.31] * 3, [0.3] * 3], [40, 10])) == 0


@pytest.mark.parametrize(("n_splits", "words"), [(1, "1 split does"), (2, "2 splits do")])
def test_without_an_error_the_best_is_chosen_with_a_warning(n_splits, words):
    results = table([[0.90, 0.80], [0.89, 0.80], [0.7, 0.7]], [40, 20, 10])
    if n_splits == 1:
        del results["split1_test_score"]
    with pytest.warns(UserWarning, match="chose the largest"), pytest.warns(
        UserWarning, match=rf"SmallestWithin\(\) takes the best candidate, because {words} not "
        r"show the noise of the score. Search with at least 3 splits.*or pass score_loss=",
    ):  # fmt: skip
        assert SmallestWithin()(results) == 0
    # A loss in units of the score needs no error.
    assert SmallestWithin(score_loss=0.05)(results) == 1
    assert np.isnan(SmallestWithin(score_loss=0.05).select(results).comparison.low)


def test_an_accuracy_of_known_rows_has_an_error_in_two_splits():
    """A difference of 3 in 200 rows has at least the variance .015 * .985 / 200."""
    results = table([[0.90, 0.80], [0.87, 0.80]], [40, 20])
    results |= {f"split{i}_test_n_test_rows": np.full(2, 100.0) for i in range(2)}
    assert SmallestWithin()(results) == 0
    assert SmallestWithin(2)(results) == 1
    margin = SmallestWithin(2).select(results).comparison.margin
    assert margin == pytest.approx(2 * np.sqrt(0.015 * 0.985 / 200))


@pytest.mark.parametrize(
    ("rule", "edge", "words"),
    [
        (SmallestWithin(score_loss=0.005), 3, r"largest candidate \(n_parameters=40,000\). "
         "Larger ones, which were not searched, may be better: extend the grid"),
        (SmallestWithin(score_loss=0.5), 0, r"smallest candidate \(n_parameters=10,000\). "
         "Smaller ones, which were not searched, may be as good: extend the grid"),
    ],
)  # fmt: skip
def test_a_choice_at_the_edge_of_the_grid_warns(rule, edge, words):
    costs = 1000 * np.array(COSTS)
    with pytest.warns(UserWarning, match=rf"{re.escape(repr(rule))} chose the {words}"):
        assert rule(table(FOUR, costs)) == edge
    with pytest.warns(UserWarning, match=words):
        assert select(table(FOUR, costs), rule).index == edge
    assert re.search(words, *rule.select(table(FOUR, costs)).caveats)
    # Two sizes are both at an edge, and a size without a cost is none.
    assert rule.select(table(FOUR, [10, 10, 40, 40])).caveats == []
    assert rule.select(table(FOUR, [10, np.nan, np.nan, 40])).caveats == []


def test_a_choice_within_the_grid_warns_of_nothing():
    assert SmallestWithin()(table(FOUR, COSTS)) == 1
    assert SmallestWithin().select(table(FOUR, COSTS)).caveats == []
    for rule in (BestUnder(n_parameters=40), ParetoKnee(), Worst()):
        assert rule.select(table(FOUR, COSTS)).caveats == []


def test_no_network_is_smaller_than_a_linear_model():
    results = table(FOUR, COSTS)
    results["params"] = [{"mlp__depth": depth} for depth in range(4)]
    assert SmallestWithin(score_loss=0.5)(results) == 0
    results["params"] = [{"mlp__depth": depth} for depth in range(1, 5)]
    with pytest.warns(UserWarning, match="chose the smallest candidate"):
        SmallestWithin(score_loss=0.5)(results)


def test_a_selection_is_compared_with_the_best():
    results = table(FOUR, COSTS)
    found = SmallestWithin().select(results).comparison
    assert (found.first, found.second) == (1, 3)
    assert found.estimate == pytest.approx(-0.01)
    assert found.margin == found.standard_error == pytest.approx(ERROR)
    # Training sets of 3 folds share rows: the correction is 1 + 3 * 1 / 2.
    assert found.corrected_error == pytest.approx(ERROR * np.sqrt(2.5))
    assert found.verdict == "undecided"
    assert SmallestWithin(2).select(results).comparison.margin == pytest.approx(2 * ERROR)
    assert SmallestWithin(score_loss=0.5).select(results).comparison.margin == 0.5
    assert SmallestWithin(score_loss=0.5).select(results).comparison.verdict == "equivalent"
    least = BestUnder(n_parameters=10).select(results).comparison
    assert (least.first, least.second, least.margin, least.verdict) == (0, 3, None, "worse")
    best = BestUnder(n_parameters=40).select(results).comparison
    assert (best.first, best.second, best.estimate, best.verdict) == (3, 3, 0, "equivalent")
    assert select(results, lambda results: 2).comparison is None


def test_of_several_best_candidates_the_cheapest_is_compared_with():
    results = table([[0.9, 0.8, 0.7], [0.7, 0.8, 0.9], [0.7, 0.7, 0.7]], [40, 20, 10])
    assert BestUnder(n_parameters=10).select(results).comparison.second == 0
    found = SmallestWithin(score_loss=0.5).select(results)
    assert (found.index, found.comparison.second) == (2, 1)
    assert Best().select(results).comparison.second == 0


@pytest.mark.parametrize("limit", [0, -1, np.nan, "200"])
def test_a_limit_is_a_positive_number(limit):
    with pytest.raises(
        ValueError, match="Expected a positive number as limit, got latency_us="
    ):
        BestUnder(latency_us=limit)


def test_a_study_without_columns_is_refused_with_the_remedy():
    study = optuna.create_study()
    study.tell(study.ask(), 0.5)
    with pytest.raises(ValueError, match=r"'score' in cv_results_, got \[\]\. .* user attrib"):
        select(study, SmallestWithin())


def test_negative_scores_are_scores():
    """Two candidates have the paired error of their differences, .10, -.05 and .05."""
    results = table([[-1.0, -1.2, -1.1], [-1.1, -1.15, -1.15]], [40, 10])
    relative = (0.1 / 3) / (np.std([0.10, -0.05, 0.05], ddof=1) / np.sqrt(3))
    assert SmallestWithin(relative + 1e-6)(results) == 1
    assert SmallestWithin(relative - 1e-6)(results) == 0
    assert SmallestWithin(score_loss=0.01)(results) == 0
    results = table([[-1.0, -1.2, -1.1], [-9.0, -9.0, -9.0]], [40, 10])
    assert SmallestWithin(score_loss=7)(results) == 0
    assert SmallestWithin(score_loss=8)(results) == 1


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
    assert SmallestWithin(score_loss=1).select(results).index == 1
    assert SmallestWithin(score_loss=0.07)(results) == 2
    assert SmallestWithin(score_loss=0.07).select(results).comparison.second == 3
    assert BestUnder(n_parameters=25)(results) == 2
    assert ParetoKnee()(results) in (1, 2, 3)


def test_other_scores_and_costs_by_name():
    results = table(FOUR, COSTS, score="auc")
    results["mean_test_latency_us"] = np.array([4, 3, 2, 1])
    assert SmallestWithin(score="auc")(results) == 1
    rule = SmallestWithin(score_loss=1, cost="latency_us", score="auc")
    assert rule.select(results).index == 3
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
    assert search.best_index_ == rule.select(results).index
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
        MODEL, {"scaledmlpclassifier__width": [2, 16]}, cv=2,
        scoring={"accuracy": "accuracy", "n_units": n_units},
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
    chosen = SmallestWithin(score_loss=1).select(results)
    assert results["iter"][chosen.index] == results["iter"].max()
    assert chosen.costs == select(search, SmallestWithin(score_loss=1)).costs
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
        with pytest.warns(UserWarning, match="chose the smallest candidate"):
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


class Best(Rule):
    def choose(self, candidates):
        return int(candidates.mean.argmax())


class Doubtful(Worst):
    def margin(self, candidates, position):
        return 0.25

    def caveats(self, candidates, position):
        return [f"candidate {position} of {len(candidates.index)} is doubtful"]


@pytest.mark.parametrize(
    "backend", ["sequential", pytest.param("loky", marks=pytest.mark.slow), "skscale"]
)
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


def test_a_rule_of_ones_own_has_a_margin_and_caveats():
    results = table(FOUR, COSTS)
    assert Worst().select(results).comparison.margin is None
    assert Doubtful().select(results).comparison.margin == 0.25
    assert Doubtful().select(results).comparison.verdict == "equivalent"
    for choose in (Doubtful(), lambda results: select(results, Doubtful()).index):
        with pytest.warns(UserWarning, match="candidate 0 of 4 is doubtful") as caught:
            assert choose(results) == 0
        assert [warning.filename for warning in caught] == [__file__]


def test_a_search_warns_of_the_caveats_of_its_rule(rows):
    search = GridSearchCV(MODEL, GRID, scoring=SCORING, refit=Doubtful(), cv=3)
    with pytest.warns(UserWarning, match="candidate 0 of 3 is doubtful"):
        search.fit(*rows)
    assert search.best_index_ == 0


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
