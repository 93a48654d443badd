"""The report as one self-contained HTML file."""

from __future__ import annotations

import base64

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots.every import caption as figure_caption
from cl_moe.analysis.plots.every import draw_all, rendered
from cl_moe.analysis.reporting import Section, sections
from cl_moe.analysis.tables import TableData
from cl_moe.escape import html as escaped

__all__ = ("html",)

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; }
h1, h2 { font-weight: 600; line-height: 1.2; } h2 { margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; }
td { white-space: nowrap; } th { vertical-align: bottom; border-bottom: 2px solid #555; }
th:first-child, td:first-child { text-align: left; } .best { font-weight: 700; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; }
figcaption, .note { color: #555; font-size: 13px; }
"""


def html(data: StudyData) -> str:
    """Return the report as a self-contained page with all figures."""
    body = [f"<h1>{escaped(data.name)}</h1>"]
    for section in sections(data):
        body.append(_section(section))
        if section.title == "Figures":
            body += _figures(data)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(data.name)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{escaped(section.title)}</h2>"]
    for block in section.blocks:
        if isinstance(block, str):
            parts.append(f"<p>{escaped(block)}</p>")
        elif isinstance(block, TableData):
            parts.append(_table(block))
        else:
            items = "".join(f"<li>{escaped(item)}</li>" for item in block)
            parts.append(f"<ul>{items}</ul>")
    return "\n".join(parts)


def _table(found: TableData) -> str:
    head = "".join(f"<th>{escaped(name)}</th>" for name in (found.first, *found.columns))
    rows = []
    for method, cells in zip(found.methods, found.cells, strict=True):
        marked = "".join(
            f'<td class="best">{escaped(cell.text)} *</td>'
            if cell.best
            else f"<td>{escaped(cell.text)}</td>"
            for cell in cells
        )
        rows.append(f"<tr><td>{escaped(method)}</td>{marked}</tr>")
    note = f'<p class="note">{escaped(found.note)}</p>' if found.note else ""
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>'
        f"</div>{note}"
    )


def _figures(data: StudyData) -> list[str]:
    parts = []
    for stem, name, drawn in draw_all(data):
        image = base64.b64encode(rendered(drawn, "png")).decode("ascii")
        width = round(96 * drawn.get_figwidth() * 1.25)
        caption = escaped(f"{stem.replace('_', ' ')}: {figure_caption(name, data)}")
        parts.append(
            f'<figure><img alt="{caption}" width="{width}" src="data:image/png;base64,{image}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return parts
