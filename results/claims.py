"""The project's claims and the measurements: ``python results/claims.py [RESULTS_DIR]``.

Reads the studies in RESULTS_DIR (by default the folder of this file), prints what was measured for
each claim, and writes the same to RESULTS_DIR/claims.md. A claim is a few lines of :data:`CLAIMS`:
the target, the study, and the measure (measures.py) by which it is computed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

from measures import (
    change_of_base,
    experts_per_task,
    gain,
    gain_at_half_capacity,
    gain_by_relation,
    gain_over_best,
    level,
    mean_gain,
    quotient,
    samples_saved,
)
from targets import Finding, Line, Target, Unit, evaluate

from cl_moe import InputError, load_study
from cl_moe.analysis.data import StudyData
from cl_moe.runs.folder.exported import is_exported
from cl_moe.runs.folder.files import write_text

__all__ = ("CLAIMS", "main", "page")

RIVALS = ("single_task", "ridge", "nearest_mean")
CTRL = ("ctrl_minus", "ctrl_plus", "ctrl_in", "ctrl_out", "ctrl_plastic")
COSTED = (
    "related_unrelated", "low_resource_images", "low_resource_text", "unseen_images", "unseen_text",
    "adding_unrelated_images", "adding_unrelated_text", "capacity", "relatedness_dial", *CTRL,
    "trust_split_mnist",
)  # fmt: skip


def _low_resource(study: str, over: Mapping[str, float], best: float) -> tuple[Line, ...]:
    few, control, at = "low_resource", "control", (study,)
    relations = ("shifted input", "permuted labels", "new classes")
    return (
        Line(at, f"{few}: moe - best of the selection {', '.join(RIVALS)}",
             gain_over_best(*RIVALS, group=few), Target("≥", best)),
        *(Line(at, f"{few}: moe - {m}", gain(m, few), Target("≥", v)) for m, v in over.items()),
        Line(at, f"{control}: moe - single_task", gain("single_task", control), Target("≥", -1)),
        *(Line(at, f"{few}, {r}: moe - single_task", gain_by_relation(r, "single_task", few))
          for r in relations),
    )  # fmt: skip


def _unseen(study: str) -> tuple[Line, ...]:
    at, metric, above = (study,), "probe_accuracy", Target(">", 0, whole=True)
    pairs = {"routing-random": "routing-evidence", "routing-mean": "routing-evidence-all"}
    targets = {"shifted": Target("≤", 1 / 8), "new_classes": Target("≤", 1 / 2), "unrelated": None}
    return (
        *(Line(at, f"{group}: samples to target, moe / single_task", samples_saved(group),
               target, "ratio") for group, target in targets.items()),
        *(Line(at, f"{group or 'all probes'}: {ours} - {other}",
               gain(other, group, of=ours, metric=metric), above if group is None else None)
          for other, ours in pairs.items() for group in (None, *targets)),
    )  # fmt: skip


def _adding(study: str) -> tuple[Line, ...]:
    at = (study,)
    kept = {"moe": Target("≥", -0.2), "dense": Target("≤", -15), "ewc": None, "replay": None}
    return (
        *(Line(at, f"base tasks, {method}: after the last task - after the last base task",
               change_of_base(method), target) for method, target in kept.items()),
        Line(at, "unrelated: moe - single_task", gain("single_task", "unrelated"), Target("≥", -1)),
        Line(at, "moe: experts / tasks", experts_per_task, Target("≤", 0.75), "ratio"),
        Line(at, "operations to predict, moe / dense",
             quotient(("moe", "flops_predict"), ("dense", "flops_predict")),
             Target("≤", 1.05), "ratio"),
    )  # fmt: skip


def _capacity() -> tuple[Line, ...]:
    targets = {"moe": Target("≥", -3), "ewc": Target(">", 0), "dense_wide": Target(">", 0)}
    return tuple(
        Line(("capacity",), f"half the experts - {over}", gain_at_half_capacity(over), target)
        for over, target in targets.items()
    )


def _ctrl() -> tuple[Line, ...]:
    steps, last = quotient(("moe", "steps"), ("mntdp", "steps")), "last_task_transfer"
    return (
        *(Line((s,), "moe - mntdp", gain("mntdp"), Target("≥", -0.5)) for s in CTRL),
        Line(CTRL, "moe - mntdp, mean over the streams", mean_gain("mntdp"), Target(">", 0)),
        *(Line((s,), "steps, moe / mntdp", steps, Target("≤", 1 / 3), "ratio") for s in CTRL),
        *(Line((s,), "last task: moe - single_task", gain("single_task", metric=last),
               Target(">", 0, whole=True)) for s in ("ctrl_minus", "ctrl_out", "ctrl_in")),
    )  # fmt: skip


def _trust() -> tuple[Line, ...]:
    published = (
        ("trust_split_mnist", "ewc", Target("±", 97.7, 1.5)),
        ("trust_split_mnist_si", "si", Target("±", 97, 2)),
        ("trust_split_mnist_si", "rwalk", Target("±", 99, 2)),
        ("trust_permuted_mnist", "ewc_avalanche", Target("±", 83, 2)),
    )
    return tuple(Line((s,), m, level(m), target, "level") for s, m, target in published)


def _cost() -> tuple[Line, ...]:
    seconds = quotient(("moe", "decision_seconds"), ("single_task", "cpu_seconds"))
    steps = quotient(("moe", "steps"), ("single_task", "steps"))
    return (
        *(Line((s,), "CPU seconds of moe's decisions / of single_task's training", seconds,
               Target("<", 0.2), "ratio") for s in COSTED),
        *(Line((s,), "steps, moe / single_task", steps, unit="ratio") for s in COSTED),
    )  # fmt: skip


CLAIMS: Mapping[str, tuple[Line, ...]] = {
    "Images: transfer to related tasks with few examples": _low_resource(
        "low_resource_images", {"joint": 8, "ewc": 15}, best=14
    ),
    "Texts: transfer to related tasks with few examples": _low_resource(
        "low_resource_text", {"joint": 4}, best=7
    ),
    "Unseen tasks need fewer examples, because of the routing": (
        *_unseen("unseen_images"),
        *_unseen("unseen_text"),
    ),
    "Unrelated tasks cause no forgetting": (
        *_adding("adding_unrelated_images"),
        *_adding("adding_unrelated_text"),
    ),
    "Half the experts lose little accuracy": _capacity(),
    "As accurate as MNTDP, with a third of its steps": _ctrl(),
    "The baselines reach the published accuracies": _trust(),
    "The cost of decisions": _cost(),
}


# --- from the studies to the page -------------------------------------------------------------


def _studies(folder: Path) -> dict[str, StudyData | None]:
    names = {name for lines in CLAIMS.values() for line in lines for name in line.studies}
    return {name: load_study(folder / name) if _ran(folder / name) else None for name in names}


def _ran(study: Path) -> bool:
    """Whether a study was exported here, or run here with a complete run."""
    return is_exported(study) or any(study.glob("runs/*/seed_*"))


def _number(value: float, unit: Unit) -> str:
    if math.isinf(value):
        return "not reached"
    text = f"{value:.3g}" if unit == "ratio" else f"{value:{'+' * (unit == 'points')}.1f}"
    return "0.0" if text in ("-0.0", "+0.0") else text


def _row(finding: Finding) -> str:
    line, found = finding.line, finding.found
    asked = "" if line.target is None else str(line.target)
    measured, seeds, what = "", "", line.what
    if found is not None:
        measured = "" if math.isnan(found.mean) else _number(found.mean, line.unit)
        if not math.isnan(found.low):
            ends = (_number(end, line.unit) for end in (found.low, found.high))
            measured += f" [{', '.join(ends)}]"
        seeds = f"{found.seeds}" + (f" of {finding.seeds}" if found.seeds < finding.seeds else "")
        what += f" ({finding.note})" if finding.note else ""
    one = line.studies[0] if len(line.studies) == 1 else None
    study = f"[{one}]({one}/README.md#results)" if one else f"{len(line.studies)} studies"
    return f"| {study} | {what} | {asked} | {measured} | {seeds} | {finding.verdict} |"


HEAD = """# Claims and measurements

