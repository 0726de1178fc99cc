"""Paired comparisons against formulas, SciPy and simulations with known truth."""

import dataclasses

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, KFold, ShuffleSplit

from skscale import compare, cost_scoring
from skscale.selection.comparison import Comparison, Comparisons, _inverse_trigamma, _Prior
from skscale.selection.comparison import _range_limits as range_limits

# Two candidates are not moderated, so that their errors have plain formulas.
TWO = np.array([[0.90, 0.84, 0.88, 0.86, 0.90], [0.87, 0.85, 0.84, 0.85, 0.89]])
DIFFERENCES = TWO[0] - TWO[1]  # .03, -.01, .04, .01, .01


def drawn(n_candidates=6, n_splits=5, seed=0, spread=1.0):
    """Scores of candidates on splits of unequal difficulty."""
    rng = np.random.default_rng(seed)
    means = spread * rng.standard_normal((n_candidates, 1))
    noise = rng.uniform(0.2, 2, (n_candidates, 1)) * rng.standard_normal(
        (n_candidates, n_splits)
    )
    return means + 3 * rng.standard_normal(n_splits) + noise


def errors_of_pairs(comparisons):
    n = len(comparisons.mean)
    pairs = zip(*np.triu_indices(n, 1), strict=True)
    return np.array([comparisons.between(i, j).standard_error for i, j in pairs])


# Errors of two candidates


def test_errors_of_two_candidates_are_the_paired_ones():
    found = Comparisons(TWO).between(0, 1)
    variance = DIFFERENCES.var(ddof=1)
    assert found.estimate == pytest.approx(0.016)
    assert found.standard_error == pytest.approx(np.sqrt(variance / 5))
    # Without numbers of rows, those of 5 folds: n_test / n_train = 1 / 4.
    assert found.corrected_error == pytest.approx(np.sqrt(variance * (1 / 5 + 1 / 4)))
    half = stats.t.ppf(0.975, 4) * found.corrected_error
    assert (found.low, found.high) == pytest.approx((0.016 - half, 0.016 + half))
    low, high = stats.t.interval(0.8, 4, found.estimate, found.corrected_error)
    at_80 = Comparisons(TWO).between(0, 1, level=0.8)
    assert (at_80.low, at_80.high, at_80.level) == pytest.approx((low, high, 0.8))
    np.testing.assert_allclose(Comparisons(TWO).errors_to(1), [found.standard_error, 0])
    assert Comparisons(TWO).degrees_of_freedom == 4


def test_training_sets_that_share_more_rows_have_a_larger_error():
    """Nadeau and Bengio 2003: n_test / n_train is .5 in a shuffle split of two thirds."""
    plain, shuffled = Comparisons(TWO), Comparisons(TWO, n_test_rows=50, n_train_rows=100)
    assert shuffled.overlap == 0.5
    a, b = plain.between(0, 1), shuffled.between(0, 1)
    assert b.standard_error == pytest.approx(a.standard_error)
    variance = DIFFERENCES.var(ddof=1)
    assert b.corrected_error == pytest.approx(np.sqrt(variance * (1 / 5 + 1 / 2)))


def test_of_unequal_splits_small_ones_count_less_for_the_variance():
    rows = np.array([10, 20, 30, 40, 50])
    scores = TWO + 1  # not between zero and one
    found = Comparisons(scores, n_test_rows=rows, n_train_rows=150 - rows).between(0, 1)
    of_rows = (rows * DIFFERENCES).sum() / 150
    variance = np.mean(1 / rows) * (rows * (DIFFERENCES - of_rows) ** 2).sum() / 4
    assert found.estimate == pytest.approx(DIFFERENCES.mean())
    assert found.standard_error == pytest.approx(np.sqrt(variance / 5))
    overlap = np.mean(rows / (150 - rows))
    assert found.corrected_error == pytest.approx(np.sqrt(variance * (1 / 5 + overlap)))


def test_the_error_of_unequal_splits_is_that_of_the_mean_difference():
    """Variances of 1 / n_rows have a mean over five splits of variance mean(1 / n_rows) / 5."""
    rows = np.array([10, 15, 40, 100, 300])
    rng = np.random.default_rng(0)
    squares, estimates = [], []
    for _ in range(2000):
        splits = rng.standard_normal(5) + rng.standard_normal((2, 5)) / np.sqrt(2 * rows)
        found = Comparisons(splits, n_test_rows=rows, n_train_rows=1000).between(0, 1)
        squares.append(found.standard_error**2)
        estimates.append(found.estimate)
    truth = np.mean(1 / rows) / 5
    # The relative error of a variance from 4 degrees of freedom is sqrt(2 / 4), of n draws
    # sqrt(.5 / n): four of these.
    assert np.mean(squares) == pytest.approx(truth, rel=4 * np.sqrt(0.5 / 2000))
    assert np.var(estimates) == pytest.approx(truth, rel=4 * np.sqrt(2 / 2000))


