"""Make `joblib.parallel_config(backend="skscale")` known, without importing joblib.

`import skscale` shall cost nothing, and serving needs no joblib. So the backend is
registered at once where joblib is there already, and whenever it is imported afterwards.
joblib knows no entry points: its `EXTERNAL_BACKENDS` is a dict of its own module.
"""

import sys

_MODULE = "joblib.parallel"


def register_backend():
    """Register the backend now if joblib is there, and whenever joblib is imported."""
    if _MODULE in sys.modules:
        _register(sys.modules[_MODULE])
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _register(module):
    # Still being imported, it has no such function yet, and calls `_finder` once it has.
    if hasattr(module, "register_parallel_backend"):
        module.register_parallel_backend("skscale", _make_backend)


def _make_backend(**settings):
    try:
        from .fusion.backend import FusedBackend
    except ImportError as error:
        raise ImportError(
            'backend="skscale" trains networks, which needs torch and skorch: '
            f"pip install torch skorch. What failed: {error}"
        ) from error
    return FusedBackend(**settings)


class _AfterImport:
    # Finds joblib.parallel as all others do, and appends a call to its execution. It stays, so
    # that neither a search without import nor a failed or repeated import loses the backend.
    def find_spec(self, name, path=None, target=None):
        if name != _MODULE:
            return None
        spec = self._ask_others(name, path, target)
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module):
            execute(module)
            _register(module)

        spec.loader.exec_module = execute_and_register
        return spec

    def _ask_others(self, name, path, target):
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


_finder = _AfterImport()