`make claims` generates this page from the studies in this folder. Values are means over seeds with their 95 % interval (Student's t below
ten seeds); differences and ratios are paired by seed. Differences of accuracies are in points, after the last task and on test data.
Ratios are averaged on the log scale. A target refers to the mean, unless it says "the whole interval"; "not significant" means that the
interval contains the target. Lines without a target are informative. Seconds depend on the machine that ran the study. The linked page of
a study shows all methods; a line with a selection excludes others, including better ones.
"""  # noqa: E501
COLUMNS = ("study", "quantity", "target", "measured", "seeds", "verdict")


def page(studies: Mapping[str, StudyData | None]) -> str:
    """Return all claims in Markdown: one table per claim, and the command for its studies."""
    findings = {title: [evaluate(li, studies) for li in lines] for title, lines in CLAIMS.items()}
    asked = [f.verdict.split()[0] for every in findings.values() for f in every if f.line.target]
    counts = {word: asked.count(word) for word in ("met", "missed", "open:", "not")}
    words = ("met", "missed", "open", "not run or not measured")
    numbers = ", ".join(f"{n} {w}" for w, n in zip(words, counts.values(), strict=True) if n)
    parts = [HEAD, f"Of {len(asked)} targets: {numbers}.\n"]
    for number, (title, every) in enumerate(findings.items(), start=1):
        names = " ".join(dict.fromkeys(name for f in every for name in f.line.studies))
        wanted = f'"{names}"' if " " in names else names
        table = [f"| {' | '.join(COLUMNS)} |", "|---|---|---|---:|---:|---|", *map(_row, every)]
        parts += [f"## {number}. {title}\n", "\n".join(table) + "\n"]
        parts.append(f"Reproduce with `make results STUDY={wanted}`.\n")
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write and print the page; return 1 if the folder is missing or a study is damaged."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    try:
        if not folder.is_dir():
            raise InputError(f"{folder}: is not a folder; give the folder of the studies")
        text = page(_studies(folder))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    write_text(folder / "claims.md", text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
