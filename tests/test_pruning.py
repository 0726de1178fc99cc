"""Pruning: what goes, that nothing else changes, and that it really is gone."""

import pickle
from dataclasses import replace

import joblib
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    Pruning,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    prune,
)
from skscale.compression.importance import unit_importances, weight_importances
from skscale.compression.removal import (
    allocate,
    avoid_equal_widths,
    weight_masks,
)
from skscale.fusion import last_fused_run
from skscale.networks.dense.architecture import DenseArchitecture
from skscale.networks.unit_selection import most_important
from skscale.networks.weights import Weights
from skscale.training.optimizers import AdamW
from skscale.training.schedules import SCHEDULES
from skscale.training.task import Recipe, Task, TrainedNetwork
from tests.test_engine import LOSS_CLASSES

FAST = {
    "width": 16,
    "max_epochs": 4,
    "random_state": 0,
}
SHORT = {"n_steps": 3, "finetune_epochs": 2}
IMPORTANCES = ("taylor", "activation", "magnitude")


def draw(architecture, n_members, rng):
    """Random weights of each member."""
    return [
        Weights(
            [
                rng.standard_normal(shape) / shape[0] ** 0.5
                for shape in architecture.layer_shapes
            ],
            [rng.standard_normal(n_out) for _, n_out in architecture.layer_shapes],
        )
        for _ in range(n_members)
    ]


def describe(architecture, rng, loss="cross_entropy", n_rows=300):
    """A task on random rows."""
    n_out = architecture.n_outputs
    targets = rng.integers(n_out, size=n_rows)
    if loss != "cross_entropy":
        targets = rng.standard_normal((n_rows, n_out))
    return Task(
        X=rng.standard_normal((n_rows, architecture.n_features)), targets=targets,
        weights=rng.uniform(0.5, 2, n_rows), train_rows=np.arange(n_rows), valid_rows=None,
        architecture=architecture, loss=LOSS_CLASSES[loss](), seed=0,
        precision="float64", device="cpu",
        recipe=Recipe(AdamW(), 0.1, SCHEDULES["constant"], 0.0, 0.0, 0.0, 32, 2, None, 5, 0.0),
    )  # fmt: skip


def outputs(architecture, network, X, gates=None):
    """The network in NumPy, with a factor for each hidden unit."""
    coefs, intercepts = network.coefs, network.intercepts
    h = X
    for layer in range(architecture.depth):
        z = h @ coefs[layer] + intercepts[layer]
        a = torch.nn.functional.silu(torch.from_numpy(z)).numpy()
        if gates is not None:
            a = a * gates[layer]
        h = h + a if architecture.is_residual(layer) else a
    return h @ coefs[-1] + intercepts[-1]


RESIDUAL = DenseArchitecture(5, (12, 12, 9), 3, "silu", residual=True)
PLAIN = DenseArchitecture(5, (12, 12, 9), 3, "silu")


def test_layers_that_add_to_one_another_are_one_group():
    assert RESIDUAL.unit_groups == [[0, 1], [2]]
    assert PLAIN.unit_groups == [[0], [1], [2]]
    assert DenseArchitecture(5, (), 3).unit_groups == []


@pytest.mark.parametrize("architecture", [RESIDUAL, PLAIN])
@pytest.mark.parametrize("importance", IMPORTANCES)
def test_units_that_reach_nothing_go_first_and_change_no_output(architecture, importance):
    rng = np.random.default_rng(0)
    networks = draw(architecture, 2, rng)
    dead = {}
    for member, network in enumerate(networks):
        for g, layers in enumerate(architecture.unit_groups):
            dead[member, g] = np.sort(rng.choice(9, 4, replace=False))
            for layer in layers:
                network.coefs[layer + 1][dead[member, g]] = 0
                if architecture.is_residual(layer):
                    # What comes in by the sum must come from nowhere.
                    network.coefs[layer][:, dead[member, g]] = 0
    task = describe(architecture, rng)
    if importance == "activation":
        importances = unit_importances("magnitude", architecture, networks, task)
    else:
        importances = unit_importances(importance, architecture, networks, task)
    counts = [i.shape[1] - 4 for i in importances]
    kept = [most_important(i, n) for i, n in zip(importances, counts, strict=True)]
    for (member, g), units in dead.items():
        assert not set(units) & set(kept[g][member])
    smaller, after = architecture.family.remove_units(architecture, networks, kept)
    assert smaller.widths == (8, 8, 5)
    for before, network in zip(networks, after, strict=True):
        np.testing.assert_allclose(
            outputs(smaller, network, task.X), outputs(architecture, before, task.X), atol=1e-12
        )


