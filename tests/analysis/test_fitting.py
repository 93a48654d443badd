from __future__ import annotations

import pytest
from rich.console import Console

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.fitting import fitting, width
from cl_moe.analysis.tables import rich_table, table_data


def test_a_table_as_wide_as_it_has_to_be_cuts_no_word(study: StudyData) -> None:
    found = table_data(study)
    console = Console(width=width(found), color_system=None, force_jupyter=False)
    with console.capture() as captured:
        console.print(rich_table(found._replace(note="")))
    lines = captured.get()
    assert "…" not in lines
    assert all(cell.text in lines for row in found.cells for cell in row)


@pytest.mark.parametrize("room", [60, 80, 120])
def test_a_screen_that_is_too_narrow_gets_several_tables(study: StudyData, room: int) -> None:
    found = table_data(study)
    parts = fitting(found, room)
    assert len(parts) > 1
    assert [title for part in parts for title in part.columns] == found.columns
    assert all(width(part) <= room and part.methods == found.methods for part in parts)
    rows = [[cell for part in parts for cell in part.cells[k]] for k in range(len(found.methods))]
    assert rows == found.cells
    assert [bool(part.title) for part in parts] == [True] + [False] * (len(parts) - 1)
    assert [bool(part.note) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert fitting(found, width(found)) == [found]
