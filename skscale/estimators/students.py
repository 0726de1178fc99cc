"""Tasks of students: networks trained with teacher predictions."""

import copy
import warnings
from dataclasses import replace

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.utils import get_tags

from .._sklearn_private import _safe_indexing
from ..inference.columns import join, read_table
from ..training.losses import Loss
from ..training.task import ValidationSet
from .pickling import TeacherLeftOut
from .sample_weights import check_weights


def check_student(estimator):
    """Raise an error for parameters of a student that contradict one another."""
    from ..compression.distillation import check_teacher

    if isinstance(estimator.teacher, TeacherLeftOut):
        estimator.teacher.fit(None)  # raises an error with the remedy
    check_teacher(estimator.teacher, is_classifier(estimator))
    distillation = estimator._distillation
    if distillation.n_synthetic and not estimator._mixes_columns:
        raise ValueError(
            f"Synthetic rows mix the columns of tables, which {type(estimator).__name__} does "
            "not take. Set distillation=Distillation(n_synthetic=0)."
        )
    if distillation.temperature != 1 and not is_classifier(estimator):
        raise ValueError(
            "The temperature of distillation divides logits, and a regressor has none: "
            f"got temperature={distillation.temperature!r}. Leave it at 1."
        )
    if is_classifier(estimator) and isinstance(estimator.loss, Loss):
        raise ValueError(
            "Distillation combines the log loss with the log loss of the teacher's "
            f"probabilities, and loss={estimator.loss!r} is another one. Set "
            'loss="log_loss", or teacher=None.'
        )
    if estimator.callbacks:
        raise ValueError(
            "callbacks run in skorch's training loop, which does not support distillation. Set "
            "callbacks=None, or teacher=None."
        )


def describe_student(estimator, task, fit, X, y, sample_weight):
    """Add teacher predictions and synthetic rows to the task of a fit."""
    from ..compression.distillation import mix_columns, mix_sources, teacher_predictions

    distillation = estimator._distillation
    rows, n_rows, n_new = (
        task.train_rows,
        task.X.shape[0],
        int(distillation.n_synthetic),
    )
    X = X.tocsr() if issparse(X) else X
    if not hasattr(X, "shape"):
        X = join(read_table(X, n_dims=None)[0])
    y = np.asarray(y.toarray() if issparse(y) else y)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    weights = check_weights(X.shape[0], sample_weight)
    X_taught, X_new, inputs = _safe_indexing(X, rows), None, task.X
    is_of_images = len(X_taught.shape) > 2
    if is_of_images and not get_tags(estimator.teacher).input_tags.three_d_array:
        X_taught = X_taught.reshape(len(X_taught), -1)  # the teacher expects a table
    if n_new:
        if issparse(X):
            raise ValueError(
                "n_synthetic mixes the columns of rows, which needs dense X, got a sparse "
                "one. Set distillation=Distillation(n_synthetic=0)."
            )
        first, other, random = mix_sources(task.X[rows], n_new)
        is_other = random.random((n_new, X.shape[1])) < 0.5
        X_new = mix_columns(X_taught, first, other, is_other)
        new = fit.inputs.transform(X_new, estimator._network_dtype)
        inputs = np.concatenate([inputs, new])
    predictions, predictions_new = teacher_predictions(
        estimator.teacher,
        X_taught,
        y[rows],
        None if weights is None else weights[rows],
        classes=fit.head.classes if is_classifier(estimator) else None,
        is_multilabel=is_classifier(estimator) and fit.head.is_multilabel,
        cv=distillation.cv,
        memory=estimator.memory,
        X_new=X_new,
    )
    weights = task.weights
    if weights is not None and n_new:
        weights = np.concatenate([weights, np.ones(n_new, weights.dtype)])
    validation = task.validation
    if validation is None and task.valid_rows is not None:
        # Early stopping uses the true targets.
        validation = ValidationSet(task.X, task.targets, task.weights)
    return replace(
        task,
        X=inputs,
        weights=weights,
        train_rows=np.concatenate([rows, n_rows + np.arange(n_new)]),
        validation=validation,
        recipe=estimator._describe_recipe(len(rows) + n_new, fit.dropout),
        **estimator._targets.teach(task, fit.head, predictions, predictions_new),
    )


def warn_unless_teacher_helps(estimator, architecture, student, alone, validation):
    """Warn if a student does not gain from its teacher."""
    if isinstance(student, Exception) or isinstance(alone, Exception):
        return
    scores = []
    is_loss = estimator.validation_scoring == "loss"
    for network in (student, alone):
        if validation is None or not is_loss:
            scores.append(max(epoch["validation_score"] for epoch in network.history))
            continue
        network = copy.copy(network)
        scores.append(-estimator._targets.calibrate(architecture, network, *validation))
    score, score_alone = scores
    if score_alone >= score:
        name = "negative mean loss" if is_loss else "score"
        warnings.warn(
            f"The student does not gain from its teacher: its {name} on the validation set "
            f"is {score:.4f}, and {score_alone:.4f} without the teacher. Try another teacher "
            "or distillation weight, synthetic rows "
            "(distillation=Distillation(n_synthetic=...)), or set teacher=None.",
            UserWarning,
            stacklevel=6,
        )
