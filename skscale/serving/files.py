"""Files of estimators, pipelines and searches, based on skops, without pickle.

A file is the header of `container` followed by a skops archive, which `skops.io.load` and
`unzip` can read as well. Before skops reads the archive, this module refuses hostile content
that skops accepts: archives and arrays that claim more bytes than the file holds, references
that expand without end, protocols of older and looser readers, and bytes that might be a
pickle.
"""

import io
import json
import os
import warnings
import zipfile
from dataclasses import fields, is_dataclass

import numpy as np
from sklearn.base import BaseEstimator

from ..inference.predictor import Predictor
from ..storage import container
from ..storage.tree import expect
from .trusted import TRUSTED_TYPES

# Increase it when the previous skscale could not read new files, or would read them
# differently. Keep reading all formats up to it, and keep a file of each in the tests.
ESTIMATOR_FORMAT = 2
_KIND = "estimator"
_SCHEMA = "schema.json"
# A file names the skops protocol to read it with. Protocols before that of skops 0.16 are
# refused, because their readers are less strict.
_OLDEST_PROTOCOL = 2
# Bytes may be a pickle, sparse matrices are archives within the archive, and cached nodes
# belong to older protocols.
_REFUSED_NODES = {"BytesNode", "BytearrayNode", "SparseMatrixNode", "CachedNode"}
# skops trusts these modules, but their compiled code does not check the indices in them.
_UNCHECKED = ("sklearn.svm.", "sklearn.tree._tree.")
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def save(estimator, path):
    """Write an estimator, a pipeline or a search to a file, without pickle.

    The file holds arrays and plain values. The content is read back before it is written, and
    the file is written atomically. Needs skops: `pip install skscale[serve]`.

    Parameters
    ----------
    estimator : estimator
        An estimator of skscale or scikit-learn, fitted or not.
    path : str or path-like

    Raises
    ------
    ImportError
        If skops is not installed.
    TypeError
        If it is not an estimator, or contains something that cannot be read back: a lambda or
        local function, a type that cannot be imported, bytes, or a sparse matrix.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import skscale
    >>> X, y = load_iris(return_X_y=True)
    >>> network = skscale.ScaledMLPClassifier(width=8, max_epochs=2, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), network).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "iris.skops"
    ...     skscale.save(pipeline, path)
    ...     again = skscale.load(path)
    >>> bool((again.predict(X) == pipeline.predict(X)).all())
    True
    """
    skops = _import_skops()
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"Expected an estimator, a pipeline or a search, got {type(estimator).__name__}."
        )
    try:
        content = skops.dumps(estimator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings meant for loading
            held = {*_check_archive(content), *skops.get_untrusted_types(data=content)}
            _construct(skops, content, held)
    except Exception as error:  # skops raises many types
        raise TypeError(
            f"This {type(estimator).__name__} cannot be saved without pickle: {error}. "
            "Expected arrays, plain values, and types and functions that can be imported by "
            "their names. Replace the named object, or use pickle, which executes code when "
            "it loads a file."
        ) from error
    container.write(path, _KIND, ESTIMATOR_FORMAT, content)


def load(path, trusted=()):
    """Read a file of `skscale.save`. All of it is audited before anything is constructed.

    Needs skops: `pip install skscale[serve]`. The checksum in the file detects damage; it does
    not authenticate the author.

    Parameters
    ----------
    path : str or path-like
    trusted : list of (str or type), default=()
        Types and functions to trust beside `skscale.TRUSTED_TYPES` and those of skops, such as
        your own modules. Their code will be executed: trust only code that you know.

    Returns
    -------
    estimator

    Raises
    ------
    InvalidFileError
        If the file is damaged, is of another kind or format, or holds untrusted types, which
        the message names.
    ImportError
        If skops is not installed.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import skscale
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "network.skops"
    ...     skscale.save(skscale.ScaledMLPRegressor(width=8), path)
    ...     skscale.load(path)
    ScaledMLPRegressor(width=8)
    """
    skops = _import_skops()
    names = _names_of(trusted)
    content, _ = container.read(path, _KIND, ESTIMATOR_FORMAT, ESTIMATOR_FORMAT)
    try:
        return _construct(skops, bytes(content), names)
    except container.InvalidFileError as error:
        raise container.InvalidFileError(f"{os.fspath(path)!r} {error}") from None
    except Exception as error:  # foreign content may raise anything
        raise container.InvalidFileError(
            f"{os.fspath(path)!r} contains no valid estimator, although its checksum matches: "
            f"{type(error).__name__}: {error}. Expected a file written by skscale.save, and "
            "the package versions that it was written with."
        ) from error


def _import_skops():
    try:
        import skops.io
        import skops.io.exceptions
    except ImportError as error:
        raise ImportError(
            f"skscale.save and skscale.load need skops, which cannot be imported ({error}). "
            "Install it: pip install 'skscale[serve]'. Or use skscale.freeze or pickle, which "
            "do not need it."
        ) from error
    return skops.io


def _names_of(trusted):
    if isinstance(trusted, (str, bytes, bool)) or not hasattr(trusted, "__iter__"):
        raise TypeError(
            f"trusted must be a list of types or of their names, got {trusted!r}. Pass "
            'trusted=["package.module.Name"].'
        )
    # The name of a type does not depend on the module it was imported from.
    return [
        kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
        for kind in trusted
    ]


def _construct(skops, content, trusted):
    trusted = {*TRUSTED_TYPES, *trusted}
    unknown = _check_archive(content) - trusted
    if not unknown:  # else skops does not need to read the file
        unknown = set(skops.get_untrusted_types(data=content)) - trusted
    if unknown:
        names = ", ".join(sorted(unknown))
        raise container.InvalidFileError(
            f"contains types that are not trusted: {names}. Expected only types in "
            "skscale.TRUSTED_TYPES. If you trust the author of the file and know the code of "
            f"these types, pass trusted={sorted(unknown)}."
        )
    estimator = skops.loads(content, trusted=sorted(trusted))
    expect(isinstance(estimator, BaseEstimator), f"an estimator, got {type(estimator)}")
    _check_networks(estimator)
    return estimator


def _check_archive(content):
    """Refuse an archive that needs more space than its file; see `_check_schema`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        expect(len(set(names)) == len(names), "archive members with unique names")
        is_stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        expect(is_stored, "uncompressed archive members")
        # Members of a hostile archive may overlap.
        total = sum(member.file_size for member in members)
        expect(total <= len(content), "archive members no larger than the file")
        for member in members:
            if member.filename != _SCHEMA:
                _check_array(archive, member)
        return _check_schema(json.loads(archive.read(_SCHEMA)))


def _check_array(archive, member):
    expect(member.filename.endswith(".npy"), f"arrays and a schema, got {member.filename!r}")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        expect(version in _READERS, "a supported version of the .npy format")
        shape, _, dtype = _READERS[version](file)
        expect(not dtype.hasobject, "an array without Python objects")
        n_bytes = dtype.itemsize
        for n in shape:
            expect(
                type(n) is int and 0 <= n <= member.file_size, "axes no longer than the file"
            )
            n_bytes *= n
        expect(n_bytes == member.file_size - file.tell(), "array data that match its shape")


def _check_schema(schema):
    """Refuse schemas that skops would expand for too long or read too loosely.

    Returns
    -------
    set of str
        Types that skops trusts but skscale does not.
    """
    protocol = schema["protocol"]
    expect(
        type(protocol) is int and protocol >= _OLDEST_PROTOCOL,
        f"skops protocol {_OLDEST_PROTOCOL} or newer",
    )
    nodes, n_values = _find_nodes(schema)
    refused = {node["__loader__"] for node in nodes} & _REFUSED_NODES
    expect(not refused, f"only arrays and plain values, got {sorted(refused)}")
    expect(_expand(schema, nodes) <= 2 * n_values, "a schema without nested references")
    names = {f"{node['__module__']}.{node['__class__']}" for node in nodes}
    return {name for name in names if name.startswith(_UNCHECKED)}


def _is_node(value):
    return isinstance(value, dict) and "__loader__" in value


def _parts_of(value):
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _find_nodes(schema):
    """Return the nodes of a schema and its total number of values."""
    nodes, n_values, waiting = [], 0, [schema]
    while waiting:
        value = waiting.pop()
        n_values += 1
        if _is_node(value):
            nodes.append(value)
        waiting.extend(_parts_of(value))
    return nodes, n_values


def _expand(schema, nodes):
    """Return the number of values of a schema with its references expanded.

    skops replaces all nodes of one id by the first, and walks through it each time. A few nodes
    that contain each other twice would take practically forever.
    """
    of_number, sizes = {}, {}
    for node in nodes:
        of_number.setdefault(node.get("__id__"), []).append(node)

    def size_of(value):
        number = value.get("__id__") if _is_node(value) else None
        if number is None:
            return size_inside(value)
        if number not in sizes:
            sizes[number] = None
            sizes[number] = max(map(size_inside, of_number[number]))
        expect(sizes[number] is not None, "no circular references")
        return sizes[number]

    def size_inside(value):
        return 1 + sum(map(size_of, _parts_of(value)))

    return size_of(schema)


def _check_networks(estimator):
    """Refuse predictors with inconsistent parts, or parts that claim more than they hold."""
    seen, waiting, predictors = set(), [estimator], []
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            waiting.extend(thing.values())
        elif isinstance(thing, (list, tuple, set)):
            waiting.extend(thing)
        elif isinstance(thing, np.ndarray):
            waiting.extend(thing.flat if thing.dtype.hasobject else ())
        elif hasattr(thing, "__dict__") and not isinstance(thing, type):
            if type(thing).__module__.startswith("skscale.") and is_dataclass(thing):
                _check_attributes(thing)
            waiting.extend(vars(thing).values())
        if isinstance(thing, Predictor):
            predictors.append(thing)
    for predictor in predictors:
        predictor.check()


def _check_attributes(part):
    """Refuse attributes that would hide a method, such as `check`."""
    own = {field.name for field in fields(part)}
    hidden = {name for name in vars(part) if name not in own and hasattr(type(part), name)}
    expect(not hidden, f"no attributes {sorted(hidden)}")