@pytest.mark.parametrize("architecture", [RESIDUAL, PLAIN])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_taylor_importance_is_the_slope_of_the_loss_over_a_gate(architecture, loss):
    rng = np.random.default_rng(1)
    networks, task = draw(architecture, 2, rng), describe(architecture, rng, loss)
    found = unit_importances("taylor", architecture, networks, task)
    weights, step = task.weights, 1e-5
    for member, network in enumerate(networks):
        for g, layers in enumerate(architecture.unit_groups):
            for unit in (0, 5):
                losses = []
                for sign in (1, -1):
                    gates = [np.ones(w) for w in architecture.widths]
                    for layer in layers:
                        gates[layer][unit] += sign * step
                    out = torch.from_numpy(outputs(architecture, network, task.X, gates))
                    rows = task.loss.row_losses(out, torch.from_numpy(task.targets))
                    losses.append(rows.numpy())
                slope = (losses[0] - losses[1]) / (2 * step)
                wanted = (weights * np.abs(slope)).sum()
                np.testing.assert_allclose(found[g][member, unit], wanted, rtol=1e-5)


def test_activation_importance_is_the_mean_size():
    rng = np.random.default_rng(2)
    networks, task = draw(PLAIN, 1, rng), describe(PLAIN, rng)
    found = unit_importances("activation", PLAIN, networks, task)
    z = task.X @ networks[0].coefs[0] + networks[0].intercepts[0]
    a = torch.nn.functional.silu(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(found[0][0], task.weights @ np.abs(a), rtol=1e-6)


def test_taylor_importance_of_weights_is_the_slope_over_their_size():
    rng = np.random.default_rng(3)
    networks, task = draw(RESIDUAL, 2, rng), describe(RESIDUAL, rng)
    found = weight_importances("taylor", RESIDUAL, networks, task)
    for member, layer, place in [(0, 0, (2, 3)), (1, 1, (4, 0)), (1, 3, (0, 2))]:
        losses = []
        for factor in (1 + 1e-5, 1 - 1e-5):
            moved = networks[member].astype(np.float64)
            moved.coefs[layer][place] *= factor
            out = torch.from_numpy(outputs(RESIDUAL, moved, task.X))
            rows = task.loss.row_losses(out, torch.from_numpy(task.targets)).numpy()
            losses.append(task.weights @ rows)
        wanted = abs(losses[0] - losses[1]) / 2e-5
        np.testing.assert_allclose(found[member][layer][place], wanted, rtol=1e-5)


def test_counts_by_layer_and_over_all_layers():
    rng = np.random.default_rng(4)
    # The second group is twice as long; a third of the first stands out.
    importances = [rng.uniform(1, 2, (2, 30)), rng.uniform(1, 2, (2, 60))]
    importances[0][:, :10] *= 100
    assert allocate(importances, [30, 60], 0.5, "layer") == [15, 30]
    assert allocate(importances, [30, 60], 0.5, "layer", 8) == [16, 32]
    assert allocate(importances, [30, 60], 0.99, "layer", 8) == [8, 8]
    first, second = allocate(importances, [30, 60], 0.5, "global")
    assert first + second == 45
    assert second > 30
    # However unimportant a layer is, its last unit stays.
    importances[0][:] = 0
    assert allocate(importances, [30, 60], 0.9, "global") == [1, 8]


def test_pruning_adds_no_residual_connections():
    architecture = DenseArchitecture(5, (8, 4), 3, "silu", residual=True)
    assert avoid_equal_widths(architecture, [4, 4]) == [4, 3]
    assert avoid_equal_widths(architecture, [2, 2]) == [2, 3]
    assert avoid_equal_widths(DenseArchitecture(5, (8, 4), 3), [4, 4]) == [4, 4]
    with pytest.raises(ValueError, match="Lower pruning, or set residual=False"):
        avoid_equal_widths(DenseArchitecture(5, (2, 1), 3, residual=True), [1, 1])


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_masks_leave_the_most_important_weights(scope):
    rng = np.random.default_rng(5)
    importances = [rng.uniform(size=(20, 10)), rng.uniform(size=(10, 3))]
    masks = weight_masks(importances, 0.7, scope)
    kept = [m.sum() for m in masks]
    if scope == "layer":
        assert kept == [60, 9]
    assert sum(kept) == 69
    for mask, importance in zip(masks, importances, strict=True):
        assert importance[mask].min() >= importance[~mask].max()
    assert [m.sum() for m in weight_masks(importances, 0.999999, scope)] == [1, 1]


@pytest.mark.parametrize("importance", IMPORTANCES)
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_pruned_network_is_smaller_everywhere(Estimator, small, importance, scope):
    X, y = small
    settings = {"depth": 2, "residual": False, "width": 64, "max_epochs": 4, "random_state": 0}
    full = Estimator(**settings).fit(X, y)
    pruned = Estimator(
        **settings, pruning=Pruning(
            0.75, n_steps=3, finetune_epochs=6, importance=importance, scope=scope
        ),
    ).fit(X, y)  # fmt: skip
    widths = pruned.complexity_.widths
    assert sum(widths) == 32
    if scope == "layer":
        assert widths == (16, 16)
    assert pruned.architecture_.widths == widths
    assert [layer.out_features for layer in pruned.net_.module_.layers[:-1]] == list(widths)
    assert len(pickle.dumps(pruned)) < 0.45 * len(pickle.dumps(full))
    n_epochs = 4 + 2 * 2 + 6
    assert pruned.n_iter_ == n_epochs
    np.testing.assert_array_equal(pruned.history_["epoch"], np.arange(1, n_epochs + 1))
    assert pruned.best_epoch_ > 4 + 2 * 2
    again = pickle.loads(pickle.dumps(pruned))
    np.testing.assert_array_equal(again.predict(X), pruned.predict(X))


@pytest.mark.parametrize("kind", ["neurons", "weights"])
@pytest.mark.parametrize("n_estimators", [1, 3])
def test_with_everything_at_once(Estimator, small, kind, n_estimators):
    X, y = small
    estimator = Estimator(
        depth=3, n_estimators=n_estimators, pruning=Pruning(0.6, granularity=kind, **SHORT),
        normalization="layer", dropout=0.1, l1=1e-4, max_seconds=60, **FAST,
    )  # fmt: skip
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X))
    for data in (X, csr_array(np.where(np.median(X) < X, X, 0))):
        estimator.fit(data, y, sample_weight=weights)
        shape = estimator.coefs_[1].shape[-2:]
        if kind == "neurons":
            assert shape == (6, 6)
        else:
            assert shape == (16, 16)
            share = np.mean(np.concatenate([c.ravel() for c in estimator.coefs_]) != 0)
            assert 0.35 < share <= 0.41
        assert np.isfinite(estimator.predict(data)).all()


