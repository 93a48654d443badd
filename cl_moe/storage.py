"""Atomic writing, and temporary files that tell which process made them.

A process that is killed cannot remove its temporary files. Their names hold a hash of the host and
the process id, so that a later process removes those of dead processes, and no one else's.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

__all__ = (
    "DRAFT", "EXPERTS", "FULL", "STUDY", "digest", "file_digest", "is_alive", "leftovers", "naming",
    "remove_leftovers", "replace_file", "storage_problem", "temporary_folder",
)  # fmt: skip

_BLOCK = 1 << 20

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of the errors of a full disk, a quota, and a limit on the size of files."""

EXPERTS, STUDY = "cl_moe-experts-", "cl_moe-study-"
"""The beginnings of the names of folders in the system's temporary one: of experts that are
offloaded, and of studies that are not kept."""
DRAFT = ".writing-"
"""The beginning of the name of a file or folder that is being written."""
_TEMPORARY = re.compile(r"\.[a-z]+-[0-9a-f]{8}-[0-9]+-[a-z0-9_]{8}")
_NAME = r"([0-9a-f]{8})-([0-9]+)-[a-z0-9_]{8}"


def replace_file(path: Path, content: bytes, flush: bool = False) -> None:
    """Write a file atomically: a reader sees the old or the new content.

    Args:
        path: the file.
        content: what it will hold.
        flush: wait until it is on the disk, so that it outlives a failure of the machine.

    Raises:
        OSError: it cannot be written, with its path; the old file is as it was.
    """
    with naming(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{DRAFT}{_mark()}")
        try:
            _write(handle, content, flush)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _write(handle: int, content: bytes, flush: bool) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        if flush:
            file.flush()
            os.fsync(file.fileno())


def digest(content: bytes) -> str:
    """Return the digest of a file's content: BLAKE2b of 16 bytes, in hexadecimal.

    >>> digest(b"")
    'cae66941d9efbd404e4d88758ea67670'
    """
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """Return the digest of a file, which may be larger than the memory.

    Raises:
        OSError: it cannot be read, with its path.
    """
    found = hashlib.blake2b(digest_size=16)
    with naming(path), path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def storage_problem(error: OSError) -> str:
    """Return what is wrong with a path, and what to do.

    >>> storage_problem(OSError(13, "Permission denied", "runs/x"))
    'runs/x: Permission denied; give a path that you may write, or change its permissions'
    """
    place = "" if error.filename is None else f"{error.filename}: "
    if error.errno in FULL:
        what = "free space, or give another path; the same command goes on from what is whole"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        what = "give a path that you may write, or change its permissions"
    else:
        what = "give another path"
    return f"{place}{error.strerror or error}; {what}"


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Raise an OSError of the body with ``path`` if it names no file, or a temporary one.

    >>> with naming(Path("rows.csv")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    ...
    OSError: [Errno 28] No space left on device: 'rows.csv'
    """
    try:
        yield
    except OSError as error:
        named = error.filename is not None and not _TEMPORARY.search(str(error.filename))
        if error.errno is None or named:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


def temporary_folder(prefix: str, where: str | Path | None = None) -> Path:
    """Create a folder with a name that tells this process.

    Args:
        prefix: of the name, e.g. ``cl_moe-experts-``.
        where: the folder to create it in; by default the system's for temporary files.

    Raises:
        OSError: it cannot be created, with the path.
    """
    with naming(Path(where or tempfile.gettempdir())):
        return Path(tempfile.mkdtemp(prefix=f"{prefix}{_mark()}", dir=where))


def leftovers(where: str | Path, prefix: str) -> Iterator[Path]:
    """Yield the temporary files and folders in ``where`` whose process on this host is dead.

    Those of this process count as alive.

    >>> with tempfile.TemporaryDirectory() as where:
    ...     alive = temporary_folder("mine-", where)
    ...     dead = Path(where, f"mine-{_host()}-999999999-abcdefgh")
    ...     dead.mkdir()
    ...     list(leftovers(where, "mine-")) == [dead]
    True
    """
    pattern = re.compile(re.escape(prefix) + _NAME)
    with contextlib.suppress(OSError), os.scandir(where) as entries:
        for entry in entries:
            found = pattern.fullmatch(entry.name)
            if found and found[1] == _host() and not is_alive(int(found[2])):
                yield Path(entry.path)


def remove_leftovers(where: str | Path, prefix: str) -> None:
    """Remove :func:`leftovers`; those that cannot be removed stay."""
    for path in list(leftovers(where, prefix)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def is_alive(pid: int) -> bool:
    """Tell whether there is a process of this number on this host; True where that is unknown.

    >>> is_alive(os.getpid()), is_alive(999999999)
    (True, False)
    """
    if os.name != "posix":  # elsewhere signal 0 ends a process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _mark() -> str:
    return f"{_host()}-{os.getpid()}-"


@functools.cache
def _host() -> str:
    return f"{crc32(socket.gethostname().encode()):08x}"
