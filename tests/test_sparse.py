"""Sparse input: the numbers of dense input, and nothing of the size of a dense array."""

import pickle
import subprocess
import sys
from itertools import pairwise

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.fusion import last_fused_run
from skscale.fusion.sharing import SharedArrays
from skscale.networks.sparse import SparseBatch
from skscale.training.engine import train
from skscale.training.gradient import AutogradGradient
from tests.test_engine import assert_equal_networks, make_task

FORMATS = {
    f"{kind.__name__}-{np.dtype(index).name}": (kind, index)
    for kind in (sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix)
    for index in (np.int32, np.int64)
}


@pytest.fixture
def sparse_data(Estimator, digits):
    X, y = digits
    X = np.where(X > 0.3, X, 0)[:400]
    if Estimator is ScaledMLPClassifier:
        return X, y[:400]
    return X, X @ np.random.default_rng(0).standard_normal(64) + y[:400]


def in_format(X, name):
    kind, index = FORMATS[name]
    X = kind(X)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    return X


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix, sp.csc_array])
@pytest.mark.parametrize("how", ["out of order", "twice", "read-only"])
def test_the_callers_arrays_stay_as_they_are(Estimator, sparse_data, kind, how):
    dense, y = sparse_data
    X = kind(dense.astype(np.float64))
    if how == "twice":
        X = kind(
            (np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape
        )
    else:
        # As products and choices of columns leave them.
        order = np.concatenate([np.arange(a, b)[::-1] for a, b in pairwise(X.indptr)])
        X = kind((X.data[order], X.indices[order], X.indptr), shape=X.shape)
    parts = X.data, X.indices, X.indptr
    for part in parts:
        part.flags.writeable = how != "read-only"
    before = [part.copy() for part in parts]
    for precision in ("float32", "float64"):
        network = Estimator(
            width=8, max_epochs=2, early_stopping=False, precision=precision, random_state=0
        )
        ordered = kind(dense.astype(np.float64))
        expected = clone(network).fit(ordered, y).partial_fit(ordered, y).predict(ordered)
        found = network.fit(X, y).partial_fit(X, y).predict(X)
        if Estimator is ScaledMLPClassifier:
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        for part, was in zip(parts, before, strict=True):
            np.testing.assert_array_equal(part, was)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_result_of_the_dense_array(Estimator, sparse_data, name):
    X, y = sparse_data
    network = Estimator(
        width=16,
        max_epochs=4,
        dropout=0.1,
        l1=1e-3,
        precision="float64",
        random_state=0,
        preprocessing=None,
    )
    dense, sparse = clone(network).fit(X, y), clone(network).fit(in_format(X, name), y)
    for a, b in zip(dense.coefs_, sparse.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dense.validation_scores_, sparse.validation_scores_, rtol=1e-5)
    for predict in ("predict", "predict_proba", "decision_function"):
        if hasattr(dense, predict):
            expected = getattr(dense, predict)(X)
            for rows in (in_format(X, name), X):
                np.testing.assert_allclose(
                    getattr(sparse, predict)(rows), expected, 1e-8, 1e-10
                )
    dense.partial_fit(X, y)
    sparse.partial_fit(in_format(X, name), y)
    for a, b in zip(dense.coefs_, sparse.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lower_precisions_learn_sparse_rows_too(digits, precision):
    X, y = digits
    network = ScaledMLPClassifier(
        precision=precision, preprocessing=None, max_epochs=15, random_state=0
    )
    assert network.fit(sp.csr_array(X[:1400]), y[:1400]).score(X[1400:], y[1400:]) > 0.88


SHAPES = [
    {"widths": ()},
    {"widths": (8, 8)},
    {"widths": (8, 8, 5), "normalization": "layer", "residual": True},
]


@pytest.mark.parametrize("architecture", SHAPES, ids=str)
def test_a_stack_of_sparse_networks_equals_lone_dense_ones(architecture):
    def tasks(is_sparse):
        made = [
            make_task(
                seed=k // 3, learning_rate=0.01 * (1 + k % 3), dropout=0.1 * (k % 2),
                weight_decay=0.1 * (k % 2), valid=20 * (k // 3), rows=150 - 20 * (k // 3),
                weighted=True, architecture=architecture, is_sparse=is_sparse, max_epochs=4,
            )
            for k in range(6)
        ]  # fmt: skip
        arrays = SharedArrays()
        for task in made:
            arrays.share(task)
        return made

    sparse = tasks(True)
    assert sparse[0].X is sparse[2].X
    assert sparse[0].n_own_bytes > 0 == sparse[1].n_own_bytes
    dense = tasks(False)
    for task, like in zip(dense, sparse, strict=True):
        task.X = like.X.toarray()
    sizes = []
    together = train(sparse, n_threads=1, stack_sizes=sizes)
    assert sizes == [6]
    derived = train(sparse, AutogradGradient, n_threads=1)
    for one, other, task in zip(together, derived, dense, strict=True):
        assert_equal_networks(one, train([task])[0], rtol=1e-10, atol=1e-12)
        assert_equal_networks(one, other, rtol=1e-9, atol=1e-11)


def test_sparse_networks_train_together_in_a_search(sparse_data, Estimator):
    X, y = sparse_data
    network = Estimator(
        depth=1,
        max_epochs=3,
        precision="float64",
        random_state=0,
        device="cpu",
        preprocessing=None,
    )
    grid = {"width": [4, 8], "learning_rate": [1e-3, 1e-2]}
    search = GridSearchCV(network, grid, cv=3, refit=False)
    alone = clone(search).fit(sp.csr_array(X), y)
    with joblib.parallel_config(backend="skscale"):
        together = clone(search).fit(sp.csr_array(X), y)
    assert last_fused_run().n_fits == 12
    assert max(last_fused_run().stack_sizes) > 1
    for name in ("split0_test_score", "split2_test_score"):
        np.testing.assert_array_equal(together.cv_results_[name], alone.cv_results_[name])


def test_text_goes_through_a_pipeline_and_a_pickle():
    texts = ["red apple", "green apple pie", "blue sea", "deep blue water"] * 10
    model = make_pipeline(
        TfidfVectorizer(), ScaledMLPClassifier(depth=1, width=8, max_epochs=40, random_state=0)
    )
    model.fit(texts, ["fruit", "fruit", "sea", "sea"] * 10)
    again = pickle.loads(pickle.dumps(model))
    assert list(again.predict(["an apple", "the sea", ""]))[:2] == ["fruit", "sea"]


def test_rows_and_columns_without_entries_and_entries_given_twice():
    X = sp.coo_array(
        ([1.0, 1.0, 2.0, 0.0, 3.0], ([0, 0, 1, 3, 4], [1, 1, 0, 2, 3])), shape=(6, 5)
    )
    y = [0, 1, 0, 1, 0, 1]
    twice = sp.csr_array(  # not summed
        (
            np.array([1.0, 1, 2, 0, 3]),
            np.array([1, 1, 0, 2, 3]),
            np.array([0, 2, 3, 3, 4, 5, 5]),
        ),
        shape=(6, 5),
    )
    network = ScaledMLPClassifier(
        width=4,
        early_stopping=False,
        max_epochs=5,
        precision="float64",
        random_state=0,
        preprocessing=None,
    )
    expected = clone(network).fit(X.toarray(), y).predict_proba(X.toarray())
    for given in (X.tocsr(), twice):
        assert np.allclose(clone(network).fit(given, y).predict_proba(given), expected)


def test_a_batch_is_the_matrix_in_both_products():
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((7, 20)) < 0.2, rng.standard_normal((7, 20)), 0)
    dense[2] = 0
    batch = SparseBatch(sp.csr_array(dense), torch.float64, torch.device("cpu"))
    weight, d = (torch.from_numpy(rng.standard_normal(s)) for s in ((20, 3), (7, 3)))
    np.testing.assert_allclose(batch.product(weight), dense @ weight.numpy())
    out = torch.zeros(20, 3, dtype=torch.float64)
    batch.write_gradient(d, out)
    np.testing.assert_allclose(out, dense.T @ d.numpy())
    batch.clear_gradient(out)
    assert not out.any()
    empty = SparseBatch(sp.csr_array((3, 20)), torch.float64, torch.device("cpu"))
    assert not empty.product(weight).any()
    empty.write_gradient(d[:3], out)
    assert not out.any()


def test_no_column_of_a_sparse_array_is_centred():
    X = sp.csr_array(1e6 + np.random.default_rng(0).random((50, 2)))
    y = load_diabetes(return_X_y=True)[1][:50]
    assert ScaledMLPRegressor(max_epochs=1, random_state=0).fit(X, y).encoding_ is None


def test_callbacks_of_skorch_see_sparse_rows_batch_by_batch(digits):
    from skorch.callbacks import EpochScoring

    callbacks = [EpochScoring("accuracy", lower_is_better=False)]
    X, y = digits
    network = ScaledMLPClassifier(width=8, max_epochs=3, random_state=0, precision="float64")
    plain = clone(network).fit(sp.csr_array(X), y)
    watched = clone(network).set_params(callbacks=callbacks).fit(sp.csr_array(X), y)
    np.testing.assert_allclose(watched.predict_proba(X), plain.predict_proba(X), atol=1e-8)
    np.testing.assert_allclose(
        plain.net_.predict_proba(sp.csr_matrix(X[:5])), plain.predict_proba(X[:5]), atol=1e-8
    )


NEVER_DENSE = """
import resource
import numpy as np, scipy.sparse as sp
from skscale import ScaledMLPClassifier

rng = np.random.default_rng(0)
n, d, k = 20_000, 50_000, 30
y = rng.integers(2, size=n)
columns = rng.integers(d // 2, size=(n, k)) + (d // 2) * (rng.random((n, k)) < 0.4 * y[:, None])
X = sp.csr_array((np.ones(n * k), columns.ravel(), np.arange(0, n * k + 1, k)), shape=(n, d))
ScaledMLPClassifier(depth=1, width=2, max_epochs=1, random_state=0).fit(X[:100], y[:100])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
network = ScaledMLPClassifier(depth=1, width=8, max_epochs=2, random_state=0).fit(X, y)
network.partial_fit(X, y)
assert network.score(X, y) > 0.9
network.predict_proba(X.tocsc())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_twenty_thousand_texts_of_fifty_thousand_terms_are_never_dense():
    run = subprocess.run(
        [sys.executable, "-c", NEVER_DENSE], capture_output=True, text=True, check=True
    )
    # In MB; dense float32 would be 4,000.
    assert int(run.stdout) < 150


def test_sparse_rows_of_a_network_that_centres_columns(digits, diabetes):
    # A constant column is centred, and so is a time stamp.
    for Estimator, (X, y) in ((ScaledMLPClassifier, digits), (ScaledMLPRegressor, diabetes)):
        X = np.column_stack([X[:300].astype(np.float64), np.ones(300)])
        X[:, 0] += 1e9
        network = Estimator(width=16, max_epochs=3, random_state=0).fit(X, y[:300])
        assert network.encoding_.center[0] > 1e8
        expected = network.predict(X)
        np.testing.assert_allclose(network.predict(sp.csr_array(X)), expected, rtol=1e-4)
        if Estimator is ScaledMLPClassifier:
            p = network.predict_proba(X)
            np.testing.assert_allclose(network.predict_proba(sp.csc_matrix(X)), p, atol=1e-5)
        before = network.coefs_[0]
        with pytest.raises(ValueError, match=r"expected a dense X.*Pass X.toarray\(\)"):
            network.partial_fit(sp.csr_array(X), y[:300])
        with pytest.raises(ValueError, match="expected a dense X"):
            network.set_params(warm_start=True).fit(sp.csr_array(X), y[:300])
        assert network.coefs_[0] is before
        # Validation rows take the kind of X.
        given = clone(network).fit(X, y[:300], X_val=sp.csr_array(X[:90]), y_val=y[:90])
        dense = clone(network).fit(X, y[:300], X_val=X[:90], y_val=y[:90])
        np.testing.assert_array_equal(given.coefs_[0], dense.coefs_[0])


@pytest.mark.filterwarnings("ignore:Constructing a DIA matrix")
@pytest.mark.parametrize("format", ["dok", "lil", "coo", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_other_formats_are_converted(Estimator, sparse_data, format, kind):
    X, y = sparse_data
    convert = getattr(sp, f"{format}_{kind}")
    network = Estimator(width=8, max_epochs=2, random_state=0, preprocessing=None)
    expected = clone(network).fit(sp.csr_array(X), y).predict(X)
    got = clone(network).fit(convert(X), y)
    np.testing.assert_allclose(got.predict(convert(X)), expected, rtol=1e-4, atol=1e-6)


def test_categories_by_place_need_dense_rows():
    X = sp.csr_array(np.eye(10))
    with pytest.raises(ValueError, match="needs a dense X, got a sparse one"):
        ScaledMLPClassifier(categorical_features=[0]).fit(X, np.arange(10) % 2)
