"""Images: convolutional networks as estimators."""

import pickle
import re
import subprocess
import sys
from dataclasses import replace

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator

from skscale import (
    Pruning,
    ScaledCNNClassifier,
    ScaledCNNRegressor,
    ScaledMLPClassifier,
    fit_compound_coefficients,
    prune,
)
from skscale.inference.images import find_image_shape, pixel_moments
from skscale.networks.convolutional.architecture import ConvolutionalArchitecture, Stage
from skscale.networks.convolutional.torch_network import resize
from skscale.networks.torch_modules import build, load_weights_, split, weights_of
from skscale.scaling import image_scale
from skscale.training.augmentation import change_images, draw_changes
from skscale.training.losses import CrossEntropy
from skscale.training.random import FeedRandom
from skscale.training.task import Augmentation
from tests.test_estimators_contract import SAMPLE_WEIGHT_EQUIVALENCE

FAST = {"width": 4, "augmentation": None, "max_epochs": 3, "random_state": 0}


@pytest.fixture(scope="module")
def images():
    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target


@pytest.fixture(scope="module")
def colour():
    """Which of two halves of a colour image is redder."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (240, 6, 10, 3)).astype(np.uint8)
    y = np.where(X[:, :, :5, 0].mean((1, 2)) > X[:, :, 5:, 0].mean((1, 2)), "left", "right")
    return X, y


def architecture(**changes):
    parts = {
        "image_shape": (9, 12, 2), "channels_first": False, "side": None, "n_outputs": 3,
        "stem_width": 4,
        "stages": (Stage(4, (2, 2), (8, 6)), Stage(16, (2, 2), (32,))),
    }  # fmt: skip
    return ConvolutionalArchitecture(**{**parts, **changes})


ARCHITECTURES = [
    architecture(),
    architecture(side=7, activation="gelu"),
    architecture(side=20, image_shape=(2, 9, 12), channels_first=True),
    architecture(image_shape=(1, 5, 1)),
]


@pytest.mark.parametrize("shape", ARCHITECTURES)
def test_counts_and_names_are_those_of_torch(shape):
    from torch.utils.flop_counter import FlopCounterMode

    module = build(shape)
    assert shape.n_parameters == sum(p.numel() for p in module.parameters())
    assert shape.parameter_names == tuple(map(list, split(module)[:2]))
    with FlopCounterMode(display=False) as counter:
        out = module(torch.zeros(1, *shape.input_shape))
    assert out.shape == (1, 3)
    assert 2 * shape.n_macs == counter.get_total_flops()


def test_a_side_of_one_pixel_is_not_halved():
    for across in (False, True):
        shape = architecture(image_shape=(1, 9, 2) if across else (9, 1, 2))
        assert {s[not across] for _, _, _, s, _ in shape.blocks} == {1}
        assert shape.final_shape == ((1, 3) if across else (3, 1))


def test_an_image_alone_is_the_image_in_a_batch():
    module = build(ARCHITECTURES[0], 1).double()
    torch.nn.init.normal_(module.output.weight, generator=torch.Generator().manual_seed(0))
    x = torch.randn(
        5, 9, 12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    together, alone = module(x), torch.cat([module(row[None]) for row in x])
    assert together.abs().max() > 0.1
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_images_are_resized_by_areas_or_between_pixels():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    expected = torch.tensor([[2.5, 4.5], [10.5, 12.5]])
    assert torch.equal(resize(x, (2, 2))[0, 0], expected)
    assert resize(x, (8, 8))[0, 0, 0, :4].tolist() == [0.0, 0.25, 0.75, 1.25]
    assert resize(x, (4, 4)) is x


def test_the_image_shape_is_required_and_not_guessed(images, colour):
    X, y = images[0][:60], images[1][:60]
    network = ScaledCNNClassifier(**FAST).fit(X, y)
    assert (network.image_shape_, network.n_features_in_) == ((8, 8, 1), 64)
    # Rows of pixels are the same images.
    rows = ScaledCNNClassifier(**FAST).fit(X.reshape(60, 64), y)
    np.testing.assert_array_equal(rows.predict_proba(X), network.predict_proba(X))
    np.testing.assert_array_equal(rows.predict_proba(X[..., None]), rows.predict_proba(X))
    X, y = colour
    last = ScaledCNNClassifier(**FAST).fit(X, y)
    first = ScaledCNNClassifier(channels="first", **FAST).fit(X.transpose(0, 3, 1, 2), y)
    assert (last.image_shape_, first.image_shape_) == ((6, 10, 3), (3, 6, 10))
    np.testing.assert_allclose(
        last.predict_proba(X), first.predict_proba(X.transpose(0, 3, 1, 2)), atol=1e-5
    )
    with pytest.raises(ValueError, match=r"images of shape \(3, 6, 10\), but .* fitted on"):
        last.predict(X.transpose(0, 3, 1, 2))
    with pytest.raises(ValueError, match="has 12 pixel values, but X has 180 features"):
        ScaledCNNClassifier(image_shape=(3, 4)).fit(X.reshape(240, -1), y)
    with pytest.raises(ValueError, match=r"image_shape=\(3, 4\), but X has images of shape"):
        ScaledCNNClassifier(image_shape=(3, 4)).fit(X, y)
    with pytest.raises(ValueError, match="Expected X of shape"):
        ScaledCNNClassifier().fit(X[..., None], y)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (4, 12, 30)])
def test_images_that_look_like_channels_first_are_not_guessed(shape):
    X, y = np.random.default_rng(0).random((20, *shape), dtype=np.float32), np.arange(20) % 2
    network = ScaledCNNClassifier(depth=1, width=(4,), max_epochs=1, random_state=0)
    message = re.escape(f"height {shape[1]}, width {shape[2]} and {shape[0]} channel")
    with pytest.raises(ValueError, match=f'Set channels="first" for images of {message}'):
        network.fit(X, y)
    with pytest.raises(ValueError, match="looks like channels first"):
        network.partial_fit(X, y, classes=[0, 1])
    rows = X.reshape(20, -1)
    with pytest.raises(ValueError, match="looks like channels first"):
        clone(network).set_params(image_shape=shape).fit(rows, y)
    # Either position is taken at its word.
    assert network.set_params(channels="first").fit(X, y).image_shape_ == shape
    assert network.architecture_.n_channels == shape[0]
    assert network.predict(X).shape == (20,)
    assert network.set_params(channels="last").fit(X, y).image_shape_ == shape
    assert network.architecture_.n_channels == shape[2]
    # The advice of "auto" fits.
    moved = X.transpose(0, 2, 3, 1)
    network.set_params(channels="auto").fit(moved, y)
    assert network.architecture_.n_channels == shape[0]
    with pytest.warns(UserWarning, match='looks like channels last.* Set channels="last"'):
        network.set_params(channels="first").fit(moved, y)


def test_other_shapes_have_channels_last():
    y = np.arange(20) % 2
    for shape in ((8, 8), (3, 8), (8, 8, 16), (1, 100, 8), (3, 4, 4), (2, 8, 8), (32, 32, 3)):
        network = ScaledCNNClassifier(depth=1, width=(4,), max_epochs=1, random_state=0)
        network.fit(np.random.default_rng(0).random((20, *shape)), y)
        assert network.image_shape_ == (*shape, 1)[:3]


def test_rows_that_are_no_square_are_one_row_of_pixels():
    assert find_image_shape((7, 10), None, "first") == (1, 1, 10)
    assert find_image_shape((7, 9), None, "first") == (1, 3, 3)
    assert find_image_shape((7, 12), (2, 6), "last") == (2, 6, 1)


def test_bytes_stay_bytes_until_a_batch_is_made(images, monkeypatch):
    from skscale.training import feed

    seen, tensor = [], feed.Feed.__init__

    def watch(self, task, data):
        seen.append(task.X.dtype)
        assert np.shares_memory(task.X, X)
        tensor(self, task, data)

    monkeypatch.setattr(feed.Feed, "__init__", watch)
    X = images[0][:100]
    ScaledCNNClassifier(**FAST).fit(X, images[1][:100])
    assert seen == [np.uint8]


def test_pixels_are_centred_by_the_moments_of_each_channel():
    rng = np.random.default_rng(0)
    X = rng.normal([5, -2, 7], [1, 3, 0], (50, 4, 5, 3))
    weights = rng.integers(1, 4, 50).astype(float)
    mean, scale = pixel_moments(
        X.reshape(50, -1), (4, 5, 3), False, np.arange(50), weights, np.float64
    )
    repeated = np.repeat(X, weights.astype(int), axis=0).reshape(-1, 3)
    np.testing.assert_allclose(mean, repeated.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scale[:2], 1 / repeated.std(0)[:2], rtol=1e-12)
    assert scale[2] == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("Estimator", [ScaledCNNClassifier, ScaledCNNRegressor])
def test_all_checks_pass_in_float64_with_full_batches(Estimator):
    # Without what is drawn for each row: one that is repeated is changed twice.
    estimator = Estimator(
        precision="float64", max_epochs=16, batch_size=1_000_000, early_stopping=False,
        dropout=0.0, width=8, augmentation=None, learning_rate=0.02,
    )  # fmt: skip
    results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"} == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("Estimator", [ScaledCNNClassifier, ScaledCNNRegressor])
def test_all_checks_but_weight_equivalence_pass_with_defaults(Estimator):
    results = check_estimator(Estimator(), on_skip=None, on_fail=None)
    failed = {r["check_name"] for r in results if r["status"] == "failed"}
    assert failed <= SAMPLE_WEIGHT_EQUIVALENCE


def test_digits_are_read_and_numbers_of_images_are_predicted(images):
    X, y = images
    short = {"width": 8, "max_epochs": 10, "random_state": 0}
    network = ScaledCNNClassifier(**short).fit(X[:900], y[:900])
    assert network.score(X[900:], y[900:]) > 0.93
    ink = np.c_[X.mean((1, 2)), X[:, :4].mean((1, 2))]
    regressor = ScaledCNNRegressor(**short).fit(X[:900], ink[:900])
    assert regressor.score(X[900:], ink[900:]) > 0.95


def test_a_pickle_holds_arrays_and_predicts_the_same(images):
    X, y = images[0][:200], images[1][:200]
    network = ScaledCNNClassifier(n_estimators=2, **FAST).fit(X, y)
    expected = network.predict_proba(X)
    data = pickle.dumps(network)
    assert b"torch" not in data.replace(b"skscale.networks.torch_forward", b"")
    assert len(data) < 4 * network.complexity_.n_parameters + 6_500
    np.testing.assert_array_equal(pickle.loads(data).predict_proba(X), expected)


def test_predicting_without_torch_raises_an_error_with_the_remedy(images, tmp_path):
    network = ScaledCNNClassifier(**FAST).fit(images[0][:60], images[1][:60])
    (tmp_path / "network.pickle").write_bytes(pickle.dumps(network))
    script = (
        "import pickle, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ImportError('not installed here')\n"
        "sys.meta_path.insert(0, Refuse()); import numpy as np\n"
        "network = pickle.load(open('network.pickle', 'rb'))\n"
        "assert network.complexity_.n_parameters > 0\n"
        "try: network.predict(np.zeros((1, 8, 8)))\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert "needs torch (dense networks predict without)" in run.stdout


def test_members_are_as_they_are_alone(images):
    X, y = images[0][:150], images[1][:150]
    settings = {**FAST, "precision": "float64", "augmentation": ("shift", "erase")}
    both = ScaledCNNClassifier(n_estimators=2, calibrate=False, **settings).fit(X, y)
    alone = ScaledCNNClassifier(calibrate=False, **settings).fit(X, y)
    for stacked, lone in zip(both.coefs_, alone.coefs_, strict=True):
        np.testing.assert_allclose(stacked[0], lone, rtol=1e-9, atol=1e-12)
    assert both.complexity_.n_parameters == 2 * alone.complexity_.n_parameters


def test_a_stack_trains_as_its_members_do_alone(images, monkeypatch):
    from skscale.training import plan

    X, y = images[0][:100], images[1][:100]
    model = ScaledCNNClassifier(precision="float64", **{**FAST, "augmentation": "crop"})
    grid = {"learning_rate": [0.003, 0.01], "dropout": [0.0, 0.3]}

    def search():
        with joblib.parallel_config(backend="skscale"):
            return GridSearchCV(model, grid, cv=2, scoring="neg_log_loss").fit(X, y)

    alone = search().cv_results_["mean_test_score"]
    monkeypatch.setattr(plan, "is_stacking_faster", lambda task: True)
    together = search().cv_results_["mean_test_score"]
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_augmentation_moves_mirrors_zooms_and_erases():
    shape = (16, 24, 2)
    images = np.random.default_rng(0).integers(0, 200, (400, *shape)).astype(np.float32)
    rows = torch.from_numpy(images.reshape(400, -1))
    random = draw_changes(FeedRandom(0), 400)

    def changed(*kinds):
        how = Augmentation(shape, False, frozenset(kinds))
        return change_images(how, rows, random).view(400, *shape).numpy()

    assert np.array_equal(changed(), images)
    flipped = changed("flip")
    mirrored = np.abs(flipped - images[:, :, ::-1]).max((1, 2, 3)) < 1e-2
    same = np.abs(flipped - images).max((1, 2, 3)) < 1e-2
    assert (mirrored ^ same).all()
    assert 150 < mirrored.sum() < 250
    shifted = changed("shift")
    padded = np.pad(images, ((0, 0), (2, 2), (3, 3), (0, 0)), mode="edge")
    places = {(i, j): padded[:, i : i + 16, j : j + 24] for i in range(5) for j in range(7)}
    found = [
        next(p for p, moved in places.items() if np.abs(moved[k] - shifted[k]).max() < 1e-2)
        for k in range(400)
    ]
    assert set(found) == set(places)  # every shift happens, and nothing else
    erased = changed("erase")
    differs = (erased != images).any(3)
    assert 120 < differs.any((1, 2)).sum() < 240
    assert differs.mean((1, 2)).max() <= 0.25
    cropped = changed("crop")
    assert cropped.min() >= images.min()
    assert cropped.max() <= images.max()
    assert cropped.std() < images.std()  # between pixels


def test_augmentation_is_for_training_only_and_belongs_to_the_seed(images):
    X, y = images[0][:150], images[1][:150]
    first, second = (
        ScaledCNNClassifier(**{**FAST, "augmentation": ("shift", "flip")}).fit(X, y)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    plain = ScaledCNNClassifier(**FAST).fit(X, y)
    assert np.abs(plain.predict_proba(X) - first.predict_proba(X)).max() > 1e-3
    with pytest.raises(
        ValueError, match="must hold names of shift, flip, crop, erase, got 'blur'"
    ):
        ScaledCNNClassifier(augmentation=("blur",)).fit(X, y)


@pytest.mark.parametrize("importance", ["taylor", "activation", "magnitude"])
def test_channels_whose_outgoing_weights_are_zero_change_nothing(importance):
    from skscale.compression.importance import unit_importances
    from skscale.training.optimizers import AdamW
    from skscale.training.schedules import SCHEDULES
    from skscale.training.task import Recipe, Task

    shape = ARCHITECTURES[0]
    module = build(shape, 3).double()
    torch.nn.init.normal_(module.output.weight, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for block in module.blocks:
            block.project.weight[:, ::2] = 0
    weights = weights_of(module)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 216)), rng.integers(0, 3, 30)
    recipe = Recipe(AdamW(), 0.01, SCHEDULES["constant"], 0.0, 0.0, 0.0, 10, 1, None, 5, 0.0)
    task = Task(
        shape, recipe, CrossEntropy(), X, y, None, np.arange(30), None, 0, "float64", "cpu",
        buffers=weights.buffers,
    )  # fmt: skip
    found = unit_importances(importance, shape, [weights], task)
    if importance != "activation":  # which knows nothing of what comes after
        for of_block in found:
            assert (of_block[0, ::2] == 0).all()
            assert (of_block[0, 1::2] > 0).all()
    kept = [np.arange(1, n, 2)[None] for n in shape.widths]
    smaller, [pruned] = shape.family.remove_units(shape, [weights], kept)
    assert smaller.widths == (4, 3, 16)
    narrow = load_weights_(build(smaller), replace(pruned, buffers=weights.buffers))
    assert smaller.n_parameters == sum(p.numel() for p in narrow.parameters())
    x = torch.from_numpy(X).view(30, *shape.input_shape)
    torch.testing.assert_close(narrow(x), module(x), rtol=0, atol=1e-9)


def test_pruning_removes_channels_and_the_pickle_is_smaller(images):
    X, y = images[0][:300], images[1][:300]
    full = ScaledCNNClassifier(width=8, max_epochs=15, random_state=0).fit(X, y)
    pruned = clone(full).set_params(pruning=Pruning(0.75, finetune_epochs=5)).fit(X, y)
    assert sum(pruned.complexity_.widths) == sum(full.complexity_.widths) // 4
    assert pruned.complexity_.n_macs < 0.4 * full.complexity_.n_macs
    assert len(pickle.dumps(pruned)) < 0.6 * len(pickle.dumps(full))
    assert pruned.score(X, y) > 0.8
    again = prune(full, X, y, amount=0.5)
    assert sum(again.complexity_.widths) == sum(full.complexity_.widths) // 2
    assert again.n_iter_ == 12  # two after the first step, ten after the second
    on = clone(pruned).set_params(warm_start=True, max_epochs=3)
    on.fit(X, y).fit(X, y)
    assert on.complexity_.widths != full.complexity_.widths
    masked = ScaledCNNClassifier(pruning=Pruning(0.5, granularity="weights"), **FAST).fit(X, y)
    zeros = np.mean(np.concatenate([c.ravel() for c in masked.coefs_]) == 0)
    assert 0.45 < zeros < 0.55


def test_a_table_s_teacher_and_a_larger_network_teach(images):
    X, y = images[0][:300], images[1][:300]
    rows = X.reshape(300, -1)
    for teacher in (LogisticRegression(max_iter=200), ScaledMLPClassifier(max_epochs=5)):
        student = ScaledCNNClassifier(teacher=teacher, early_stopping=False, **FAST)
        assert student.fit(rows, y).score(rows, y) > 0.2
        # Images are rows to a teacher that knows only tables.
        np.testing.assert_allclose(
            clone(student).fit(X, y).predict_proba(X), student.predict_proba(rows), atol=1e-5
        )
    teacher = ScaledCNNClassifier(width=8, max_epochs=5, random_state=0)
    student = ScaledCNNClassifier(teacher=teacher, early_stopping=False, **FAST)
    student.fit(X[..., None], y)
    assert student.complexity_.n_parameters < 5_000
    assert type(pickle.loads(pickle.dumps(student)).teacher).__name__ == "TeacherLeftOut"


def test_the_network_of_a_fit_is_a_skorch_net_and_callbacks_run(images):
    from skorch.callbacks import EpochScoring

    X, y = images[0][:150], images[1][:150]
    settings = {**FAST, "precision": "float64", "augmentation": "shift", "l1": 1e-3}
    plain = ScaledCNNClassifier(**settings).fit(X, y)
    np.testing.assert_allclose(plain.net_.predict_proba(X), plain.predict_proba(X), atol=1e-9)
    scored = ScaledCNNClassifier(
        callbacks=[EpochScoring("accuracy", lower_is_better=False)], **settings
    ).fit(X, y)
    assert len(scored.history_["accuracy"]) == 3
    np.testing.assert_allclose(scored.predict_proba(X), plain.predict_proba(X), atol=1e-9)


def test_callbacks_of_scikit_learn_see_the_network_as_it_stands(images):
    from tests.test_progress import Recorder

    X, y = images[0][:100], images[1][:100]
    recorder = Recorder()
    network = ScaledCNNClassifier(
        early_stopping=False, pruning=Pruning(0.5, finetune_epochs=2), **FAST
    )
    network.set_callbacks(recorder).fit(X, y)
    np.testing.assert_array_equal(recorder.predicted, network.predict(X))


def test_warm_start_and_partial_fit_continue_training(images):
    X, y = images[0][:200], images[1][:200]
    network = ScaledCNNClassifier(**FAST)
    for start in (0, 100):
        network.partial_fit(X[start : start + 100], y[start : start + 100], np.arange(10))
    assert network.n_samples_seen_ == 200
    ink = X.mean((1, 2))
    regressor = ScaledCNNRegressor(**FAST).partial_fit(X[:100], ink[:100])
    before = regressor.predict(X)
    silent = clone(regressor).set_params(learning_rate=1e-12, weight_decay=0.0)
    silent.__setstate__({**regressor.__getstate__(), **silent.get_params()})
    silent.partial_fit(X[100:], 5 * ink[100:])
    # Its targets are scaled anew; its predictions stay.
    assert silent.target_mean_ > 2 * regressor.target_mean_
    np.testing.assert_allclose(silent.predict(X), before, rtol=1e-3, atol=1e-3)


def test_it_stands_in_a_pipeline_and_a_fused_search(images):
    X, y = images[0][:200].reshape(200, 64), images[1][:200]
    model = make_pipeline(MinMaxScaler(), ScaledCNNClassifier(**FAST))
    grid = {"scaledcnnclassifier__resolution": [4, 8, 12]}
    plain = GridSearchCV(model, grid, cv=2).fit(X, y)
    with joblib.parallel_config(backend="skscale"):
        fused = GridSearchCV(model, grid, cv=2).fit(X, y)
    np.testing.assert_allclose(
        fused.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"], atol=0.02
    )
    assert fused.best_estimator_[-1].resolution_ in (4, 8, 12)


def test_phi_scales_depth_width_and_resolution(images):
    X, y = images[0][:60], images[1][:60]
    built = {}
    for phi in (-2, 0, 2):
        network = ScaledCNNClassifier(width=16, phi=phi, max_epochs=1, random_state=0).fit(X, y)
        built[phi] = network.depth_, network.width_, network.resolution_
        assert network.complexity_.depth == network.depth_ * 2
    assert built == {-2: (1, 16, 6), 0: (1, 16, 8), 2: (2, 16, 10)}
    assert network.dropout_ == pytest.approx(0.14)
    # Multiples of 8 for each stage; at zero what was asked for.
    assert image_scale(1, (9, 20), 0, 8, 0, (1.2, 1.1, 1.15)).widths == (9, 20)
    assert image_scale(1, (9, 20), 0, 8, 1, (1.2, 1.1, 1.15)).widths == (8, 24)


def test_compound_coefficients_are_found_for_images(images):
    X, y = images[0][:120], images[1][:120]
    network = ScaledCNNClassifier(width=8, max_epochs=1)
    found = fit_compound_coefficients(network, X, y, cv=2)
    near = np.abs(found.table["macs_ratio"][1:] / 2 - 1) <= 0.1
    assert near.any()
    larger = network.set_params(**found.params, phi=1, random_state=0).fit(X, y)
    base = clone(larger).set_params(phi=0).fit(X, y)
    ratio = larger.complexity_.n_macs / base.complexity_.n_macs
    assert ratio == pytest.approx(2, rel=0.1)


def test_messages_of_constraints_are_sentences(images):
    X, y = images[0][:60], images[1][:60]
    with pytest.raises(ValueError, match=r"width=.* must hold positive ints, the channels"):
        ScaledCNNClassifier(width=(4, 0)).fit(X, y)
    with pytest.raises(ValueError, match=r"image_shape must be \(height, width\)"):
        ScaledCNNClassifier(image_shape=(64,)).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        ScaledCNNClassifier().fit(np.full((20, 4, 4), np.nan), np.arange(20) % 2)


def test_reversed_images_are_predicted_in_either_precision(images):
    X, y = images[0][:60].astype(np.float64), images[1][:60]
    for precision in ("float32", "float64"):
        network = ScaledCNNRegressor(precision=precision, **FAST).fit(X[::-1], y[::-1])
        expected = network.predict(X[::-1].copy())
        np.testing.assert_array_equal(network.predict(X[::-1]), expected)
