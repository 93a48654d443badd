"""The sections of a study's report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from cl_moe import escape
from cl_moe.analysis.caveats import data_line, warnings
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics.names import METRICS, label, metric_called
from cl_moe.analysis.plots.every import caption, which
from cl_moe.analysis.shortfalls import Shortfall, compare, method_of_interest, task_shortfalls
from cl_moe.analysis.stats import intervals, paired, summary
from cl_moe.analysis.tables import (
    Cell,
    TableData,
    markdown,
    quantity,
    table_data,
    transfer_tables,
)
from cl_moe.analysis.verdict import verdict

__all__ = ("Raw", "Section", "markdown_page", "sections")

MOST_LINES = 40
COSTS = (
    "parameters", "active_parameters", "flops_predict", "experts", "steps", "train_seconds",
    "decision_seconds", "decision_share", "eval_seconds", "cpu_seconds", "peak_memory",
)  # fmt: skip
COSTS_NOTE = (
    "Per run, over its stream: sizes at the end, operations and active parameters per task, sums "
    "of the rest; means over seeds with 95 % intervals. Times and memory depend on the machine. "
    "CPU time is that of all threads while training. Peak memory is the maximum of the process, "
    "including Python and torch; consecutive runs in one process share it."
)
DIFFERENCES = ("average_accuracy", "forgetting", "learning_transfer", "probe_accuracy")


class Raw(str):
    """A paragraph that is Markdown already; others are plain text."""

    __slots__ = ()


class Section(NamedTuple):
    """A heading with paragraphs (str), lists (list of str) and tables below it."""

    title: str
    blocks: list[str | list[str] | TableData]


def markdown_page(title: str, content: Iterable[Section]) -> str:
    r"""Return sections as one page in Markdown; their texts are escaped, except :class:`Raw`.

    >>> print(markdown_page("<b>", [Section("One", ["a|b", Raw("**c**"), ["# d"]])]))
    # \<b>
    <BLANKLINE>
    ## One
    <BLANKLINE>
    a\|b
    <BLANKLINE>
    **c**
    <BLANKLINE>
    - \# d
    <BLANKLINE>
    """
    lines = [f"# {escape.markdown(title)}"]
    for section in content:
        lines.append(f"## {escape.markdown(section.title)}")
        for block in section.blocks:
            if isinstance(block, str):
                lines.append(block if isinstance(block, Raw) else escape.markdown(block))
            elif isinstance(block, TableData):
                lines.append(markdown(block))
            else:
                lines.append("\n".join(f"- {escape.markdown(item)}" for item in block))
    return "\n\n".join(lines) + "\n"


def sections(data: StudyData) -> list[Section]:
    """Return the report's sections, computed from the study."""
    return [
        Section("What was run", _what_was_run(data)),
        *_warnings(data),
        Section("Results", _results(data)),
        *_differences(data),
        *_shortfalls(data),
        *(Section(found.title, [found]) for found in transfer_tables(data)),
        *_costs(data),
        Section("Figures", _figures(data)),
        *_decisions(data),
    ]


def _what_was_run(data: StudyData) -> list[str | list[str] | TableData]:
    tasks = data.tasks
    stream, probes = len(data.stream_tasks), len(data.probes)
    unseen = f" and {probes} unseen (each learned from a copy of the final state)" if probes else ""
    seeds = ", ".join(map(str, data.seeds))
    first = f"{len(data.method_names)} methods on {stream} tasks{unseen}; seeds {seeds}."
    ran = data.rows.groupby("method")["seed"].nunique()
    short = [
        f"{method} has {int(ran.get(method, 0))} of {len(data.seeds)} seeds"
        for method in data.method_names
        if int(ran.get(method, 0)) < len(data.seeds)
    ]
    partial = [f"Incomplete: {'; '.join(short)}."] if short else []
    shown = tasks.head(MOST_LINES)
    columns = ["group", "derived_from", "relation", "n_train", "n_test", "n_classes"]
    columns += ["objective"] if "objective" in tasks else []
    cells = [
        [Cell("" if row[c] is None or row[c] != row[c] else str(row[c])) for c in columns]
        for row in shown.to_dict("records")
    ]
    names = [
        f"{row['task']}{' (unseen)' if row['probe'] else ''}" for row in shown.to_dict("records")
    ]
    note = f"The first {MOST_LINES} of {len(tasks)} tasks." if len(tasks) > MOST_LINES else ""
    titles = [column.replace("_", " ") for column in columns]
    used = [data_line(data)] if data.sources else []
    return [*used, first, *partial, TableData("tasks", titles, names, cells, note, first="task")]


