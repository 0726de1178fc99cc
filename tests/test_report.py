"""The report of a search: its numbers, its text, its page."""

import builtins
import html.parser
import re

import joblib
import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma
from sklearn.datasets import load_diabetes, load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    BestUnder,
    GradualScaleSearchCV,
    ParetoKnee,
    Rule,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScalingLaw,
    SmallestWithin,
    compare,
    cost_scoring,
    scale_report,
)

COSTS = ["n_parameters", "loss", "size_bytes", "latency_us"]
GRID = {"width": [2, 8, 32]}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def network(**settings):
    return ScaledMLPClassifier(depth=1, max_epochs=15, random_state=0, **settings)


@pytest.fixture(scope="module")
def search(iris):
    grid = {"depth": [1, 2], "width": [2, 8, 32]}
    found = GridSearchCV(
        network(), grid, scoring=cost_scoring("accuracy", COSTS), refit=SmallestWithin(), cv=3
    )
    with joblib.parallel_config(backend="skscale"):
        return found.fit(*iris)


def table(rows, costs, params, **columns):
    rows = np.asarray(rows, float)
    results = {"params": params, "mean_test_score": rows.mean(axis=1)}
    results |= {f"split{i}_test_score": rows[:, i] for i in range(rows.shape[1])}
    results |= {"mean_test_n_parameters": np.asarray(costs, float)}
    return results | {f"mean_test_{k}": np.asarray(v, float) for k, v in columns.items()}


def moderated(own, of_pairs):
    """Moderated variance in three splits, if the pairs that differ have one variance.

    The prior, of 10 degrees of freedom, is exp of the mean of log s2, corrected for the bias of
    the logarithm: s2 of 2 degrees of freedom lies below by Euler's constant (Smyth 2004).
    """
    prior = of_pairs * np.exp(np.euler_gamma + digamma(5) - np.log(5))
    return (10 * prior + 2 * own) / 12


# The differences of pairs have the standard deviation .01 over the splits, or none.
ERROR = np.sqrt(moderated(0.01**2, 0.01**2) / 3)
CONSTANT = np.sqrt(moderated(0, 0.01**2) / 3)
# Training sets of 3 folds share rows: 1 / 3 + 1 / 2 instead of 1 / 3.
SHARED = np.sqrt(2.5)
FREEDOM = 4 * 2  # of five candidates in three splits
HAND_SCORES = [
    [0.70, 0.72, 0.74],
    [0.80, 0.81, 0.82],
    [0.90, 0.92, 0.94],
    [0.91, 0.93, 0.95],
    [0.60, 0.61, 0.62],
]
HAND = table(
    HAND_SCORES,
    [100, 200, 400, 800, 400],
    [
        {"mlp__depth": 1, "mlp__width": 8},
        {"mlp__depth": 1, "mlp__width": 16},
        {"mlp__depth": 1, "mlp__width": 32},
        {"mlp__depth": 1, "mlp__width": 64},
        {"mlp__depth": 2, "mlp__width": 16},
    ],
    latency_us=[10, 11, 12, 24, 13],
)


def unwrapped(report):
    """The text with its paragraphs in one line."""
    return " ".join(str(report).split())


def test_the_numbers_are_those_of_the_table():
    report = scale_report(HAND, rule=SmallestWithin(score_loss=0.015))
    assert report.recommended.index == 2
    assert report.recommended.costs == {"n_parameters": 400, "latency_us": 12}
    compared = report.recommended.comparison
    assert (compared.first, compared.second, compared.margin) == (2, 3, 0.015)
    assert compared.estimate == pytest.approx(-0.01)
    assert compared.standard_error == pytest.approx(CONSTANT)
    # The last of the claims with the best: of two means.
    half = stats.t.ppf(0.975, FREEDOM) * CONSTANT * SHARED
    assert (compared.low, compared.high) == pytest.approx(
        (-0.01 - half, -0.01 + half), rel=0.02
    )
    assert report.savings == {"n_parameters": 0.5, "latency_us": 0.5}
    text = unwrapped(report)
    assert "50% of its parameters, 50% of its latency" in text
    assert (
        f"The recommended one scores 0.0100 less than the best (95% interval "
        f"{compared.low:+.4f} to {compared.high:+.4f}: not proven worse)."
    ) in text
    row = report.table["index"].index(2)
    assert report.best == 3
    assert report.table["difference"][row] == pytest.approx(-0.01)
    assert report.table["standard_error"][row] == pytest.approx(CONSTANT)
    assert report.table["verdict"] == ["worse", "worse", "undecided", "worse", "best"]
    # Over the splits the candidates have the standard deviations .02 (three) and .01 (two).
    own = np.var(HAND_SCORES, axis=1, ddof=1)[report.table["index"]]
    of_mean = np.sqrt(moderated(own, 0.01**2 * 4 ** (3 / 5)) / 3)
    np.testing.assert_allclose(report.table["score_error"], of_mean)
    assert [a.index for a in report.smaller] == [1, 0]
    nearest = report.smaller[0].comparison
    assert (nearest.first, nearest.second) == (1, 2)
    assert nearest.estimate == pytest.approx(-0.11)
    assert nearest.standard_error == pytest.approx(ERROR)
    half = stats.t.ppf(1 - 0.025 / 2, FREEDOM) * ERROR * SHARED  # of two alternatives
    assert (nearest.low, nearest.high) == pytest.approx((-0.11 - half, -0.11 + half))
    assert [a.comparison.verdict for a in report.smaller] == ["worse", "worse"]
    width, depth = report.dimensions
    assert (width.name, width.n_steps) == ("width", 3)
    assert width.step.estimate == pytest.approx((0.09 + 0.11 + 0.01) / 3)
    assert (width.least, width.most) == pytest.approx((0.01, 0.11))
    # A third of the difference of the last and the first.
    assert width.step.standard_error == pytest.approx(CONSTANT / 3)
    half = stats.t.ppf(1 - 0.025 / 2, FREEDOM) * CONSTANT * SHARED / 3  # of two parameters
    assert (width.step.low, width.step.high) == pytest.approx((0.07 - half, 0.07 + half))
    assert width.doubling.estimate == pytest.approx(width.step.estimate)
    assert width.doubling.standard_error == pytest.approx(width.step.standard_error)
    assert (depth.name, depth.n_steps) == ("depth", 1)
    assert depth.doubling.estimate == pytest.approx(-0.2)
    assert f"raises the score by 0.0700 (interval {0.07 - half:+.4f} to" in text
    half *= 3  # a single pair, whose differences are constant, too
    assert f"depth lowers the score by 0.2000 (interval {-0.2 - half:+.4f} to" in text
    assert "It is the largest candidate: larger ones" in report.analysis
    assert "The smallest candidate (depth=1, width=8; 0.125 times the" in report.analysis
    assert report.law.n_parameters[-1] == pytest.approx(800)


