"""A folder of entries, each found by its key and checked before it is believed.

A cache is an aid: where it cannot be written, is full or damaged, it warns, and whoever asks
does without.
"""

import os
import pathlib
import warnings

from . import container
from .tree import pack, unpack

# Raise it when entries that are written now could not be read, or be read otherwise, before.
ENTRY_FORMAT = 1
_KIND = "entry"
_FOLDER = "skscale"


class Store:
    """Keep arrays and plain values in a folder.

    Processes and threads may share it: an entry is written as a whole or not at all. What is
    written is not waited for: after a power cut an entry may be damaged, which is found.

    Parameters
    ----------
    folder : str
        Made when something is kept.
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
            Of a Memory its location; entries are not in its format, which has no hash.

        Returns
        -------
        Store or None
            None where nothing is to be kept.
        """
        location = getattr(memory, "location", memory)
        return None if location is None else cls(os.path.expanduser(os.fspath(location)))

    def get(self, kind, key):
        """Return an entry, or None.

        Parameters
        ----------
        kind : str
            What it is, in one word: the folder that it lies in.
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
            # Else it was written for another key, and moved.
            if (entry["kind"], entry["key"]) == (kind, key):
                return entry["value"]
            error = "it is of another key"
        except FileNotFoundError:
            return None
        except OSError as failure:
            self._warn(f"cannot be read ({_reason(failure)})", "What it may hold is made anew.")
            return None
        except Exception as failure:  # others may have written it
            error = str(failure)
        self._warn(f"has a damaged entry ({error})", "It is made anew.")
        return None

    def put(self, kind, key, value):
        """Keep an entry; warn where that fails.

        Parameters
        ----------
        kind, key : str
        value : dict
            Of arrays and plain values: see `tree.pack`.

        Returns
        -------
        bool
            Whether it is kept.
        """
        try:
            content = pack({"kind": kind, "key": key, "value": value})
            path = self._path(kind, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            container.remove_old_drafts(path.parent)
            container.write(path, _KIND, ENTRY_FORMAT, content, is_synced=False)
        except Exception as error:  # and of what cannot be kept
            self._warn(
                f"cannot be written ({_reason(error)})",
                "Nothing is lost but what would be kept there. Expected a folder that can be "
                "made and written to, with room left.",
            )
            return False
        return True

    def remove(self, kind, key):
        """Forget an entry, if there is one."""
        try:
            self._path(kind, key).unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"cannot be written ({_reason(error)})", "An old entry stays there.")

    def _path(self, kind, key):
        # Folders of moderate size.
        return pathlib.Path(self.folder, _FOLDER, kind, key[:2], key)

    def _warn(self, what, so):
        # Once a process: the next thousand networks have the same to say. (No lock, which a
        # fork might find held: two threads may both say it.)
        if (self.folder, what) in self._warned:
            return
        self._warned.add((self.folder, what))
        warnings.warn(f"memory={self.folder!r} {what}. {so}", RuntimeWarning, stacklevel=2)


def _reason(error):
    return getattr(error, "strerror", None) or error