def _warnings(data: StudyData) -> list[Section]:
    found = warnings(data)
    return [Section("Warnings", [found])] if found else []


def _results(data: StudyData) -> list[str | list[str] | TableData]:
    means = intervals(summary(data))
    defined = {metric for (_, metric, _), found in means.items() if found.seeds}
    metrics = dict.fromkeys(metric for _, metric, _ in means)
    lost = [
        f"{label(metric, score=data.score)}: needs {known.needs}"
        for metric in metrics
        if metric not in defined and (known := metric_called(metric))
    ]
    said = verdict(data)
    blocks: list[str | list[str] | TableData] = [
        table_data(data),
        *([f"Verdict: {said}"] if said else []),
    ]
    return [*blocks, "Undefined in this study:", lost] if lost else blocks


def _differences(data: StudyData) -> list[Section]:
    if data.baseline is None:
        return []
    found = intervals(paired(data))
    lines = []
    for (method, metric, group), value in found.items():
        if metric in DIFFERENCES and group is None and value.seeds:
            what = label(metric, score=data.score)
            difference = Shortfall(data.baseline, what, value, METRICS[metric].unit)
            lines.append(f"{method} {difference.sentence}")
    if not lines:
        return []
    return [Section(f"Differences to {data.baseline}, paired by seed", [lines])]


def _shortfalls(data: StudyData) -> list[Section]:
    method = method_of_interest(data)
    if method is None or len(data.method_names) < 2:
        return []
    shortfalls, compared = compare(data, method)
    clear = [shortfall.sentence for shortfall in shortfalls if shortfall.clear]
    unclear = [shortfall.sentence for shortfall in shortfalls if not shortfall.clear]
    blocks: list[str | list[str] | TableData] = [
        f"{method} was compared with every other method, paired by seed: {compared} comparisons of "
        f"average {data.score} (all tasks and each group), forgetting, unseen tasks and the "
        "samples they need. The intervals are not corrected for multiple comparisons."
    ]
    if clear:
        blocks += [f"Significantly behind: the interval excludes 0 ({len(clear)}):", clear]
    if unclear:
        blocks += [f"Behind on average, not significant ({len(unclear)}):", unclear]
    if not shortfalls:
        blocks.append(
            "Its mean is behind in no comparison." if compared else "No comparison is defined."
        )
    tasks = task_shortfalls(data, method)
    if tasks:
        worst = sorted(tasks, key=lambda shortfall: shortfall.difference.mean)[:MOST_LINES]
        blocks += [
            "After the last task, its accuracy is lower than that of a single-task model on "
            f"{len(tasks)} of {len(data.stream_tasks)} tasks:",
            [
                shortfall.sentence + ("" if shortfall.clear else ", not significant")
                for shortfall in worst
            ],
        ]
    blocks += _sizes(data, method)
    return [Section(f"Where {method} is behind", blocks)]


def _sizes(data: StudyData, method: str) -> list[str]:
    means = intervals(summary(data))
    sizes = {m: means[m, "parameters", None].mean for m in data.method_names
             if (m, "parameters", None) in means}  # fmt: skip
    if method not in sizes or len(sizes) < 2:
        return []
    others = ", ".join(f"{quantity(n, 'count')} ({m})" for m, n in sizes.items() if m != method)
    return [f"Parameters at the end: {quantity(sizes[method], 'count')}, against {others}."]


def _costs(data: StudyData) -> list[Section]:
    found = table_data(data, COSTS)
    if not found.columns:
        return []
    return [Section("Costs", [found._replace(note=COSTS_NOTE)])]


def _figures(data: StudyData) -> list[str | list[str] | TableData]:
    return [
        [
            f"{name.replace('_', ' ')}: {caption(name, data)}"
            + (f" (not drawn: {reason})" if reason else "")
            for name, reason in which(data).items()
        ]
    ]


def _decisions(data: StudyData) -> list[Section]:
    found = []
    for method in dict.fromkeys(str(event["method"]) for event in data.events):
        mine = [event for event in data.events if event["method"] == method]
        seed = min(int(event["seed"]) for event in mine)
        run = sorted((e for e in mine if int(e["seed"]) == seed), key=lambda e: int(e["task"]))
        kinds = Counter(str(event["kind"]) for event in run)
        counts = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        lines = [str(event["sentence"]) for event in run[:MOST_LINES]]
        more = [f"and {len(run) - MOST_LINES} more"] if len(run) > MOST_LINES else []
        title = f"Decisions of {method}, seed {seed}"
        found.append(Section(title, [f"{len(run)} decisions: {counts}.", lines + more]))
    return found
