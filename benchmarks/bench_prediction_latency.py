"""Latency of a prediction: one row and a thousand, alone and in four threads at once.

    python benchmarks/bench_prediction_latency.py [--quick] [--json PATH]

One network (the same weights everywhere; equal labels are asserted first) predicts by
skscale, scikit-learn's MLP, stock skorch, torch as it is, torch behind scikit-learn's
`check_array`, and ONNX Runtime where it is installed. Every library is held to one thread,
so that four Python threads at once are four requests at once. Seconds are of single calls,
the contestants in turn.
"""

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import threading
import time
import warnings

import numpy as np
import skorch
import torch
from _bench import parse_arguments, print_table, write_json
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import check_array

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.networks.dense.torch_network import DenseNetwork

SHAPES = {"20-64-64": (20, 64), "100-256-256": (100, 256)}
N_THREADS = 4


def make_estimators(n_features, width, is_classifier):
    """Return ours and scikit-learn's with the same weights, and rows."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, n_features))
    latent = X[:, 0] * X[:, 1] + X[:, 2]
    y = np.digitize(latent, [-0.7, 0.7]) if is_classifier else latent
    Ours = ScaledMLPClassifier if is_classifier else ScaledMLPRegressor
    Theirs = MLPClassifier if is_classifier else MLPRegressor
    ours = Ours(
        depth=2, width=width, residual=False, activation="relu", preprocessing=None,
        max_epochs=5, random_state=0,
    ).fit(X, y)  # fmt: skip
    theirs = Theirs(hidden_layer_sizes=(width, width), max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X, y)
    theirs.coefs_ = [c.astype(np.float64) for c in ours.coefs_]
    theirs.intercepts_ = [b.astype(np.float64) for b in ours.intercepts_]
    if not is_classifier:  # our network predicts standardised targets
        theirs.coefs_[-1] *= ours.target_scale_
        theirs.intercepts_[-1] = theirs.intercepts_[-1] * ours.target_scale_ + ours.target_mean_
    # With what the defaults do inside: another network, of the same size.
    default = clone(ours).set_params(preprocessing="auto", activation="silu").fit(X, y)
    return ours, theirs, default, X


def make_onnx(ours):
    """Return an ONNX Runtime session of a relu network, or None where it is missing."""
    try:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return None
    nodes, weights, x = [], [], "x"
    last = len(ours.coefs_) - 1
    for layer, (coef, bias) in enumerate(zip(ours.coefs_, ours.intercepts_, strict=True)):
        weights += [
            numpy_helper.from_array(np.ascontiguousarray(coef), f"w{layer}"),
            numpy_helper.from_array(bias, f"b{layer}"),
        ]
        out = "y" if layer == last else f"z{layer}"
        nodes.append(helper.make_node("Gemm", [x, f"w{layer}", f"b{layer}"], [out]))
        if layer < last:
            x = f"a{layer}"
            nodes.append(helper.make_node("Relu", [out], [x]))
    n_in, n_out = ours.coefs_[0].shape[0], ours.coefs_[-1].shape[1]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, n_in])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, n_out])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def make_contestants(ours, theirs, default, X):
    """Return functions that predict labels, by name."""
    rows32 = X.astype(np.float32)
    module = DenseNetwork(ours.architecture_, ours.predictor_.network.weights).eval()
    classes = ours.classes_
    net = skorch.NeuralNetClassifier(
        module, classes=classes, train_split=None, callbacks="disable", verbose=0
    ).initialize()
    session = make_onnx(ours)

    def by_torch(rows):
        with torch.inference_mode():
            return classes[module(torch.from_numpy(rows)).argmax(1).numpy()]

    contestants = {
        "skscale": lambda: ours.predict(X),
        "skscale, defaults": lambda: default.predict(X),
        "skscale, float32": lambda: ours.predict(rows32),
        "scikit-learn": lambda: theirs.predict(X),
        "torch": lambda: by_torch(rows32),
        "torch and check_array": lambda: by_torch(check_array(X, dtype=np.float32)),
        "skorch": lambda: net.predict(rows32),
    }
    if session is not None:
        contestants["ONNX Runtime"] = lambda: classes[
            session.run(None, {"x": rows32})[0].argmax(1)
        ]
    return contestants


def time_calls(contestants, n_calls, n_rounds):
    """Return the seconds of single calls of each, taken in turn."""
    seconds = {name: [] for name in contestants}
    for run in contestants.values():
        for _ in range(20):
            run()
    for _ in range(n_rounds):
        for name, run in contestants.items():
            for _ in range(n_calls):
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def time_threads(contestants, n_calls, n_rounds):
    """Return the seconds of single calls while four threads call at once."""
    seconds = {name: [] for name in contestants}

    def work(run, barrier, into):
        own = []
        barrier.wait()
        for _ in range(n_calls):
            start = time.perf_counter()
            run()
            own.append(time.perf_counter() - start)
        into.extend(own)

    for _ in range(n_rounds):
        for name, run in contestants.items():
            barrier = threading.Barrier(N_THREADS)
            threads = [
                threading.Thread(target=work, args=(run, barrier, seconds[name]))
                for _ in range(N_THREADS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return seconds


def summarize(seconds):
    """Return the median and the 99th percentile in microseconds."""
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e6
    return {"p50_us": round(p50, 1), "p99_us": round(p99, 1)}


def main():
    """Measure, print tables, write JSON."""
    options = parse_arguments(__doc__.splitlines()[0])
    torch.set_num_threads(1)
    n_rounds = 3 if options.quick else 15
    results = []

    def report(case, seconds, baseline):
        reference = np.percentile(seconds[baseline], 50)
        tail = np.percentile(seconds[baseline], 99)
        rows = []
        for name, own in seconds.items():
            figures = summarize(own)
            ratios = np.percentile(own, 50) / reference, np.percentile(own, 99) / tail
            rows.append([name, *figures.values(), *(f"{r:.3f}" for r in ratios)])
            figures["p50_ratio"], figures["p99_ratio"] = (round(r, 3) for r in ratios)
            results.append({"case": case, "contestant": name, **figures})
        print(f"\n{case}\n")
        print_table(["", "p50, us", "p99, us", f"p50 / {baseline}", f"p99 / {baseline}"], rows)

    for shape, (n_features, width) in SHAPES.items():
        ours, theirs, default, X = make_estimators(n_features, width, True)
        for n_rows, n_calls in ((1, 200), (1000, 10)):
            rows = np.ascontiguousarray(X[:n_rows])
            contestants = make_contestants(ours, theirs, default, rows)
            expected = theirs.predict(rows)
            for name, run in contestants.items():
                agree = (run() == expected).mean()
                is_other = name == "skscale, defaults"
                # float32 may differ where two are level.
                assert is_other or agree >= 0.999, (name, agree)
            baseline = "scikit-learn" if n_rows == 1 else "torch and check_array"
            report(
                f"{shape}, {n_rows} rows, one thread",
                time_calls(contestants, n_calls, n_rounds),
                baseline,
            )
            together = {k: contestants[k] for k in contestants if k != "skorch"}
            report(
                f"{shape}, {n_rows} rows, four threads at once",
                time_threads(together, n_calls, n_rounds),
                "scikit-learn",
            )
        row = X[:1]
        contestants = {
            "skscale": lambda row=row, e=ours: e.predict_proba(row),
            "skscale, defaults": lambda row=row, e=default: e.predict_proba(row),
            "scikit-learn": lambda row=row, e=theirs: e.predict_proba(row),
        }
        for name in ("skscale", "scikit-learn"):
            np.testing.assert_allclose(
                contestants[name](), theirs.predict_proba(row), atol=1e-5
            )
        report(
            f"{shape}, predict_proba, 1 row",
            time_calls(contestants, 200, n_rounds),
            "scikit-learn",
        )
        ours, theirs, default, X = make_estimators(n_features, width, False)
        row, row32 = X[:1], X[:1].astype(np.float32)
        contestants = {
            "skscale": lambda row=row, e=ours: e.predict(row),
            "skscale, float32": lambda row=row32, e=ours: e.predict(row),
            "scikit-learn": lambda row=row, e=theirs: e.predict(row),
        }
        for run in contestants.values():
            np.testing.assert_allclose(run(), theirs.predict(row), rtol=1e-4, atol=1e-4)
        report(
            f"{shape}, regressor, 1 row", time_calls(contestants, 200, n_rounds), "scikit-learn"
        )
        try:
            import pandas as pd
        except ImportError:
            print("\nThe data frame needs: pip install pandas")
            continue
        frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(n_features)])
        y = np.digitize(X[:, 0], [-0.7, 0.7])
        ours.fit(frame, X[:, 0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs.fit(frame, X[:, 0])
        framed = ScaledMLPClassifier(depth=2, width=width, max_epochs=2).fit(frame, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            reference = MLPClassifier((width, width), max_iter=1).fit(frame, y)
        one = frame[:1]
        report(
            f"{shape}, a data frame of 1 row",
            time_calls(
                {
                    "skscale": lambda one=one, e=framed: e.predict(one),
                    "scikit-learn": lambda one=one, e=reference: e.predict(one),
                    "skscale, regressor": lambda one=one, e=ours: e.predict(one),
                    "scikit-learn, regressor": lambda one=one, e=theirs: e.predict(one),
                },
                50,
                n_rounds,
            ),
            "scikit-learn",
        )
    write_json(options.json, "bench_prediction_latency", "cpu", results)


if __name__ == "__main__":
    main()
