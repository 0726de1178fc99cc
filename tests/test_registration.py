"""The backend is known to joblib whatever is imported first."""

import os
import subprocess
import sys

_ORDERS = {
    "joblib first": "import joblib, skscale",
    "joblib last": "import skscale; assert 'joblib' not in sys.modules; import joblib",
    "scikit-learn last": "import skscale, sklearn.model_selection",
    "by an estimator": "import skscale; skscale.ScaledMLPClassifier",
    "searched for, then imported": "import skscale, importlib.util as u; "
    "u.find_spec('joblib'); u.find_spec('joblib.parallel')",
    "imported twice": "import skscale, joblib; "
    "[sys.modules.pop(m) for m in list(sys.modules) if m.split('.')[0] == 'joblib']",
    "reloaded": "import skscale, importlib; importlib.reload(skscale); import joblib",
    "in a thread": "import skscale, threading; t = threading.Thread(target=__import__, "
    "args=('joblib',)); t.start(); t.join()",
    "after a failed import": "import skscale; sys.modules['joblib.numpy_pickle'] = None\n"
    "try: import joblib\nexcept ImportError: del sys.modules['joblib.numpy_pickle']\n"
    "else: raise AssertionError",
}
_CHECK = """
from joblib import Parallel, delayed, parallel_config
with parallel_config(backend="skscale"):
    assert Parallel()(delayed(abs)(n) for n in (-1, 2)) == [1, 2]
    print(f"{name}:", type(Parallel()._backend).__name__, flush=True)
"""
# Each order in a process of its own, forked where torch and SciPy have been imported, which
# takes the longest and which none of the orders is about.
_PROGRAM = """
import os, sys, traceback
import scipy.optimize, scipy.sparse.linalg, scipy.stats, torch
assert not {"joblib", "sklearn", "skscale"} & set(sys.modules)
for name, order in ORDERS.items():
    child = os.fork() if hasattr(os, "fork") else 0
    if child:
        os.waitpid(child, 0)
        continue
    try:
        exec(order + CHECK, {"sys": sys, "name": name})
    except BaseException:
        traceback.print_exc()
    os._exit(0)
"""


def test_the_backend_is_registered_in_any_order_of_imports():
    said = []
    for orders in [_ORDERS] if hasattr(os, "fork") else [{n: o} for n, o in _ORDERS.items()]:
        code = f"ORDERS = {orders!r}\nCHECK = {_CHECK!r}\n{_PROGRAM}"
        done = subprocess.run(
            [sys.executable, "-c", code], check=True,
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        said += done.stdout.splitlines()
    assert said == [f"{name}: FusedBackend" for name in _ORDERS], done.stderr
