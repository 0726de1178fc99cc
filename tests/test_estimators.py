"""The dense estimators as their users know them."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import make_multilabel_classification, make_regression
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.estimators.auto import resolve_batch_size
from skscale.training.task import DivergedError

FULL_BATCH = {"batch_size": 1_000_000, "early_stopping": False}


def test_depth_zero_is_the_linear_model(digits, diabetes):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    y = (X + 2 * rng.standard_normal((300, 3))).argmax(1)
    settings = {
        "precision": "float64", "weight_decay": 0, "max_epochs": 3000, "random_state": 0,
        "lr_schedule": "cosine", "learning_rate": 0.05, "preprocessing": None, **FULL_BATCH,
    }  # fmt: skip
    linear = ScaledMLPClassifier(0, label_smoothing=0.0, **settings).fit(X, y)
    expected = LogisticRegression(C=np.inf).fit(X, y)
    np.testing.assert_allclose(linear.predict_proba(X), expected.predict_proba(X), atol=1e-3)
    assert linear.complexity_.depth == 0

    X, y = StandardScaler().fit_transform(diabetes[0]), diabetes[1]
    linear = ScaledMLPRegressor(0, **settings).fit(X, y)
    np.testing.assert_allclose(
        linear.predict(X), Ridge(alpha=1e-10).fit(X, y).predict(X), atol=0.2
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_deep_stack_trains_with_residual_connections_where_the_plain_chain_does_not(
    digits, seed
):
    X, y = digits
    settings = {
        "depth": 32, "width": 32, "max_epochs": 6, "batch_size": 128, "early_stopping": False,
        "random_state": seed,
    }  # fmt: skip

    def score(**kinds):
        return ScaledMLPClassifier(**settings, **kinds).fit(X, y).score(X, y)

    assert score(normalization="layer") > 0.95
    assert score() > 0.8
    assert score(residual=False) < 0.6


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array(["b", "a"], dtype=object),
        np.array([False, True]),
        np.array([-1, 1]),
        np.array([3, 7, 5]),
        np.array([0.0, 1.0]),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_of_any_dtype_come_back_in_that_dtype(digits, labels):
    X, y = digits
    y = labels[y % len(labels)]
    fitted = ScaledMLPClassifier(max_epochs=15, random_state=0).fit(X, y)
    predicted = fitted.predict(X)
    assert predicted.dtype == y.dtype
    np.testing.assert_array_equal(fitted.classes_, np.unique(labels))
    assert np.mean(predicted == y) > 0.9
    proba = fitted.predict_proba(X)
    assert proba.shape == (len(X), len(labels))
    np.testing.assert_array_equal(fitted.classes_[proba.argmax(1)], predicted)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), proba, atol=1e-6)
    decision = fitted.decision_function(X)
    if len(labels) == 2:
        assert decision.shape == (len(X),)
        np.testing.assert_array_equal(predicted == fitted.classes_[1], decision > 0)
    else:
        np.testing.assert_array_equal(decision.argmax(1), proba.argmax(1))


def test_multilabel_targets():
    X, y = make_multilabel_classification(400, 20, n_classes=4, random_state=0)
    X = StandardScaler().fit_transform(X)
    fitted = ScaledMLPClassifier(random_state=0, max_epochs=60).fit(X, y)
    assert fitted.predict_proba(X).shape == fitted.decision_function(X).shape == y.shape
    np.testing.assert_array_equal(fitted.predict(X), fitted.predict_proba(X) > 0.5)
    np.testing.assert_allclose(
        np.exp(fitted.predict_log_proba(X)), fitted.predict_proba(X), rtol=1e-5
    )
    assert np.mean(fitted.predict(X) == y) > 0.8
    one_column = ScaledMLPClassifier(random_state=0, max_epochs=3).fit(X, y[:, :2])
    assert one_column.predict(X).shape == (400, 2)


def test_several_columns_of_classes_are_refused_with_the_way_out(digits):
    X, y = digits
    with pytest.raises(ValueError, match=r"Unknown label type.*MultiOutputClassifier"):
        ScaledMLPClassifier().fit(X, np.column_stack([y, y]))


def test_a_regressor_predicts_in_the_shape_and_units_of_y():
    X, y = make_regression(300, 8, n_targets=3, noise=1.0, random_state=0)
    y = y * [1e-6, 1.0, 1e6] + [0.0, -1e3, 1e9]
    settings = {"random_state": 0, "max_epochs": 150, "learning_rate": 0.01}
    many = ScaledMLPRegressor(**settings).fit(X, y)
    assert many.predict(X).shape == (300, 3)
    assert many.score(X, y) > 0.95
    one = ScaledMLPRegressor(**settings).fit(X, y[:, 2])
    assert one.predict(X).shape == (300,)
    assert one.score(X, y[:, 2]) > 0.95
    with pytest.warns(DataConversionWarning):
        column = ScaledMLPRegressor(random_state=0, max_epochs=2).fit(X, y[:, [2]])
    assert column.predict(X).shape == (300,)


def test_a_regressor_computes_in_the_dtype_of_its_input(diabetes):
    X, y = diabetes
    fitted = ScaledMLPRegressor(random_state=0, max_epochs=3).fit(X, y)
    double, single = fitted.predict(X), fitted.predict(X.astype(np.float32))
    assert double.dtype == np.float64
    assert single.dtype == np.float32
    np.testing.assert_allclose(double, single, rtol=1e-5)
    far = ScaledMLPRegressor(random_state=0, max_epochs=3).fit(X, y + 1e9)
    assert far.predict(X.astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(far.predict(X) - 1e9, double, rtol=1e-3)


def test_targets_far_from_zero_or_constant_are_learned(diabetes):
    X, y = diabetes
    constant = ScaledMLPRegressor(random_state=0, max_epochs=2).fit(X, np.full(len(X), 1e8))
    np.testing.assert_array_equal(constant.predict(X), 1e8)
    with pytest.raises(ValueError, match=r"y must be numbers.*datetime64"):
        ScaledMLPRegressor().fit(X, np.arange(len(X)).astype("datetime64[D]"))
    huge = ScaledMLPRegressor(random_state=0, max_epochs=20).fit(X, y * 1e150)
    usual = ScaledMLPRegressor(random_state=0, max_epochs=20).fit(X, y)
    np.testing.assert_allclose(huge.predict(X) / 1e150, usual.predict(X), rtol=1e-3)


def test_equal_weights_are_no_weights_and_their_size_does_not_matter(Estimator, small):
    X, y = small
    plain = Estimator(random_state=0, max_epochs=3).fit(X, y)
    for scale in (1.0, 1e30, 1e-30):
        weighted = Estimator(random_state=0, max_epochs=3).fit(
            X, y, sample_weight=np.full(len(X), scale)
        )
        np.testing.assert_allclose(plain.coefs_[0], weighted.coefs_[0], atol=1e-6)


def test_rows_of_weight_zero_have_no_part_in_a_fit(Estimator, small):
    X, y = small
    weights = np.ones(len(X))
    weights[::5] = 0
    altered = X.copy()
    altered[::5] = 1e6
    first = Estimator(random_state=0, max_epochs=4).fit(X, y, sample_weight=weights)
    second = Estimator(random_state=0, max_epochs=4).fit(altered, y, sample_weight=weights)
    np.testing.assert_array_equal(first.coefs_[0], second.coefs_[0])


def test_classes_without_weight_keep_their_place_and_stay_finite(digits):
    X, y = digits
    fitted = ScaledMLPClassifier(random_state=0, max_epochs=5).fit(
        X, y, sample_weight=(y != 3).astype(float)
    )
    assert len(fitted.classes_) == 10
    assert np.isfinite(fitted.predict_proba(X)).all()
    assert (fitted.predict(X) == 3).mean() < 0.02
    with pytest.raises(ValueError, match="Rows of 1 class only have a positive sample_weight"):
        ScaledMLPClassifier().fit(X, y, sample_weight=(y == 3).astype(float))
    with pytest.raises(ValueError, match="y has 1 class only"):
        ScaledMLPClassifier().fit(X, np.ones(len(X)))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(200), "at least one non-zero"),
        (-np.ones(200), "[Nn]egative"),
        (np.full(200, np.nan), "NaN"),
        (np.ones(3), "shape"),
        (np.ones((200, 2)), "1D"),
    ],
)
def test_bad_weights_are_refused(Estimator, small, weights, message):
    with pytest.raises(ValueError, match=message):
        Estimator(max_epochs=1).fit(*small, sample_weight=weights)


def test_weighted_and_repeated_fits_agree_over_epochs(Estimator, small):
    # In float64: the first gradients of the biases are mere rounding, since the output layer
    # begins at zero, and Adam makes steps of it.
    X, y = small
    counts = np.random.default_rng(0).integers(0, 4, len(X))
    settings = {"random_state": 0, "max_epochs": 30, "precision": "float64", **FULL_BATCH}
    weighted = Estimator(**settings).fit(X, y, sample_weight=counts)
    repeated = Estimator(**settings).fit(X.repeat(counts, axis=0), y.repeat(counts))
    name = "predict_proba" if Estimator is ScaledMLPClassifier else "predict"
    a, b = getattr(weighted, name)(X), getattr(repeated, name)(X)
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())
    unweighted = Estimator(**settings).fit(X, y)
    assert np.abs(getattr(unweighted, name)(X) - a).max() > 1e-2 * np.abs(a).max()


def test_class_weight_equals_sample_weight_of_the_classes(digits):
    X, y = digits
    X, y = X[y < 3], y[y < 3]
    settings = {"random_state": 0, "max_epochs": 4, "early_stopping": False}
    by_class = ScaledMLPClassifier(class_weight={0: 5.0, 2: 0.5}, **settings).fit(X, y)
    by_row = ScaledMLPClassifier(**settings).fit(
        X, y, sample_weight=np.array([5.0, 1.0, 0.5])[y]
    )
    np.testing.assert_allclose(by_class.coefs_[0], by_row.coefs_[0], atol=1e-6)
    labels = np.array(["a", "b", "c"])
    rare = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:5], np.flatnonzero(y == 2)]
    balanced = ScaledMLPClassifier(class_weight="balanced", **settings).fit(
        X[rare], labels[y[rare]]
    )
    assert balanced.predict_proba(X[y == 1])[:, 1].mean() > (
        ScaledMLPClassifier(**settings)
        .fit(X[rare], labels[y[rare]])
        .predict_proba(X[y == 1])[:, 1]
        .mean()
    )


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ("foo", InvalidParameterError, "class_weight"),
        ({0: -1.0}, ValueError, "must hold finite, non-negative numbers"),
        ({0: float("nan")}, ValueError, "must hold finite, non-negative numbers"),
        ({99: 1.0}, ValueError, "not in class_weight"),
    ],
)
def test_bad_class_weights_are_refused(digits, class_weight, error, message):
    with pytest.raises(error, match=message):
        ScaledMLPClassifier(class_weight=class_weight).fit(*digits)


def test_class_weight_of_a_multilabel_target_is_refused():
    X, y = make_multilabel_classification(50, random_state=0)
    with pytest.raises(ValueError, match="needs one class per row, but y is multilabel"):
        ScaledMLPClassifier(class_weight="balanced").fit(X, y)


def test_weights_count_in_score(Estimator, small):
    X, y = small
    fitted = Estimator(random_state=0, max_epochs=3).fit(X, y)
    weights = np.zeros(len(X))
    weights[:50] = 1
    assert fitted.score(X, y, sample_weight=weights) == pytest.approx(
        fitted.score(X[:50], y[:50])
    )


def test_early_stopping_restores_the_best_weights_without_leaking(digits):
    X, y = digits
    settings = {
        "random_state": 0,
        "max_epochs": 200,
        "learning_rate": 0.01,
        "n_iter_no_change": 5,
    }
    fitted = ScaledMLPClassifier(**settings).fit(X, y)
    assert fitted.n_iter_ < 200
    assert fitted.best_epoch_ == fitted.validation_scores_.argmax() + 1
    assert len(fitted.loss_curve_) == len(fitted.validation_scores_) == fitted.n_iter_
    # The rows that a fit holds out: those whose labels do not matter to its weights within
    # an epoch.
    altered = ScaledMLPClassifier(random_state=0, max_epochs=1)
    base = clone(altered).fit(X[:200], y[:200])
    held_out = []
    for row in range(60):
        changed = X[:200].copy()
        changed[row] += 5.0
        if np.array_equal(clone(altered).fit(changed, y[:200]).coefs_[0], base.coefs_[0]):
            held_out.append(row)
    assert 1 <= len(held_out) <= 15


def test_the_validation_score_is_the_negative_mean_loss_of_held_out_rows(digits):
    from skscale.estimators.validation_set import split_rows
    from skscale.training.random import split_random_state

    X, y = digits
    fitted = ScaledMLPClassifier(
        random_state=5, max_epochs=7, label_smoothing=0.0, calibrate=False
    ).fit(X, y)
    _, valid = split_rows(np.arange(len(X)), y, 0.1, split_random_state(5))
    expected = -log_loss(y[valid], fitted.predict_proba(X[valid]))
    assert fitted.validation_scores_[fitted.best_epoch_ - 1] == pytest.approx(
        expected, rel=1e-4
    )


def test_without_early_stopping_all_epochs_run(Estimator, small):
    fitted = Estimator(random_state=0, max_epochs=12, early_stopping=False).fit(*small)
    assert fitted.n_iter_ == fitted.best_epoch_ == 12
    assert np.isnan(fitted.validation_scores_).all()


@pytest.mark.alone
def test_a_time_budget_ends_a_fit(digits):
    fitted = ScaledMLPClassifier(
        max_seconds=0.2, max_epochs=10**6, early_stopping=False, random_state=0
    ).fit(*digits)
    assert 1 <= fitted.n_iter_ < 10**5
    assert 0.1 < fitted.history_["seconds"].sum() < 2
    assert fitted.score(*digits) > 0.5


def test_warm_start_continues_from_the_last_fit(Estimator, small):
    X, y = small
    settings = {"random_state": 0, "early_stopping": False}
    warm = Estimator(max_epochs=10, warm_start=True, **settings).fit(X, y)
    before = warm.loss_curve_[-1]
    warm.fit(X, y)
    cold = Estimator(max_epochs=10, **settings).fit(X, y)
    assert warm.loss_curve_[0] < cold.loss_curve_[0] * 0.8
    assert warm.loss_curve_[-1] < before + 0.01


def test_warm_start_refuses_another_network_other_classes_and_other_columns(Estimator, small):
    X, y = small
    fitted = Estimator(max_epochs=1, warm_start=True, width=8, random_state=0).fit(X, y)
    before = fitted.coefs_[0].copy()
    with pytest.raises(ValueError, match="Expected activation='silu', got activation='relu'"):
        clone_with_state(fitted, activation="relu").fit(X, y)
    with pytest.raises(ValueError, match="is expecting"):
        fitted.fit(X[:, :-1], y)
    bad = (
        (y > y[0]).astype(int) if Estimator is ScaledMLPClassifier else np.column_stack([y, y])
    )
    with pytest.raises(ValueError, match=r"same classes|expected y of 1 columns"):
        fitted.fit(X, bad)
    np.testing.assert_array_equal(fitted.coefs_[0], before)


def clone_with_state(fitted, **parameters):
    import copy

    return copy.deepcopy(fitted).set_params(**parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"depth": -1}, {"depth": 1.5}, {"width": 0}, {"width": -1}, {"width": 8.5},
        {"learning_rate": 0}, {"learning_rate": float("nan")},
        {"weight_decay": float("inf")}, {"weight_decay": -0.1},
        {"l1": -1}, {"dropout": 1.0}, {"batch_size": 0}, {"max_epochs": 0},
        {"activation": "sine"}, {"validation_fraction": 1.5}, {"lr_schedule": "steps"},
        {"precision": "float16"}, {"normalization": "batch"}, {"max_seconds": 0},
        {"n_iter_no_change": 0}, {"residual": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_parameters_are_refused_by_name(Estimator, small, parameters):
    (name,) = parameters
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter"):
        Estimator(**parameters).fit(*small)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"depth": None}, "depth=None needs the width of each hidden layer"),
        ({"depth": 3, "width": (4, 4)}, "describes 2 hidden layers"),
        ({"depth": None, "width": (4, 0)}, "must hold positive ints"),
        ({"depth": None, "width": (4, 2.5)}, "must hold positive ints"),
        ({"device": "tpu"}, "device must be"),
        ({"device": "cpu:x"}, "device must be"),
        ({"callbacks": 3}, "callbacks must be a list"),
        ({"callbacks": [3]}, "Expected skorch callbacks"),
        ({"callbacks": [ProgressBar()]}, "set_callbacks"),
    ],
)
def test_bad_combinations_raise_an_error_with_the_remedy(Estimator, small, parameters, message):
    with pytest.raises(ValueError, match=message):
        Estimator(**parameters).fit(*small)


def test_a_diverged_fit_raises_with_the_epoch_and_the_remedy(Estimator, small):
    X, y = small
    with pytest.raises(DivergedError, match=r"not finite after epoch \d+.*Lower learning_rate"):
        Estimator(learning_rate=1e30, max_epochs=5, random_state=0).fit(X, y)
    with pytest.raises(DivergedError):
        Estimator(
            learning_rate=1e30, max_epochs=5, random_state=0, early_stopping=False,
            normalization="layer",
        ).fit(X, y)  # fmt: skip


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_failed_fit_leaves_the_estimator_unchanged(Estimator, small, error, monkeypatch):
    from skscale.training import stack

    X, y = small
    fitted = Estimator(random_state=0, max_epochs=2).fit(X, y)
    before = {**fitted.__dict__}

    def interrupted(self):
        raise error

    monkeypatch.setattr(stack.Stack, "_advance", interrupted)
    with pytest.raises(error):
        fitted.fit(X[:, :5], y)
    assert fitted.__dict__ == before
    fresh = Estimator()
    with pytest.raises(error):
        fresh.fit(X, y)
    with pytest.raises(NotFittedError):
        fresh.predict(X)


def test_a_refused_input_leaves_a_fitted_estimator_as_it_was(Estimator, small):
    X, y = small
    fitted = Estimator(random_state=0, max_epochs=2).fit(X, y)
    expected = fitted.predict(X)
    for bad_X, bad_y in ((np.full_like(X, np.inf), y), (X[:, :3], y[:-1]), (X[:1], y[:1])):
        with pytest.raises(ValueError, match=r"infinity|inconsistent|1 sample"):
            fitted.fit(bad_X, bad_y)
        np.testing.assert_array_equal(fitted.predict(X), expected)


@pytest.mark.alone
def test_a_control_c_within_a_fit_propagates(tmp_path):
    import signal
    import subprocess
    import sys
    import time

    code = (
        "import numpy as np\n"
        "from skscale import ScaledMLPClassifier\n"
        "from sklearn.model_selection import GridSearchCV\n"
        "X = np.random.default_rng(0).standard_normal((5000, 20)); y = X[:, 0] > 0\n"
        "est = ScaledMLPClassifier(max_epochs=100_000, early_stopping=False, verbose=1)\n"
        "GridSearchCV(est, {'width': [32, 64]}, cv=2).fit(X, y)\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert b"epoch 1/" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, errors = running.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert running.returncode != 0
    assert b"KeyboardInterrupt" in errors


def test_predictions_do_not_follow_parameters_set_after_the_fit(Estimator, small):
    X, y = small
    fitted = Estimator(random_state=0, max_epochs=2).fit(X, y)
    expected = fitted.predict(X)
    fitted.set_params(activation="tanh", normalization=None, residual=False, width=3)
    np.testing.assert_array_equal(fitted.predict(X), expected)


def test_weights_that_are_not_finite_never_predict(Estimator, small):
    X, y = small
    fitted = Estimator(random_state=0, max_epochs=1).fit(X, y)
    fitted.coefs_[-1][0, 0] = np.nan
    with pytest.raises(ValueError, match="output is not finite"):
        fitted.predict(X)


def test_rows_too_large_to_normalize_are_refused(digits):
    X, y = digits
    fitted = ScaledMLPClassifier(
        normalization="layer", preprocessing=None, random_state=0, max_epochs=1
    ).fit(X, y)
    with pytest.raises(ValueError, match="output is not finite"):
        fitted.predict(X * np.float32(1e25))


def test_batches_grow_with_the_rows():
    assert [resolve_batch_size("auto", n) for n in (10, 1000, 10**5, 10**8)] == [
        8,
        64,
        512,
        1024,
    ]
    assert resolve_batch_size(77, 10) == 77


def test_dropout_comes_by_itself_where_columns_outnumber_rows():
    X = np.random.default_rng(0).normal(size=(120, 130))
    y = X[:, 0] > 0
    settings = {"max_epochs": 2, "random_state": 0, "width": 8}
    wide = ScaledMLPClassifier(**settings).fit(X, y)
    assert wide.dropout_ == 0.4
    assert wide.net_.module_.dropout.p == 0.4
    # Of 120 rows 108 are trained on; bins are not columns; fewer than 100 are never wide.
    assert ScaledMLPClassifier(**settings).fit(X[:, :109], y).dropout_ == 0.4
    tall = ScaledMLPClassifier(resolution=8, **settings).fit(X[:, :108], y)
    assert tall.dropout_ == 0.0
    assert ScaledMLPClassifier(**settings).fit(X[:50, :99], y[:50]).dropout_ == 0.0
    assert ScaledMLPClassifier(dropout=0.1, **settings).fit(X, y).dropout_ == 0.1
    assert ScaledMLPClassifier(**settings).partial_fit(X[:9], y[:9], [0, 1]).dropout_ == 0.0
    same = ScaledMLPClassifier(dropout=0.4, **settings).fit(X, y)
    np.testing.assert_array_equal(wide.predict_proba(X), same.predict_proba(X))


REGULARISED = {"random_state": 0, "max_epochs": 20, "early_stopping": False, "width": 32}


@pytest.mark.parametrize(
    "others", [{}, {"dropout": 0.2}, {"l1": 0.02}, {"l1": 0.02, "dropout": 0.2}]
)
def test_weight_decay_shrinks_weights_with_and_without_the_others(digits, others):
    def norm(weight_decay):
        fitted = ScaledMLPClassifier(weight_decay=weight_decay, **others, **REGULARISED)
        return sum((c**2).sum() for c in fitted.fit(*digits).coefs_)

    norms = [norm(w) for w in (0.0, 1.0, 5.0)]
    assert norms[0] > norms[1] > norms[2]


@pytest.mark.parametrize(
    "others",
    [{}, {"dropout": 0.2}, {"weight_decay": 1.0}, {"weight_decay": 1.0, "dropout": 0.2}],
)
def test_l1_makes_exact_zeros_with_and_without_the_others(digits, others):
    def count_zeros(l1):
        found = ScaledMLPClassifier(l1=l1, **others, **REGULARISED).fit(*digits).complexity_
        return found.n_parameters - found.n_nonzero

    # Pixels that are zero in every row have no gradient: only the penalty moves them.
    zeros = [count_zeros(penalty) for penalty in (0.0, 0.05, 0.3)]
    assert zeros[0] <= 1 < zeros[1] < zeros[2]


@pytest.mark.parametrize("others", [{}, {"l1": 0.02}, {"weight_decay": 1.0}])
def test_dropout_keeps_the_network_from_learning_rows_by_heart(digits, others):
    X, y = digits[0][:300], digits[1][:300]
    # Labels without sense can be learned by heart only.
    y = np.random.default_rng(0).permutation(y)

    def remembered(dropout):
        network = ScaledMLPClassifier(dropout=dropout, **others, **REGULARISED)
        return network.set_params(max_epochs=60).fit(X, y).score(X, y)

    scores = [remembered(d) for d in (0.0, 0.4, 0.8)]
    assert scores[0] > scores[1] > scores[2]
