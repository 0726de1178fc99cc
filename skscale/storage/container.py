"""Checksummed container files: a header of one line, and content.

::

    skscale frozen format=1 writer=0.1.0 bytes=<n> sha256=<hex>\\n<n bytes>

The checksum covers the header before it and the content, so that a truncated file or one
changed bit is detected. It is not a signature: anyone who can write the file can write a valid
checksum.
"""

import contextlib
import hashlib
import os
import re
import stat
import time

from .._version import __version__

# Maximum length of the header. Content is read as a whole, after its length has been checked.
_LONGEST_LINE = 256
# Prefix of files that are being written, and the age at which they count as abandoned.
_DRAFT, _DRAFT_SECONDS = ".skscale-", 3600
_BINARY = getattr(os, "O_BINARY", 0)  # Windows
# The writer and the reader of each kind of file.
_WRITERS = {
    "frozen": "Predictor.save",
    "estimator": "skscale.save",
    "entry": "a fit with memory=...",
}
_READERS = {"frozen": "skscale.load_frozen", "estimator": "skscale.load"}
_LINE = re.compile(
    rb"skscale (?P<kind>[a-z]{1,16}) format=(?P<version>[1-9][0-9]{0,5}) "
    rb"writer=(?P<writer>[0-9A-Za-z.+]{1,64}) bytes=(?P<size>0|[1-9][0-9]{0,15}) "
    rb"sha256=(?P<digest>[0-9a-f]{64})\n"
)


class InvalidFileError(ValueError):
    """Error for a file that is damaged, of another kind, or not trusted."""


def write(path, kind, version, content, *, is_synced=True):
    """Write a container file atomically.

    Parameters
    ----------
    path : str or path-like
    kind : str
        Kind of content, in one word.
    version : int
        Format version of this kind.
    content : bytes
    is_synced : bool, default=True
        See `write_whole`.
    """
    prefix = (
        f"skscale {kind} format={version} writer={__version__} bytes={len(content)}".encode()
    )
    header = prefix + b" sha256=" + _digest(prefix, content).encode() + b"\n"
    write_whole(path, header, content, is_synced=is_synced)


def write_whole(path, *parts, is_synced=True):
    """Write bytes to a file atomically.

    Parameters
    ----------
    path : str or path-like
    *parts : bytes
        Bytes to write, in this order.
    is_synced : bool, default=True
        Whether to wait until the bytes are on disk, so that they survive a power failure.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    path = os.path.abspath(os.fspath(path))
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"Expected an existing folder, got {folder!r}. Create it first."
        )
    # In the same folder, so that the final move is atomic.
    draft = os.path.join(folder, f"{_DRAFT}{os.urandom(8).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            if is_synced:
                os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(draft, stat.S_IMODE(os.stat(path).st_mode))  # keeps the file mode
        os.replace(draft, path)
        if is_synced:
            _sync_folder(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _sync_folder(folder):
    # The name of a file is stored in its folder.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not all file systems support it
            os.fsync(handle)
    finally:
        os.close(handle)


def remove_old_drafts(folder):
    """Remove temporary files that killed writers have left in a folder.

    Parameters
    ----------
    folder : str or path-like
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_draft = entry.name.startswith(_DRAFT)
            if is_draft and time.time() - entry.stat().st_mtime > _DRAFT_SECONDS:
                os.unlink(entry.path)


def read(path, kind, version, oldest=1):
    """Read the content of a file, and check it against the header.

    Parameters
    ----------
    path : str or path-like
    kind : str
        Expected kind of content.
    version : int
        Newest supported format version.
    oldest : int, default=1
        Oldest supported format version.

    Returns
    -------
    content : memoryview
    version : int
        Format version of this file.

    Raises
    ------
    InvalidFileError
        If the file is damaged, or of another kind or format.
    OSError
        If the file cannot be read.
    """
    path = os.fspath(path)
    # Opening a pipe would block until a writer comes, and a device may have no end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InvalidFileError(
            f"{path!r} is not a regular file. Expected a file written by {_WRITERS[kind]}."
        )
    with open(path, "rb") as file:
        line = file.readline(_LONGEST_LINE)
        found = _LINE.fullmatch(line)
        if found is None:
            raise InvalidFileError(
                f"{path!r} has no valid skscale header. Expected a file written by "
                f"{_WRITERS[kind]}; this file has another format or is damaged."
            )
        _check_kind(path, found, kind)
        _check_version(path, found, oldest, version)
        size = int(found["size"])
        if os.fstat(file.fileno()).st_size != len(line) + size:
            raise _damaged(path, f"its size differs from the {size} bytes in its header")
        content = memoryview(file.read(size))
    prefix = line[: -len(b" sha256=\n") - 64]
    if _digest(prefix, content) != found["digest"].decode():
        raise _damaged(path, "its SHA-256 checksum differs from the one in its header")
    return content, int(found["version"])


def _digest(prefix, content):
    digest = hashlib.sha256(prefix)
    digest.update(content)
    return digest.hexdigest()


def _check_kind(path, found, kind):
    if found["kind"] != kind.encode():
        remedy = _READERS.get(found["kind"].decode(), "a newer version of skscale")
        raise InvalidFileError(
            f"{path!r} has another kind of content: expected {kind!r}, got "
            f"{found['kind'].decode()!r}. Load it with {remedy}."
        )


def _check_version(path, found, oldest, newest):
    version, writer = int(found["version"]), found["writer"].decode()
    if oldest <= version <= newest:
        return
    readable, remedy = f"up to {newest}", "install that version or a newer one"
    if version < oldest:
        readable, remedy = (
            f"from {oldest}",
            "load it with that version, or save it again",
        )
    raise InvalidFileError(
        f"{path!r} has format {version}, and skscale {__version__} reads formats {readable}. "
        f"It was written by skscale {writer}: {remedy}."
    )


def _damaged(path, problem):
    return InvalidFileError(
        f"{path!r} is damaged: {problem}. Expected the file as it was written: copy it again."
    )
