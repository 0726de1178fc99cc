import numpy as np
import pytest

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.estimators.mlp import AUTO_BINS
from skscale.inference.column_choice import Residuals, sample_rows
from skscale.inference.encoding import CLIP, DIRECT_FACTOR, fit_encoding


def clip(t):
    return t / np.sqrt(1 + (t / CLIP) ** 2)


def fit(X, targets, weights=None, **options):
    options = {
        "preprocessing": "auto",
        "n_bins": 16,
        "chooses_bins": True,
        "targets": targets,
    } | options
    return fit_encoding(X, {}, np.arange(len(X)), weights, **options)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return np.column_stack([np.exp(rng.standard_normal(2000)), rng.standard_normal((2000, 2))])


NOISE = np.random.default_rng(1).standard_normal(2000)


@pytest.mark.parametrize(
    ("target", "direct", "binned"),
    [
        (lambda X: X[:, 0] + 0.3 * NOISE, [0], []),
        (lambda X: np.column_stack([NOISE, X[:, 0]]), [0], []),
        (lambda X: clip(X[:, 0]) + 0.3 * NOISE, [], []),
        (lambda X: X[:, 1] + np.cos(X[:, 2]) + 0.5 * NOISE, [], []),
        (lambda X: (3 * X[:, 1] + NOISE > 0).astype(int), [], []),
        (lambda X: (X[:, 1] > 1) + 0.3 * NOISE, [], [1]),
        (lambda X: ((X[:, 2] > 1) + 0.3 * NOISE > 0.5).astype(int), [], [2]),
        (lambda X: np.sin(6 * X[:, 2]) + 0.3 * NOISE, [], [2]),
        (lambda X: NOISE, [], []),
        (lambda X: np.zeros(2000), [], []),
        (lambda X: (NOISE > 0).astype(int), [], []),
    ],
    ids=[
        "linear", "linear output of two", "clipped", "smooth", "steep classes", "jump",
        "classes", "oscillation",
        "noise", "constant", "random classes",
    ],
)  # fmt: skip
def test_columns_are_chosen_by_the_targets(rows, target, direct, binned):
    found = fit(rows, target(rows))
    jumps = set(found.binned.tolist())
    assert found.direct.tolist() == direct
    assert (jumps >= set(binned)) if direct else (jumps == set(binned))


def test_columns_without_a_heavy_tail_get_no_direct_input(rows):
    found = fit(rows, 5 * rows[:, 1] + rows[:, 2])
    assert not found.n_direct


@pytest.mark.parametrize("options", [{"preprocessing": None}, {"clips": False}, {"n_bins": 0}])
def test_there_is_no_choice_where_it_was_not_asked_for(rows, options):
    found = fit(rows, (rows[:, 1] > 1) + 0.1 * NOISE, **options)
    assert found is None or not found.n_bins


def test_a_sample_weight_counts_as_equal_rows():
    rng = np.random.default_rng(2)
    inputs, targets = rng.standard_normal((300, 4)), rng.standard_normal((300, 2))
    repeats = rng.integers(1, 4, 300)
    weighed = Residuals(inputs, 3, targets, repeats.astype(float))
    repeated = Residuals(inputs.repeat(repeats, axis=0), 3, targets.repeat(repeats, axis=0))
    np.testing.assert_allclose(weighed.values.repeat(repeats, axis=0), repeated.values)


def test_the_residuals_are_those_of_least_squares():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((500, 2)), rng.standard_normal(500)
    design = np.hstack([np.ones((500, 1)), x, x**2, x**3])
    expected = y - design @ np.linalg.lstsq(design, y)[0]
    np.testing.assert_allclose(Residuals(x, 2, y).values[:, 0], expected, atol=1e-3)


def test_wide_tables_have_too_few_rows_for_a_choice():
    rng = np.random.default_rng(4)
    X = np.exp(rng.standard_normal((1000, 100)))
    jump = (X[:, 1] > 1).astype(float)
    assert not Residuals(X, 100, jump).is_linear_in(X[:, 0])
    for targets in (X[:, 0], jump):
        found = fit(X, targets)
        assert not found.n_direct
        assert not found.n_bins
        assert fit(X[:, :2], targets).n_inputs > 2


