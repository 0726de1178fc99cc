"""scikit-learn's own tests of searches and validation, with our backend active.

What fails with `backend="skscale"` must also fail with joblib's `backend="threading"`: some
of these tests expect jobs to be run in the caller's thread, and neither does that. They are
run in processes of their own, as some change what is global.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn

import skscale

pytestmark = pytest.mark.slow

SKLEARN = Path(sklearn.__file__).parent
TIMEOUT = 1200
# With "threading", some tests fail only when their threads happen to meet.
REPEATS = 8

PLUGIN = '''
"""Runs each test with a joblib backend active, and writes down what came of it."""

import json
import os
import threading

import joblib
import pytest
import skscale  # registers its backend

CONFIG = json.loads(os.environ["SUITE_CONFIG"])
BACKENDS = set()
OUTCOMES = {}


@pytest.fixture(autouse=True)
def _active_backend():
    with joblib.parallel_config(**CONFIG):
        BACKENDS.add(type(joblib.parallel.get_active_backend()[0]).__name__)
        yield


def pytest_runtest_logreport(report):
    # Setup, call and teardown each have a report: passed is what passed in all.
    if OUTCOMES.get(report.nodeid, "passed") == "passed":
        OUTCOMES[report.nodeid] = report.outcome


def pytest_sessionfinish():
    jobs = [thread for thread in threading.enumerate() if thread.name == "skscale-job"]
    for job in jobs:
        job.join(10)
    result = {
        "backends": sorted(BACKENDS),
        "outcomes": OUTCOMES,
        "n_jobs_left": sum(job.is_alive() for job in jobs),
    }
    with open(os.environ["SUITE_RESULT"], "w") as file:
        json.dump(result, file)
'''


def _run(tests, folder, **config):
    """Run tests, files or single ones, with a backend active; return the plugin's result."""
    folder.mkdir()
    (folder / "suite_plugin.py").write_text(PLUGIN)
    # In place of this project's settings, which take warnings for errors.
    (folder / "pytest.ini").write_text("[pytest]\nfaulthandler_timeout = 120\n")
    result, log = folder / "result.json", folder / "log.txt"
    paths = [str(folder), str(Path(skscale.__file__).parents[1])]
    if "PYTHONPATH" in os.environ:
        paths.append(os.environ["PYTHONPATH"])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "SUITE_CONFIG": json.dumps(config),
        "SUITE_RESULT": str(result),
    }
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "suite_plugin"]
    command += ["-p", "no:cacheprovider", "-c", str(folder / "pytest.ini")]
    command += [f"--rootdir={SKLEARN}", *(f"{SKLEARN}/{test}" for test in tests)]
    # A file, no pipe: processes that the tests start would hold a pipe open.
    with log.open("w") as file:
        try:
            subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.fail(f"{config} hangs:\n{log.read_text()[-20_000:]}")
    assert result.exists(), f"{config} crashes:\n{log.read_text()[-20_000:]}"
    return json.loads(result.read_text())


def _tests(result, outcome):
    return {test for test, its_outcome in result["outcomes"].items() if its_outcome == outcome}


@pytest.mark.parametrize("name", ["test_search.py", "test_validation.py"])
def test_only_failures_with_threading_fail_with_our_backend(name, tmp_path):
    suite = f"model_selection/tests/{name}"
    ours = _run([suite], tmp_path / "ours", backend="skscale")
    threading = _run([suite], tmp_path / "threading", backend="threading", n_jobs=2)

    # Both have run what they were to run.
    assert ours["backends"] == ["FusedBackend"]
    assert threading["backends"] == ["ThreadingBackend"]
    assert ours["outcomes"].keys() == threading["outcomes"].keys()
    assert _tests(ours, "skipped") == _tests(threading, "skipped")
    assert len(_tests(ours, "passed")) >= 100
    assert len(_tests(threading, "passed")) >= 100

    assert ours["n_jobs_left"] == 0
    only_ours = _tests(ours, "failed") - _tests(threading, "failed")
    for i in range(REPEATS):
        if only_ours:
            folder = tmp_path / f"again_{i}"
            again = _run(sorted(only_ours), folder, backend="threading", n_jobs=2)
            only_ours -= _tests(again, "failed")
    assert not only_ours, (tmp_path / "ours" / "log.txt").read_text()[-20_000:]
