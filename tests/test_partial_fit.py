"""Data that comes in pieces."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from skscale import ScaledMLPClassifier, ScaledMLPRegressor


@pytest.fixture
def network(Estimator):
    return Estimator(width=16, precision="float64", random_state=0)


def first_call(Estimator, y):
    return {"classes": np.unique(y)} if Estimator is ScaledMLPClassifier else {}


def test_one_call_is_one_epoch_of_fit(Estimator, network, small):
    X, y = small
    once = clone(network).partial_fit(X, y, **first_call(Estimator, y))
    # A pass takes a fifth of the learning rate.
    fitted = clone(network).set_params(
        max_epochs=1, early_stopping=False, lr_schedule="constant", learning_rate=0.2 * 0.08
    )
    fitted.fit(X, y)
    for a, b in zip(once.coefs_, fitted.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert once.n_samples_seen_ == len(X)
    assert once.n_iter_ == len(once.loss_curve_) == 1


def test_calls_on_all_rows_are_epochs_of_fit_the_optimiser_included(Estimator, network, small):
    # In batches of all rows their order does not matter.
    X, y = small
    network.set_params(batch_size=1000, l1=1e-3)
    stream = clone(network)
    for _ in range(5):
        stream.partial_fit(X, y, **first_call(Estimator, y))
    fitted = clone(network).set_params(
        max_epochs=5, early_stopping=False, lr_schedule="constant", learning_rate=0.2 * 0.08
    )
    fitted.fit(X, y)
    for a, b in zip(stream.coefs_, fitted.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_stream_is_learned_in_pieces(Estimator, small):
    X, y = small
    stream = Estimator(random_state=0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        rows = rng.permutation(len(X))
        for piece in np.array_split(rows, 7):
            stream.partial_fit(X[piece], y[piece], **first_call(Estimator, y))
    assert stream.n_samples_seen_ == 30 * len(X)
    whole = Estimator(random_state=0, max_epochs=30, early_stopping=False).fit(X, y)
    assert stream.score(X, y) > 0.9 * whole.score(X, y)


def test_every_call_takes_the_rows_in_an_order_of_its_own(
    Estimator, network, small, monkeypatch
):
    from skscale.training.feed import Feed

    seen = []
    real = Feed.next_rows

    def watched(self, n_steps, n_rows):
        rows = real(self, n_steps, n_rows)
        seen.append(rows.copy())
        return rows

    monkeypatch.setattr(Feed, "next_rows", watched)
    X, y = small
    network.set_params(batch_size=50)
    for _ in range(3):
        network.partial_fit(X, y, **first_call(Estimator, y))
    orders = np.concatenate(seen).reshape(3, len(X))
    assert (np.sort(orders) == np.arange(len(X))).all()
    assert not (orders[0] == orders[1]).all()
    assert not (orders[1] == orders[2]).all()


def test_a_pickle_excludes_the_optimizer_and_continues(Estimator, network, small):
    X, y = small
    network.partial_fit(X, y, **first_call(Estimator, y))
    (state,) = network._continuation.optimizer_states
    assert state.n_steps == len(np.array_split(X, -(-len(X) // 16)))
    data = pickle.dumps(network)
    again = pickle.loads(data)
    assert again._continuation.optimizer_states is None
    fitted = clone(network).set_params(max_epochs=1).fit(X, y)
    assert len(data) < 1.1 * len(pickle.dumps(fitted))
    # Within the process a copy keeps it.
    kept = copy.deepcopy(network)
    for one in (network, again, kept):
        one.partial_fit(X, y)
    for a, b, c in zip(network.coefs_, again.coefs_, kept.coefs_, strict=True):
        np.testing.assert_array_equal(a, c)
        assert not np.array_equal(a, b)
    assert again._continuation.optimizer_states[0].n_steps == state.n_steps
    assert network._continuation.optimizer_states[0].n_steps == 2 * state.n_steps


def test_partial_fit_continues_a_fit_and_fit_starts_again(Estimator, network, small):
    X, y = small
    network.set_params(max_epochs=20).fit(X, y)
    before = network.score(X, y)
    network.partial_fit(X, y)
    assert network.score(X, y) > before - 0.1
    assert network.n_samples_seen_ == 2 * len(X)
    anew = clone(network).fit(X, y)
    network.fit(X, y)
    assert network._continuation.optimizer_states is None
    for a, b in zip(network.coefs_, anew.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_are_compared_over_calls_and_their_size_does_not_matter(
    Estimator, network, small
):
    X, y = small
    halves = [(X[:100], y[:100]), (X[100:], y[100:])]

    def stream(*sizes):
        one = clone(network)
        for (piece, target), size in zip(halves, sizes, strict=True):
            one.partial_fit(
                piece, target, sample_weight=np.full(100, size), **first_call(Estimator, y)
            )
        return one.coefs_[0]

    plain = clone(network)
    for piece, target in halves:
        plain.partial_fit(piece, target, **first_call(Estimator, y))
    np.testing.assert_allclose(stream(1.0, 1.0), plain.coefs_[0])
    np.testing.assert_allclose(stream(1e30, 1e30), plain.coefs_[0])
    # A second half that hardly weighs anything hardly moves what the first has learned.
    only = clone(network).partial_fit(*halves[0], **first_call(Estimator, y)).coefs_[0]
    moved = [np.abs(stream(1.0, w) - only).mean() for w in (1e-4, 1.0)]
    assert moved[0] < moved[1]
    with pytest.raises(ValueError, match="weight"):
        network.partial_fit(X, y, sample_weight=np.zeros(200), **first_call(Estimator, y))


def test_rows_of_weight_zero_have_no_part(Estimator, network, small):
    X, y = small
    weights = np.ones(len(X))
    weights[::3] = 0
    weighted = clone(network).partial_fit(
        X, y, sample_weight=weights, **first_call(Estimator, y)
    )
    plain = clone(network).partial_fit(
        X[weights > 0], y[weights > 0], **first_call(Estimator, y)
    )
    for a, b in zip(weighted.coefs_, plain.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert weighted.n_samples_seen_ == plain.n_samples_seen_


def test_classes_are_required_first_and_fixed(digits):
    X, y = digits
    names = np.array(list("jihgfedcba"))[y]
    network = ScaledMLPClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        network.partial_fit(X, names)
    assert not hasattr(network, "classes_")
    for _ in range(20):
        for part in range(10):  # one class a call
            network.partial_fit(X[y == part], names[y == part], classes=list("abcdefghij"))
    assert network.score(X, names) > 0.2
    before = network.coefs_[0]
    with pytest.raises(ValueError, match="not the same as on last call"):
        network.partial_fit(X, names, classes=list("abc"))
    with pytest.raises(ValueError, match=r"classes not in `self.classes_`.*also \['z'\]"):
        network.partial_fit(X[:2], ["a", "z"])
    with pytest.raises(ValueError, match="features"):
        network.partial_fit(X[:, :3], names)
    with pytest.raises(ValueError, match=r"got widths=.7, 7."):
        network.set_params(width=7).partial_fit(X, names)
    assert network.coefs_[0] is before


def test_multilabel_and_balanced_and_callbacks(digits):
    X, y = digits
    labels = np.stack([y % 2 == 0, y > 4, y % 3 == 0], axis=1).astype(int)
    network = ScaledMLPClassifier(random_state=0)
    for _ in range(10):
        network.partial_fit(X, labels, classes=[0, 1, 2])
    assert network.score(X, labels) > 0.8
    with pytest.raises(ValueError, match="indicator matrix of 3 columns"):
        network.partial_fit(X, y)
    with pytest.raises(ValueError, match='"balanced" needs all rows at once'):
        ScaledMLPClassifier(class_weight="balanced").partial_fit(X, y, classes=range(10))
    with pytest.raises(ValueError, match="runs no skorch callbacks"):
        ScaledMLPClassifier(callbacks=["anything"]).partial_fit(X, y, classes=range(10))
    network = ScaledMLPClassifier(class_weight={0: 0.0, 1: 1.0}, random_state=0)
    with pytest.raises(ValueError, match="No row has a positive weight"):
        network.partial_fit(X[y == 0], y[y == 0], classes=[0, 1])


def test_the_target_is_followed_and_predictions_stay(diabetes):
    X, y = diabetes
    # Without preprocessing, whose training range grows with the stream.
    options = {"preprocessing": None, "precision": "float64", "random_state": 0}
    network = ScaledMLPRegressor(**options)
    constant = np.full(100, 7.0)
    network.partial_fit(X[:100], constant)
    np.testing.assert_array_equal(network.predict(X), 7.0)
    seen = [constant]
    for rows, scale in (([100, 101], 1.0), (slice(200), 1e3), (slice(200, 442), 1e-2)):
        seen.append(y[rows] * scale)
        # What the output layer is rescaled to, before anything is learned.
        still = copy.deepcopy(network).set_params(learning_rate=1e-300)
        before = still.predict(X)
        still.partial_fit(X[rows], y[rows] * scale)
        np.testing.assert_allclose(still.predict(X), before, rtol=1e-9)
        network.partial_fit(X[rows], y[rows] * scale)
        np.testing.assert_allclose(network.target_mean_, np.concatenate(seen).mean())
        np.testing.assert_allclose(network.target_scale_, np.concatenate(seen).std())


def test_rates_are_followed_and_predictions_stay(diabetes):
    X, y = diabetes
    options = {"preprocessing": None, "precision": "float64", "random_state": 0}
    network = ScaledMLPRegressor(loss="poisson", **options)
    network.partial_fit(X[:100], y[:100])
    still = copy.deepcopy(network).set_params(learning_rate=1e-300)
    before = still.predict(X)
    still.partial_fit(X[:50], y[:50] * 100)
    np.testing.assert_allclose(still.predict(X), before, rtol=1e-9)
    np.testing.assert_allclose(still.target_scale_, (y[:100].sum() + 100 * y[:50].sum()) / 150)


def test_several_outputs_and_their_number(diabetes):
    X, y = diabetes
    both = np.column_stack([y, -y])
    network = ScaledMLPRegressor(random_state=0)
    for _ in range(30):
        network.partial_fit(X * 20, both)
    assert network.score(X * 20, both) > 0.5
    with pytest.raises(ValueError, match="expected y of 2 columns, got 1"):
        network.partial_fit(X, y)


def test_streams_train_together(digits):
    X, y = digits
    networks = [
        ScaledMLPClassifier(width=8, random_state=k, precision="float64") for k in range(3)
    ]

    def learn(network, pieces):
        network = copy.deepcopy(network)
        for rows in np.array_split(np.arange(600), pieces):
            network.partial_fit(X[rows], y[rows], classes=range(10))
        return network

    expected = [learn(n, pieces=k + 1) for k, n in enumerate(networks)]
    with joblib.parallel_config(backend="skscale"):
        together = joblib.Parallel()(
            joblib.delayed(learn)(n, pieces=k + 1) for k, n in enumerate(networks)
        )
    for one, alone in zip(together, expected, strict=True):
        np.testing.assert_allclose(one.coefs_[0], alone.coefs_[0], rtol=1e-10, atol=1e-12)


def test_a_diverged_call_leaves_the_network_as_it_was(Estimator, network, small):
    X, y = small
    network.partial_fit(X, y, **first_call(Estimator, y))
    network.set_params(learning_rate=1e30)
    before = dict(vars(network))
    with pytest.raises(ValueError, match="diverged"):
        network.partial_fit(X, y)
    assert vars(network).keys() == before.keys()
    assert all(vars(network)[name] is value for name, value in before.items())


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_the_targets_moments_are_those_of_all_weighted_rows(loss):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 4)), rng.poisson(5, 300).astype(float)
    y[100:] += 20
    weights = rng.uniform(0.5, 1.5, 300)
    weights[100:200] *= 10
    weights[200:] *= 0.1
    network = ScaledMLPRegressor(random_state=0, loss=loss)
    for i in (0, 100, 200):
        piece = slice(i, i + 100)
        network.partial_fit(X[piece], y[piece], sample_weight=weights[piece])
        seen = slice(0, i + 100)
        mean = np.average(y[seen], weights=weights[seen])
        if loss == "poisson":
            np.testing.assert_allclose(network.target_scale_, mean)
            continue
        variance = np.average((y[seen] - mean) ** 2, weights=weights[seen])
        np.testing.assert_allclose(network.target_mean_, mean)
        np.testing.assert_allclose(network.target_scale_, np.sqrt(variance))


def test_counts_may_begin_with_zeros():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 1))
    y = rng.poisson(np.exp(X[:, 0])).astype(float)
    network = ScaledMLPRegressor(random_state=0, loss="poisson", depth=1, width=16)
    network.partial_fit(X[:20], np.zeros(20)).partial_fit(X[:20], np.zeros(20))
    for _ in range(10):
        network.partial_fit(X, y)
    predicted = network.predict(X)
    np.testing.assert_allclose(predicted.mean(), y.mean(), rtol=0.1)
    assert np.corrcoef(predicted, np.exp(X[:, 0]))[0, 1] > 0.95


def test_parameters_are_looked_at_in_every_call(Estimator, network, small):
    X, y = small
    network.partial_fit(X, y, **first_call(Estimator, y))
    for name, value in (("learning_rate", -1.0), ("dropout", 1.5), ("batch_size", 0)):
        before = getattr(network, name)
        network.set_params(**{name: value})
        with pytest.raises(ValueError, match=f"The '{name}' parameter"):
            network.partial_fit(X, y)
        network.set_params(**{name: before})


def test_one_class_is_none_and_a_time_budget_has_no_meaning(digits):
    X, y = digits
    with pytest.raises(ValueError, match="one class only"):
        ScaledMLPClassifier().partial_fit(X, np.zeros(len(X)), classes=[0])
    with pytest.raises(ValueError, match=r"expected classes=range\(2\)"):
        ScaledMLPClassifier().partial_fit(X, np.stack([y > 4, y < 3], 1), classes=["a", "b"])
    network = ScaledMLPClassifier(random_state=0, precision="float64", width=8)
    plain = clone(network).partial_fit(X, y, classes=range(10))
    hurried = clone(network).set_params(max_seconds=1e-9).partial_fit(X, y, classes=range(10))
    np.testing.assert_array_equal(hurried.coefs_[0], plain.coefs_[0])


def test_weights_near_the_end_of_float64(Estimator, network, small):
    X, y = small
    for weight in (1e300, 1.7e308, 1e-300):
        network.partial_fit(
            X, y, sample_weight=np.full(len(X), weight), **first_call(Estimator, y)
        )
    assert np.isfinite(network.coefs_[0]).all()


def _stream(first, n_rows=2000):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows + 1000, 5)) * [1, 100, 0.01, 1, 1] + [0, 5000, 0, 0, 3]
    y = ((X - [0, 5000, 0, 0, 3]) / [1, 100, 0.01, 1, 1]).sum(axis=1) > 0
    seen = X[:n_rows].copy()
    seen[:first] = seen[0]
    return seen, X, y


@pytest.mark.parametrize("first", [1, 10, 100])
def test_columns_that_are_constant_at_first_are_learned_later(first):
    seen, X, y = _stream(first)
    network = ScaledMLPClassifier(random_state=0)
    network.partial_fit(seen[:first], y[:first], classes=[False, True])
    for start in range(first, 1900, 100):
        network.partial_fit(seen[start : start + 100], y[start : start + 100])
    assert network.score(X[2000:], y[2000:]) > 0.93


@pytest.mark.parametrize("continues", ["partial_fit", "warm_start"])
def test_a_column_that_is_constant_in_fit_is_learned_later(continues):
    seen, X, y = _stream(0)
    seen[:1000, 0] = 0
    network = ScaledMLPClassifier(warm_start=continues == "warm_start", random_state=0)
    network.fit(seen[:1000], y[:1000])
    before = network.score(X[2000:], y[2000:])
    if continues == "warm_start":
        network.fit(X[:2000], y[:2000])
    else:
        for start in range(1000, 2000, 100):
            network.partial_fit(seen[start : start + 100], y[start : start + 100])
    assert network.score(X[2000:], y[2000:]) > before + 0.04


def test_centers_and_scales_follow_the_first_rows_of_a_stream():
    rng = np.random.default_rng(0)
    X = rng.normal(50, 2, (1000, 1))
    network = ScaledMLPRegressor(random_state=0)
    for start in range(0, 1000, 20):
        network.partial_fit(X[start : start + 20], X[start : start + 20, 0])
    encoding = network.encoding_
    assert abs(encoding.center[0] - 50) < 1
    assert 0.8 < 1 / encoding.scale[0] / (1.349 * 2) < 1.25
    ends = encoding.center + np.array([encoding.low[0], encoding.high[0]]) / encoding.scale
    np.testing.assert_allclose(ends, [X.min(), X.max()])
