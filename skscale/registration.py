"""Registration of the joblib backend "skscale", without importing joblib.

`import skscale` must stay fast, and serving needs no joblib. The backend is therefore
registered immediately if joblib is already imported, and otherwise whenever it is imported.
joblib has no entry points: its `EXTERNAL_BACKENDS` is a dict in its own module.
"""

import sys

_MODULE = "joblib.parallel"


def register_backend():
    """Register the backend now if joblib is imported, and whenever joblib is imported."""
    if _MODULE in sys.modules:
        _register(sys.modules[_MODULE])
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _register(module):
    # During its import the module lacks this function; `_finder` registers after the import.
    if hasattr(module, "register_parallel_backend"):
        module.register_parallel_backend("skscale", _make_backend)


def _make_backend(**settings):
    try:
        from .fusion.backend import FusedBackend
    except ImportError as error:
        raise ImportError(
            'backend="skscale" needs torch and skorch, which cannot be imported '
            f"({error}). Install them: pip install torch skorch."
        ) from error
    return FusedBackend(**settings)


class _AfterImport:
    # Finds joblib.parallel by the other finders, and registers the backend after its execution.
    # It stays in sys.meta_path, so that a search without import and a failed or repeated import
    # do not lose the backend.
    def find_spec(self, name, path=None, target=None):
        if name != _MODULE:
            return None
        spec = self._find_in_others(name, path, target)
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module):
            execute(module)
            _register(module)

        spec.loader.exec_module = execute_and_register
        return spec

    def _find_in_others(self, name, path, target):
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


_finder = _AfterImport()
