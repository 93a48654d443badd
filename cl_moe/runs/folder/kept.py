"""Kept models: written by the process of the run, found by method and seed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cl_moe import catalog
from cl_moe.errors import InputError, did_you_mean
from cl_moe.runs.folder.description import read_description
from cl_moe.runs.folder.exported import is_exported
from cl_moe.runs.folder.records import refuse_changed_run
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.formatting import counted
from cl_moe.storage import DRAFT, naming, temporary_folder

if TYPE_CHECKING:
    from cl_moe.runs.plan import Job, StudyPlan
    from cl_moe.training.model import TaskModel

__all__ = ("folder_for_models", "keep_model", "keeps_model", "kept_model", "without_model")

AGAIN = "run again with --keep-models (in Python keep_models=True) and --fresh"


def folder_for_models(out: str | Path | None, *, here: bool) -> Path:
    """Return the folder in which runs write their models: the study's.

    Args:
        out: the study's folder.
        here: whether runs take place on this machine.

    Raises:
        InputError: there is none, or runs take place elsewhere.
    """
    if not here:
        raise InputError(
            "keep_models: a run on a cluster cannot write its model into the study's folder; take "
            "--keep-models out, or run with the engine 'local'"
        )
    if out is None:
        raise InputError("keep_models: the study has no folder; give out, or remove keep_models")
    return Path(out).absolute()


def keeps_model(plan: StudyPlan, job: Job) -> bool:
    """Tell whether a run's model is kept: only for runs of the stream."""
    return plan.models is not None and job.setting is None and job.after is None


def keep_model(model: TaskModel, folder: Path) -> Path:
    """Save a model in a draft inside ``folder``, and return where.

    Raises:
        OSError: it cannot be written, e.g. for want of space.
    """
    from safetensors import SafetensorError

    path = temporary_folder(DRAFT, folder) / "model"
    try:
        with naming(folder):
            model.save(path)
    except SafetensorError as error:
        number = re.search(r"os error ([0-9]+)", str(error))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(folder)) from error
    return path


def without_model(plan: StudyPlan, folder: StudyFolder) -> str | None:
    """Return a note on complete runs whose requested models were not kept."""
    bare = [
        job
        for job in plan.jobs()
        if keeps_model(plan, job)
        and folder.has(job)
        and not _model_folder(folder, job.method.name, job.seed).is_dir()
    ]
    if not bare:
        return None
    return (
        f"{counted(len(bare), 'whole run')} without a model: models of whole runs are not made "
        "again; --fresh runs them again"
    )


def kept_model(
    folder: Path | None, method: str, seed: int, *, allow_code: bool = False
) -> TaskModel:
    """Return the model of a study's run.

    Raises:
        InputError: no study, no such method or seed, no model was kept, the run is damaged, or the
            model names code that is not allowed, as for :func:`cl_moe.load`.
    """
    if folder is None:
        raise InputError("the study and its models have no folder; give out=...")
    study = StudyFolder(folder)
    if not study.study_file.exists():
        raise InputError(f"{folder}: no study here (no study.json); give the folder of a study")
    names = [m["name"] for m in read_description(study.study_file)["methods"]]
    method = method if method in names else catalog.canonical("method", method)
    if method not in names:
        raise InputError(f"{folder}: no method '{method}'; {did_you_mean(method, names)}")
    if is_exported(study.path):
        raise InputError(
            f"{folder}: an exported study holds no models; give the folder of the study itself"
        )
    seeds = study.seeds(method)
    if seed not in seeds:
        known = f"seeds: {', '.join(map(str, seeds))}" if seeds else "no run of it is whole"
        raise InputError(f"{folder}: no run of '{method}' with seed {seed}; {known}")
    path = _model_folder(study, method, seed)
    if not path.is_dir():
        raise InputError(f"{folder}: no model of '{method}', seed {seed}, was kept; {AGAIN}")
    from cl_moe.strategies.saved import load

    refuse_changed_run(path.parent)
    return load(path, allow_code=allow_code)


def _model_folder(study: StudyFolder, method: str, seed: int) -> Path:
    return study.run_folder(method, seed) / "model"
