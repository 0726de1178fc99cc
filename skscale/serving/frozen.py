"""Files of predictors that need only NumPy."""

import os

import numpy as np

from ..inference.categories import Lookup
from ..inference.encoding import TableEncoding
from ..inference.heads import Labels, Numbers
from ..inference.inputs import PipelineInputs, TableInputs
from ..inference.predictor import KIND, PREDICTOR_FORMAT, make_predictor
from ..inference.steps import Arithmetic, Branches, Chain, Impute, OneHot, Ordinal
from ..networks.dense.architecture import DenseArchitecture
from ..networks.dense.forward import Dense
from ..networks.weights import Weights
from ..storage import container
from ..storage.tree import expect, unpack

# Dataclasses that a file may hold.
PARTS = (
    Arithmetic,
    Branches,
    Chain,
    Dense,
    DenseArchitecture,
    Impute,
    Labels,
    Lookup,
    Numbers,
    OneHot,
    Ordinal,
    PipelineInputs,
    TableEncoding,
    TableInputs,
    Weights,
)

_OLDEST_FORMAT = 2


def _upgrade_encoding(own):
    """Return the fields of a TableEncoding of format 2, which had no range of a column."""
    n_numbers = len(own["numbers"])
    none = np.array([], dtype=np.intp)
    return own | {
        "standardizes": own["clips"],
        "low": np.full(n_numbers, -np.inf),
        "high": np.full(n_numbers, np.inf),
        "binned": none if own["edges"] is None else np.arange(n_numbers),
        "direct": none,
        "direct_scale": np.array([]),
        "bin_factor": 1.0,
    }


_UPGRADES = {
    "TableEncoding": _upgrade_encoding,
    "DenseArchitecture": lambda own: own | {"n_direct": 0},
}


def load_frozen(path):
    """Read a predictor that `Predictor.save` wrote. Needs only NumPy.

    Nothing in the file is executed. Its checksum detects damage; it does not authenticate the
    author.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Predictor

    Raises
    ------
    InvalidFileError
        If the file is damaged, or of another kind or format.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_diabetes
    >>> from skscale import ScaledMLPRegressor, freeze, load_frozen
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = ScaledMLPRegressor(width=8, max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "diabetes.skscale"
    ...     freeze(network).save(path)
    ...     predictor = load_frozen(path)
    >>> predictor.predict(X[:3]).shape
    (3,)
    """
    content, version = container.read(path, KIND, PREDICTOR_FORMAT, _OLDEST_FORMAT)
    try:
        tree = unpack(content, PARTS, _UPGRADES if version == 2 else None)
        expect(isinstance(tree, dict), "the parts of a predictor")
        predictor = make_predictor(**tree)
        expect(isinstance(predictor.network, Dense), "a dense network")
        predictor.check()
    except Exception as error:  # foreign content may raise anything
        raise container.InvalidFileError(
            f"{os.fspath(path)!r} contains no valid predictor, although its checksum matches: "
            f"{error}. Expected a file written by Predictor.save."
        ) from error
    return predictor