def test_forecasts_are_those_of_the_law():
    report = scale_report(HAND, rule=SmallestWithin(score_loss=0.015))
    law = ScalingLaw.from_cv_results(HAND)
    expected = {"recommended": law.gain(n_from=400.0), "largest": law.gain()}
    assert report.doublings == expected
    text = unwrapped(report)
    for gain in expected.values():
        assert f"change the score by {gain.mean:+.4f} (80% interval {gain.low:+.4f} to" in text
    report = scale_report(HAND, rule=BestUnder(latency_us=30))
    assert report.recommended.index == 3
    assert list(report.doublings) == ["recommended"]  # it is the largest


def test_a_doubling_is_the_gain_over_all_steps_of_any_size():
    """Half a doubling gains .02, two doublings lose .01: .01 in 2.5 doublings."""
    sizes = [100, 100 * np.sqrt(2), 400 * np.sqrt(2)]
    rows = [[0.80, 0.80, 0.80], [0.81, 0.82, 0.83], [0.80, 0.81, 0.82]]
    results = table(rows, sizes, [{"width": w} for w in (1, 2, 3)])
    (width,) = scale_report(results).dimensions
    assert width.step.estimate == pytest.approx(0.005)
    assert width.doubling.estimate == pytest.approx(0.01 / 2.5)
    assert (width.least, width.most) == pytest.approx((-0.01, 0.02))
    # Both are multiples of the difference of the last and the first.
    ratio = width.doubling.standard_error / width.step.standard_error
    assert ratio == pytest.approx(2 / 2.5)


def test_a_dimension_without_parameters_has_a_gain_per_step_and_is_last():
    params = [{"resolution": r, "width": w} for r in (16, 32) for w in (8, 16)]
    rows = [[0.7, 0.7, 0.7], [0.71, 0.71, 0.71], [0.9, 0.85, 0.8], [0.91, 0.91, 0.91]]
    report = scale_report(table(rows, [1, 2, 1, 2], params))
    width, resolution = report.dimensions
    assert resolution.name == "resolution"
    assert resolution.step.estimate == pytest.approx((0.15 + 0.20) / 2)
    assert resolution.doubling is None
    assert width.doubling.estimate == pytest.approx((0.01 + 0.06) / 2)
    assert re.search(r"^resolution +2 +\+0.1750 ± 0\.\d+$", str(report), re.M)


def test_parameters_of_equal_short_names_keep_their_prefix():
    params = [{"a__width": a, "b__width": b} for a in (1, 2) for b in (1, 2)]
    results = table([[0.7], [0.8], [0.75], [0.85]], [1, 2, 3, 4], params)
    names = [d.name for d in scale_report(results).dimensions]
    assert sorted(names) == ["a__width", "b__width"]


def two(differences, sizes=(1, 2), **options):
    """Report on two candidates, the second better by these differences."""
    rows = 0.8 + np.array([np.zeros(len(differences)), differences])
    return scale_report(table(rows, sizes, [{"width": 8}, {"width": 16}]), **options)


def interval_of_two(differences):
    """The 95 % interval of a mean difference, corrected for training sets that overlap."""
    k = len(differences)
    error = np.std(differences, ddof=1) * np.sqrt(1 / k + 1 / (k - 1))
    return stats.t.interval(0.95, k - 1, np.mean(differences), error)


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ([0.09, 0.10, 0.11], "raises the score by 0.1000"),
        ([-0.11, -0.09, -0.10], "lowers the score by 0.1000"),
        ([0.05, 0.10, 0.15], "has no proven effect, +0.1000"),
        ([0.05, 0.00, -0.05], "has no proven effect, +0.0000"),
        ([-0.15, -0.10, -0.05], "has no proven effect, -0.1000"),
    ],
)
def test_an_effect_is_claimed_if_its_interval_excludes_zero(differences, words):
    low, high = interval_of_two(differences)
    assert ("no proven" in words) == (low <= 0 <= high)
    report = two(differences)
    text = f"One step up in width {words} (interval {low:+.4f} to {high:+.4f})."
    assert text in unwrapped(report)
    assert "Single pairs differ" not in unwrapped(report)
    short = unwrapped(two(differences[:2]))
    assert f"width changes the score by {np.mean(differences[:2]):+.4f}; the noise" in short


def test_pairs_of_opposite_effect_are_told():
    """Fault B5: "resolution gains most, +.0156 +- .0011" of pairs of +.041 and -.010."""
    params = [{"resolution": r, "width": w} for w in (8, 16) for r in (0, 16)]
    rows = np.array([0.800, 0.841, 0.830, 0.820])[:, None] + 0.0005 * np.array(
        [-1, 1, 0, 2, -2]
    )
    report = scale_report(table(rows, [1, 1, 2, 2], params))
    resolution = next(d for d in report.dimensions if d.name == "resolution")
    assert resolution.step.estimate == pytest.approx(0.0155)
    assert (resolution.least, resolution.most) == pytest.approx((-0.010, 0.041))
    assert "Single pairs differ: from -0.0100 to +0.0410." in unwrapped(report)


def test_a_gain_above_its_error_is_told():
    """Fault B5: "none gains more than its standard error" stood above +.0073 +- .0009."""
    noise = (
        0.0009 * np.sqrt(5) * np.array([-1, 0, 1, -1, 1]) / np.std([-1, 0, 1, -1, 1], ddof=1)
    )
    report = two(0.0073 + noise)
    text = unwrapped(report)
    assert "width 1 +0.0073 ± 0.0009 +0.0073 ± 0.0009" in text
    assert "One step up in width raises the score by 0.0073 (interval +0.00" in text
    for denial in ("no proven", "No parameter", "none gains", "not proven"):
        assert denial not in text


