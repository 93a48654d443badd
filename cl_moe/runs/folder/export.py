"""Export of a study for a repository: all numbers, the figures, and a page."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError
from cl_moe.escape import line
from cl_moe.runs.folder.description import read_description
from cl_moe.runs.folder.digests import write_digests
from cl_moe.runs.folder.exported import FORMAT, OURS, is_exported, write_records
from cl_moe.runs.folder.files import Column, read_json, write_json, write_table, write_text
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.folder.lock import LOCK, OWNER, locked
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.storage import leftovers, naming, remove_leftovers, replace_file, temporary_folder

if TYPE_CHECKING:
    from cl_moe.analysis.data import StudyData
    from cl_moe.analysis.reporting import Section
    from cl_moe.analysis.tables import TableData

__all__ = ("export",)

FINDINGS = "findings.md"
_DRAFT, _ASIDE = ".exporting-", ".replacing-"
MOST_BYTES = 200_000
RESOLUTIONS = (150, 110, 80, 60)
"""Dots per inch; the first with which a figure is small enough is taken."""


def export(source: str | Path, target: str | Path, *, command: str | None = None) -> Path:
    """Write a study's numbers, figures and page to a small folder of their own.

    The folder is replaced as a whole, or left as it was. Other files are kept; a ``findings.md`` is
    included at the head of the page. ``cl_moe.load_study`` reads the folder as it reads the study's
    own.

    Args:
        source: the study's folder, or one that was exported.
        target: the folder to write: absent, empty, or exported before.
        command: what runs the study again, for the page; by default put together from the study.

    Returns:
        The page, ``target/README.md``.

    Raises:
        InputError: ``source`` is no study, or ``target`` holds something else.
    """
    folder, final = StudyFolder(source), Path(target)
    data = load_study(source)
    final.parent.mkdir(parents=True, exist_ok=True)
    _restore(final)
    if final.exists() and not _may_replace(final):
        raise InputError(
            f"{final}: holds something else than an exported study; give a new folder, or one that "
            f"holds {FINDINGS} alone"
        )
    draft = temporary_folder(_DRAFT, final.parent)
    try:
        with locked(final), naming(final):
            draft.chmod(0o755)
            _keep(final, draft)
            _write_numbers(draft, folder, data)
            # The page and the figures are made from the numbers, and are never read.
            write_digests(draft, [name for name in OURS if (draft / name).is_file()])
            _draw(draft / "figures", data)
            write_text(draft / "README.md", _page(draft, folder, data, command))
        _swap(draft, final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final / "README.md"


def _may_replace(target: Path) -> bool:
    if not target.is_dir():
        return False
    return is_exported(target) or {path.name for path in target.iterdir()} <= {
        FINDINGS,
        LOCK,
        OWNER,
    }


def _keep(there: Path, draft: Path) -> None:
    """Copy files that are not part of an export."""
    for path in there.iterdir() if there.is_dir() else ():
        if path.name not in (*OURS, LOCK, OWNER):
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, draft / path.name)


def _swap(draft: Path, final: Path) -> None:
    """Replace the target by the draft."""
    if not final.exists():
        draft.rename(final)
        return
    old = temporary_folder(_ASIDE, final.parent)
    try:
        final.rename(old / final.name)
        draft.rename(final)
    finally:
        if not final.exists():
            (old / final.name).rename(final)
        shutil.rmtree(old, ignore_errors=True)


def _restore(final: Path) -> None:
    """Remove drafts of exports that were killed, and put back a target that they put aside."""
    remove_leftovers(final.parent, _DRAFT)
    for aside in leftovers(final.parent, _ASIDE):
        if (aside / final.name).exists():
            if not final.exists():
                (aside / final.name).rename(final)
            shutil.rmtree(aside, ignore_errors=True)


def _write_numbers(draft: Path, folder: StudyFolder, data: StudyData) -> None:
    from cl_moe.analysis import summary_records

    shutil.copyfile(folder.study_file, draft / "study.json")
    write_records(draft, data)
    tasks = read_description(folder.study_file)["tasks"]
    write_table(draft / "tasks.csv", [Column.text(key) for key in tasks[0]], tasks)
    if folder.tuning_file.exists():
        shutil.copyfile(folder.tuning_file, draft / "tuning.csv")
    write_json(
        draft / "environment.json", {"format": FORMAT, "environments": _environments(folder)}
    )
    write_json(draft / "summary.json", summary_records(data))


def _environments(folder: StudyFolder) -> list[dict[str, Any]]:
    """Return the distinct environments of the runs."""
    if is_exported(folder.path):
        found: list[dict[str, Any]] = read_json(folder.path / "environment.json")["environments"]
        return found
    different: list[dict[str, Any]] = []
    for path in sorted(folder.path.glob("runs/*/seed_*/environment.json")):
        environment = read_json(path)
        if environment not in different:
            different.append(environment)
    return different


def _draw(folder: Path, data: StudyData) -> None:
    from cl_moe.analysis.plots.every import draw_all, rendered

    folder.mkdir()
    for stem, _, drawn in draw_all(data):
        for dpi in RESOLUTIONS:
            content = rendered(drawn, "png", dpi)
            if len(content) <= MOST_BYTES:
                break
        replace_file(folder / f"{stem}.png", content)


def _page(draft: Path, folder: StudyFolder, data: StudyData, command: str | None) -> str:
    """Return the report with what was found, the command and the figures put in."""
    from cl_moe.analysis.reporting import Raw, markdown_page, sections

    description = read_description(folder.study_file)
    images = [
        Raw(f"![{path.stem.replace('_', ' ')}](figures/{path.name})")
        for path in sorted((draft / "figures").glob("*.png"))
    ]
    body = [
        section._replace(blocks=[*section.blocks, *images])
        if section.title == "Figures"
        else section
        for section in sections(data)
    ]
    return markdown_page(data.name, [*_head(draft, description, command or _command(data)), *body])


def _head(draft: Path, description: Mapping[str, Any], command: str) -> list[Section]:
    from cl_moe.analysis.reporting import Raw, Section

    blocks: list[str | list[str] | TableData] = []
    if description.get("description"):
        blocks.append(" ".join(str(description["description"]).split()))
    blocks.append(Raw(f"```console\n$ {line(command)}\n```"))
    head = [Section(str(description.get("title") or "The study"), blocks)]
    findings = draft / FINDINGS
    if findings.exists():
        found = Raw(findings.read_text(encoding="utf-8").strip())
        head.append(Section("What was found", [found]))
    return head


def _command(data: StudyData) -> str:
    """Return the command that runs a study again, from its description."""
    from cl_moe.streams.scenario import load_scenario, shipped_scenarios

    shipped = data.name in shipped_scenarios()
    own = [method.name for method in load_scenario(data.name).methods] if shipped else None
    words = ["cl-moe", "run", data.name if shipped else f"{data.name}.toml"]
    words += [] if data.method_names == own else ["--methods", ",".join(data.method_names)]
    counted = data.seeds == list(range(len(data.seeds)))
    seeds = str(len(data.seeds)) if counted else ",".join(map(str, data.seeds))
    return shlex.join([*words, "--seeds", seeds])
