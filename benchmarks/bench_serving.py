"""What it takes to serve a network: to start, to stay in memory, to answer.

    python benchmarks/bench_serving.py [--quick] [--json PATH]

One network, 64-128-128-10 with relu behind a StandardScaler, of the same weights everywhere:
frozen, as our pickle, as the pickle of scikit-learn's MLP, and in ONNX Runtime. Equal labels
and probabilities within 1e-5 are asserted first. The graph is that of our pipeline, by
`import skscale.onnx` and skl2onnx. One thread for every library.

- Processes: seconds from the start of the interpreter to the first prediction, and the memory
  that is resident then and was at most (VmRSS and VmHWM; Linux only); bytes of the files. NumPy
  alone reads the row that is predicted, as all others do.
- Calls: microseconds of `predict` of a row, in one process. The array is what each takes
  without a copy: float64, and float32 for ONNX Runtime.
- Service: examples/service with each of them in the place of the frozen predictor, in a
  process of its own; `POST /predict` of a row, by one client and by 16 at a time, from this
  process. Every answer is compared with scikit-learn's.

All contestants take turns, and ratios are medians of the turns' ratios.
"""

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import asyncio
import contextlib
import json
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from _bench import parse_arguments, print_table, ratio, write_json

ROOT = Path(__file__).parents[1]
_RUNTIME = """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("onnx", options, providers=["CPUExecutionProvider"])
"""
# What a process does between `x`, the row, and the print of its label.
CODES = {
    "frozen": "import skscale; label = skscale.load_frozen('frozen').predict(x)[0]",
    "our pickle": "import pickle; label = pickle.load(open('ours', 'rb')).predict(x)[0]",
    "scikit-learn": "import pickle; label = pickle.load(open('theirs', 'rb')).predict(x)[0]",
    "ONNX Runtime": _RUNTIME + "label = session.run(None, {'X': x.astype('f4')})[0][0]",
    "NumPy alone": "label = 0",
}
_PROCESS = """
import numpy as np
x = np.load("row.npy")
{code}
print(label)
try:
    lines = open("/proc/self/status").read().splitlines()
    print(*(line.split()[1] for line in lines if line.startswith(("VmHWM", "VmRSS"))))
except OSError:
    print("nan nan")
"""
FILES = {
    "frozen": "frozen", "our pickle": "ours", "scikit-learn": "theirs", "ONNX Runtime": "onnx",
}  # fmt: skip
REFERENCE = "scikit-learn"
CLIENTS = (1, 16)