def test_of_equal_sizes_none_is_the_largest_or_smallest():
    """Fault B5: of candidates of one size, "It is the largest ... It is the smallest"."""
    rows = [[0.70, 0.72, 0.74], [0.80, 0.81, 0.82], [0.76, 0.75, 0.77]]
    results = table(rows, [100, 100, 100], [{"alpha": a} for a in (1, 2, 3)])
    text = unwrapped(scale_report(results))
    assert "No other size was searched: all have the same parameters." in text
    assert "No smaller candidate was searched" in text
    for word in ("largest", "It is the smallest", "Larger", "larger"):
        assert word not in text.split("5. Recommendation")[0]
    assert scale_report(results).recommended.caveats == []
    # An unknown size may be another.
    results["mean_test_n_parameters"] = np.array([np.nan, 100, 100])
    text = unwrapped(scale_report(results))
    assert "No other size (parameters) is known." in text
    assert "No other size was searched" not in text
    results["mean_test_n_parameters"] = np.array([100, np.nan, 100])
    assert "Its size (parameters) is not known." in unwrapped(scale_report(results))


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([0.09, 0.10, 0.11, 0.10, 0.10], "worse"),
        ([0.00, 0.10, 0.20, 0.05, 0.15], "not proven worse"),
        ([0.0, 0.0, 0.001, 0.001, 0.0], "not proven worse"),
    ],
)
def test_a_best_at_the_edge_is_reported_with_the_loss_of_the_other_edge(losses, verdict):
    report = two(-np.array(losses))
    text = unwrapped(report)
    assert (
        "The best candidate is width=8. It is the smallest candidate: smaller ones, which"
        in text
    )
    assert "were not searched, may be as good. The largest candidate" in text
    found = re.search(
        r"The largest candidate \(width=16; 2 times the parameters\) scores (\S+) less than "
        r"the best \(95% interval (\S+) to (\S+): ([a-z ]+)\)", text,
    )  # fmt: skip
    assert float(found[1]) == pytest.approx(np.mean(losses), abs=5e-5)
    low, high = interval_of_two(-np.array(losses))  # the limit of the report is simulated
    assert float(found[2]) == pytest.approx(low, abs=0.015 * (high - low) + 5e-5)
    assert float(found[3]) == pytest.approx(high, abs=0.015 * (high - low) + 5e-5)
    assert found[4] == verdict
    assert (found[4] == "worse") == (float(found[3]) < 0)


def test_an_end_of_an_interval_is_not_rounded_across_zero():
    # The half width of the interval is 4.3027 * s * sqrt(1 / 3 + 1 / 2).
    s = 0.1 / 4.302653 / np.sqrt(5 / 6)
    report = two(0.10001 + s * np.array([-1, 0, 1]))
    assert re.search(r"raises the score by 0.1000 \(interval \+0.0000[1-9]", unwrapped(report))
    report = two(0.09999 + s * np.array([-1, 0, 1]))
    assert re.search(r"no proven effect, \+0.1000 \(interval -0.0000[1-9]", unwrapped(report))


def test_a_rounding_error_is_written_as_zero():
    rows = np.full((8, 3), [0.86, 0.82, 0.82])
    params = [{"depth": d, "width": w} for d in (1, 2) for w in (1, 2, 4, 8)]
    text = unwrapped(scale_report(table(rows, np.arange(8) + 1, params)))
    assert (
        "One step up in width has no proven effect, +0.0000 (interval +0.0000 to +0.0" in text
    )
    assert "0.00000" not in text


def test_a_recommended_one_is_compared_by_the_margin_of_the_rule():
    def compared(loss):
        report = scale_report(HAND, rule=SmallestWithin(score_loss=loss))
        found = re.search(r"The recommended one scores [^()]*\(([^()]*)\)", unwrapped(report))
        return report, found[1].rpartition(": ")[2]

    half = stats.t.ppf(0.975, FREEDOM) * CONSTANT * SHARED
    report, verdict = compared(0.015)
    assert (report.recommended.index, verdict) == (2, "not proven worse")
    report, verdict = compared(1.1 * (0.01 + half))
    assert (report.recommended.index, verdict) == (
        2,
        f"equivalent within {1.1 * (0.01 + half):.2g}",
    )
    report, verdict = compared(0.22)
    assert (report.recommended.index, verdict) == (0, "worse, within the margin of 0.22")
    assert report.recommended.comparison.low < -0.22
    report = scale_report(HAND, rule=BestUnder(n_parameters=100))
    assert re.search(r"The recommended one scores 0.2100 .*: worse\)", unwrapped(report))

    class Careless(BestUnder):
        def margin(self, candidates, position):
            return 0.1  # less than its choice loses

    report = scale_report(HAND, rule=Careless(n_parameters=100))
    assert re.search(r"The recommended one scores 0.2100 .*: worse\)", unwrapped(report))


def test_a_best_within_the_range_is_reported_with_its_evidence():
    rows = [[0.70, 0.70, 0.70], [0.88, 0.90, 0.92], [0.80, 0.80, 0.80]]
    results = table(rows, [1, 2, 4], [{"width": w} for w in "abc"])
    report = scale_report(results)
    assert "The best candidate is width=b." in report.analysis
    assert "The largest candidate (width=c; 2 times the parameters) scores 0.1000 less" in (
        report.analysis
    )
    assert "The smallest candidate (width=a; 0.5 times the parameters) scores 0.2000 less" in (
        report.analysis
    )
    assert report.dimensions == []
    assert "no effect is known" in unwrapped(report)
    report = two([-0.10, -0.09, -0.11])
    assert "It is the smallest candidate: smaller ones" in report.analysis
    assert report.law is None
    assert "at least 3 sizes" in report.notes["forecast"]
    assert report.smaller == []
    assert "the score of a smaller network is unknown" in unwrapped(report)


def test_the_gap_to_the_training_rows_is_that_of_the_best():
    results = HAND | {"mean_train_score": np.array([0.7, 0.8, 0.95, 0.99, 0.6])}
    analysis = scale_report(results).analysis
    assert "The best candidate scores 0.99 on training rows and 0.93 on test rows." in analysis
    assert "training rows" not in scale_report(HAND).analysis


