"""All figures of a study, drawn into a folder."""

from __future__ import annotations

import io
import logging
import os
import re
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cl_moe import catalog
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots.base import FigureSpec
from cl_moe.analysis.plots.curves import (
    average_data,
    draw_average,
    draw_forgetting,
    forgetting_data,
)
from cl_moe.analysis.plots.experts import (
    draw_timeline,
    draw_usage,
    event_methods,
    timeline_data,
    usage_data,
)
from cl_moe.analysis.plots.matrices import (
    accuracy_matrix_data,
    draw_accuracy_matrix,
    draw_transfer,
    transfer_data,
)
from cl_moe.analysis.plots.style import AbsentError, context
from cl_moe.analysis.plots.trade_offs import cost_data, draw_cost, draw_samples, samples_data
from cl_moe.errors import InputError, did_you_mean
from cl_moe.storage import replace_file

__all__ = ("FIGURES", "caption", "draw_all", "figures_of", "plot_all", "rendered", "save", "which")

logger = logging.getLogger(__name__)
IN_COLOUR = (
    "with more than five methods, the method of interest, dense, ewc, single_task and the best of "
    "the others are in colour, the rest in grey"
)
FORMATS = ("png", "pdf", "svg")


FIGURES: Mapping[str, FigureSpec] = types.MappingProxyType(
    {
        "forgetting": FigureSpec(
            "each task's test accuracy after every task from its own on, with 95 % intervals "
            f"(thin lines: two seeds); {IN_COLOUR}",
            forgetting_data,
            draw_forgetting,
        ),
        "average_accuracy": FigureSpec(
            "mean test accuracy on the tasks learned so far, with 95 % intervals (thin lines: "
            f"two seeds); {IN_COLOUR}",
            average_data,
            draw_average,
        ),
        "accuracy_matrix": FigureSpec(
            "test accuracy on every task (columns) after every task (rows), mean over seeds",
            accuracy_matrix_data,
            draw_accuracy_matrix,
        ),
        "cost": FigureSpec(
            "average accuracy against parameters and against compute",
            cost_data,
            draw_cost,
        ),
        "samples": FigureSpec(
            "accuracy on unseen tasks against the number of their training examples",
            samples_data,
            draw_samples,
        ),
        "transfer_matrix": FigureSpec(
            "gain on a task (columns) learned after one other task (rows), over learning it alone",
            transfer_data,
            draw_transfer,
        ),
        "usage": FigureSpec(
            "weight of each expert and of the raw input for each task, in one run",
            usage_data,
            draw_usage,
            event_methods,
        ),
        "timeline": FigureSpec(
            "when experts were grown, copied, used in ensembles and retrained, in one run",
            timeline_data,
            draw_timeline,
            event_methods,
        ),
    }
)


def figures_of(data: StudyData, only: Collection[str] = ()) -> dict[str, FigureSpec]:
    """Return figures by name: those in ``only``, or all built-in and third-party ones.

    Third-party figures are declared by packages or listed in ``data.figures``; one with two names
    is returned once, under the first.

    Raises:
        InputError: a name is unknown, or names no figure: all problems.
    """
    declared = [name for name in catalog.names("figure") if name not in FIGURES]
    found: dict[str, FigureSpec] = {}
    problems: list[str] = []
    for name in only or dict.fromkeys([*FIGURES, *declared, *data.figures]):
        try:
            spec = FIGURES.get(name) or catalog.resolve("figure", name, "figures")
        except InputError as error:
            problems += error.problems
            continue
        if not isinstance(spec, FigureSpec):
            problems.append(
                f"figures: '{name}' is not a figure; give a cl_moe.analysis.plots.base:FigureSpec"
            )
        elif spec not in found.values():
            found[name] = spec
    if problems:
        raise InputError(problems)
    return found


def caption(name: str, data: StudyData) -> str:
    """Return a figure's caption, with the score of the study's tasks."""
    return figures_of(data, [name])[name].caption.replace("accuracy", data.score)


