"""Digests of a folder's files: a file that was changed, lost or added is found.

``digests.json`` is written last, into a folder that then appears by one rename. Files that are
written again (``study.json``, ``tuning.csv``) have the digests of the old and of the new content
in it before they are: whenever the process dies, the file has one of them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError
from cl_moe.runs.folder.files import read_json, write_json, write_text
from cl_moe.storage import digest, file_digest

__all__ = ("DIGESTS", "changed", "has_digest", "rewrite", "write_digests")

DIGESTS = "digests.json"
_ABSENT = "absent"
_TRIES = 3


def write_digests(folder: Path, names: Iterable[str] | None = None) -> None:
    """Write the digests of a folder's files.

    Args:
        folder: all of it is written.
        names: the files; by default all, those of subfolders as well.
    """
    found = sorted(_files(folder)) if names is None else names
    digests = {name: [file_digest(folder / name)] for name in found}
    _write(folder, digests)


def rewrite(path: Path, text: str) -> None:
    """Write a file, and its digest into the folder's digests.

    Both the old and the new content are known while it is written.

    Raises:
        InputError: the digests cannot be read.
        OSError: a file cannot be written; the old one is as it was.
    """
    digests, new = _read(path.parent) or {}, digest(text.encode())
    digests[path.name] = [*digests.get(path.name, [_state(path)]), new]
    _write(path.parent, digests)
    write_text(path, text)
    digests[path.name] = [new]
    _write(path.parent, digests)


def has_digest(path: Path) -> bool:
    """Tell whether a file has one of its digests; True where none is known.

    Raises:
        InputError: the digests cannot be read.
    """
    for _ in range(_TRIES):  # the file may be written between the two reads
        digests = (_read(path.parent) or {}).get(path.name)
        if digests is None or _state(path) in digests:
            return True
    return False


def changed(folder: Path, *, unread: Collection[str] = (), alone: bool = True) -> list[str] | None:
    """Return how a folder's files differ from what was written, one sentence a file.

    Args:
        folder: with ``digests.json``.
        unread: subfolders of large files, of which only the names are checked.
        alone: whether there should be no other file; names that begin with a dot do not count.

    Returns:
        None if there are no digests, as in folders of earlier versions.

    Raises:
        InputError: the digests cannot be read.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "rows.csv").write_text("a")
    >>> write_digests(folder)
    >>> _ = (folder / "rows.csv").write_text("b")
    >>> changed(folder)
    ['rows.csv was changed']
    """
    wanted = _read(folder)
    if wanted is None:
        return None
    problems = []
    for name, digests in wanted.items():
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif name.partition("/")[0] not in unread and file_digest(folder / name) not in digests:
            problems.append(f"{name} was changed")
    if alone:
        problems += [f"{name} was added" for name in sorted({*_files(folder)} - {*wanted})]
    return problems


def _read(folder: Path) -> dict[str, list[str]] | None:
    if not (folder / DIGESTS).exists():
        return None
    found = read_json(folder / DIGESTS)
    digests = found.get("blake2b")
    if not isinstance(digests, dict) or found.get("own") != _own(digests):
        raise InputError(
            f"{folder / DIGESTS}: was changed since it was written; restore it, or remove it if "
            "you are sure of the other files"
        )
    return digests


def _write(folder: Path, digests: dict[str, list[str]]) -> None:
    write_json(folder / DIGESTS, {"blake2b": digests, "own": _own(digests)})


def _own(digests: dict[str, Any]) -> str:
    return digest(json.dumps(digests, sort_keys=True).encode())


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and name.name != DIGESTS and not name.parts[0].startswith("."):
            yield name.as_posix()


def _state(path: Path) -> str:
    return file_digest(path) if path.is_file() else _ABSENT