def test_of_equal_candidates_the_smallest_is_the_best_and_alone():
    params = [{"width": 32}, {"width": 8}]
    # The second differs in its splits, and its mean by a rounding error.
    for rows in ([[0.9] * 3, [0.9] * 3], [[0.9, 0.8, 0.7], [0.7, 0.8, 0.9]]):
        report = scale_report(table(rows, [400, 100], params))
        mean = f"{np.mean(rows[0]):.4f}"
        assert report.best == report.recommended.index == 1
        text = unwrapped(report)
        assert "It is the best candidate." in text
        assert "(width=32; 4 times the parameters) scores the same as the best (95%" in text
        row = re.findall(r"width=32 .*", str(report))[-1].split()
        assert row[1] == mean
        assert row[3:5] + row[6:] == ["+0.0000", "±", "undecided", "400"]
        assert len(re.findall(r"^[* ] width.* best", str(report), re.M)) == 1


def test_of_several_best_candidates_the_recommended_is_compared_with_the_shown():
    rows = [[0.9, 0.8, 0.7], [0.7, 0.8, 0.9], [0.7, 0.7, 0.71]]
    results = table(rows, [400, 200, 100], [{"width": w} for w in (32, 16, 8)])
    report = scale_report(results, rule=BestUnder(n_parameters=100))
    assert report.best == report.recommended.comparison.second == 1
    row = report.table["index"].index(2)
    assert report.recommended.comparison.estimate == pytest.approx(
        report.table["difference"][row]
    )
    assert report.recommended.comparison.verdict == report.table["verdict"][row]
    report = scale_report(results, rule=BestUnder(n_parameters=400))
    assert "The best is width=16. The recommended one scores" in unwrapped(report) or (
        report.recommended.index == report.best
    )


def test_few_splits_have_no_standard_errors():
    for rows in ([[0.7], [0.9]], [[0.7, 0.72], [0.9, 0.94]]):
        report = scale_report(table(rows, [1, 2], [{"width": 1}, {"width": 2}]))
        np.testing.assert_array_equal(np.isnan(report.table["standard_error"]), [True, False])
        assert np.isnan(report.table["score_error"]).all()
        assert report.table["verdict"] == ["undecided", "best"]
        text = unwrapped(report)
        assert "the noise is not known" in text
        for absent in ("±", "nan", "interval", "verdict 1", "proven"):
            assert absent not in text


def test_an_unknown_size_is_a_question_mark_and_neither_small_nor_large():
    params = [{"width": w} for w in (8, 16, 32)]
    results = table([[0.7, 0.8], [0.9, 0.95], [0.91, 0.95]], [100, np.nan, 400], params)
    report = scale_report(results)
    assert "It is the largest" in report.analysis
    assert re.search(r"width=16 .*\?$", str(report), re.M)
    assert "inf" not in str(report)
    assert np.isnan(report.table["n_parameters"][-1])


def test_digits_are_those_of_the_magnitude_of_the_score():
    params = [{"width": 1}, {"width": 2}]
    # The standard deviations are 5 and .000004, over three splits.
    rows = [[-3456, -3400, -3428], [-2700, -2710, -2705]]
    assert "score -2,705 ± 3." in unwrapped(scale_report(table(rows, [1, 2], params)))
    rows = [[0.001, 0.001, 0.001], [0.00123, 0.001238, 0.001234]]
    assert "score 0.001234 ± 0.000002." in unwrapped(scale_report(table(rows, [1, 2], params)))


def test_failed_candidates_are_excluded_and_counted():
    results = {
        k: np.array(v, dtype=object if k == "params" else float) for k, v in HAND.items()
    }
    for name in results:
        if "score" in name:
            results[name][0] = np.nan
    report = scale_report(results)
    assert report.n_failed == 1
    assert report.table["index"] == [1, 2, 4, 3]
    assert "1 candidate is omitted, without a finite score" in unwrapped(report)


def test_losses_are_those_of_the_rows(iris, search):
    X, y = iris
    losses = search.cv_results_["mean_test_loss"]
    scorer = cost_scoring(costs=["loss"])
    weights = np.arange(1.0, 151)
    found = scorer(search.best_estimator_, X, y, sample_weight=weights)["loss"]
    proba = search.predict_proba(X)
    assert found == pytest.approx(log_loss(y, proba, sample_weight=weights))
    assert (losses > 0).all()
    X, y = load_diabetes(return_X_y=True)
    fitted = ScaledMLPRegressor(depth=1, max_epochs=2, random_state=0).fit(X, y)
    expected = mean_squared_error(y, fitted.predict(X))
    assert scorer(fitted, X, y)["loss"] == pytest.approx(expected)
    labels = np.column_stack([y > 100, y > 150]).astype(int)
    many = ScaledMLPClassifier(depth=1, max_epochs=2, random_state=0).fit(X, labels)
    with pytest.warns(UserWarning, match="The cost 'loss'"):
        assert "loss" not in scorer(many, X, labels)


def test_the_text_is_narrow_and_has_all_five_steps(search):
    text = str(scale_report(search))
    assert max(map(len, text.splitlines())) <= 96
    for step in (
        "Analysis",
        "Dimension to scale",
        "Candidates",
        "Comparison",
        "Recommendation",
    ):
        assert f". {step}" in text
    assert len(re.findall(r"^\* depth=\d, width=\d+ ", text, re.M)) == 1
    assert "The score is accuracy." in text
    assert "diagnose was not run." in text
    assert "scale_report(search, X, y)" in unwrapped(scale_report(search))
    assert "Not measured: n_macs, fit_time." in text


def test_a_table_too_wide_for_the_text_names_its_omitted_columns():
    names = ["loss", "latency_us", "size_bytes", "n_macs", "fit_time"]
    rows, sizes = HAND["params"], [10**7, 10**8, 10**9, 10**10, 10**8]
    results = HAND | {f"mean_test_{name}": np.array(sizes, float) for name in names}
    long = [{f"{k}_{'x' * 40}": v for k, v in one.items()} for one in rows]
    report = scale_report(results | {"params": long})
    text = str(report)
    assert max(map(len, text.splitlines())) <= 96
    assert re.search(r"lack of space: ±, fit \(s\), .*\. to_frame\(\) has them", text)
    heading = next(
        line for line in text.splitlines() if "candidate " in line and "difference" in line
    )
    assert heading.split()[:3] == ["candidate", "score", "difference"]
    assert len(re.findall(r"^\* depth_x+", text, re.M)) == 1  # the mark is not cut off
    for name in names:
        assert sorted(report.table[name]) == sorted(sizes)
    assert "<th>fit (s)</th>" in report._repr_html_()