# Moderation


@pytest.mark.parametrize("value", np.geomspace(1e-4, 1e4, 9))
def test_the_inverse_of_the_trigamma_function(value):
    assert special.polygamma(1, _inverse_trigamma(value)) == pytest.approx(value)


@pytest.mark.parametrize("slope", [0.0, 1.5])
def test_the_prior_of_drawn_variances_is_found_again(slope):
    """s2 = sigma2 * chi2(4) / 4, and sigma2 = s02 * 6 / chi2(6) with s02 = .25 * size^slope."""
    rng = np.random.default_rng(0)
    n, freedom, own = 20_000, 4, 6
    sizes = np.exp(rng.uniform(-2, 2, n))
    s02 = 0.25 * sizes**slope
    sigma2 = s02 * own / rng.chisquare(own, n)
    variances = sigma2 * rng.chisquare(freedom, n) / freedom
    prior = _Prior(variances, sizes, freedom, n)
    assert prior.own == pytest.approx(own, rel=0.1)
    assert prior.total == prior.own + freedom
    moderated = prior.moderate(variances, sizes)
    found = (moderated * (prior.own + freedom) - freedom * variances) / prior.own
    is_used = sizes > np.quantile(sizes, 0.05)  # smaller ones count as this size
    np.testing.assert_allclose(found[is_used], s02[is_used], rtol=0.1)
    # It is nearer to the truth.
    assert np.mean((np.log(moderated / sigma2)) ** 2) < np.mean(np.log(variances / sigma2) ** 2)


def test_candidates_of_equal_variance_have_nearly_equal_errors():
    rng = np.random.default_rng(0)
    splits = rng.standard_normal(3) + 0.1 * rng.standard_normal((30, 3))
    errors = errors_of_pairs(Comparisons(splits))
    plain = [
        np.std(splits[i] - splits[j], ddof=1) / np.sqrt(3)
        for i, j in zip(*np.triu_indices(30, 1), strict=True)
    ]
    assert max(plain) > 20 * min(plain)
    assert errors.max() < 2 * errors.min()
    # The difference of two has the variance 2 * .1^2.
    assert np.median(errors) == pytest.approx(0.1 * np.sqrt(2 / 3), rel=0.15)


def test_many_splits_need_no_moderation():
    splits = drawn(n_splits=2000)
    found = Comparisons(splits)
    plain = [
        np.std(splits[i] - splits[j], ddof=1) / np.sqrt(2000)
        for i, j in zip(*np.triu_indices(6, 1), strict=True)
    ]
    assert max(plain) > 2 * min(plain)
    np.testing.assert_allclose(errors_of_pairs(found), plain, rtol=0.01)


@pytest.mark.parametrize(
    "n_tied",
    [0, 6],
)
def test_the_variance_may_grow_with_the_distance(n_tied):
    """Good candidates vary by .01, weak ones by .3: the errors of good ones stay small."""
    rng = np.random.default_rng(0)
    weak = np.arange(20) >= 10
    means = np.where(weak, -np.linspace(1, 5, 20), np.linspace(0, 0.1, 20))
    splits = means[:, None] + np.where(weak, 0.3, 0.01)[:, None] * rng.standard_normal((20, 5))
    for k in range(n_tied):  # equal means, as accuracies often have
        splits[k] = rng.permutation(splits[0])
    comparisons = Comparisons(splits)
    errors = np.array([comparisons.errors_to(i) for i in range(20)])
    among = errors[:10, :10][np.triu_indices(10, 1)]
    across = errors[:10, 10:]
    assert np.median(among) == pytest.approx(0.01 * np.sqrt(2 / 5), rel=0.5)
    assert np.median(across) == pytest.approx(0.3 / np.sqrt(5), rel=0.3)


def test_moderated_errors_have_at_most_the_freedom_of_all_candidates():
    rng = np.random.default_rng(0)
    equal = Comparisons(0.1 * rng.standard_normal((4, 3)))
    assert 2 < equal.degrees_of_freedom <= 3 * 2
    # The same differences of all pairs that differ: no spread of the variances.
    same = Comparisons([[0.8, 0.7, 0.6], [0.87, 0.81, 0.69], [0.9, 0.8, 0.7], [0.9, 0.8, 0.7]])
    assert same.degrees_of_freedom == 3 * 2


