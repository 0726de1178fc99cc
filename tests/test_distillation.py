"""Distillation: what a teacher says, who asks it how often, what students make of it."""

import pickle
import subprocess
import sys
import threading
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import coo_matrix
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skscale import (
    Distillation,
    Pruning,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
)
from skscale.compression.distillation import (
    PredictionCache,
    mix_columns,
    mix_sources,
    prediction_cache,
    teacher_predictions,
)
from skscale.fusion import last_fused_run
from skscale.fusion.sharing import SharedArrays
from skscale.training.engine import train
from skscale.training.gradient import AutogradGradient
from skscale.training.losses import DistilledCrossEntropy, DistilledLogistic, LossGradient
from skscale.training.task import ValidationSet
from tests.test_engine import assert_equal_networks, make_task

FAST = {"width": 8, "max_epochs": 3, "random_state": 0}
# Students this small may do as well alone: what is tested is something else.
pytestmark = pytest.mark.filterwarnings("ignore:The student does not gain")


@pytest.fixture(autouse=True)
def forget():
    """Each test begins with no labels remembered."""
    prediction_cache.clear()


class Tally(list):
    """What was counted; it changes nothing of what who counts computes."""

    def __reduce__(self):
        return "Counting.fits"


class Counting(ClassifierMixin, BaseEstimator):
    """A classifier that counts the fits of all its clones."""

    fits = Tally()
    lock = threading.Lock()

    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, X, y, sample_weight=None):
        with self.lock:
            self.fits.append((len(X), None if sample_weight is None else sample_weight.sum()))
        self.fitted_ = clone(self.inner or DecisionTreeClassifier(max_depth=4)).fit(X, y)
        self.classes_ = self.fitted_.classes_
        return self

    def predict_proba(self, X):
        return self.fitted_.predict_proba(X)

    def predict(self, X):
        return self.fitted_.predict(X)


@pytest.fixture
def fits():
    Counting.fits.clear()
    return Counting.fits


@pytest.mark.parametrize("kind", [DistilledCrossEntropy, DistilledLogistic])
def test_the_loss_is_hintons_and_its_gradient_autograds(kind):
    rng = np.random.default_rng(0)
    n_members, n_rows, n_outputs = 3, 20, 4
    out = torch.tensor(rng.normal(size=(n_members, n_rows, n_outputs)), requires_grad=True)
    logits = torch.tensor(rng.normal(size=(n_members, n_rows, n_outputs)))
    hard = torch.tensor(rng.dirichlet(np.ones(n_outputs), size=(n_members, n_rows)))
    weights = torch.tensor(rng.uniform(size=(n_members, n_rows, 1)))
    numbers = [(0.0, 0.3, 1.0), (0.1, 0.9, 4.0), (0.2, 1.0, 0.5)]
    members = [kind(*own) for own in numbers]
    loss = members[0].stack(members, torch.float64, "cpu")
    targets = loss.mix(torch.cat([hard, logits], dim=-1))
    losses = loss.row_losses(out, targets)
    for k, (smoothing, weight, temperature) in enumerate(numbers):
        if kind is DistilledCrossEntropy:
            own = torch.nn.functional.cross_entropy(
                out[k], hard[k], reduction="none", label_smoothing=smoothing
            )
            soft = torch.softmax(logits[k] / temperature, -1)
            soft = soft * (1 - smoothing) + smoothing / soft.shape[-1]
            taught = torch.nn.functional.cross_entropy(
                out[k] / temperature, soft, reduction="none"
            )
        else:
            bce = torch.nn.functional.binary_cross_entropy_with_logits
            smooth = hard[k] * (1 - smoothing) + smoothing / 2
            own = bce(out[k], smooth, reduction="none").mean(-1)
            soft = torch.sigmoid(logits[k] / temperature) * (1 - smoothing) + smoothing / 2
            taught = bce(out[k] / temperature, soft, reduction="none").mean(-1)
        wanted = (1 - weight) * own + weight * temperature**2 * taught
        torch.testing.assert_close(losses[k], wanted)
    (wanted,) = torch.autograd.grad((losses * weights[..., 0]).sum(), out)
    gradient = LossGradient(
        loss, n_members, n_rows, n_outputs, torch.float64, torch.device("cpu")
    )
    found = gradient(out.detach(), targets, weights * loss.weight_factor(n_outputs))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("loss", ["cross_entropy", "logistic"])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_students_in_a_stack_learn_as_alone_and_as_by_autograd(loss, is_sparse):
    tasks, arrays = [], SharedArrays()
    kind = DistilledCrossEntropy if loss == "cross_entropy" else DistilledLogistic
    numbers = [(0.0, 0.3, 1.0), (0.1, 0.9, 4.0), (0.2, 1.0, 0.5), (0.1, 0.5, 2.0)]
    for k, number in enumerate(numbers):
        plain = make_task(loss=loss, weighted=k < 2, valid=20, is_sparse=is_sparse, dropout=0.1)
        hard = np.eye(3)[plain.targets] if loss == "cross_entropy" else plain.targets
        said = np.random.default_rng(5).normal(size=hard.shape)
        task = replace(
            plain, loss=kind(*number),
            targets=np.concatenate([hard, said], axis=1),
            validation=ValidationSet(plain.X, plain.targets, plain.weights),
        )  # fmt: skip
        arrays.share(task)
        tasks.append(task)
    sizes = []
    together = train(tasks, n_threads=1, stack_sizes=sizes)
    assert sizes == [4]
    derived = train(tasks, AutogradGradient, n_threads=1)
    for one, other, task in zip(together, derived, tasks, strict=True):
        alone = train([task])[0]
        assert_equal_networks(one, alone, rtol=1e-11, atol=1e-11)
        assert_equal_networks(one, other, rtol=1e-9, atol=1e-11)


