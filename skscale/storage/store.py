"""Cache folder of checksummed entries, each found by its key.

If the cache is damaged, full or not writable, it warns, and its users continue without it.
"""

import os
import pathlib
import warnings

from . import container
from .tree import pack, unpack

# Increase it when earlier versions could not read new entries or would read them differently.
ENTRY_FORMAT = 1
_KIND = "entry"
_FOLDER = "skscale"


class Store:
    """Cache of arrays and plain values in a folder.

    Processes and threads may share it, because entries are written atomically. Writes are not
    synced to disk: after a power failure an entry may be damaged, which its checksum detects.

    Parameters
    ----------
    folder : str
        Created with the first entry.
    """

    _warned = set()

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    def at(cls, memory):
        """Return the store of a `memory` parameter.

        Parameters
        ----------
        memory : str, path-like, joblib.Memory or None
            Of a Memory only the location is used; its own format has no checksum.

        Returns
        -------
        Store or None
            None without a location.
        """
        location = getattr(memory, "location", memory)
        return None if location is None else cls(os.path.expanduser(os.fspath(location)))

    def get(self, kind, key):
        """Return an entry, or None if there is none.

        Parameters
        ----------
        kind : str
            Kind of the entry in one word, the name of its subfolder.
        key : str
            A hash.

        Returns
        -------
        dict or None
        """
        path = self._path(kind, key)
        try:
            content, _ = container.read(path, _KIND, ENTRY_FORMAT)
            entry = unpack(content)
            # A moved file may hold the entry of another key.
            if (entry["kind"], entry["key"]) == (kind, key):
                return entry["value"]
            error = "it belongs to another key"
        except FileNotFoundError:
            return None
        except OSError as failure:
            problem = f"cannot be read ({_reason(failure)})"
            self._warn(problem, "Its entries are computed again.")
            return None
        except Exception as failure:  # foreign content may raise anything
            error = str(failure)
        self._warn(f"has a damaged entry ({error})", "The entry is computed again.")
        return None

    def put(self, kind, key, value):
        """Write an entry; warn if that fails.

        Parameters
        ----------
        kind, key : str
        value : dict
            Arrays and plain values: see `tree.pack`.

        Returns
        -------
        bool
            Whether the entry was written.
        """
        try:
            content = pack({"kind": kind, "key": key, "value": value})
            path = self._path(kind, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            container.remove_old_drafts(path.parent)
            container.write(path, _KIND, ENTRY_FORMAT, content, is_synced=False)
        except Exception as error:  # includes values that cannot be packed
            self._warn(
                f"cannot be written ({_reason(error)})",
                "Fitting continues without writing to the cache. Expected a writable folder "
                "with free disk space, which may be new.",
            )
            return False
        return True

    def remove(self, kind, key):
        """Remove an entry, if there is one."""
        try:
            self._path(kind, key).unlink(missing_ok=True)
        except OSError as error:
            problem = f"cannot be written ({_reason(error)})"
            self._warn(problem, "An outdated entry remains in the folder.")

    def _path(self, kind, key):
        # Split by prefix, so that no folder grows too large.
        return pathlib.Path(self.folder, _FOLDER, kind, key[:2], key)

    def _warn(self, problem, consequence):
        # Once per process, because thousands of networks may fail alike. There is no lock,
        # since a fork might inherit it locked: two threads may both warn.
        if (self.folder, problem) in self._warned:
            return
        self._warned.add((self.folder, problem))
        warnings.warn(
            f"memory={self.folder!r} {problem}. {consequence}", RuntimeWarning, stacklevel=2
        )


def _reason(error):
    return getattr(error, "strerror", None) or error