def test_errors_of_means_include_the_splits():
    # Two candidates are not moderated.
    plain = TWO.std(axis=1, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(Comparisons(TWO).errors, plain)
    errors = Comparisons(drawn(40, 3)).errors  # the splits differ by 3 standard deviations
    assert errors.max() < 2 * errors.min()


# Limits of simultaneous intervals


@pytest.mark.parametrize("freedom", [4, 20.5, 1e4])
def test_limits_are_those_of_the_studentized_range(freedom):
    limits = range_limits(20, freedom, 0.95)
    assert len(limits) == 19
    finite = min(freedom, 1e6)
    for place, n_means in ((0, 20), (15, 5), (18, 2)):
        expected = stats.studentized_range.ppf(0.95, n_means, finite) / np.sqrt(2)
        assert limits[place] == pytest.approx(expected, rel=0.015)
    assert limits[-1] == pytest.approx(stats.t.ppf(0.975, finite), rel=0.015)
    assert (np.diff(limits) < 0).all()


def test_with_the_best_the_claims_step_down_from_the_farthest():
    """The m-th last is worse if its t exceeds the limit of m means, and all before it were."""
    n, verdicts = 5, []
    for seed in range(5):
        comparisons = Comparisons(drawn(n, 5, seed, spread=2.0))
        found = comparisons.with_best()
        best = comparisons.best
        t = {k: -one.estimate / one.corrected_error for k, one in enumerate(found) if k != best}
        is_open = True
        for n_means, k in zip(range(n, 1, -1), sorted(t, key=t.get, reverse=True), strict=True):
            freedom = comparisons.degrees_of_freedom
            limit = stats.studentized_range.ppf(0.95, n_means, freedom)
            is_open &= bool(t[k] > limit / np.sqrt(2))
            if abs(t[k] / limit * np.sqrt(2) - 1) > 0.02:  # else the simulated limit decides
                assert (found[k].verdict == "worse") == is_open
            verdicts.append(found[k].verdict)
        assert found[best].verdict == "equivalent"
        assert (found[best].low, found[best].high) == (0, 0)
    assert 3 < verdicts.count("worse") < 20


def test_of_two_candidates_the_interval_with_the_best_is_that_of_named_ones():
    named, best = Comparisons(TWO).between(1, 0), Comparisons(TWO).with_best()[1]
    assert best.standard_error == named.standard_error
    half = stats.t.ppf(0.975, 4) * named.corrected_error
    assert best.low == pytest.approx(named.estimate - half, rel=0.02)
    assert best.high == pytest.approx(named.estimate + half, rel=0.02)


# Means of zeros and ones


def accuracies(n_right, n_test_rows):
    return np.array(n_right) / n_test_rows


def test_an_accuracy_has_the_least_variance_of_its_rows():
    """In 90 rows the candidates differ by .1, that is at least 9 rows, in each split alike."""
    splits = accuracies([[24, 24, 24], [21, 21, 21]], 30)
    found = Comparisons(splits, n_test_rows=30, n_train_rows=60)
    assert found.is_zero_one
    least = 0.1 * 0.9 / 90
    assert found.between(0, 1).standard_error == pytest.approx(np.sqrt(least))
    assert found.between(0, 1).corrected_error == pytest.approx(np.sqrt(least * (1 + 3 / 2)))
    # Equal accuracies still differ by one row, as far as is known.
    equal = Comparisons(splits[[0, 0]], n_test_rows=30, n_train_rows=60).between(0, 1)
    assert equal.standard_error == pytest.approx(1 / 90)
    np.testing.assert_allclose(found.errors, np.sqrt([0.8 * 0.2 / 90, 0.7 * 0.3 / 90]))
    # Splits that vary more than that count.
    noisy = accuracies([[30, 24, 18], [18, 24, 21]], 30)
    variance = np.var((noisy[0] - noisy[1]), ddof=1)
    error = Comparisons(noisy, n_test_rows=30, n_train_rows=60).between(0, 1).standard_error
    assert error == pytest.approx(np.sqrt(variance / 3))


def test_other_scores_have_no_least_variance():
    rows = {"n_test_rows": 30, "n_train_rows": 60}
    whole = accuracies([[24, 24, 24], [21, 21, 21]], 30)
    assert Comparisons(whole, **rows).is_zero_one
    assert not Comparisons(whole).is_zero_one  # rows are unknown
    assert not Comparisons(whole - 1, **rows).is_zero_one  # negative, as errors are
    assert not Comparisons(whole + 1, **rows).is_zero_one
    r2 = whole.copy()
    r2[1, 2] += 1e-3
    found = Comparisons(r2, **rows)
    assert not found.is_zero_one
    variance = np.var([0.1, 0.1, 0.1 - 1e-3], ddof=1)
    assert found.between(0, 1).standard_error == pytest.approx(np.sqrt(variance / 3))


def test_repeated_folds_count_each_row_once():
    splits = accuracies([[24] * 6, [21] * 6], 30)  # twice three folds of 90 rows
    repeated = Comparisons(splits, n_test_rows=30, n_train_rows=60).between(0, 1)
    assert repeated.standard_error == pytest.approx(np.sqrt(0.1 * 0.9 / 90))
    # Three of the six splits test each row once.
    assert repeated.corrected_error == pytest.approx(np.sqrt(0.1 * 0.9 / 90 * (1 + 3 / 2)))
    # As far as is known, other rows are scored in each split.
    unknown = Comparisons(splits, n_test_rows=30).between(0, 1)
    assert unknown.standard_error == pytest.approx(np.sqrt(0.1 * 0.9 / 180))
    assert unknown.corrected_error == pytest.approx(np.sqrt(0.1 * 0.9 / 180 * (1 + 6 / 5)))


def test_variances_over_rows_are_the_lowest_and_not_corrected():
    """Different splits test different rows; only the training sets are the same."""
    lowest = np.array([[0, 0.01], [0.01, 0]])
    found = Comparisons(TWO, row_variances=lowest).between(0, 1)
    assert found.standard_error == found.corrected_error == pytest.approx(0.1)
    # Rows are many: the limit is that of a normal distribution.
    assert found.high - found.estimate == pytest.approx(1.959964 * found.corrected_error)
    # The part beyond the rows is corrected.
    variance = (TWO[0] - TWO[1]).var(ddof=1) / 5
    half = lowest / 0.01 * variance / 2
    found = Comparisons(TWO, row_variances=half).between(0, 1)
    assert found.standard_error**2 == pytest.approx(variance)
    assert found.corrected_error**2 == pytest.approx(variance / 2 * (1 + 1 + 5 / 4))
    # Repetitions test the same rows again, here twice two folds of 50 rows.
    rows = {"n_test_rows": 50, "n_train_rows": 50}
    four = TWO[:, :4] - 1
    variance = (four[0] - four[1]).var(ddof=1) / 4
    half = lowest / 0.01 * variance / 2
    repeated = Comparisons(four, row_variances=half, **rows).between(0, 1)
    beyond = variance - variance / 2 * 2 / 4
    expected = variance / 2 + beyond * (1 + 4)
    assert repeated.corrected_error**2 == pytest.approx(expected)


# Verdicts


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (0.01, 0.03, None, "better"),
        (-0.03, -0.01, None, "worse"),
        (-0.01, 0.03, None, "undecided"),
        (0.0, 0.03, None, "undecided"),
        (-0.01, 0.03, 0.02, "undecided"),
        (-0.01, 0.03, 0.03, "equivalent"),
        (0.01, 0.03, 0.03, "equivalent"),
        (0.01, 0.03, 0.02, "better"),
        (-0.03, -0.01, 0.0, "worse"),
        (np.nan, np.nan, 1.0, "undecided"),
    ],
)
def test_verdicts_of_intervals(low, high, margin, verdict):
    found = Comparison(3, 5, (low + high) / 2, low, high, 0.01, 0.01, margin, 0.95)
    assert found.verdict == verdict
    itself = dataclasses.replace(found, second=3)
    assert itself.verdict == "equivalent"