def test_a_student_of_the_truth_is_a_student_alone(digits):
    # A teacher that is sure of the truth, at temperature 1, says what y says.
    X, y = digits[0][:300], digits[1][:300]
    settings = {**FAST, "precision": "float64", "early_stopping": False}
    alone = ScaledMLPClassifier(**settings).fit(X, y)
    teacher = FrozenEstimator(DecisionTreeClassifier(random_state=0).fit(X, y))
    taught = ScaledMLPClassifier(
        **settings, teacher=teacher, distillation=Distillation(temperature=1.0)
    ).fit(X, y)
    # But for the millionth that is left to the other classes.
    np.testing.assert_allclose(taught.predict_proba(X), alone.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("kind", ["proba", "decision", "pipeline", "ours", "ensemble"])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_any_classifier_teaches(kind, n_classes):
    X, y = make_classification(300, 8, n_informative=6, n_classes=n_classes, random_state=0)
    y = np.array(["a", "b", "c", "d"])[y]
    teacher = {
        "proba": RandomForestClassifier(10, random_state=0),
        "decision": RidgeClassifier(),
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
        "ours": ScaledMLPClassifier(width=16, max_epochs=5, random_state=0),
        "ensemble": ScaledMLPClassifier(width=16, n_estimators=3, max_epochs=5, random_state=0),
    }[kind]
    student = ScaledMLPClassifier(teacher=teacher, distillation=1.0, **FAST)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X))
    student.fit(X, y, sample_weight=weights)
    assert set(student.predict(X)) <= set(y)
    # It goes after its teacher, not after y.
    wrong = RandomForestClassifier(random_state=0).fit(X, np.roll(y, 1))
    settings = FAST | {"max_epochs": 30, "width": 64}
    follower = ScaledMLPClassifier(
        teacher=FrozenEstimator(wrong),
        distillation=1.0,
        early_stopping=False,
        **settings,
    ).fit(X, y)
    agreement = (follower.predict(X) == wrong.predict(X)).mean()
    assert agreement > (follower.predict(X) == y).mean()


