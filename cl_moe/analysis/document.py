"""A study's report as one document: Markdown, or HTML with embedded figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import overload

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.page import html
from cl_moe.analysis.reporting import markdown_page, sections
from cl_moe.storage import replace_file

__all__ = ("report",)


@overload
def report(data: StudyData) -> str: ...
@overload
def report(data: StudyData, path: str | os.PathLike[str]) -> Path: ...
def report(data: StudyData, path: str | os.PathLike[str] | None = None) -> str | Path:
    """Return a study's report in Markdown, or write it to a file.

    Args:
        data: the study.
        path: ``.html`` for one file with all figures embedded; any other ending for
            Markdown.

    Returns:
        The text, or the path if one is given.
    """
    if path is None:
        return _markdown(data)
    target = Path(path)
    text = html(data) if target.suffix.lower() in (".html", ".htm") else _markdown(data)
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, text.encode())
    return target


def _markdown(data: StudyData) -> str:
    return markdown_page(data.name, sections(data))
