"""Make `joblib.parallel_config(backend="skscale")` known, without importing joblib.

`import skscale` shall cost nothing, and serving needs no joblib. So the backend is
registered at once where joblib is there already, else in the moment in which joblib is
imported.
"""

import importlib.util
import sys

_MODULE = "joblib.parallel"


def register_backend():
    """Register the backend now, or as soon as joblib is imported."""
    if _MODULE in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterImport())


def _register():
    sys.modules[_MODULE].register_parallel_backend("skscale", _make_backend)


def _make_backend(**settings):
    try:
        from .training.joblib_backend import FusedBackend
    except ImportError as error:
        raise ImportError(
            'backend="skscale" trains networks, which needs torch and skorch: '
            f"pip install torch skorch. What failed: {error}"
        ) from error
    return FusedBackend(**settings)


class _AfterImport:
    # Finds joblib.parallel as everybody does, and appends a call to its execution.
    def find_spec(self, name, path=None, target=None):
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module):
            execute(module)
            _register()

        spec.loader.exec_module = execute_and_register
        return spec