def test_large_tables_are_sampled_and_equal_rows_merged():
    X = np.arange(100_000.0)[:, None]
    assert len(sample_rows(X, np.arange(100_000), X, None)[0]) == 1 << 13
    X[7] = X[3]
    chosen, weights = sample_rows(X, np.arange(10), X, np.arange(100_000.0) + 1)
    np.testing.assert_array_equal(chosen, [0, 1, 2, 3, 4, 5, 6, 8, 9])
    np.testing.assert_array_equal(weights, [1, 2, 3, 12, 5, 6, 7, 9, 10])


def test_noise_chooses_no_input():
    rng = np.random.default_rng(5)
    for _ in range(20):
        X = np.exp(rng.standard_normal((300, 5)))
        found = fit(X, rng.standard_t(2, 300))
        assert found.n_direct <= 1
        assert len(found.binned) <= 1


@pytest.mark.parametrize("sigma", [1.0, 1.5])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_linear_target_of_a_heavy_tailed_column_is_found(sigma, depth):
    rng = np.random.default_rng(0)
    x = np.exp(sigma * rng.standard_normal((4000, 1)))
    y = x[:, 0] + 0.3 * rng.standard_normal(4000)
    network = ScaledMLPRegressor(depth=depth, random_state=0).fit(x[:2000], y[:2000])
    noise = 0.09 / y[2000:].var()
    assert network.score(x[2000:], y[2000:]) > 1 - noise - 0.01


@pytest.mark.parametrize("kind", ["direct", "clipped", "classes"])
def test_beyond_the_training_range_the_output_changes_in_one_direction_and_is_finite(kind):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.exp(rng.standard_normal(1000)), rng.standard_normal(1000)])
    y = {
        "direct": X[:, 0] + np.sin(3 * X[:, 1]),
        "clipped": np.sin(X[:, 0]) + np.sin(3 * X[:, 1]),
        "classes": X[:, 0] + X[:, 1] > 2,
    }[kind]
    Network = ScaledMLPClassifier if kind == "classes" else ScaledMLPRegressor
    network = Network(max_epochs=20, random_state=0).fit(X, y)
    assert bool(network.architecture_.n_direct) == (kind == "direct")
    predict = network.predict_proba if kind == "classes" else network.predict
    for column in (0, 1):
        for end, sign in ((X[:, column].max(), 1), (X[:, column].min(), -1)):
            beyond = np.repeat(X[:5], 40, axis=0).reshape(5, 40, 2)
            beyond[:, :, column] = end + sign * np.logspace(-2, 35, 40)
            out = predict(beyond.reshape(200, 2)).reshape(5, 40, -1)
            assert np.isfinite(out).all()
            steps = np.diff(out, axis=1)
            assert ((steps >= 0).all(axis=1) | (steps <= 0).all(axis=1)).all()


def test_direct_inputs_are_scaled_values_without_clipping(rows):
    found = fit(rows, rows[:, 0])
    t = (rows[:, 0] - found.center[0]) * found.scale[0]
    encoded = found.encode(rows, np.float64)
    np.testing.assert_allclose(encoded[:, -1], DIRECT_FACTOR * t / np.sqrt((t**2).mean()))


def test_depth_0_is_linear_in_the_features(rows):
    network = ScaledMLPRegressor(depth=0, random_state=0).fit(rows, rows @ [1.0, -1, 2])
    line = np.linspace(-1e3, 1e3, 21)[:, None] * [1.0, 2, -1]
    out = network.predict(line)
    np.testing.assert_allclose(np.diff(out, 2), 0, atol=1e-6 * np.abs(out).max())


def test_resolution_auto_equals_0_where_no_column_is_chosen(rows):
    y = np.sin(rows[:, 1])
    chosen, none = (
        ScaledMLPRegressor(resolution=r, max_epochs=3, random_state=0).fit(rows, y)
        for r in ("auto", 0)
    )
    assert chosen.resolution_ == 0
    np.testing.assert_array_equal(chosen.predict(rows), none.predict(rows))


def test_resolution_auto_grows_with_phi(rows):
    y = (rows[:, 1] > 1).astype(float)
    network = ScaledMLPRegressor(phi=2, max_epochs=2, random_state=0).fit(rows, y)
    assert network.resolution_ == round(AUTO_BINS * 1.15**2)