def test_twelve_rows_hold_the_recommended_the_best_and_the_front():
    means = np.concatenate([[0.5, 0.9, 0.91], np.full(20, 0.8)])
    params = [{"width": w} for w in range(1, 24)]
    report = scale_report(table(means[:, None], np.arange(1, 24), params))
    rows = re.findall(r"^[* ] width=(\d+) ", str(report), re.M)
    assert len(rows) == 12
    assert {"1", "2", "3"} <= set(rows)
    assert "11 more candidates are in to_frame()" in unwrapped(report)
    assert "width 1 to 23, 23 values" in str(report)


def test_with_data_the_recommended_network_is_diagnosed(iris, search):
    report = scale_report(search, *iris, cv=3)
    assert report.diagnosis.state in report.analysis
    assert "half the rows" in str(report)
    assert "analysis" not in report.notes
    assert "Diagnosis of the recommended network" in str(report)


@pytest.mark.parametrize(
    "scoring", [["accuracy", "n"], lambda e, X, y: {"accuracy": e.score(X, y), "n": 5}]
)
def test_the_network_is_diagnosed_by_the_chosen_score(iris, monkeypatch, scoring):
    asked = {}
    monkeypatch.setattr(
        "skscale.plotting.report.diagnose",
        lambda *args, scoring, **kwargs: asked.update(by=scoring),
    )
    if isinstance(scoring, list):
        scoring = {"accuracy": "accuracy", "n": lambda e, X, y: e.complexity_.n_parameters}
    found = GridSearchCV(network(), GRID, scoring=scoring, refit=False, cv=2).fit(*iris)
    rule = SmallestWithin(cost="n", score="accuracy")
    report = scale_report(found, *iris, rule=rule)
    fitted = network(width=8).fit(*iris)
    assert asked["by"](fitted, *iris) == pytest.approx(fitted.score(*iris))
    assert report.rule == rule


def test_groups_and_params_are_those_of_the_diagnosis(iris, search, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "skscale.plotting.report.diagnose", lambda *args, **kwargs: asked.update(kwargs)
    )
    scale_report(search, *iris, cv=7, groups="groups", params="params")
    assert asked == {"scoring": "accuracy", "cv": 7, "groups": "groups", "params": "params"}


def random_search(estimator, grid):
    return RandomizedSearchCV(
        estimator, grid, n_iter=3, random_state=0, scoring=cost_scoring(costs=COSTS),
        refit="score", cv=3,
    )  # fmt: skip


def halving_search(estimator, grid):
    return HalvingGridSearchCV(
        estimator, grid, scoring=cost_scoring(costs=COSTS), refit="score", cv=3, factor=1.5,
        min_resources=40, random_state=0,
    )  # fmt: skip


def gradual_search(estimator, grid):
    # A choice among two sizes is at no edge.
    return GradualScaleSearchCV(estimator, {"width": grid["width"][:2]}, cv=3)


@pytest.mark.parametrize("make", [random_search, halving_search, gradual_search])
def test_every_search_of_scikit_learns_kind_is_read(iris, make):
    found = make(network(), GRID).fit(*iris)
    report = scale_report(found)
    assert report.recommended.params["width"] in (2, 8, 32)
    assert "<table>" in report._repr_html_()
    n_rows = len(report.table["index"]) + report.n_earlier + report.n_failed
    assert n_rows == len(found.cv_results_["params"])
    assert ("Only the last iteration" in unwrapped(report)) == ("iter" in found.cv_results_)


def optuna_search(scoring):
    optuna = pytest.importorskip("optuna")
    integration = pytest.importorskip("optuna_integration")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return integration.OptunaSearchCV(
        network(), {"width": optuna.distributions.IntDistribution(2, 64, log=True)},
        n_trials=4, random_state=0, cv=3, scoring=scoring,
    )  # fmt: skip


# What its search is, and what it calls, is experimental or deprecated in Optuna.
@pytest.mark.filterwarnings("ignore")
def test_optunas_search_is_read(iris, tmp_path):
    found = optuna_search(scoring=lambda e, X, y: e.score(X, y)).fit(*iris)
    with pytest.raises(ValueError, match="the cost 'n_parameters'"):
        scale_report(found)
    report = scale_report(found, rule=Best())
    assert report.recommended.params["width"] >= 2
    assert "Not measured: n_parameters" in str(report)
    with pytest.raises(ValueError, match=r"no cost to plot .*cost_scoring"):
        report.plot()
    report.save(tmp_path / "report.html")
    assert "<img" not in (tmp_path / "report.html").read_text()


@pytest.mark.filterwarnings("ignore")
def test_optunas_search_with_costs_is_read_diagnosed_and_drawn(iris, tmp_path):
    found = optuna_search(scoring=cost_scoring(costs=["n_parameters"])).fit(*iris)
    report = scale_report(found, *iris, cv=2)
    assert report.diagnosis is not None
    report.save(tmp_path / "report.html")
    assert "<img" in (tmp_path / "report.html").read_text()


class Best(Rule):
    """The best mean at any cost."""

    def choose(self, candidates):
        return int(candidates.mean.argmax())


def test_pipelines_regressors_images_and_several_scores(iris, digits):
    X, y = load_diabetes(return_X_y=True)
    model = make_pipeline(
        StandardScaler(), ScaledMLPRegressor(depth=1, max_epochs=5, random_state=0)
    )
    grid = {"scaledmlpregressor__width": [2, 8, 32]}
    found = GridSearchCV(model, grid, scoring=cost_scoring(), refit=SmallestWithin(), cv=3)
    report = scale_report(found.fit(X, y), X, y, cv=3)
    assert report.dimensions[0].name == "width"
    assert report.diagnosis is not None
    images = digits[0][:120].reshape(-1, 8, 8)
    network = ScaledCNNClassifier(max_epochs=1, random_state=0)
    found = GridSearchCV(
        network, {"width": [8, 16]}, scoring=cost_scoring(), refit=SmallestWithin(), cv=2
    ).fit(images, digits[1][:120])
    report = scale_report(found, images, digits[1][:120])
    assert report.diagnosis is None
    assert "dense networks" in report.notes["analysis"]