class OnnxPredictor:
    """ONNX Runtime with the interface that the service asks for.

    Parameters
    ----------
    path : str
    """

    n_features_in_ = 64

    def __init__(self, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def predict(self, X):
        """Return labels."""
        return self.session.run(["label"], {"X": np.asarray(X, dtype=np.float32)})[0]

    def probabilities(self, X):
        """Return probabilities."""
        return self.session.run(["probabilities"], {"X": np.asarray(X, dtype=np.float32)})[0]


def write_files(folder):
    """Fit, assert equal predictions, write what the processes read; return rows and labels."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import skscale.onnx  # noqa: F401 (it registers our converters)
    from skscale import ScaledMLPClassifier, freeze

    X, y = load_digits(return_X_y=True)
    ours = ScaledMLPClassifier(
        residual=False, activation="relu", preprocessing=None, max_epochs=5, random_state=0
    )
    ours = make_pipeline(StandardScaler(), ours).fit(X, y)
    theirs = make_pipeline(StandardScaler(), MLPClassifier((128, 128), max_iter=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X, y)
    theirs[-1].coefs_ = [c.astype(np.float64) for c in ours[-1].coefs_]
    theirs[-1].intercepts_ = [b.astype(np.float64) for b in ours[-1].intercepts_]
    graph = to_onnx(ours, X[:1].astype(np.float32), options={"zipmap": False})
    (folder / "onnx").write_bytes(graph.SerializeToString())
    freeze(ours).save(folder / "frozen")
    (folder / "ours").write_bytes(pickle.dumps(ours))
    (folder / "theirs").write_bytes(pickle.dumps(theirs))
    np.save(folder / "row.npy", X[:1])
    expected = theirs.predict_proba(X)
    for predictor in load_all(folder).values():
        np.testing.assert_array_equal(predictor.predict(X), theirs.predict(X))
        say = getattr(predictor, "predict_proba", getattr(predictor, "probabilities", None))
        np.testing.assert_allclose(say(X), expected, atol=1e-5)
    return X, theirs.predict(X)


def load(name, folder):
    """Return a contestant, read from its file."""
    path = Path(folder) / FILES[name]
    if name == "frozen":
        import skscale

        return skscale.load_frozen(path)
    return OnnxPredictor(path) if name == "ONNX Runtime" else pickle.loads(path.read_bytes())


def load_all(folder):
    """Return all contestants by name."""
    return {name: load(name, folder) for name in FILES}


def time_processes(folder, n_times, label):
    """Return seconds, resident and most kB of each process; the first of each is left out."""
    found = {name: [] for name in CODES}
    for turn in range(n_times + 1):
        for name, code in CODES.items():
            start = time.perf_counter()
            said = subprocess.run(
                [sys.executable, "-c", _PROCESS.format(code=code)],
                cwd=folder, check=True, capture_output=True, text=True,
            ).stdout.split()  # fmt: skip
            seconds = time.perf_counter() - start
            assert name == "NumPy alone" or int(said[0]) == label
            most, resident = map(float, said[1:])
            if turn:
                found[name].append((seconds, resident, most))
    return {name: np.array(values).T for name, values in found.items()}


def time_calls(folder, X, n_calls, n_rounds):
    """Return the seconds of single calls of each, of shape (n_rounds, n_calls)."""
    contestants = load_all(folder)
    rows = dict.fromkeys(contestants, X[:1]) | {"ONNX Runtime": X[:1].astype(np.float32)}
    seconds = {name: np.empty((n_rounds, n_calls)) for name in contestants}
    for turn in range(-1, n_rounds):
        for name, contestant in contestants.items():
            predict, row, times = contestant.predict, rows[name], np.empty(n_calls)
            for call in range(n_calls):
                start = time.perf_counter()
                predict(row)
                times[call] = time.perf_counter() - start
            if turn >= 0:
                seconds[name][turn] = times
    return seconds


def serve(name, folder):
    """Be the service, with a contestant in the place of the frozen predictor."""
    sys.path.insert(0, str(ROOT / "examples" / "service"))
    import service

    settings = service.Settings(port=0)
    service.serve(service.make_app(load(name, folder), settings, {"kind": name}), settings)


@contextlib.contextmanager
def running(name, folder):
    """Yield the port of a service that runs in a process of its own."""
    command = [sys.executable, __file__, "--serve", name, str(folder)]
    path = Path(folder) / f"log of {name}"
    with path.open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            found = None
            while found is None:
                time.sleep(0.05)
                found = re.search(r"running on http://127\.0\.0\.1:(\d+)", path.read_text())
                assert process.poll() is None, path.read_text()
            yield int(found[1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


async def ask(port, requests, seconds):
    """Send requests on one connection, one after the other; append the seconds of each."""
    # Bare sockets: a client library takes as long as the service, on the same two cores.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body, label in requests:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        start = time.perf_counter()
        writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        size = int(re.search(rb"(?i)content-length: (\d+)", answer)[1])
        content = await reader.readexactly(size)
        seconds.append(time.perf_counter() - start)
        assert json.loads(content) == {"predictions": [label]}, content
    writer.close()
    await writer.wait_closed()


async def ask_together(port, requests, n_clients):
    """Return how long all requests took, and each."""
    seconds = []
    start = time.perf_counter()
    await asyncio.gather(
        *(ask(port, requests[client::n_clients], seconds) for client in range(n_clients))
    )
    return time.perf_counter() - start, seconds


def time_services(folder, X, labels, n_requests, n_rounds):
    """Return, of each contestant and number of clients, the rounds' rates and all seconds."""
    names = [f"x{place}" for place in range(X.shape[1])]
    requests = [
        (json.dumps({"rows": [dict(zip(names, row, strict=True))]}).encode(), label)
        for row, label in zip(X[:n_requests].tolist(), labels.tolist(), strict=False)
    ]
    found = {}
    with contextlib.ExitStack() as stack:
        contestants = [name for name in FILES if name != "our pickle"]
        ports = {n: stack.enter_context(running(n, folder)) for n in contestants}
        for turn in range(-1, n_rounds):
            for n_clients in CLIENTS:
                for name, port in ports.items():
                    took, seconds = asyncio.run(ask_together(port, requests, n_clients))
                    if turn >= 0:
                        rates, all_seconds = found.setdefault((n_clients, name), ([], []))
                        rates.append(len(requests) / took)
                        all_seconds += seconds
    return found


def report_processes(folder, found):
    """Print and return what was found of the processes."""
    results, rows = {}, []
    for name, (seconds, resident, most) in found.items():
        file = Path(folder) / FILES[name] if name in FILES else None
        results[name] = {
            "seconds": round(float(np.median(seconds)), 3),
            "seconds_of_theirs": [round(r, 3) for r in ratio(seconds, found[REFERENCE][0])],
            "resident_mb": round(float(np.median(resident)) / 1024, 1),
            "most_mb": round(float(np.median(most)) / 1024, 1),
            "most_of_theirs": [round(r, 3) for r in ratio(most, found[REFERENCE][2])],
            "bytes": file.stat().st_size if file else None,
        }
        of = results[name]
        rows.append(
            [name, of["seconds"], in_words(of["seconds_of_theirs"]), of["resident_mb"],
             of["most_mb"], in_words(of["most_of_theirs"]), of["bytes"] or ""]
        )  # fmt: skip
    print("\nFrom the start of the interpreter to the first prediction\n")
    print_table(
        ["process", "s", "of scikit-learn's", "resident, MB", "at most, MB",
         "of scikit-learn's", "bytes of the file"],
        rows,
    )  # fmt: skip
    return results


def report_calls(seconds):
    """Print and return what was found of the calls."""
    medians = {name: np.median(times, axis=1) for name, times in seconds.items()}
    results, rows = {}, []
    for name, times in seconds.items():
        p50, p99 = np.percentile(times, [50, 99]) * 1e6
        against = {
            other: [round(r, 2) for r in ratio(medians[name], medians[other])]
            for other in (REFERENCE, "ONNX Runtime")
        }
        results[name] = {"p50_us": round(p50, 1), "p99_us": round(p99, 1), "p50_of": against}
        rows.append([name, f"{p50:.1f}", f"{p99:.1f}", *map(in_words, against.values())])
    print("\nA call, one row\n")
    print_table(["", "p50, us", "p99, us", "of scikit-learn's", "of ONNX Runtime's"], rows)
    return results


def report_services(found):
    """Print and return what was found of the services."""
    results, rows = [], []
    for (n_clients, name), (rates, seconds) in found.items():
        p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
        against = [round(r, 2) for r in ratio(rates, found[n_clients, REFERENCE][0])]
        results.append(
            {
                "clients": n_clients,
                "contestant": name,
                "requests_a_second": round(float(np.median(rates))),
                "rate_of_theirs": against,
                "p50_ms": round(p50, 2),
                "p99_ms": round(p99, 2),
            }
        )
        rows.append(
            [n_clients, name, f"{np.median(rates):.0f}", in_words(against), f"{p50:.2f}",
             f"{p99:.2f}"]
        )  # fmt: skip
    print("\nThe service, one row a request\n")
    print_table(
        ["clients", "with", "requests a second", "of scikit-learn's", "p50, ms", "p99, ms"],
        rows,
    )
    return results


def in_words(of_ratio):
    """Return a median and what it lies between."""
    median, low, high = of_ratio
    return f"{median:g} ({low:g} to {high:g})"


def main():
    """Measure, print tables, write JSON."""
    if sys.argv[1:2] == ["--serve"]:
        return serve(*sys.argv[2:])
    options = parse_arguments(__doc__.splitlines()[0])
    quick = options.quick
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        X, labels = write_files(folder)
        found = time_processes(folder, 3 if quick else 15, labels[0])
        results = {"processes": report_processes(folder, found)}
        seconds = time_calls(folder, X, 200, 3 if quick else 25)
        results["calls"] = report_calls(seconds)
        found = time_services(folder, X, labels, 200 if quick else 800, 2 if quick else 7)
        results["service"] = report_services(found)
    write_json(options.json, "serving", "cpu", results)
    return None


if __name__ == "__main__":
    main()
