from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.errors import InputError
from cl_moe.runs.folder.files import (
    Column,
    read_json,
    read_json_lines,
    read_table,
    write_json,
    write_json_lines,
    write_table,
    write_text,
)

COLUMNS = (
    Column.text("name"),
    Column.whole("seed", least=0),
    Column.number("value"),
    Column.whole("epoch", least=0, empty=True),
)


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "name": st.text(min_size=1).filter(lambda text: not {"\r", "\0"} & set(text)),
                "seed": st.integers(0, 10**9),
                "value": st.floats(allow_nan=False),
                "epoch": st.none() | st.integers(0, 99),
            }
        )
    )
)
def test_a_table_is_read_back_bit_for_bit(
    rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    try:
        write_table(path, COLUMNS, rows)
    except UnicodeEncodeError:  # lone surrogates are no text that a file could hold
        return
    assert read_table(path, COLUMNS) == rows


def test_a_diverged_loss_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_table(path, COLUMNS, [{"name": "a", "seed": 0, "value": math.nan, "epoch": None}])
    assert math.isnan(read_table(path, COLUMNS)[0]["value"])


def test_a_table_of_before_a_column_came_is_read(tmp_path: Path) -> None:
    columns = [Column.text("name"), Column.amount("memory", "MiB", later=True)]
    path = tmp_path / "rows.csv"
    path.write_text("name\na\n")
    assert read_table(path, columns) == [{"name": "a", "memory": None}]
    path.write_text("name,memory\na,2.5\nb,\n")
    assert [row["memory"] for row in read_table(path, columns)] == [2.5, None]
    path.write_text("name,memory\na,-1\n")
    with pytest.raises(InputError, match="'-1' is not MiB, 0 or more"):
        read_table(path, columns)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name,seed,value,epoch\na,0,x,\n", "line 2, column 'value': 'x' is not a number"),
        ("name,seed,value,epoch\na,-1,1,\n", "line 2, column 'seed': '-1' is not a whole number"),
        ("name,seed,value,epoch\na,0,1,\nb,0", "line 3: 2 cells where 4 are wanted"),
        ("name,seed,value\n", "line 1: the columns are name,seed,value; they should be"),
        ("", "line 1: the columns are missing"),
        ("name,seed,value,epoch\n,0,1,\n", "line 2, column 'name': '' is not a word"),
    ],
)
def test_damage_is_named_with_its_place(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_table(path, COLUMNS)
    assert f"{path}, {wanted}" in str(error.value)


def test_every_bad_cell_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("name,seed,value,epoch\n" + "a,x,y,\n" * 8)
    with pytest.raises(InputError) as error:
        read_table(path, COLUMNS)
    assert len(error.value.problems) == 11
    assert error.value.problems[-1].endswith("and 6 more")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"name\xff")
    with pytest.raises(InputError, match="byte 4 is not UTF-8"):
        read_table(path, COLUMNS)


def test_json_is_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 0.1 + 0.2})
    assert read_json(tmp_path / "a.json") == {"x": 0.1 + 0.2}
    items = [{"x": "a\nb\u2028c"}, {}]
    write_json_lines(tmp_path / "b.jsonl", items)
    assert read_json_lines(tmp_path / "b.jsonl") == items
    write_json_lines(tmp_path / "c.jsonl", [])
    assert read_json_lines(tmp_path / "c.jsonl") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": 1', "line 1, column 8: not JSON"),
        ("[1]", "holds a list"),
        ("3", "holds a number"),
    ],
)
def test_damaged_json_is_named(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_json(path)
    assert wanted in str(error.value)


def test_damaged_json_lines_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(InputError, match="line 2, column 7"):
        read_json_lines(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "none.json")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