def test_classes_are_matched_by_their_labels():
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = np.repeat(["b", "a", "c"], 20)
    only_two = LogisticRegression().fit(X[:40], y[:40])

    def say(teacher, classes):
        found, _ = teacher_predictions(
            FrozenEstimator(teacher), X, y, None, classes=np.array(classes),
            is_multilabel=False, cv=None, memory=None,
        )  # fmt: skip
        return found

    p = np.exp(say(only_two, ["a", "b", "c"]))
    np.testing.assert_allclose(p[:, :2], only_two.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(p[:, 2], 1e-6, rtol=1e-5)
    # Of two classes the logit of the second.
    logits = say(only_two, ["a", "b"])
    np.testing.assert_allclose(logits[:, 0], only_two.decision_function(X), atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "lacking"),
    [(["neg", "pos"], r"\['neg', 'pos'\]"), ([0, 2], r"\[2\]"), ([-1, 1], r"\[-1\]")],
)
def test_a_teacher_of_other_labels_is_refused(labels, lacking):
    """Fault B6: silently, the student learned that both labels are equally likely."""
    X, y = make_classification(80, random_state=0)
    teacher = FrozenEstimator(LogisticRegression().fit(X, np.array(labels)[y]))
    student = ScaledMLPClassifier(teacher=teacher, **FAST)
    with pytest.raises(ValueError, match=rf"labels of y, \[0, 1\].*: y lacks {lacking}"):
        student.fit(X, y)


@pytest.mark.parametrize("teacher", [RandomForestClassifier(5), ScaledMLPClassifier(**FAST)])
def test_multilabel(teacher):
    X, y = make_multilabel_classification(200, 6, n_classes=3, random_state=0)
    student = ScaledMLPClassifier(
        teacher=teacher, distillation=Distillation(n_synthetic=50), **FAST
    ).fit(X, y)
    assert student.predict(X).shape == (200, 3)


def test_several_numbers(diabetes):
    X, y = diabetes
    targets = np.stack([y, -2 * y], axis=1)
    teacher = RandomForestRegressor(10, random_state=0)
    student = ScaledMLPRegressor(
        teacher=teacher,
        distillation=Distillation(n_synthetic=100, cv=None),
        width=32,
        random_state=0,
    ).fit(X, targets, sample_weight=np.random.default_rng(0).uniform(1, 2, len(X)))
    assert student.predict(X).shape == targets.shape
    assert student.score(X, targets) > 0.4


def test_a_regressor_follows_its_teacher(diabetes):
    X, y = diabetes
    wrong = FrozenEstimator(LinearRegression().fit(X, -y))
    student = ScaledMLPRegressor(
        teacher=wrong, distillation=1.0, early_stopping=False, random_state=0
    ).fit(X, y)
    # On average what y is, and otherwise the opposite: its scale is that of y.
    assert np.corrcoef(student.predict(X), wrong.predict(X))[0, 1] > 0.9


@pytest.mark.parametrize("backend", ["sequential", "skscale", "threading"])
@pytest.mark.parametrize("inner", [None, ScaledMLPClassifier(**FAST)])
def test_a_teacher_is_fitted_once_for_each_set_of_rows(digits, fits, backend, inner):
    X, y = digits[0][:240], digits[1][:240]
    student = ScaledMLPClassifier(
        teacher=Counting(inner), distillation=Distillation(cv=3), **FAST
    )
    grid = {
        "width": [4, 8],
        "distillation__temperature": [1.0, 4.0],
        "distillation__weight": [0.0, 0.5, 1.0],
    }
    with joblib.parallel_config(backend=backend, n_jobs=2 if backend == "threading" else None):
        search = GridSearchCV(student, grid, cv=2, refit=False, error_score="raise")
        search.fit(X, y)
    # Two folds of the search, three of each training set; nobody asks it at weight 0.
    assert sorted(n for n, _ in fits) == [72] * 6
    if backend == "skscale":
        # Those that wait for labels are trained with those that made them. Where the teacher
        # is ours, those at weight 0 are trained with it.
        assert max(last_fused_run().n_gathered) == (24 if inner is None else 16)
        alone = GridSearchCV(student, grid, cv=2, refit=False, error_score="raise").fit(X, y)
        np.testing.assert_allclose(
            search.cv_results_["mean_test_score"],
            alone.cv_results_["mean_test_score"],
            atol=0.02,
        )


