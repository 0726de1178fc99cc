"""The backend is known to joblib whatever is imported first."""

import subprocess
import sys

import pytest

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
    print(type(Parallel()._backend).__name__)
"""


@pytest.fixture(scope="module")
def processes():
    """One for each order, at the same time: most of theirs goes into imports."""
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", f"import sys\n{order}\n{_CHECK}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, order in _ORDERS.items()
    }
    yield started
    for process in started.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", _ORDERS)
def test_the_backend_is_known_whatever_is_imported_first(processes, name):
    said, errors = processes[name].communicate(timeout=240)
    assert processes[name].returncode == 0, errors
    assert said.strip() == "FusedBackend"
