"""From a study's tidy rows to metrics, intervals, tables, figures and a report.

All functions are pure functions of :class:`StudyData`. Names are imported on first access, so that
importing the package is fast.

>>> from cl_moe.analysis import StudyData
>>> StudyData.__name__
'StudyData'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl_moe.analysis.caveats import few_seeds, remarks
    from cl_moe.analysis.data import StudyData, accuracy_matrix
    from cl_moe.analysis.divergence import divergence_warnings
    from cl_moe.analysis.document import report
    from cl_moe.analysis.metrics.compute import compute
    from cl_moe.analysis.metrics.names import METRICS
    from cl_moe.analysis.plots import plot_all
    from cl_moe.analysis.stats import paired, summary, summary_records, transfer_summary
    from cl_moe.analysis.tables import rich_table, table, table_data, transfer_tables

__all__ = (
    "METRICS",
    "StudyData",
    "accuracy_matrix",
    "compute",
    "divergence_warnings",
    "few_seeds",
    "paired",
    "plot_all",
    "remarks",
    "report",
    "rich_table",
    "summary",
    "summary_records",
    "table",
    "table_data",
    "transfer_summary",
    "transfer_tables",
)

_HOME = {
    "METRICS": "metrics",
    "StudyData": "data",
    "accuracy_matrix": "data",
    "compute": "metrics",
    "divergence_warnings": "divergence",
    "few_seeds": "caveats",
    "paired": "stats",
    "plot_all": "plots",
    "remarks": "caveats",
    "report": "document",
    "rich_table": "tables",
    "summary": "stats",
    "summary_records": "stats",
    "table": "tables",
    "table_data": "tables",
    "transfer_summary": "stats",
    "transfer_tables": "tables",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found  # cached
    return found