def test_predictions_are_out_of_fold(digits, fits):
    X, y = digits[0][:200], digits[1][:200]
    options = {"classes": np.arange(10), "is_multilabel": False, "memory": None}
    tree = Counting(DecisionTreeClassifier(random_state=0))
    known, _ = teacher_predictions(tree, X, y, None, cv=None, **options)
    assert (known.argmax(axis=1) == y).all()
    assert len(fits) == 1
    unknown, _ = teacher_predictions(tree, X, y, None, cv=4, **options)
    assert 0.4 < (unknown.argmax(axis=1) == y).mean() < 0.95
    assert [n for n, _ in fits[1:]] == [150] * 4
    _, new = teacher_predictions(tree, X, y, np.ones(200), cv=4, X_new=X[:7], **options)
    assert (new.argmax(axis=1) == y[:7]).all()
    assert [n for n, _ in fits[5:]] == [150] * 4 + [200]
    assert {w for _, w in fits[5:]} == {150.0, 200.0}


def test_the_validation_rows_are_not_the_teachers(digits, fits):
    X, y = digits[0][:300], digits[1][:300]
    ScaledMLPClassifier(teacher=Counting(), distillation=Distillation(cv=None), **FAST).fit(
        X, y
    )
    ScaledMLPClassifier(teacher=Counting(), distillation=Distillation(cv=None), **FAST).fit(
        X[:200], y[:200], X_val=X[200:], y_val=y[200:]
    )
    assert [n for n, _ in fits] == [270, 200]


def test_memory_caches_teacher_predictions_beyond_the_process(digits, fits, tmp_path):
    X, y = digits[0][:200], digits[1][:200]
    student = ScaledMLPClassifier(teacher=Counting(), memory=str(tmp_path), **FAST)
    first = student.fit(X, y).predict_proba(X)
    prediction_cache.clear()
    np.testing.assert_array_equal(student.fit(X, y).predict_proba(X), first)
    assert len(fits) == 5


def test_a_pickle_carries_no_teacher(digits):
    X, y = digits[0][:300], digits[1][:300]
    forest = RandomForestClassifier(50, random_state=0).fit(X, y)
    alone = ScaledMLPClassifier(**FAST).fit(X, y)
    for teacher in (FrozenEstimator(forest), RandomForestClassifier(5, random_state=0)):
        student = ScaledMLPClassifier(teacher=teacher, **FAST).fit(X, y)
        assert student.teacher is teacher
        state = pickle.dumps(student)
        assert len(state) < len(pickle.dumps(alone)) + 500
        served = pickle.loads(state)
        np.testing.assert_array_equal(served.predict_proba(X), student.predict_proba(X))
        assert "RandomForestClassifier" in repr(served.teacher)
        assert served.teacher == pickle.loads(pickle.dumps(served)).teacher
        for again in (served, clone(served)):
            with pytest.raises(ValueError, match=r"set_params\(teacher=\.\.\.\)"):
                again.fit(X, y)
        assert served.set_params(teacher=None).fit(X, y).classes_.size == 10
    # An estimator that was not fitted is what it is.
    assert isinstance(
        pickle.loads(pickle.dumps(ScaledMLPClassifier(teacher=forest))).teacher,
        RandomForestClassifier,
    )


def test_a_student_is_served_without_torch(digits, tmp_path):
    X, y = digits[0][:200], digits[1][:200]
    student = ScaledMLPClassifier(teacher=DecisionTreeClassifier(), **FAST).fit(X, y)
    path = tmp_path / "student.pkl"
    path.write_bytes(pickle.dumps((student, X[:5])))
    code = (
        "import pickle, sys\n"
        f"student, X = pickle.load(open({str(path)!r}, 'rb'))\n"
        "print(student.predict(X).tolist())\n"
        "assert not {'torch', 'skscale.compression.distillation'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(student.predict(X[:5]).tolist()), done.stderr
    assert done.returncode == 0, done.stderr


def test_new_rows_are_mixed_of_near_neighbours():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(50, 4)), rng.normal(size=(50, 4)) + 100])
    first, other, random = mix_sources(X, 250)
    # Every row is taken as often as any other, and none mixes with the far cluster.
    assert np.bincount(first).tolist() == [3] * 50 + [2] * 50 or set(np.bincount(first)) == {
        2,
        3,
    }
    assert ((first < 50) == (other < 50)).all()
    assert (first != other).all()
    is_other = random.random((250, 4)) < 0.5
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["b"] = frame["b"].astype("Float64")
    frame["c"] = pd.Categorical(np.where(frame["c"] > 50, "far", "near"))
    mixed = mix_columns(frame, first, other, is_other)
    assert mixed.dtypes.equals(frame.dtypes)
    new = mix_columns(X, first, other, is_other)
    np.testing.assert_array_equal(mixed["a"], new[:, 0])
    for place in range(4):
        wanted = np.where(is_other[:, place], X[other, place], X[first, place])
        np.testing.assert_array_equal(new[:, place], wanted)