def test_a_comparison_is_a_sentence():
    comparisons = Comparisons(TWO, rows=[4, 9])
    one = comparisons.between(4, 9, level=0.9)
    assert str(one) == (
        "Candidate 4 is neither proven better nor worse than candidate 9: +0.016 (90% interval"
        f" {one.low:+.4g} to {one.high:+.4g})."
    )
    assert "is equivalent within 0.5 to candidate 9" in str(
        comparisons.between(4, 9, margin=0.5)
    )
    far = Comparisons(TWO + np.array([[1], [0]]))
    assert "Candidate 0 is better than candidate 1: +1.016" in str(far.between(0, 1))
    assert "Candidate 1 is worse than candidate 0: -1.016" in str(far.between(1, 0))


SEARCHES = given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(2, 9), k=st.integers(1, 7),
    spread=st.sampled_from([0.0, 1.0, 5.0]), n_tied=st.integers(0, 3),
)  # fmt: skip
EXAMPLES = settings(max_examples=30, derandomize=True, deadline=None, database=None)


def with_ties(seed, n, k, spread, n_tied):
    splits = drawn(n, k, seed, spread)
    splits[:n_tied] = splits[0]
    return splits


def as_numbers(one):
    return [one.estimate, one.low, one.high, one.standard_error, one.corrected_error]


@SEARCHES
@EXAMPLES
def test_the_order_of_two_candidates_only_changes_the_sign(seed, n, k, spread, n_tied):
    comparisons = Comparisons(with_ties(seed, n, k, spread, n_tied))
    mirrored = {"better": "worse", "worse": "better"}
    for margin in (None, 0.5):
        there = comparisons.between(0, n - 1, margin=margin)
        back = comparisons.between(n - 1, 0, margin=margin)
        expected = [-back.estimate, -back.high, -back.low, *as_numbers(back)[3:]]
        np.testing.assert_allclose(as_numbers(there), expected)
        assert there.verdict == mirrored.get(back.verdict, back.verdict)