def test_multilabel_and_several_outputs(digits, diabetes):
    X, y = digits[0][:300], digits[1][:300]
    labels = np.stack([y > 4, y % 2], axis=1).astype(int)
    assert ScaledMLPClassifier(pruning=Pruning(0.5, **SHORT), **FAST).fit(
        X, labels
    ).complexity_.widths == (8, 8)
    X, y = diabetes
    fitted = ScaledMLPRegressor(pruning=Pruning(0.5, **SHORT), **FAST).fit(
        X, np.stack([y, -y], axis=1)
    )
    assert fitted.complexity_.widths == (8, 8)


@pytest.mark.parametrize("kind", ["neurons", "weights"])
def test_fused_searches_find_the_same(digits, kind):
    X, y = digits[0][:400], digits[1][:400]
    network = ScaledMLPClassifier(
        precision="float64", pruning=Pruning(granularity=kind, **SHORT), **FAST
    )
    grid = {
        "pruning__amount": [0.0, 0.3, 0.6], "pruning__importance": ["taylor", "magnitude"]
    }  # fmt: skip
    plain = GridSearchCV(network, grid, cv=3, error_score="raise").fit(X, y)
    with joblib.parallel_config(backend="skscale"):
        fused = GridSearchCV(network, grid, cv=3, error_score="raise").fit(X, y)
    # 18 networks, and 12 of them once more after each step.
    assert last_fused_run().n_fits == 18 + 12 * 3
    assert max(last_fused_run().stack_sizes) > 1
    for key in ("mean_test_score", "std_test_score"):
        np.testing.assert_allclose(fused.cv_results_[key], plain.cv_results_[key], atol=1e-12)