def which(data: StudyData) -> dict[str, str]:
    """Return, for every figure of a study, the reason why it cannot be drawn, or ""."""
    found = {}
    for name, spec in figures_of(data).items():
        infos = [info for _, info in _infos(data, name, spec)]
        reasons = [info.reason for info in infos if isinstance(info, Missing)]
        found[name] = reasons[0] if len(reasons) == len(infos) else ""
    return found


class Missing(NamedTuple):
    """The reason why a figure cannot be drawn."""

    reason: str


def _infos(data: StudyData, name: str, spec: FigureSpec) -> Iterator[tuple[str, Any]]:
    """Yield (file's stem, the figure's data or Missing)."""
    stem = re.sub(r"[^A-Za-z0-9-]+", "_", name)
    if spec.methods is None:
        yield stem, _call(name, spec.data, data)
        return
    methods = _call(name, spec.methods, data)
    if not methods:
        yield name, Missing("needs a method that logs its decisions")
    taken: set[str] = set()
    for method in methods:
        slug = re.sub(r"[^A-Za-z0-9]+", "_", method).strip("_") or "method"
        while slug in taken:
            slug += "_"
        taken.add(slug)
        yield f"{stem}_{slug}", _call(name, spec.data, data, method)


def _call(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a figure's function, or ``Missing``.

    Raises:
        InputError: a third-party function fails.
    """
    try:
        return function(*arguments)
    except AbsentError as absent:
        return Missing(str(absent))
    except Exception as error:
        if name in FIGURES:
            raise
        raise InputError(
            f"figure '{name}' fails ({type(error).__name__}: {error}); fix it, or uninstall the "
            "package that declares it"
        ) from error


def plot_all(
    data: StudyData,
    folder: str | os.PathLike[str],
    formats: Sequence[str] = ("png", "pdf"),
    say: Callable[[str], object] | None = None,
    only: Collection[str] = (),
) -> list[Path]:
    """Draw every figure the study has data for.

    Args:
        data: the study.
        folder: the folder of the files, created if necessary.
        formats: of ``png``, ``pdf``, ``svg``.
        say: called with a sentence for each figure that is skipped, with the reason; by default
            the sentences go to this module's logger, at level info.
        only: names of figures, or ``package.module:object``; by default all of a study.

    Returns:
        The files written, in the order of :data:`FIGURES`, each figure's formats together.

    Raises:
        InputError: a format or a figure is not known.
    """
    wrong = [f for f in formats if f not in FORMATS]
    if wrong:
        raise InputError(
            [f"formats: '{f}' is not known; {did_you_mean(f, FORMATS)}" for f in wrong]
        )
    figures_of(data, only)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    return [
        save(drawn, target / f"{stem}.{form}")
        for stem, _, drawn in draw_all(data, say or logger.info, only)
        for form in formats
    ]


def draw_all(
    data: StudyData, say: Callable[[str], object] = logger.info, only: Collection[str] = ()
) -> Iterator[tuple[str, str, Figure]]:
    """Yield every figure the study has data for: (a file's stem, the figure's name, figure)."""
    for name, spec in figures_of(data, only).items():
        skipped: dict[str, list[str]] = {}
        for stem, info in _infos(data, name, spec):
            if isinstance(info, Missing):
                skipped.setdefault(info.reason, []).append(stem)
            else:
                yield stem, name, _call(name, spec.draw, info)
        for reason, stems in skipped.items():
            say(f"no figure {stems[0] if len(stems) == 1 else name}: {reason}")


def save(drawn: Figure, path: Path) -> Path:
    """Write a figure atomically."""
    replace_file(path, rendered(drawn, path.suffix[1:]))
    return path


def rendered(drawn: Figure, form: str, dpi: int | None = None) -> bytes:
    """Return a figure as png, pdf or svg, without a timestamp, so that the bytes are reproducible.

    ``dpi``: dots per inch; None for the print resolution.
    """
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    buffer = io.BytesIO()
    with context(formulas=True):  # those of third-party figures; the others have none
        FigureCanvasAgg(drawn)
        drawn.savefig(buffer, format=form, dpi=dpi, metadata=metadata[form])
    return buffer.getvalue()