@SEARCHES
@EXAMPLES
def test_the_order_of_all_candidates_changes_nothing(seed, n, k, spread, n_tied):
    splits = with_ties(seed, n, k, spread, n_tied)
    order = np.random.default_rng(seed).permutation(n)
    plain, shuffled = Comparisons(splits), Comparisons(splits[order], rows=order)
    best = plain.with_best(best=plain.best)
    for one in shuffled.with_best(best=plain.best):
        assert one.second == plain.best
        np.testing.assert_allclose(as_numbers(one), as_numbers(best[one.first]), atol=1e-12)
        assert one.verdict == best[one.first].verdict
    np.testing.assert_allclose(shuffled.errors, plain.errors[order])
    assert as_numbers(shuffled.between(0, n - 1)) == pytest.approx(
        as_numbers(plain.between(0, n - 1)), nan_ok=True, abs=1e-12
    )


@SEARCHES
@EXAMPLES
def test_the_difficulty_and_the_unit_of_splits_change_nothing(seed, n, k, spread, n_tied):
    splits = with_ties(seed, n, k, spread, n_tied)
    rng = np.random.default_rng(seed)
    shift, unit = 10 * rng.standard_normal(k), float(10 ** rng.uniform(-3, 3))
    before, after = Comparisons(splits), Comparisons(unit * (splits + shift))
    for a, b in zip(before.with_best(), after.with_best(best=before.best), strict=True):
        assert a.verdict == b.verdict
        np.testing.assert_allclose(
            unit * np.array(as_numbers(a)), as_numbers(b), rtol=1e-6, atol=1e-9 * unit
        )


@SEARCHES
@EXAMPLES
def test_verdicts_agree_with_their_intervals(seed, n, k, spread, n_tied):
    comparisons = Comparisons(with_ties(seed, n, k, spread, n_tied))
    means = comparisons.splits.mean(axis=1)
    for margin in (None, 1.0):
        for k_, one in enumerate(comparisons.with_best(margin=margin)):
            assert one.estimate == pytest.approx(means[k_] - means.max())
            if k_ == comparisons.best:
                continue
            is_small = margin is not None and -margin <= one.low and one.high <= margin
            assert (one.verdict == "equivalent") == is_small
            assert (one.verdict == "worse") == (one.high < 0 and not is_small)
            assert one.verdict != "better"
            # Claims about the best of many need more than those about two named ones.
            named = comparisons.between(one.first, one.second, margin=margin)
            assert np.isnan(one.low) or one.low <= named.low + 0.02 * (named.high - named.low)


def test_a_contrast_of_two_is_their_comparison():
    for splits in (TWO, drawn()):
        weights = np.zeros(len(splits))
        weights[:2] = 1, -1
        comparisons = Comparisons(splits, n_test_rows=100, n_train_rows=300)
        found = comparisons.contrast(weights, level=0.9)
        assert (found.first, found.second) == (None, None)
        assert as_numbers(found) == pytest.approx(
            as_numbers(comparisons.between(0, 1, level=0.9))
        )


def test_a_contrast_of_two_accuracies_is_their_comparison():
    splits = accuracies([[24, 24, 24], [21, 21, 21]], 30)
    comparisons = Comparisons(splits, n_test_rows=30, n_train_rows=60)
    expected = comparisons.between(0, 1)
    assert as_numbers(comparisons.contrast([1, -1])) == pytest.approx(as_numbers(expected))


def test_a_part_of_a_difference_has_this_part_of_its_error():
    """The mean step of candidates in a line is a part of the last minus the first."""
    splits = accuracies([[24, 24, 24], [22, 22, 22], [21, 21, 21]], 30)
    comparisons = Comparisons(splits, n_test_rows=30, n_train_rows=60)
    expected = np.array(as_numbers(comparisons.between(0, 2)))
    assert as_numbers(comparisons.contrast([0.5, 0, -0.5])) == pytest.approx(expected / 2)


def test_a_contrast_of_equal_candidates_proves_nothing():
    assert 0.1 + 0.2 - 0.3 > 0  # as floats
    comparisons = Comparisons(np.ones((3, 4)))
    assert comparisons.contrast([0.1, 0.2, -0.3]).verdict == "undecided"


def test_a_rounding_error_proves_nothing():
    comparisons = Comparisons([[0.1 + 0.2] * 3, [0.3] * 3])
    assert comparisons.between(0, 1).verdict == "undecided"
    assert comparisons.with_best()[1].verdict == "undecided"


def test_sizes_that_differ_by_rounding_errors_have_no_trend():
    right = [[37, 41], [37, 41], [37, 41], [37, 40], [37, 41], [38, 41]]
    errors = Comparisons(accuracies(right, 50)).errors  # a warning is an error
    assert np.isnan(errors).all()