def test_masks_stay_when_training_continues(digits):
    X, y = digits[0][:400], digits[1][:400]
    network = ScaledMLPClassifier(
        pruning=Pruning(0.7, granularity="weights", **SHORT),
        n_estimators=2,
        warm_start=True,
        **FAST,
    ).fit(X, y)
    zeros = [c == 0 for c in network.coefs_]
    assert sum(z.sum() for z in zeros) == 2 * int(0.7 * (64 * 16 + 16 * 16 + 16 * 10))
    before = [c.copy() for c in network.coefs_]
    for go_on in (network.fit, network.partial_fit):
        go_on(X, y)
        for c, zero, old in zip(network.coefs_, zeros, before, strict=True):
            np.testing.assert_array_equal(c == 0, zero)
            assert (c != old).any()


def test_training_continues_with_the_smaller_network(Estimator, small):
    X, y = small
    network = Estimator(pruning=Pruning(0.5, **SHORT), warm_start=True, **FAST).fit(X, y)
    before = network.coefs_[1].copy()
    assert network.fit(X, y).coefs_[1].shape == (8, 8)
    assert (network.coefs_[1] != before).any()
    assert network.partial_fit(X, y).coefs_[1].shape == (8, 8)
    with pytest.raises(ValueError, match=r"Expected .*, got "):
        network.set_params(width=32).partial_fit(X, y)
    # Of another width it is trained and pruned again.
    assert network.fit(X, y).coefs_[1].shape == (16, 16)
    assert network.set_params(warm_start=False).fit(X, y).coefs_[1].shape == (16, 16)


def test_prune_returns_a_smaller_copy(Estimator, small):
    X, y = small
    network = Estimator(depth=1, pruning=Pruning(0.0, **SHORT), **(FAST | {"width": 40})).fit(
        X, y
    )
    state = pickle.dumps(network)
    smaller = prune(network, X, y, amount=0.8, sample_weight=np.ones(len(X)))
    assert pickle.dumps(network) == state
    assert smaller.complexity_.widths == (8,)
    assert smaller.pruning == Pruning(0.8, **SHORT)
    assert smaller.n_iter_ == 1 + 1 + 2
    assert prune(smaller, X, y, amount=0.5).complexity_.widths == (4,)
    # By what the network has learned: better than any 8 units that nobody chose.
    model = make_pipeline(StandardScaler(), network).fit(X, y)
    pruned = prune(model, X, y, amount=0.8)
    assert pruned[-1].complexity_.widths == (8,)
    assert model[-1].complexity_.widths == (40,)
    np.testing.assert_array_equal(pruned[0].mean_, model[0].mean_)
    assert len(pruned.predict(X)) == len(X)


