"""The default growth policy before and after: ``python results/policy.py [RESULTS_DIR]``.

Compares the method ``moe`` of the kept studies, seed by seed, with what the policy before measured
on the same seeds (``policy_before.csv``, read from the studies kept at that time), and writes
RESULTS_DIR/policy.md. ``--keep`` writes the figures of the policy that the studies hold now.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from measures import Measure, NotMeasuredError, experts_per_task, level, quotient

from cl_moe import load_study
from cl_moe.analysis.stats import interval
from cl_moe.runs.folder.exported import is_exported
from cl_moe.runs.folder.files import write_text

__all__ = ("STUDIES", "compared", "main", "measures", "page")

STUDIES = (
    "capacity", "ctrl_minus", "ctrl_plus", "ctrl_in", "ctrl_out", "ctrl_plastic",
    "relatedness_dial", "low_resource_images", "low_resource_text", "ablation_images",
    "ablation_text",
)  # fmt: skip
METHODS = ("moe", "symmetries")
"""The default, and the variant with the option ``symmetries`` where a study has it."""
NAMES = ("accuracy", "deciding", "steps", "experts")
BEFORE = "policy_before.csv"
HEAD = """# The default policy, before and after it was made small

Written by `python results/policy.py`: method `moe` of each study, 5 seeds, the same tasks, seeds and network. *Before* is the policy that
raced up to six kinds of candidates ([its figures](policy_before.csv)), *after* the one of [docs/method.md](../docs/method.md): an ensemble
against one grown path. Accuracy is the average over all tasks after the last, in points; the change is paired by seed, with a 95 %
interval. Deciding is CPU time of decisions over that of training single_task; steps are over its steps; experts are
per task.

| study | accuracy before | after | change | deciding before | after | steps before | after | experts before | after |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""  # noqa: E501


def measures(method: str) -> dict[str, Measure]:
    """Return what is measured of a method, by name."""
    return {
        "accuracy": level(method),
        "deciding": quotient((method, "decision_seconds"), ("single_task", "cpu_seconds")),
        "steps": quotient((method, "steps"), ("single_task", "steps")),
        "experts": lambda data: experts_per_task(data, method),
    }


def measured(folder: Path) -> pd.DataFrame:
    """Return one row a study, measure and seed; what a study has not is left out."""
    rows = []
    for study in (name for name in STUDIES if is_exported(folder / name)):
        data = load_study(folder / study)
        for method in METHODS:
            for name, measure in measures(method).items():
                try:
                    values = measure(data).values.dropna()
                except NotMeasuredError:
                    continue
                rows += [(study, method, name, seed, value) for seed, value in values.items()]
    return pd.DataFrame(rows, columns=["study", "method", "measure", "seed", "value"])


def compared(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return both values of each study, measure and seed; before there was no variant."""
    on = ["study", "measure", "seed"]
    return before.merge(after, on=on, suffixes=("_before", "_after"))


def page(pairs: pd.DataFrame) -> str:
    """Return the page as Markdown."""
    lines = []
    changes: dict[tuple[str, str], float] = {}
    for study, method in [(name, method) for name in STUDIES for method in METHODS]:
        own = pairs[(pairs["study"] == study) & (pairs["method"] == method)]
        if own.empty:
            continue
        cells = [study + (" (`symmetries = 4`)" if method == "symmetries" else "")]
        for name in NAMES:
            found = own[own["measure"] == name]
            scale, digits = (100, 1) if name == "accuracy" else (1, 2)
            means = [found[f"value_{when}"].mean() * scale for when in ("before", "after")]
            cells += [f"{value:.{digits}f}" for value in means]
            if name == "accuracy":
                change = (found["value_after"] - found["value_before"]) * 100
                changes[study, method] = change.mean()
                estimate = interval(change)
                cells.append(f"{estimate.mean:+.1f} [{estimate.low:+.1f}, {estimate.high:+.1f}]")
        lines.append(f"| {' | '.join(cells)} |")
    default = [change for (_, method), change in changes.items() if method == "moe"]
    best = [
        changes.get((study, "symmetries"), change)
        for (study, method), change in changes.items()
        if method == "moe"
    ]
    mean, option = (sum(values) / len(values) for values in (default, best))
    said = (
        f"\nMean change over {len(default)} studies: {mean:+.2f} points; the worst: "
        f"{min(default):+.2f}. With the option `symmetries` where a study measured it: "
        f"{option:+.2f} points.\n"
    )
    return HEAD + "\n".join(lines) + "\n" + said


def main() -> None:
    """Write the page, or with ``--keep`` the figures of the present version."""
    arguments = [a for a in sys.argv[1:] if a != "--keep"]
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    if "--keep" in sys.argv:
        kept = measured(folder)
        kept = kept[kept["method"] == "moe"].drop(columns="method")
        write_text(folder / BEFORE, kept.to_csv(index=False))
        return
    before = pd.read_csv(Path(__file__).parent / BEFORE)
    text = page(compared(before, measured(folder)))
    write_text(folder / "policy.md", text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
