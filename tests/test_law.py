"""The scaling law, on scores drawn from one."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from skscale import ScaledMLPClassifier, ScalingLaw, cost_scoring

SIZES = 100.0 * 2 ** np.arange(6)


def drawn(seed=0, a=0.9, b=-3.0, c=0.8, noise=0.0, sizes=SIZES, n_splits=5, folds=0.1):
    """Scores of a law, with hard and easy folds and the luck of each network in each fold."""
    rng = np.random.default_rng(seed)
    table = (a + b * sizes**-c)[:, None] + folds * rng.standard_normal(n_splits)
    return table + noise * rng.standard_normal(table.shape)


@pytest.mark.parametrize("b", [-3.0, 2.0])
@pytest.mark.parametrize("c", [0.1, 0.37, 1.0, 1.7])
def test_a_law_without_noise_is_recovered(b, c):
    table = drawn(b=b, c=c, folds=0)
    law = ScalingLaw.from_scores(SIZES[::-1], table[::-1])
    np.testing.assert_allclose([law.a, law.b, law.c], [0.9, b, c], rtol=1e-4)
    np.testing.assert_allclose(law.predict(SIZES), table.mean(axis=1), atol=1e-8)
    expected = b * ((2 * SIZES[-1]) ** -c - SIZES[-1] ** -c)
    assert law.gain().mean == pytest.approx(expected, abs=1e-7)
    assert law.noise == pytest.approx(0, abs=1e-7)


def test_hard_folds_widen_no_interval():
    easy, hard = (ScalingLaw.from_scores(SIZES, drawn(folds=f, noise=0.01)) for f in (0, 10))
    assert hard.noise == pytest.approx(easy.noise)
    np.testing.assert_allclose(
        np.subtract(*hard.gain()[:0:-1]), np.subtract(*easy.gain()[:0:-1]), rtol=1e-6
    )


def test_the_noise_is_that_of_the_mean_over_the_folds():
    noises = [ScalingLaw.from_scores(SIZES, drawn(s, noise=0.02)).noise for s in range(60)]
    assert np.sqrt(np.mean(np.square(noises))) == pytest.approx(0.02 / np.sqrt(5), rel=0.1)


def test_a_weak_candidate_does_not_bend_the_law():
    """A wide network of one layer may be the only one of its size, and worse than others."""
    table = drawn(noise=0.003, c=0.5, b=-1.0)
    good = ScalingLaw.from_scores(SIZES, table)
    for position in range(1, 6):
        weak = table.copy()
        weak[position] -= 0.1
        bent = ScalingLaw.from_scores(SIZES, weak)
        assert bent.weights[position] < 0.1
        others = np.arange(6) != position
        np.testing.assert_allclose(
            bent.predict(SIZES)[others], good.predict(SIZES)[others], atol=0.01
        )


def test_a_forecast_does_not_contradict_larger_candidates():
    """Fault B4: a loss was forecast where candidates of 46 times the size score the same."""
    sizes = np.array([71, 160, 350, 800, 1300, 2593, 5200, 12000, 40000, 118000])
    means = [0.60, 0.70, 0.735, 0.752, 0.76, 0.7864, 0.755, 0.76, 0.784, 0.7885]
    rng = np.random.default_rng(0)
    table = np.array(means)[:, None] + 0.004 * rng.standard_normal((10, 5))
    table += np.array(means)[:, None] - table.mean(axis=1, keepdims=True)
    law = ScalingLaw.from_scores(sizes, table)
    gain = law.gain(n_from=2593)
    assert gain.low < 0 < gain.high
    assert gain.mean == pytest.approx(0.784 - 0.7864, abs=0.003)


@pytest.mark.parametrize("n_known", [4, 6])
def test_eighty_percent_intervals_hold_about_so_often(n_known):
    """Of the gain that a next network finds, 80 % within the error of 150 trials."""
    sizes = 100.0 * 2 ** np.arange(n_known + 1)
    held = []
    for seed in range(150):
        table = drawn(seed, noise=0.01, sizes=sizes, c=0.5, b=-1.0)
        law = ScalingLaw.from_scores(sizes[:-1], table[:-1])
        found = table[-1].mean() - table[-2].mean()
        _, low, high = law.gain()
        held.append(low <= found <= high)
    assert 0.7 < np.mean(held) < 0.9


def test_a_higher_level_has_a_wider_interval_around_the_narrower():
    law = ScalingLaw.from_scores(SIZES, drawn(noise=0.01))
    narrow, wide = law.gain(level=0.5), law.gain(level=0.95)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.mean == narrow.mean
    low, high = law.interval([400, 6400])
    assert low.shape == high.shape == (2,)
    assert law.interval(6400) == (low[1], high[1])
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 80"):
        law.gain(level=80)


def test_gains_are_from_the_measured_scores_or_else_from_the_law():
    law = ScalingLaw.from_scores(SIZES, drawn(noise=0.001))
    assert law.gain() == law.gain(3200, 6400)
    # Twice 400 was searched, too: the law does not contradict it.
    assert law.gain(400).mean == pytest.approx(law.scores[3] - law.scores[2])
    # Without an observed size, the residuals of the neighbors are interpolated.
    residual = law.scores - law.predict(SIZES)
    near = [law.predict(n) + np.interp(np.log(n), np.log(SIZES), residual) for n in (500, 1000)]
    assert law.gain(500).mean == pytest.approx(near[1] - near[0])
    # The residual fades beyond the largest size.
    at_least = law.predict(6400) - law.scores[-1]
    assert law.gain().mean == pytest.approx(at_least)
    assert law.gain(500, 500).mean == 0
    # Two networks, two times the luck.
    low, high = law.gain(500, 500)[1:]
    assert high - low == pytest.approx(2 * 1.2816 * np.sqrt(2) * law.noise, rel=0.1)


def test_the_best_of_each_size_counts():
    """Worse candidates of each size change nothing."""
    table = drawn(noise=0.001)
    alone = ScalingLaw.from_scores(SIZES, table)
    sizes, both = np.concatenate([SIZES, SIZES]), np.vstack([table - 0.1, table])
    together = ScalingLaw.from_scores(sizes, both)
    np.testing.assert_allclose(together.scores, alone.scores)
    assert together.gain() == alone.gain()


def test_many_equal_candidates_of_one_size_are_no_better_than_one():
    """The maximum of twenty equal candidates would lie 1.87 standard errors too high."""
    rng = np.random.default_rng(0)
    sizes = np.repeat([100, 200, 400], [1, 1, 20])
    highest = [
        ScalingLaw.from_scores(sizes, rng.standard_normal((22, 5)) / 10).scores[-1]
        for _ in range(300)
    ]
    standard_error = 0.1 / np.sqrt(5)
    assert np.mean(highest) == pytest.approx(0, abs=0.2 * standard_error)


def test_sizes_that_are_nearly_one_are_one():
    sizes = [100, 140, 200, 400, 500]
    table = drawn(sizes=np.array(sizes, dtype=float))
    law = ScalingLaw.from_scores(sizes, table)
    np.testing.assert_allclose(law.n_parameters, [140, 200, 500])
    with pytest.raises(ValueError, match=r"at least 3 sizes.*got 2\. Search over more widths"):
        ScalingLaw.from_scores(sizes[:3], table[:3])


def test_a_seed_gives_one_result_and_the_global_generator_is_left_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    table = drawn(noise=0.01)
    laws = [ScalingLaw.from_scores(SIZES, table, random_state=s) for s in (0, 0, 1)]
    assert laws[0].gain() == laws[1].gain() != laws[2].gain()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("sizes", "scores", "message"),
    [
        ([1, 2, 3], [1, 2, 3], r"scores of shape \(n_candidates, n_splits\), got \(3,\)"),
        ([1, 2, 4, 8], np.ones((3, 2)), r"got \(4,\) and \(3, 2\)"),
        ([1, 2, 4], np.ones((3, 1)), r"at least 2 splits.*got 1\. Search with cv=5"),
        ([0, 2, 4], np.ones((3, 2)), "Expected positive finite sizes"),
        ([1, 2, 4], np.full((3, 2), np.nan), r"got others for the candidates \[0, 1, 2\]"),
    ],
)
def test_invalid_sizes_and_scores_raise_errors(sizes, scores, message):
    with pytest.raises(ValueError, match=message):
        ScalingLaw.from_scores(sizes, scores)


def test_a_law_of_a_search_is_that_of_its_candidates():
    search = GridSearchCV(
        ScaledMLPClassifier(depth=1, max_epochs=5, random_state=0), {"width": [2, 4, 8, 16]},
        scoring=cost_scoring(costs=["n_parameters"]), refit=False, cv=3,
    ).fit(*load_iris(return_X_y=True))  # fmt: skip
    law = ScalingLaw.from_cv_results(search)
    results = search.cv_results_
    np.testing.assert_allclose(law.n_parameters, results["mean_test_n_parameters"])
    np.testing.assert_allclose(law.scores, results["mean_test_score"])
    # Candidates whose size is not known, and failed ones, do not count.
    table = {k: np.append(v, np.nan) for k, v in results.items() if "test" in k}
    again = ScalingLaw.from_cv_results({**table, "params": [{}] * 5})
    assert again.gain() == law.gain()
