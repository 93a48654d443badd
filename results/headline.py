"""The verdicts of all studies: ``python results/headline.py [RESULTS_DIR]``.

Reads the studies in RESULTS_DIR (by default the folder of this file), writes their verdicts and a
table of :data:`STUDY` to RESULTS_DIR/headline.md, the gains by kind of task to RESULTS_DIR/kinds.md
(``kinds.py``), and a sentence of each into the README beside RESULTS_DIR, between two comments.
``make claims`` runs it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import kinds

from cl_moe import InputError, load_study
from cl_moe.analysis import table_data
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.notes import averaged
from cl_moe.analysis.plots.highlight import highlighted
from cl_moe.analysis.tables import TableData, markdown
from cl_moe.analysis.verdict import verdict
from cl_moe.runs.folder.exported import is_exported
from cl_moe.runs.folder.files import write_text

__all__ = ("STUDY", "main", "page", "selection", "sentence", "with_sentence")

STUDY = "related_unrelated"
HEAD = """# Verdicts of all studies

`make claims` generates this page and the sentence in the README from the studies in this folder. Differences are in points of average
accuracy after the last task, on test data, paired by seed, with 95 % intervals. [claims.md](claims.md) compares them with the targets set
in advance."""  # noqa: E501


def selection(data: StudyData) -> TableData:
    """Return a study's table with the methods that its figures highlight, and joint training.

    The note below names the selection. Stars refer to all methods, including omitted ones.
    """
    whole = table_data(data)
    joint = data.of_type("joint")
    chosen = {*highlighted(data), *([joint] if joint else [])}
    kept = [i for i, method in enumerate(whole.methods) if method in chosen]
    note = (
        f"Selection: {len(kept)} of {len(whole.methods)} methods. Shown are the method of "
        "interest, dense, ewc, single_task, joint training, and the best of the others."
    )
    return whole._replace(
        methods=[whole.methods[i] for i in kept],
        cells=[whole.cells[i] for i in kept],
        note=f"{note} {whole.note}" if len(kept) < len(whole.methods) else whole.note,
    )


def sentence(data: StudyData) -> str:
    """Return a study's verdict, after which tasks its averages are means of."""
    seeds = len(data.seeds)
    return f"{averaged(data)[:-1]}; {seeds} seeds. Verdict: {verdict(data)}"


def page(studies: Mapping[str, StudyData]) -> str:
    """Return the page of verdicts, the table of :data:`STUDY` first."""
    parts = [HEAD]
    if STUDY in studies:
        parts += [f"## {STUDY}", markdown(selection(studies[STUDY]))]
        parts.append(f"[All methods of this study]({STUDY}/README.md#results).")
    parts.append("## Verdicts")
    parts += [f"[{name}]({name}): {sentence(data)}" for name, data in studies.items()]
    return "\n\n".join(parts) + "\n"


def with_sentence(readme: str, name: str, text: str) -> str:
    """Return the README's text with a sentence between the two comments of its name.

    Raises:
        InputError: the comments are not there.
    """
    marked = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not marked.search(readme):
        raise InputError(
            f"README.md: no lines '<!-- {name}: ... -->' and '<!-- end of {name} -->' to write "
            "a sentence between"
        )
    return marked.sub(lambda found: f"{found[1]}{text}\n{found[2]}", readme)


def main(arguments: list[str]) -> int:
    """Write the pages, and the README's sentences; 1 where there is no such folder, or no place."""
    folder = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    try:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; give the one that holds the studies")
        names = sorted(p.name for p in folder.iterdir() if p.is_dir() and is_exported(p))
        studies = {name: load_study(folder / name) for name in names}
        readme = folder.parent / "README.md"
        text = None
        if STUDY in studies and readme.exists():
            text = readme.read_text(encoding="utf-8")
            text = with_sentence(text, "headline", sentence(studies[STUDY]))
            text = with_sentence(text, "kinds", kinds.sentence(studies))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    write_text(folder / "headline.md", page(studies))
    write_text(folder / "kinds.md", kinds.page(studies))
    if text is not None:
        write_text(readme, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