def test_a_mean_of_pairs_has_the_error_of_its_splits():
    splits = np.vstack([TWO, TWO[:, [1, 0, 3, 2, 4]]])
    weights = np.array([0.5, -0.5, 0.5, -0.5])
    found = Comparisons(splits[:2]).contrast([2, -2])
    assert found.estimate == pytest.approx(2 * DIFFERENCES.mean())
    assert found.standard_error == pytest.approx(2 * DIFFERENCES.std(ddof=1) / np.sqrt(5))
    comparisons = Comparisons(drawn(4, 400))  # so many splits need no moderation
    found = comparisons.contrast(weights)
    differences = weights @ comparisons.splits
    assert found.estimate == pytest.approx(differences.mean())
    assert found.standard_error == pytest.approx(differences.std(ddof=1) / 20, rel=0.03)


@pytest.mark.parametrize("n_splits", [1, 2])
def test_fewer_than_three_splits_decide_nothing(n_splits):
    splits = np.array([[5.0, 5.1], [0.0, 0.1], [1.0, 1.1]])[:, :n_splits]
    comparisons = Comparisons(splits)
    for one in (comparisons.between(0, 1), comparisons.contrast([1, -1, 0])):
        assert one.estimate == pytest.approx(5)
        assert np.isnan(as_numbers(one)[1:]).all()
        assert one.verdict == "undecided"
    assert [one.verdict for one in comparisons.with_best()] == [
        "equivalent", "undecided", "undecided",
    ]  # fmt: skip
    assert np.isnan(comparisons.errors).all()
    np.testing.assert_array_equal(np.isnan(comparisons.errors_to(0)), [False, True, True])
    assert "no interval: too few splits" in str(comparisons.between(0, 1))
    text = str(comparisons)
    assert "unknown  undecided" in text
    assert "nan" not in text
    assert "Fewer than 3 splits do not show the noise of a score" in text


def test_the_least_variance_alone_decides_nothing():
    """It is an error to choose by, but a bound from below is no proof."""
    splits = accuracies([[100, 100], [0, 0]], 100)
    one = Comparisons(splits, n_test_rows=100, n_train_rows=100).between(0, 1)
    assert one.standard_error == pytest.approx(np.sqrt(1 / 200 / 200))
    assert np.isnan([one.low, one.high, one.corrected_error]).all()
    assert one.verdict == "undecided"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Comparisons(TWO, n_test_rows=[10, 20]),
         r"n_test_rows must be a positive number, or one for each of the 5 splits, got \[10"),
        (lambda: Comparisons(TWO, n_train_rows=0), "n_train_rows must be a positive number"),
        (lambda: Comparisons(TWO, rows=[3, 7]).between(3, 5),
         r"row of a candidate with a finite score, one of \[3, 7\], got 5"),
        (lambda: Comparisons(TWO).with_best(best=2), r"one of \[0, 1\], got 2"),
        (lambda: Comparisons(TWO).between(0, 1, margin=-0.1), "margin must be at least 0"),
        (lambda: Comparisons(TWO).with_best(margin=np.nan), "margin must be at least 0, got n"),
        (lambda: Comparisons(TWO).between(0, 1, level=95), "between 0 and 1, got 95"),
        (lambda: Comparisons(TWO).contrast([1, -1], level=0), "level must be between 0 and 1"),
    ],
)  # fmt: skip
def test_invalid_arguments_raise_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Searches


@pytest.fixture(scope="module")
def rows():
    X, y = make_classification(100, flip_y=0.2, random_state=0)
    return X, y


def grid_search(cv, scoring="accuracy", **options):
    scoring = cost_scoring(scoring, costs=["n_parameters"])
    model = LogisticRegression(max_iter=500)
    grid = {"C": [1e-4, 1e-2, 1.0]}
    return GridSearchCV(model, grid, scoring=scoring, refit=False, cv=cv, **options)