def test_another_rule_and_another_score():
    report = scale_report(HAND, rule=BestUnder(n_parameters=150))
    assert report.recommended.index == 0
    renamed = {k.replace("test_score", "test_f1"): v for k, v in HAND.items()}
    assert scale_report(renamed, score="f1").recommended.score == pytest.approx(0.93)
    with pytest.raises(ValueError, match="the score 'score'"):
        scale_report(renamed)
    with pytest.raises(TypeError, match="Expected a fitted search"):
        scale_report(network())
    with pytest.raises(TypeError, match="Expected a rule of skscale, such as"):
        scale_report(HAND, rule="best")
    with pytest.raises(ValueError, match=r"the score of SmallestWithin\(\), got score='f1'"):
        scale_report(HAND, rule=SmallestWithin(), score="f1")
    without = {k: v for k, v in HAND.items() if "n_parameters" not in k}
    with pytest.raises(ValueError, match=r"the cost 'n_parameters'.*cost_scoring"):
        scale_report(without)


def test_the_searchs_own_rule_counts_where_it_is_about_the_score(search):
    assert scale_report(search).rule is search.refit
    both = search.cv_results_
    both = both | {k.replace("test_score", "test_f1"): v for k, v in both.items()}

    class Other:
        cv_results_, refit = both, SmallestWithin(standard_errors=3)

    assert scale_report(Other).rule is Other.refit
    assert scale_report(Other, score="f1").rule == SmallestWithin(score="f1")


def test_without_parameter_counts_another_cost_orders_the_networks(tmp_path):
    results = {k: v for k, v in HAND.items() if "n_parameters" not in k}
    report = scale_report(results, rule=BestUnder(latency_us=30))
    assert report.size_name == "latency_us"
    assert report.law is None
    assert "did not count parameters" in report.notes["forecast"]
    assert [a.size for a in report.smaller] == [12, 11, 10]
    report.save(tmp_path / "report.html")
    assert "<img" in (tmp_path / "report.html").read_text()


def test_the_frame_has_all_candidates(search):
    pd = pytest.importorskip("pandas")
    frame = scale_report(search).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 6
    np.testing.assert_array_equal(
        frame["score"], search.cv_results_["mean_test_score"][frame.index]
    )
    assert frame["n_parameters"].is_monotonic_increasing
    assert list(frame.columns[:6]) == [
        "label", "params", "score", "score_error", "difference", "standard_error",
    ]  # fmt: skip
    assert (frame["verdict"] == "best").sum() == 1