def test_synthetic_rows_of_a_frame(fits):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=200),
            "b": pd.Categorical(rng.choice(["x", "y"], 200)),
            "c": np.where(rng.random(200) < 0.1, np.nan, rng.normal(size=200)),
        }
    )
    y = (frame["a"] > 0).to_numpy() ^ (frame["b"] == "x").to_numpy()
    teacher = ScaledMLPClassifier(width=16, max_epochs=5, random_state=0)
    student = ScaledMLPClassifier(
        teacher=teacher, distillation=Distillation(n_synthetic=300), **FAST
    ).fit(frame, y)
    assert student.n_features_in_ == 3
    plain = ScaledMLPClassifier(**FAST).fit(frame, y)
    assert np.abs(student.coefs_[0] - plain.coefs_[0]).max() > 1e-3


def test_with_pruning_and_members(Estimator, small):
    X, y = small
    teacher = (
        RandomForestClassifier(5) if Estimator is ScaledMLPClassifier
        else RandomForestRegressor(5)
    )  # fmt: skip
    student = Estimator(
        teacher=teacher,
        pruning=Pruning(0.5, finetune_epochs=2),
        n_estimators=2,
        distillation=Distillation(n_synthetic=20),
        **FAST,
    ).fit(X, y)
    assert student.complexity_.widths == (4, 4)


def test_invalid_teachers_are_refused(digits):
    X, y = digits[0][:200], digits[1][:200]
    with pytest.raises(TypeError, match="must be a classifier, got LinearRegression"):
        ScaledMLPClassifier(teacher=LinearRegression()).fit(X, y)
    with pytest.raises(TypeError, match="must be a scikit-learn estimator"):
        ScaledMLPClassifier(teacher="forest").fit(X, y)
    fitted = DecisionTreeClassifier().fit(X, y)
    with pytest.warns(UserWarning, match=r"FrozenEstimator\(teacher\)"):
        ScaledMLPClassifier(teacher=fitted, **FAST).fit(X, y)
    with pytest.raises(NotFittedError):
        ScaledMLPClassifier(teacher=FrozenEstimator(DecisionTreeClassifier()), **FAST).fit(X, y)
    from scipy.sparse import csr_array

    with pytest.raises(ValueError, match=r"Set distillation=Distillation\(n_synthetic=0"):
        ScaledMLPClassifier(
            teacher=DecisionTreeClassifier(), distillation=Distillation(n_synthetic=5)
        ).fit(csr_array(X), y)
    sparse = ScaledMLPClassifier(teacher=DecisionTreeClassifier(), **FAST).fit(csr_array(X), y)
    assert sparse.classes_.size == 10


@pytest.mark.filterwarnings("default:The student does not gain")
def test_a_teacher_that_does_not_help_is_told(digits):
    X, y = digits[0][:400], digits[1][:400]
    noise = DecisionTreeClassifier(random_state=0).fit(
        X, np.random.default_rng(0).permutation(y)
    )
    student = ScaledMLPClassifier(teacher=FrozenEstimator(noise), **FAST)
    with pytest.warns(UserWarning, match="does not gain from its teacher"):
        student.fit(X, y)


