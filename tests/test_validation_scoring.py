"""Validation scores by scikit-learn's scorers, for early stopping."""

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score, make_scorer, mean_absolute_error, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skscale import ScaledMLPClassifier, ScaledMLPRegressor, ScaledNetworkClassifier
from skscale.fusion import last_fused_run

SETTINGS = {"width": 8, "max_epochs": 12, "random_state": 0, "n_iter_no_change": 100}


def split(digits, n=400):
    X, y = digits
    return X[:n], y[:n], X[n : n + 200], y[n : n + 200]


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_the_score_of_the_best_epoch_is_that_of_the_fitted_network(problem, digits):
    X, y, X_val, y_val = split(digits)
    if problem == "binary":
        y, y_val = (np.where(part > 4, "high", "low") for part in (y, y_val))
    if problem == "multilabel":
        y, y_val = (np.eye(10, dtype=int)[part] for part in (y, y_val))
    network = ScaledMLPClassifier(**SETTINGS, validation_scoring="accuracy")
    network.fit(X, y, X_val=X_val, y_val=y_val)
    assert network.validation_scores_.max() == pytest.approx(network.score(X_val, y_val))
    assert network.best_epoch_ == network.validation_scores_.argmax() + 1
    by_loss = clone(network).set_params(validation_scoring="loss")
    by_loss.fit(X, y, X_val=X_val, y_val=y_val)
    assert (by_loss.validation_scores_ < 0).all()


def test_scorers_of_probabilities_and_of_decisions(digits):
    X, y, X_val, y_val = split(digits)
    y, y_val = y > 4, y_val > 4
    own = make_scorer(roc_auc_score, response_method="predict_proba")
    for scoring in ("roc_auc", own, lambda e, X, y: roc_auc_score(y, e.decision_function(X))):
        network = ScaledMLPClassifier(**SETTINGS, validation_scoring=scoring)
        network.fit(X, y, X_val=X_val, y_val=y_val)
        auc = roc_auc_score(y_val, network.decision_function(X_val))
        assert network.validation_scores_.max() == pytest.approx(auc)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_regressors_score_is_in_the_units_of_y(n_outputs, diabetes):
    X, y = diabetes
    y = y if n_outputs == 1 else np.column_stack([y, 1000 * y])
    network = ScaledMLPRegressor(**SETTINGS, validation_scoring="neg_mean_absolute_error")
    network.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    error = mean_absolute_error(y[300:], network.predict(X[300:]))
    assert network.validation_scores_.max() == pytest.approx(-error, rel=1e-5)


def test_sample_weights_reach_scorers_that_accept_them(digits):
    X, y, X_val, y_val = split(digits)
    weights = np.random.default_rng(0).uniform(0, 2, len(y_val))
    network = ScaledMLPClassifier(**SETTINGS, validation_scoring="accuracy")
    network.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    expected = accuracy_score(y_val, network.predict(X_val), sample_weight=weights)
    assert network.validation_scores_.max() == pytest.approx(expected)
    plain = clone(network).set_params(
        validation_scoring=lambda e, X, y: accuracy_score(y, e.predict(X))
    )
    plain.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    assert plain.validation_scores_.max() == pytest.approx(plain.score(X_val, y_val))


def test_members_with_and_without_a_scorer_train_together(digits):
    X, y = digits[0][:400], digits[1][:400]
    network = ScaledMLPClassifier(**SETTINGS, precision="float64")
    grid = {"validation_scoring": ["loss", "accuracy", "neg_log_loss"]}
    plain = GridSearchCV(network, grid, cv=2).fit(X, y)
    with joblib.parallel_config(backend="skscale"):
        fused = GridSearchCV(network, grid, cv=2).fit(X, y)
    assert max(last_fused_run().stack_sizes) == 6
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(plain.cv_results_[name], fused.cv_results_[name])


def test_skorchs_loop_and_modules_score_as_the_engine(digits):
    from skorch.callbacks import Callback

    from tests.test_network import Dense

    X, y = digits[0][:300], digits[1][:300]
    network = ScaledMLPClassifier(
        **SETTINGS, precision="float64", validation_scoring="balanced_accuracy"
    )
    through = clone(network).set_params(callbacks=[Callback()])
    np.testing.assert_allclose(
        network.fit(X, y).validation_scores_, through.fit(X, y).validation_scores_
    )
    module = ScaledNetworkClassifier(
        Dense, max_epochs=3, random_state=0, validation_scoring="accuracy"
    ).fit(X, y)
    assert (module.validation_scores_ >= 0).all()


def test_ensembles_pruning_and_cached_networks(digits, tmp_path):
    X, y = digits[0][:300], digits[1][:300]
    network = ScaledMLPClassifier(
        **SETTINGS, n_estimators=2, pruning=0.5, validation_scoring="accuracy", memory=tmp_path
    )
    first, again = clone(network).fit(X, y), clone(network).fit(X, y)
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    assert (first.validation_scores_ >= 0).all()
    other = clone(network).set_params(validation_scoring="loss").fit(X, y)
    assert (other.validation_scores_ < 0).any()  # another cache entry


def test_a_score_that_is_not_finite_is_an_error_that_names_it(digits):
    X, y = digits[0][:100], digits[1][:100]
    network = ScaledMLPClassifier(**SETTINGS, validation_scoring=lambda e, X, y: np.nan)
    with pytest.raises(ValueError, match=r"must return a finite number.*10 rows, got nan"):
        network.fit(X, y)
    for scoring in ("accuracies", 3):
        with pytest.raises(ValueError, match="validation_scoring"):
            network.set_params(validation_scoring=scoring).fit(X, y)


def test_it_works_in_a_pipeline_and_without_early_stopping(digits):
    X, y = digits[0][:100], digits[1][:100]
    network = ScaledMLPClassifier(
        **SETTINGS, validation_scoring="accuracy", early_stopping=False
    )
    fitted = make_pipeline("passthrough", network).fit(X, y)
    assert np.isnan(fitted[-1].validation_scores_).all()