def test_without_pandas_or_matplotlib_an_error_names_them(search, monkeypatch, tmp_path):
    report = scale_report(search)
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.split(".")[0] in ("pandas", "matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match="pip install pandas"):
        report.to_frame()
    with pytest.raises(ImportError, match=r"skscale\[plot\]"):
        report.plot()
    report.save(tmp_path / "plain.html")
    assert "<img" not in (tmp_path / "plain.html").read_text()


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.sources = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "srcset", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_by_itself(search, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    n_figures = len(plt.get_fignums())
    path = tmp_path / "report.html"
    path.write_text("before")
    scale_report(search).save(path)
    text = path.read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    light, dark = page.sources
    assert light != dark
    for source in page.sources:
        assert source.startswith("data:image/png;base64,")
    assert "prefers-color-scheme: dark" in text
    outside = re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"http|url\(|@import|//", outside)
    assert list(tmp_path.iterdir()) == [path]
    assert len(plt.get_fignums()) == n_figures


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"existing folder, got '.*nowhere'"):
        scale_report(HAND).save(tmp_path / "nowhere" / "report.html")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("before")

    def fail(*args):
        raise OSError("full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="full"):
        scale_report(HAND).save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "before"


def test_the_styles_of_a_notebook_stay_as_they_are():
    style = re.search(r"<style>(.*?)</style>", scale_report(HAND)._repr_html_(), re.S).group(1)
    style = re.sub(r"@media[^{]*{", "", style)
    selectors = re.findall(r"([^{}]+){", style)
    assert all(part.strip().startswith(".skscale-report")
               for selector in selectors for part in selector.split(","))  # fmt: skip


def test_parameters_are_escaped(tmp_path):
    results = HAND | {"params": [{"name": f"<b>{k}</b>"} for k in range(5)]}
    page = scale_report(results)._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;0" in page


def test_the_figure_has_a_heat_map_of_two_dimensions_and_the_training(search):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = scale_report(search).plot()
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert labels[:3] == ["parameters", "prediction latency (µs)", "epoch"]
    assert {labels[3]} < {"depth", "width"}
    assert figure.axes[0].get_ylabel() == "accuracy, mean of 3 splits"
    plt.close(figure)
    # Another network than the one that the search fitted has no training to show.
    figure = scale_report(search, rule=BestUnder(n_parameters=30)).plot()
    assert "epoch" not in [ax.get_xlabel() for ax in figure.axes]
    plt.close(figure)
    one = HAND | {"params": [{"width": w} for w in range(5)]}
    figure = scale_report(one).plot()
    assert len(figure.axes) == 2
    plt.close(figure)


# Reports of random tables, read as a reader would


def draw_table(rng):
    """A table of scores with ties, equal, unknown and missing sizes, and failed candidates."""
    n, k = int(rng.integers(2, 9)), int(rng.integers(1, 7))
    shapes = rng.permutation([(d, w) for d in (1, 2, 3) for w in (4, 8, 16)])[:n]
    means = rng.choice([0.0, 0.01, 0.1]) * rng.standard_normal((n, 1))
    noise = rng.choice([0.001, 0.02]) * rng.standard_normal((n, k))
    splits = 0.8 + means + 0.02 * rng.standard_normal(k) + noise
    is_accuracy = rng.random() < 0.3
    if is_accuracy:
        splits = np.clip((50 * splits).round() / 50, 0, 1)
    else:
        splits *= 10.0 ** rng.integers(-3, 4) * rng.choice([-1, 1])
    if rng.random() < 0.5:
        splits[rng.integers(n)] = splits[rng.integers(n)]
    if rng.random() < 0.2:  # equal means of other splits
        splits[rng.integers(n)] = rng.permutation(splits[rng.integers(n)])
    if rng.random() < 0.3:
        splits[rng.integers(n)] = np.nan
    sizes = shapes[:, 0] * shapes[:, 1] ** 2.0
    if rng.random() < 0.2:
        sizes[:] = 100
    if rng.random() < 0.2:
        sizes[rng.integers(n)] = np.nan
    params = [{"mlp__depth": int(d), "mlp__width": int(w)} for d, w in shapes]
    results = table(splits, sizes, params)
    if rng.random() < 0.2:
        del results["mean_test_n_parameters"]
    if is_accuracy:
        for i in range(k):
            results[f"split{i}_test_n_test_rows"] = np.full(n, 50)
            results[f"split{i}_test_n_train_rows"] = np.full(n, 50 * max(1, k - 1))
    return results


def draw_rule(rng, results):
    cost = "n_parameters"
    if "mean_test_n_parameters" not in results:
        return Best()
    sizes = np.asarray(results["mean_test_n_parameters"])[
        np.isfinite(results["mean_test_score"])
    ]
    if np.isnan(sizes).all():
        return Best()
    least = np.nanmin(sizes)
    rules = [
        SmallestWithin(), SmallestWithin(3), SmallestWithin(score_loss=0.03), ParetoKnee(cost),
        BestUnder(n_parameters=max(least, 300)), Best(),
    ]  # fmt: skip
    return rules[rng.integers(len(rules))]


class Reading:
    """Facts of a table by plain arithmetic, and a report on it as text."""

    def __init__(self, results, report):
        self.means = np.asarray(results["mean_test_score"])
        self.rows = np.flatnonzero(np.isfinite(self.means))
        sizes = results.get("mean_test_n_parameters", np.full(len(self.means), np.nan))
        self.sizes = np.asarray(sizes)
        self.params = results["params"]
        self.label = dict(zip(report.table["label"], report.table["index"], strict=True))
        assert len(self.label) == len(self.rows)
        for label, row in self.label.items():
            for name, value in re.findall(r"(\w+)=(\d+)", label):
                assert self.params[row][f"mlp__{name}"] == int(value)
        self.report = report
        self.text = unwrapped(report)
        self.analysis, self.effects, _, self.comparison, self.advice = re.split(
            r"\d\. (?:Dimension to scale|Candidates|Comparison|Recommendation) -+ ", self.text
        )

    def size_of(self, label):
        return self.sizes[self.label[label]]


def number(text):
    return float(text.replace(",", ""))


def is_rounded(text, value):
    """Return whether a text is a number, up to one in its last digit."""
    n_decimals = len(text.partition(".")[2])
    return abs(number(text) - value) <= 1.01 * 10.0**-n_decimals


NUMBER = r"([+-]?[\d,]+(?:\.\d+)?)"


def check_verdict(low, high, words):
    """A claim of a difference needs an interval without zero, and a denial one with it."""
    low, high = number(low), number(high)
    assert low <= high
    if "not proven" in words or "no proven" in words:
        assert low <= 0 <= high
    elif words.startswith(("worse", "lowers")):
        assert high < 0
    elif words.startswith(("better", "raises")):
        assert low > 0
    else:
        within = float(re.fullmatch(r"equivalent within (\S+)", words)[1])
        assert max(-low, high) <= 1.05 * within  # the margin has two digits


def check_compared(words, loss):
    """Check "0.0100 less than the best (95% interval ...: worse)"."""
    found = re.fullmatch(
        rf"(?:(the same as)|{NUMBER} less than) the best(?:; the noise is not known| \(95% "
        rf"interval {NUMBER} to {NUMBER}: (.*)\))",
        words,
    )
    assert found, words
    if found[1]:
        assert abs(loss) < 1e-12 * 1e4
    else:
        assert is_rounded(found[2], loss)
        assert not found[2].startswith("-")
    if found[5]:
        check_verdict(found[3], found[4], found[5].partition(", within")[0])


def check_analysis(read):
    best = re.search(r"The best candidate is ([^.]*)\.", read.analysis)
    sizes = read.sizes[read.rows]
    if len(read.rows) == 1:
        assert "A single candidate" in read.analysis
        assert best is None
        return
    if not np.isfinite(sizes).any():
        assert "No cost was measured" in read.analysis
        return
    row = read.label[best[1]]
    top = read.means[read.rows].max()
    is_top = read.rows[np.isclose(read.means[read.rows], top, rtol=1e-14, atol=0)]
    assert row in is_top
    assert not (read.sizes[is_top] < read.sizes[row]).any()
    at_edge = {
        "It is the largest candidate: larger ones, which were not searched, may be better.":
            read.sizes[row] == np.nanmax(sizes),
        "It is the smallest candidate: smaller ones, which were not searched, may be as good.":
            read.sizes[row] == np.nanmin(sizes),
    }  # fmt: skip
    is_one_size = np.nanmax(sizes) == np.nanmin(sizes) or np.isnan(read.sizes[row])
    for words, is_there in at_edge.items():
        assert (words in read.analysis) == (is_there and not is_one_size)
    is_equal = bool((sizes == sizes[0]).all())
    assert ("No other size was searched" in read.analysis) == is_equal
    for edge, limit in (("largest", np.nanmax(sizes)), ("smallest", np.nanmin(sizes))):
        found = re.search(
            rf"The {edge} candidate \(([^;]*); (\S+) times the parameters\) scores (.*?)\."
            r"(?= [A-Z]| diagnose|$)", read.analysis,
        )  # fmt: skip
        is_there = not is_one_size and limit != read.sizes[row]
        assert (found is not None) == is_there
        if found:
            assert read.size_of(found[1]) == limit
            assert float(found[2]) == pytest.approx(limit / read.sizes[row], rel=0.05)
            check_compared(found[3], top - read.means[read.label[found[1]]])


def gains_of(read, name):
    """Gains of steps between neighbors that differ in one parameter only."""
    gains = []
    for i in read.rows:
        own = read.params[i]
        larger = [
            j for j in read.rows
            if read.params[j] | {name: own[name]} == own and read.params[j][name] > own[name]
        ]  # fmt: skip
        if larger:
            nearest = min(larger, key=lambda j: read.params[j][name])
            gains.append(read.means[nearest] - read.means[i])
    return gains


def check_effects(read):
    n_effects = 0
    for name in ("mlp__depth", "mlp__width"):
        short = name.removeprefix("mlp__")
        found = re.search(
            rf"One step up in {short} (\w.*?)(?:; the noise is not known| \(interval {NUMBER} "
            rf"to {NUMBER}\))\.(?: Single pairs differ: from {NUMBER} to {NUMBER}\.)?",
            read.effects,
        )
        gains = gains_of(read, name)
        assert (found is not None) == bool(gains)
        if not gains:
            continue
        n_effects += 1
        words, written = re.fullmatch(rf"(.*) (?:by )?{NUMBER}", found[1]).groups()
        gain = np.mean(gains)
        if words.startswith(("raises", "lowers")):
            written = ("+" if words.startswith("raises") else "-") + written
        assert is_rounded(written, gain)
        if found[2]:
            check_verdict(found[2], found[3], words.removeprefix("has "))
            assert number(found[2]) <= number(written) + 1e-4 * abs(gain) + 1e-12
        else:
            assert words.startswith("changes the score")
        is_mixed = min(gains) < 0 < max(gains)
        assert (found[4] is not None) == is_mixed
        if is_mixed:
            assert is_rounded(found[4], min(gains))
            assert is_rounded(found[5], max(gains))
        row = re.search(rf"^{short} +(\d+) +{NUMBER}", str(read.report), re.M)
        assert int(row[1]) == len(gains)
        assert is_rounded(row[2], gain)
    assert len(re.findall("One step up", read.text)) == n_effects
    assert ("no effect is known" in read.effects) == (n_effects == 0)


def check_table(read, results):
    compared = {one.first: one for one in compare(results).with_best(best=read.report.best)}
    label = r"(single candidate|(?:depth|width)=\S+(?: \S+=\d+)?)"
    error = r"(?: +\d[\d,.]*)?"  # of the score
    difference = r"(?:(best)|([+-]\d[\d,.]*)(?: ± [\d,.]+)?)"
    verdict, size = r"(?: +(worse|undecided|equivalent))?", rf"(?: +({NUMBER[1:-1]}|\?))?"
    lines = re.findall(
        rf"^[* ] {label} +{NUMBER}{error} +{difference}{verdict}{size}$",
        str(read.report).split("4. Comparison")[1], re.M,
    )  # fmt: skip
    assert len(lines) == len(read.rows)
    top = read.means[read.rows].max()
    for label, score, best, difference, verdict, size in lines:
        row = read.label[label]
        assert is_rounded(score, read.means[row])
        assert bool(best) == (row == read.report.best)
        if not best:
            assert is_rounded(difference, read.means[row] - top)
            # Both printed means are rounded.
            n_decimals = len(score.partition(".")[2])
            shown = number(score) - number(next(line for line in lines if line[2])[1])
            assert number(difference) == pytest.approx(shown, abs=1.01 * 10.0**-n_decimals)
        if verdict:
            assert verdict == compared[row].verdict
            assert (verdict == "worse") == (compared[row].high < 0)
        if size:
            assert size == "?" or is_rounded(size, read.sizes[row])
            assert (size == "?") == np.isnan(read.sizes[row])


def check_recommendation(read, results):
    found = re.match(
        rf"(.*?) recommends candidate (\d+) \((.*?)\): score {NUMBER}(?: ± {NUMBER})?\. (.*)",
        read.advice,
    )
    rule, row, rest = found[1], int(found[2]), found[6]
    assert rule == repr(read.report.rule)
    assert read.label[found[3]] == row == read.report.recommended.index
    assert is_rounded(found[4], read.means[row])
    top = read.means[read.rows].max()
    if row == read.report.best:
        assert rest.startswith("It is the best candidate.")
    else:
        pattern = r"The best is ([^.]*)\. The recommended one scores (.*?)\.(?= [A-Z]|$)"
        best, compared = re.match(pattern, rest).groups()
        assert read.label[best] == read.report.best
        check_compared(compared, top - read.means[row])
        # The table has no other verdict, unless the rule has a margin.
        place = read.report.table["index"].index(row)
        if read.report.recommended.comparison.margin is None:
            verdict = read.report.table["verdict"][place]
            assert (": worse)" in compared) == (verdict == "worse")
    smaller = read.rows[read.sizes[read.rows] < read.sizes[row]]
    is_known = np.isfinite(read.sizes[row])
    unknown = "No smaller candidate was searched: the score of a smaller network is unknown."
    assert (unknown in rest) == (is_known and not smaller.size)
    lines = str(read.report).partition("smaller candidate ")[2].splitlines()[1:]
    assert bool(lines) == bool(smaller.size)
    level = 1 - 0.05 / max(1, len(lines))
    for line in lines:
        label, size, difference, verdict = re.fullmatch(
            rf"(\S.*?) +{NUMBER} +{NUMBER}(?: ± [\d.,]+)? +(\w+)", line
        ).groups()
        other = read.label[label]
        assert other in smaller
        assert is_rounded(size, read.sizes[other])
        assert is_rounded(difference, read.means[other] - read.means[row])
        expected = compare(results).between(other, row, level=level)
        if row == read.report.best:  # the table above has the same pair
            expected = compare(results).with_best(best=row)[list(read.rows).index(other)]
        assert verdict == expected.verdict
        assert (verdict == "worse") == (expected.high < 0)


def check_report(results, rule):
    report = scale_report(results, rule=rule)
    read = Reading(results, report)
    for absent in ("nan", "inf", "None"):
        assert not re.search(rf"\b{absent}\b", read.text)
    assert not re.search(r"[^\d.]-0(?:\.0+)?(?![\d.])", read.text)
    # Networks that were not searched are no evidence.
    for sentence in re.split(r"(?<=[a-z)])\. ", read.text):
        if re.search(r"not searched|(?:larger|smaller) (?:ones|networks?)\b", sentence):
            assert "may be" in sentence or "is unknown" in sentence
    check_analysis(read)
    check_effects(read)
    check_table(read, results)
    check_recommendation(read, results)
    return read.text


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(30), id="few"),
        pytest.param(range(30, 2000), id="many", marks=pytest.mark.slow),
    ],
)
def test_no_sentence_of_a_report_contradicts_its_table(seeds):
    texts = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        results = draw_table(rng)
        try:
            texts.append(check_report(results, draw_rule(rng, results)))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
    # The tables are of all kinds.
    for words in (
        "raises the score", "lowers the score", "no proven effect", "the noise is not known",
        "It is the largest candidate", "It is the smallest candidate", "The largest candidate",
        "The smallest candidate", "No other size was searched", "the same as the best",
        ": worse)", ": not proven worse)", "Single pairs differ", "No smaller candidate",
        "without a finite score", "No cost was measured", "It is the best candidate",
    ):  # fmt: skip
        assert any(words in text for text in texts), words