def test_an_error_reaches_everybody_who_waits_and_is_not_remembered():
    cache, started, results = PredictionCache(), threading.Event(), []

    def fail():
        started.set()
        waiting.wait(5)
        raise KeyError("no")

    def ask(make):
        try:
            results.append(cache.get("key", make))
        except KeyError as error:
            results.append(error)

    waiting = threading.Event()
    threads = [threading.Thread(target=ask, args=(fail,))]
    threads[0].start()
    started.wait(5)
    threads.append(threading.Thread(target=ask, args=(fail,)))
    threads[1].start()
    waiting.set()
    for thread in threads:
        thread.join()
    assert [type(r) for r in results] == [KeyError, KeyError]
    assert cache.get("key", lambda: (np.ones(1),))[0] == 1


def test_the_least_recently_used_predictions_are_removed():
    cache = PredictionCache(max_bytes=3 * 80)
    made = []

    def make(key):
        made.append(key)
        return np.zeros(10), None

    for key in "abcad":  # a was asked for after b
        cache.get(key, lambda key=key: make(key))
    cache.get("b", lambda: make("b"))
    assert made == list("abcdb")
    assert len(cache._entries) == 3


def test_a_rate_is_never_taught_to_be_negative():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = rng.poisson(np.exp(X[:, 0]))
    student = ScaledMLPRegressor(
        loss="poisson", teacher=LinearRegression(),
        distillation=Distillation(0.9, n_synthetic=300), random_state=0,
    ).fit(X, y)  # fmt: skip
    assert student.loss_curve_.min() > -10
    assert student.predict(X).mean() > 0.5


def test_a_teacher_that_cannot_be_pickled(digits):
    X, y = digits[0][:200], digits[1][:200]
    teacher = make_pipeline(FunctionTransformer(lambda a: a), LogisticRegression())
    student = ScaledMLPClassifier(teacher=teacher, **FAST).fit(X, y)
    assert pickle.loads(pickle.dumps(student)).teacher.digest is None


def test_weights_reach_the_last_step_of_a_nested_pipeline(digits):
    X, y = digits[0][:200], digits[1][:200]
    weights = np.random.default_rng(0).uniform(size=200)
    nested = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), Counting()))
    Counting.fits.clear()
    ScaledMLPClassifier(teacher=nested, **FAST).fit(X, y, sample_weight=weights)
    assert all(total is not None for _, total in Counting.fits)
    with config_context(enable_metadata_routing=True):
        routed = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            LogisticRegression().set_fit_request(sample_weight=True),
        )
        ScaledMLPClassifier(teacher=routed, **FAST).fit(X, y, sample_weight=weights)


def test_votes_and_non_finite_probabilities_are_refused(digits):
    X, y = digits[0][:200], digits[1][:200] % 3
    with pytest.raises(ValueError, match='decision_function_shape="ovr"'):
        ScaledMLPClassifier(teacher=SVC(decision_function_shape="ovo"), **FAST).fit(X, y)

    class Nothing(DecisionTreeClassifier):
        def predict_proba(self, X):
            return super().predict_proba(X) * np.nan

    with pytest.raises(ValueError, match="not finite"):
        ScaledMLPClassifier(teacher=Nothing(), **FAST).fit(X, y)


def test_any_sparse_format_and_going_on_with_members(digits):
    X, y = digits[0][:200], digits[1][:200]
    teacher = DecisionTreeClassifier(random_state=0)
    sparse = ScaledMLPClassifier(teacher=teacher, **FAST).fit(coo_matrix(X), y)
    assert sparse.predict(X[:3]).shape == (3,)
    ensemble = ScaledMLPClassifier(teacher=teacher, n_estimators=2, warm_start=True, **FAST)
    ensemble.fit(X, y).fit(X, y)
    # A stream has no use for the teacher that its pickle left out.
    before = ensemble.coefs_[0].copy()
    followed = pickle.loads(pickle.dumps(ensemble)).partial_fit(X, y)
    assert followed.coefs_[0].shape == before.shape == (2, 64, 8)
    assert (followed.coefs_[0] != before).any()


def test_predictions_larger_than_the_cache_stay_until_the_next():
    cache, made = PredictionCache(max_bytes=10), []
    for _ in range(2):
        cache.get("a", lambda: made.append(1) or (np.zeros(100), None))
    assert len(made) == 1