def test_numbers_of_rows_are_those_of_the_folds(rows):
    search = grid_search(KFold(3)).fit(*rows)
    found = compare(search)
    np.testing.assert_array_equal(found.n_test_rows, [34, 33, 33])
    np.testing.assert_array_equal(found.n_train_rows, [66, 67, 67])
    assert found.overlap == pytest.approx((34 / 66 + 2 * 33 / 67) / 3)
    assert found.is_zero_one
    assert found.assumptions == []
    np.testing.assert_array_equal(found.mean, search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(found.splits[:, 1], search.cv_results_["split1_test_score"])
    # A log loss is no mean of zeros and ones.
    assert not compare(grid_search(KFold(3), "neg_log_loss").fit(*rows)).is_zero_one


def test_shuffled_splits_overlap_by_their_training_rows(rows):
    found = compare(grid_search(ShuffleSplit(4, test_size=0.2, random_state=0)).fit(*rows))
    assert found.overlap == 20 / 80
    one = found.between(2, 1)
    assert one.corrected_error == pytest.approx(one.standard_error * np.sqrt(1 + 4 * 0.25))


def test_numbers_of_rows_may_be_given(rows):
    results = grid_search(KFold(3)).fit(*rows).cv_results_
    found = compare(results, n_test_rows=[20, 30, 50], n_train_rows=1000)
    np.testing.assert_array_equal(found.n_test_rows, [20, 30, 50])
    assert found.overlap == pytest.approx(100 / 3 / 1000)
    assert not found.is_zero_one
    plain = {name: column for name, column in results.items() if "rows" not in name}
    unknown = compare(plain)
    assert unknown.n_test_rows is unknown.n_train_rows is None
    assert unknown.overlap == 1 / 2
    text = str(unknown)
    assert "numbers of test rows are not known: splits count as equal" in text
    assert "test rows count as 1 / (n_splits - 1) of the training rows" in text
    half = compare(plain, n_test_rows=33)
    assert "numbers of test rows are not known" not in str(half)
    assert "test rows count as 1 / (n_splits - 1)" in str(half)


def test_the_print_has_a_line_for_each_candidate(rows):
    found = compare(grid_search(KFold(5)).fit(*rows))
    head, *lines = str(found).splitlines()
    assert head.split() == ["row", "score", "difference", "95%", "interval", "verdict"]
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    for line, mean, one in zip(lines, found.mean, found.with_best(), strict=True):
        assert f"{mean:.4f}" in line
        if one.first == one.second:
            assert line.split()[-1] == "best"
        else:
            assert f"{one.low:+.4f} to {one.high:+.4f}" in line
            assert line.split()[-1] == one.verdict


def test_candidates_that_failed_are_not_compared(rows):
    X, y = rows
    scoring = cost_scoring("r2", costs=["n_parameters"])
    grid = {"alpha": [1.0, -1.0, 10.0]}
    search = GridSearchCV(Ridge(), grid, scoring=scoring, refit=False, cv=4)
    with pytest.warns(FitFailedWarning), pytest.warns(UserWarning, match="non-finite"):
        search.fit(X, y)
    found = compare(search)
    np.testing.assert_array_equal(found.rows, [0, 2])
    np.testing.assert_array_equal(found.n_test_rows, [25] * 4)
    assert found.between(0, 2).estimate == found.mean[0] - found.mean[1]
    with pytest.raises(ValueError, match=r"finite score, one of \[0, 2\], got 1"):
        found.between(0, 1)


def test_of_a_halving_search_the_last_iteration_is_compared(rows):
    search = HalvingGridSearchCV(
        LogisticRegression(max_iter=500), {"C": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}, factor=2, cv=4,
        scoring=cost_scoring("accuracy", costs=["n_parameters"]), refit="score",
        min_resources=40, random_state=0,
    ).fit(*rows)  # fmt: skip
    iterations = np.asarray(search.cv_results_["iter"])
    assert iterations.max() > 0
    found = compare(search)
    np.testing.assert_array_equal(found.rows, np.flatnonzero(iterations == iterations.max()))
    n_rows = search.n_resources_[-1]
    assert found.n_test_rows.sum() == pytest.approx(n_rows, abs=4)
    assert (found.n_test_rows + found.n_train_rows).max() <= n_rows + 4


def test_a_study_of_optuna_is_compared():
    study = optuna.create_study(direction="maximize")
    splits = np.vstack([TWO, TWO.mean(axis=0)])
    for scores in splits:
        trial = study.ask()
        trial.suggest_int("width", 1, 9)
        for i, score in enumerate(scores):
            trial.set_user_attr(f"split{i}_test_score", score)
            trial.set_user_attr(f"split{i}_test_n_test_rows", 100)
        trial.set_user_attr("mean_test_score", scores.mean())
        trial.set_user_attr("note", ["of", "any", "type"][: trial.number])
        study.tell(trial, scores.mean())
    study.ask()  # a trial without a score
    found = compare(study)
    np.testing.assert_array_equal(found.rows, [0, 1, 2])
    np.testing.assert_array_equal(found.splits, splits)
    np.testing.assert_array_equal(found.n_test_rows, [100] * 5)


def test_a_search_without_results_or_scores_raises_an_error(rows):
    with pytest.raises(
        TypeError, match="Expected a fitted search, with cv_results_ or trials_"
    ):
        compare(grid_search(3))
    results = {"params": [{}], "mean_test_score": np.array([np.nan])}
    with pytest.raises(ValueError, match="at least one candidate with a finite score 'score'"):
        compare(results)
    with pytest.raises(ValueError, match=r"Expected the score 'auc' in cv_results_, got \['sc"):
        compare(grid_search(3).fit(*rows), score="auc")


# Simulated searches with known truth


def simulate(n_searches, n_candidates, n_splits, share, truth, n_pairs=100, seed=0):
    """Compare candidates of known mean in searches whose splits are correlated.

    The noise of a candidate has the correlation share / n_splits between splits, as training
    sets share rows. `truth` is "equal", "spread" (standard normal means), or "winner" (one
    candidate is better by four corrected errors of a difference).

    Returns
    -------
    dict of str to ndarray of shape (n_searches,)
        Shares of the pairs with a wrong claim ("wrong"), a true value in the 90 % interval
        ("covered") and, of pairs with the winner, a right claim ("named"); the number of wrong
        claims with the best ("wrong_best"), and the share of right ones ("decided").
    """
    rng = np.random.default_rng(seed)
    rho = share / n_splits
    found = {name: [] for name in ("wrong", "covered", "named", "wrong_best", "decided")}
    for _ in range(n_searches):
        means = np.zeros(n_candidates)
        if truth == "spread":
            means = rng.standard_normal(n_candidates)
        deviation = np.exp(0.3 * rng.standard_normal((n_candidates, 1)))
        if truth == "winner":
            error = np.sqrt(2 * np.mean(deviation**2) * (1 / n_splits + 1 / (n_splits - 1)))
            means[rng.integers(n_candidates)] = 4 * error
        shared = rng.standard_normal((n_candidates, 1))
        own = rng.standard_normal((n_candidates, n_splits))
        noise = deviation * (np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)
        comparisons = Comparisons(means[:, None] + rng.standard_normal(n_splits) + noise)
        pairs = np.column_stack(np.triu_indices(n_candidates, 1))
        pairs = rng.permutation(pairs)[:n_pairs]
        if truth == "winner":
            others = np.delete(np.arange(n_candidates), means.argmax())[: n_pairs // 4]
            with_winner = [comparisons.between(means.argmax(), k).verdict for k in others]
            found["named"].append(np.mean(np.array(with_winner) == "better"))
        named = [comparisons.between(i, j, level=0.95) for i, j in pairs]
        true = means[pairs[:, 0]] - means[pairs[:, 1]]
        claim = np.array([{"better": 1, "worse": -1}.get(one.verdict, 0) for one in named])
        found["wrong"].append(np.mean((claim != 0) & (claim * true <= 0)))
        # The interval at 90 % is narrower by the ratio of the quantiles.
        freedom = comparisons.degrees_of_freedom
        narrower = stats.t.ppf(0.95, freedom) / stats.t.ppf(0.975, freedom)
        half = narrower * np.array([one.high - one.low for one in named]) / 2
        distance = np.abs(np.array([one.estimate for one in named]) - true)
        found["covered"].append(np.mean(distance <= half))
        best = comparisons.best
        worse = np.array([one.verdict == "worse" for one in comparisons.with_best()])
        found["wrong_best"].append((worse & (means >= means[best])).sum())
        found["decided"].append((worse & (means < means[best])).sum() / (n_candidates - 1))
    return {name: np.array(values) for name, values in found.items()}


def test_few_claims_about_equal_candidates():
    """Their noise in 5 folds is correlated by 1 / 5, as assumed by Nadeau and Bengio."""
    found = simulate(60, 20, 5, share=1, truth="equal", n_pairs=60)
    assert found["wrong"].mean() <= 0.08
    assert found["covered"].mean() >= 0.86
    assert (found["wrong_best"] > 0).mean() <= 0.15


def test_a_clear_winner_is_found():
    found = simulate(20, 20, 10, share=1, truth="winner", n_pairs=20)
    assert found["named"].mean() > 0.7
    assert found["decided"].mean() > 0.7
    assert (found["wrong_best"] > 0).mean() <= 0.15


@pytest.mark.slow
@pytest.mark.parametrize("truth", ["equal", "spread", "winner"])
@pytest.mark.parametrize("share", [0, 0.5, 1])
@pytest.mark.parametrize("n_candidates", [5, 20])
@pytest.mark.parametrize("n_splits", [3, 5, 10])
def test_claims_and_intervals_hold_as_often_as_they_say(n_splits, n_candidates, share, truth):
    found = simulate(100, n_candidates, n_splits, share, truth)

    def bound(values):  # two standard errors of the mean over the searches
        return 2 * values.std(ddof=1) / np.sqrt(len(values))

    assert found["wrong"].mean() <= 0.05 + bound(found["wrong"])
    assert found["covered"].mean() >= 0.88 - bound(found["covered"])
    is_wrong = (found["wrong_best"] > 0).astype(float)
    assert is_wrong.mean() <= 0.05 + bound(is_wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    "claims",
    ["named", "decided"],
)
def test_a_winner_by_four_errors_is_told_from_most_others(claims):
    assert simulate(300, 20, 10, share=1, truth="winner")[claims].mean() >= 0.8
