"""The lock of a study's folder: one process at a time writes it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cl_moe.errors import InputError
from cl_moe.runs.folder.files import read_json
from cl_moe.storage import is_alive, replace_file

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ("LOCK", "OWNER", "locked")

LOCK, OWNER = ".cl_moe-lock", ".cl_moe-owner.json"
"""The files of the lock: the one that the system locks, and who holds it. Both are removed when
the lock is released."""

_TRIES = 10
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; create the folder if there is none, and remove it if empty then.

    The lock is the system's, which ends with the process, however it ends. A file system without
    locks has a lock file instead; one whose process on this host is dead is taken over. Readers
    need no lock: files appear by renaming.

    Raises:
        InputError: another process holds the lock (the message names it), or the path is a file.
        OSError: the folder cannot be created or written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as temporary:
    ...     with locked(Path(temporary)), locked(Path(temporary)):
    ...         pass
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: ...: another study is being run here (process ...
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; give a folder for the results")
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = None
    try:
        lock = _acquired(folder)
        yield
    finally:
        if lock is not None:
            _release(folder, lock)
        for path in created:
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()


def _acquired(folder: Path) -> BaseFileLock:
    """Return the lock, held.

    The holder before may have removed the file after this process opened it; a lock on that file
    protects nothing, so it is tried again. The file is the same if its name never meant another.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):  # or it has removed the folder
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / LOCK).open("ab") as file:
                lock = _try(folder)
                if _is_at(folder / LOCK, file):
                    _sign(folder, lock)
                    return lock
                lock.release()
    raise InputError(f"{folder}: its lock changes hands; try again")


def _is_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _try(folder: Path) -> BaseFileLock:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _taken(folder) from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        return _try_soft(folder)
    return lock


def _try_soft(folder: Path) -> BaseFileLock:
    """Lock with a file that exists as long as the lock is held."""
    from filelock import SoftFileLock, Timeout

    marker = folder / f"{LOCK}.soft"
    owner = _owner(folder)
    if owner is not None and owner[1] == socket.gethostname() and not is_alive(owner[0]):
        marker.unlink(missing_ok=True)
    lock = SoftFileLock(marker)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _taken(folder) from None
    return lock


def _sign(folder: Path, lock: BaseFileLock) -> None:
    about = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
    }
    try:
        replace_file(folder / OWNER, json.dumps(about).encode())
    except BaseException:
        _release(folder, lock)
        raise


def _release(folder: Path, lock: BaseFileLock) -> None:
    """Remove the files while they are locked (see :func:`_acquired`), then unlock."""
    for name in (OWNER, LOCK):
        with contextlib.suppress(OSError):  # on Windows an open file stays
            (folder / name).unlink(missing_ok=True)
    lock.release()


def _owner(folder: Path) -> tuple[int, str, str] | None:
    try:
        found = read_json(folder / OWNER)
    except InputError:
        return None
    pid, host, since = found.get("pid"), found.get("host"), found.get("since")
    if type(pid) is not int or not isinstance(host, str) or not isinstance(since, str):
        return None
    return pid, host, since


def _taken(folder: Path) -> InputError:
    owner = _owner(folder)
    who = "" if owner is None else " (process {} on {} since {})".format(*owner)
    return InputError(
        f"{folder}: another study is being run here{who}; wait for it, or give another folder"
    )
