"""Validation rows of one's own: X_val, y_val, sample_weight_val."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.estimators.validation_set import split_rows
from skscale.training.random import split_random_state


@pytest.fixture
def network(Estimator):
    return Estimator(
        width=16, max_epochs=30, learning_rate=0.01, n_iter_no_change=3, precision="float64",
        random_state=0,
    )  # fmt: skip


def test_given_rows_stop_as_the_same_rows_split_off_do(Estimator, network, small):
    X, y = small
    strata = y if Estimator is ScaledMLPClassifier else None
    train, valid = split_rows(np.arange(len(X)), strata, 0.1, split_random_state(0))
    split = clone(network).fit(X, y)
    given = clone(network).fit(X[train], y[train], X_val=X[valid], y_val=y[valid])
    for a, b in zip(split.coefs_, given.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert split.best_epoch_ == given.best_epoch_
    np.testing.assert_allclose(split.validation_scores_, given.validation_scores_, rtol=1e-6)
    # All rows of X are trained on.
    assert given.n_samples_seen_ == len(train)


@pytest.mark.parametrize("kind", ["array", "list", "sparse", "mixed", "frame"])
def test_they_come_as_anything_X_comes_as(network, small, kind):
    pd = pytest.importorskip("pandas")
    X, y = small
    expected = clone(network).fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    names = [f"x{i}" for i in range(X.shape[1])]
    if kind in ("sparse", "mixed"):  # which is taken as it is
        network.set_params(preprocessing=None)
        expected = clone(network).fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    convert = {
        "array": lambda rows: rows,
        "list": lambda rows: rows.tolist(),
        "sparse": sp.csc_array,
        "mixed": lambda rows: sp.csr_array(rows) if len(rows) == 150 else rows,
        "frame": lambda rows: pd.DataFrame(rows, columns=names),
    }[kind]
    got = clone(network).fit(
        convert(X[:150]), y[:150], X_val=convert(X[150:]), y_val=list(y[150:])
    )
    np.testing.assert_allclose(got.coefs_[0], expected.coefs_[0], rtol=1e-6, atol=1e-9)
    if kind == "mixed":
        dense = clone(network).fit(X[:150], y[:150], X_val=sp.csr_array(X[150:]), y_val=y[150:])
        np.testing.assert_allclose(dense.coefs_[0], expected.coefs_[0], rtol=1e-6, atol=1e-9)


def test_their_weights_count(network, small):
    X, y = small
    weights = np.ones(50)
    weights[::2] = 0
    weighted = clone(network).fit(
        X[:150], y[:150], X_val=X[150:], y_val=y[150:], sample_weight_val=weights
    )
    half = clone(network).fit(X[:150], y[:150], X_val=X[151::2], y_val=y[151::2])
    np.testing.assert_allclose(weighted.validation_scores_, half.validation_scores_, rtol=1e-6)
    whole = clone(network).fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    assert not np.allclose(whole.validation_scores_[:3], half.validation_scores_[:3])


def test_class_weights_count_in_them(digits):
    X, y = digits[0][:400], digits[1][:400] > 7
    network = ScaledMLPClassifier(width=8, max_epochs=3, random_state=0, precision="float64")
    class_weight = {False: 1.0, True: 5.0}
    by_class = clone(network).set_params(class_weight=class_weight)
    by_class.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    weights = np.where(y, 5.0, 1.0)
    by_row = clone(network).fit(
        X[:300], y[:300], weights[:300],
        X_val=X[300:], y_val=y[300:], sample_weight_val=weights[300:],
    )  # fmt: skip
    np.testing.assert_allclose(
        by_class.validation_scores_, by_row.validation_scores_, rtol=1e-6
    )


def test_through_skorchs_loop(network, small):
    from skorch.callbacks import Callback

    X, y = small
    data = {"X_val": X[150:], "y_val": y[150:], "sample_weight_val": np.linspace(0.1, 1, 50)}
    engine = clone(network).fit(X[:150], y[:150], **data)
    through = clone(network).set_params(callbacks=[Callback()]).fit(X[:150], y[:150], **data)
    np.testing.assert_allclose(through.coefs_[0], engine.coefs_[0], atol=1e-8)
    np.testing.assert_allclose(through.validation_scores_, engine.validation_scores_, rtol=1e-6)


def test_a_pipeline_transforms_them_as_it_does_X(network, small, Estimator):
    X, y = small
    with sklearn.config_context(enable_metadata_routing=True):
        model = Pipeline(
            [
                ("scale", StandardScaler()),
                ("net", clone(network).set_fit_request(X_val=True, y_val=True)),
            ],
            transform_input=["X_val"],
        ).fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    scaler = StandardScaler().fit(X[:150])
    expected = clone(network).fit(
        scaler.transform(X[:150]), y[:150], X_val=scaler.transform(X[150:]), y_val=y[150:]
    )
    np.testing.assert_array_equal(model[-1].coefs_[0], expected.coefs_[0])


def test_a_shift_and_the_scale_of_the_target_are_those_of_the_training_rows():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 3)), rng.standard_normal(200)
    X[:, 0] += 1e7
    y += 1e6
    network = ScaledMLPRegressor(width=8, max_epochs=3, random_state=0)
    network.fit(X[:150], y[:150], X_val=X[150:] * 1.001, y_val=y[150:] + 5)
    np.testing.assert_allclose(network.target_mean_, y[:150].mean())
    assert network.encoding_.center[0] == np.sort(X[:150, 0])[74]
    assert np.isfinite(network.validation_scores_).all()


def test_inconsistent_validation_sets_are_refused_without_changes(Estimator, network, small):
    X, y = small
    network.fit(X, y)
    before = network.coefs_[0]
    for given, message in (
        ({"X_val": X}, "X_val is provided, but y_val was not"),
        ({"y_val": y}, "y_val is provided, but X_val was not"),
        ({"sample_weight_val": np.ones(200)}, "sample_weight_val is provided, but X_val"),
        ({"X_val": X[:, :3], "y_val": y}, "X has 3 features, but"),
        ({"X_val": X, "y_val": y[:5]}, "inconsistent numbers of samples"),
        ({"X_val": X[:0], "y_val": y[:0]}, "0 sample"),
        ({"X_val": np.full_like(X, np.inf), "y_val": y}, "infinity"),
        ({"X_val": X, "y_val": y, "sample_weight_val": np.zeros(200)}, "weight"),
        ({"X_val": X, "y_val": y, "sample_weight_val": -np.ones(200)}, "[Nn]egative"),
    ):
        with pytest.raises(ValueError, match=message):
            network.fit(X, y, **given)
    with pytest.raises(ValueError, match="Set early_stopping=True, or leave them out"):
        clone(network).set_params(early_stopping=False).fit(X, y, X_val=X, y_val=y)
    if Estimator is ScaledMLPClassifier:
        with pytest.raises(ValueError, match=r"`y_val` has classes not in `self.classes_`"):
            network.fit(X, y, X_val=X, y_val=y + 100)
    assert network.coefs_[0] is before


def test_y_val_needs_as_many_columns_as_y():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 3)), rng.standard_normal(200)
    both = np.column_stack([y, -y])
    network = ScaledMLPRegressor(width=8, max_epochs=2, random_state=0)
    for target, held_out, message in ((both, y, "expected 2, got 1"), (y, both, "1, got 2")):
        with pytest.raises(ValueError, match=f"y_val must have as many columns.*{message}"):
            network.fit(X, target, X_val=X[:50], y_val=held_out[:50])
    network.fit(X, both).fit(X, y, X_val=X[:50], y_val=y[:50])
    network.fit(X, both, X_val=X[:50], y_val=both[:50])
    assert network.predict(X).shape == both.shape


def test_networks_with_validation_rows_of_unequal_number_stay_in_one_stack():
    import joblib

    from skscale.fusion import last_fused_run

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4000, 3)), rng.standard_normal(4000)
    networks = [
        ScaledMLPRegressor(
            depth=1, width=512, max_epochs=2, random_state=k, precision="float64"
        )
        for k in range(2)
    ]
    sizes = [3, 3000]  # more than a chunk of the validation

    def fit(network, n):
        return clone(network).fit(X[:500], y[:500], X_val=X[:n], y_val=y[:n])

    with joblib.parallel_config(backend="skscale"):
        together = joblib.Parallel()(
            joblib.delayed(fit)(*pair) for pair in zip(networks, sizes, strict=True)
        )
    assert last_fused_run().stack_sizes == [2]
    for one, network, n in zip(together, networks, sizes, strict=True):
        alone = fit(network, n)
        np.testing.assert_allclose(one.validation_scores_, alone.validation_scores_, 1e-5)