def test_prune_rejects_other_estimators_with_the_remedy(digits):
    X, y = digits[0][:200], digits[1][:200]
    with pytest.raises(NotFittedError):
        prune(ScaledMLPClassifier(), X, y, amount=0.5)
    with pytest.raises(TypeError, match="estimator of skscale"):
        prune(StandardScaler().fit(X), X, y, amount=0.5)
    search = GridSearchCV(ScaledMLPClassifier(**FAST), {"depth": [1]}, cv=2).fit(X, y)
    with pytest.raises(TypeError, match="Pass its best_estimator_"):
        prune(search, X, y, amount=0.5)
    with pytest.raises(ValueError, match="'pruning' parameter"):
        prune(search.best_estimator_, X, y, amount=1.0)


def test_unsupported_pruning_is_refused(digits):
    X, y = digits[0][:200], digits[1][:200]
    from skorch.callbacks import EpochScoring

    callbacks = [EpochScoring("accuracy", lower_is_better=False)]
    with pytest.raises(ValueError, match="Set pruning=0, or callbacks=None"):
        ScaledMLPClassifier(pruning=0.5, callbacks=callbacks).fit(X, y)
    linear = ScaledMLPClassifier(depth=0, pruning=Pruning(0.5, **SHORT), **FAST).fit(X, y)
    assert linear.complexity_.widths == ()
    assert prune(linear, X, y, amount=0.5).complexity_ == linear.complexity_
    with pytest.raises(ValueError, match="'amount' parameter of Pruning"):
        prune(linear, X, y, amount=1.0)


def test_fine_tuning_keeps_to_the_time(digits, capsys):
    X, y = digits
    network = ScaledMLPClassifier(
        pruning=Pruning(0.5, n_steps=3), max_seconds=1e-6, verbose=1, width=16, random_state=0
    ).fit(X, y)
    assert network.n_iter_ == 4  # one epoch, and one after each step
    assert network.complexity_.widths == (8, 8)
    assert "epoch 4/120" in capsys.readouterr().out


def test_units_of_equal_importance_do_not_all_stay():
    importance = np.concatenate([np.zeros((1, 60)), np.ones((1, 40))], axis=1)
    assert sum(allocate([importance, importance], [100, 100], 0.25, "global")) == 150


def test_rounded_widths_may_be_less_than_the_next_step_wants(digits):
    X, y = digits[0][:100], digits[1][:100]
    fitted = ScaledMLPClassifier(
        pruning=Pruning(0.1, round_to=8, finetune_epochs=1),
        width=(36, 20),
        depth=None,
        max_epochs=1,
        random_state=31,  # every unit of the second layer is among the most important
    ).fit(X, y)
    assert fitted.complexity_.widths == (32, 16)


def test_prune_takes_of_the_weights_that_are_left(digits):
    X, y = digits[0][:200], digits[1][:200]
    network = ScaledMLPClassifier(
        pruning=Pruning(0.0, granularity="weights", **SHORT), **FAST
    ).fit(X, y)
    half = prune(network, X, y, amount=0.5)
    quarter = prune(half, X, y, amount=0.5)
    for pruned, share in ((half, 0.5), (quarter, 0.25)):
        found = np.mean(np.concatenate([c.ravel() for c in pruned.coefs_]) != 0)
        assert abs(found - share) < 0.01
    linear = prune(ScaledMLPClassifier(depth=0, **FAST).fit(X, y), X, y, amount=0.5)
    assert linear.n_iter_ == len(linear.loss_curve_)


def test_the_time_budget_is_that_of_all_trainings(monkeypatch):
    from skscale.compression import pruning as module

    seen = []

    def train(tasks):
        seen.extend(task.recipe.max_seconds for task in tasks)
        return [TrainedNetwork(task.initial, fit_time=2.0) for task in tasks]

    monkeypatch.setattr(module, "train_together", train)
    rng = np.random.default_rng(0)
    task = describe(PLAIN, rng)
    task = replace(task, recipe=replace(task.recipe, max_seconds=10.0))
    network = TrainedNetwork(draw(PLAIN, 1, rng)[0], fit_time=3.0)
    pruning = Pruning(0.5, "neurons", "magnitude", "layer", 3, 5, 1)
    _, networks = module.prune_networks(pruning, [task], [network])
    assert seen == [7.0, 5.0, 3.0]
    assert networks[0].fit_time == 9.0
