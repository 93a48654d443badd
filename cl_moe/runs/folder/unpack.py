"""Conversion of an exported study back to a study's folder, to add methods or seeds."""

from __future__ import annotations

import contextlib
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError
from cl_moe.runs.folder.exported import is_exported, read_records
from cl_moe.runs.folder.files import read_json
from cl_moe.runs.folder.lock import LOCK, OWNER, locked
from cl_moe.runs.folder.records import run_spec
from cl_moe.runs.folder.store import StudyFolder, write_run
from cl_moe.runs.plan import RunResult
from cl_moe.storage import remove_leftovers, temporary_folder

__all__ = ("unpack",)

_DRAFT = ".unpacking-"


def unpack(source: str | Path, target: str | Path, *, without: Collection[str] = ()) -> Path:
    """Write an exported study as a folder that ``cl-moe run`` goes on from.

    So a user's method is compared with baselines without running these again. Accuracies of pairs
    of tasks (``cl-moe transfer``) are not unpacked.

    Args:
        source: the exported study.
        target: the folder to write: absent or empty.
        without: methods that are left out, to be run again.

    Returns:
        ``target``.

    Raises:
        InputError: ``source`` is no exported study, ``target`` is not empty, or ``without`` names a
            method that the study has not.
    """
    there, final = Path(source), Path(target)
    if not is_exported(there):
        raise InputError(
            f"{there}: not an exported study (no rows.csv.gz); "
            "name a folder that cl-moe export wrote"
        )
    description = StudyFolder(there).kept_description()
    names = [method["name"] for method in description["methods"]]
    unknown = [name for name in without if name not in names]
    if unknown:
        raise InputError(
            [f"without: {name!r} is not among the study's methods: {names}" for name in unknown]
        )
    final.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(final.parent, _DRAFT)
    draft = temporary_folder(_DRAFT, final.parent)
    try:
        draft.chmod(0o755)
        with locked(final):
            if any(path.name not in (LOCK, OWNER) for path in final.iterdir()):
                raise InputError(f"{final}: not empty; give a new folder")
            _write(there, StudyFolder(draft), description, without)
        _move(draft, final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final


def _move(draft: Path, final: Path) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            final.rmdir()
        draft.rename(final)
    except OSError as error:  # another process has begun to write it
        if not final.is_dir():
            raise
        raise InputError(f"{final}: not empty; give a new folder") from error


def _write(
    there: Path, folder: StudyFolder, description: dict[str, Any], without: Collection[str]
) -> None:
    methods = [m for m in description["methods"] if m["name"] not in without]
    kept = {key: value for key, value in description.items() if key != "format"}
    folder.describe({**kept, "methods": methods})
    packed = StudyFolder(there)
    tried = [row for row in packed.tuning() if row["method"] not in without]
    if tried:
        folder.write_tuning(tried)
    records, _ = read_records(there, description)
    rows, events, timings = (
        _by_run(found) for found in (records.rows, records.events, records.timings)
    )
    environments = read_json(there / "environment.json")["environments"]
    environment = environments[0] if len(environments) == 1 else {"one_of": environments}
    for method in methods:
        chosen = {**method["parameters"], **(method["chosen"] or {})}
        about = {"name": method["name"], "type": method["type"], "parameters": chosen}
        for name, seed in [run for run in rows if run[0] == method["name"]]:
            run = folder.run_folder(name, seed)
            run.mkdir(parents=True)
            of = (name, seed)
            result = RunResult([*rows[of]], [*events[of]], [*timings[of]], environment)
            write_run(run, run_spec(about, seed, description["spec"]), result)


def _by_run(
    records: Iterable[dict[str, Any]],
) -> defaultdict[tuple[str, int], list[dict[str, Any]]]:
    found: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        found[record["method"], record["seed"]].append(record)
    return found
