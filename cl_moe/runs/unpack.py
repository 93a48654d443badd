"""Conversion of an exported study back to a study's folder, to add methods or seeds."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError
from cl_moe.runs.columns import ROW_COLUMNS, TIMING_COLUMNS, TUNING_COLUMNS
from cl_moe.runs.description import FORMAT, read_description
from cl_moe.runs.exported import is_exported, read_records
from cl_moe.runs.files import read_json, write_json, write_json_lines, write_table
from cl_moe.runs.store import StudyFolder

__all__ = ("unpack",)


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
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise InputError(f"{final}: not empty; give a new folder")
    description = read_description(there / "study.json")
    names = [method["name"] for method in description["methods"]]
    unknown = [name for name in without if name not in names]
    if unknown:
        raise InputError(
            [f"without: {name!r} is not among the study's methods: {names}" for name in unknown]
        )
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=final.parent, prefix=".unpacking-"))
    try:
        draft.chmod(0o755)
        _write(there, StudyFolder(draft), description, without)
        if final.exists():
            final.rmdir()
        draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final


def _write(
    there: Path, folder: StudyFolder, description: dict[str, Any], without: Collection[str]
) -> None:
    methods = [m for m in description["methods"] if m["name"] not in without]
    kept = {key: value for key, value in description.items() if key != "format"}
    write_json(folder.study_file, {"format": FORMAT, **kept, "methods": methods})
    packed = StudyFolder(there)
    tried = [row for row in packed.tuning() if row["method"] not in without]
    if tried:
        write_table(folder.tuning_file, TUNING_COLUMNS, tried)
    records = read_records(there)
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
            spec = {"method": about, "seed": seed, "spec": description["spec"]}
            write_json(run / "spec.json", spec)
            write_json(run / "environment.json", environment)
            write_table(run / "rows.csv", ROW_COLUMNS, rows[name, seed])
            write_json_lines(run / "events.jsonl", events[name, seed])
            write_table(run / "timings.csv", TIMING_COLUMNS, timings[name, seed])


def _by_run(
    records: Iterable[Mapping[str, Any]],
) -> defaultdict[tuple[str, int], list[Mapping[str, Any]]]:
    found: defaultdict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        found[record["method"], record["seed"]].append(record)
    return found
