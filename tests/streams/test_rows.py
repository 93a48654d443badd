"""Rows to be answered, as a model takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cl_moe.errors import InputError
from cl_moe.streams.rows import columns_of, read_rows


def test_a_table_gives_the_columns_that_are_wanted_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("\ufeffa\tb\tc\ty\n1\t2\t3\tu\n\n4\t5\t6\tv\n", encoding="utf-8")
    assert columns_of(path) == ["a", "b", "c", "y"]
    rows = read_rows(path, (2,), label="y", features=("c", "a"))
    assert rows.x.tolist() == [[3, 1], [6, 4]]
    assert (rows.names, rows.title, rows.labels) == (["0", "1"], "row", ["u", "v"])
    assert read_rows(path, (1, 1, 3), label="y").x.shape == (2, 1, 1, 3)


def test_all_problems_of_a_table_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,x\ninf,2\n" + "?,?\n" * 30)
    with pytest.raises(InputError) as error:
        read_rows(path, (2,))
    assert f"{path}, line 2, column 'b': 'x' is not a finite number; correct it" in str(error.value)
    assert f"{path}, line 3, column 'a'" in str(error.value)
    assert error.value.problems[-1] == "... and 42 more"
    path.write_text("a,a\n1,2\n")
    with pytest.raises(InputError, match="two columns are called 'a'"):
        read_rows(path, (2,))


@pytest.mark.parametrize(
    ("array", "shape", "wanted"),
    [
        (np.full((2, 3), 4), (3,), torch.full((2, 3), 4.0)),
        (np.full((2, 4, 4), 255, dtype=np.uint8), (1, 4, 4), torch.ones(2, 1, 4, 4)),
        (np.full((2, 4, 4, 3), 51, dtype=np.uint8), (3, 4, 4), torch.full((2, 3, 4, 4), 0.2)),
        (np.full((2, 8, 8), 255, dtype=np.uint8), (1, 4, 4), torch.ones(2, 1, 4, 4)),
        (np.ones((2, 2, 3)), (6,), torch.ones(2, 6)),
        (np.ones((2, 6)), (1, 2, 3), torch.ones(2, 1, 2, 3)),
    ],
)
def test_arrays_become_rows_of_the_shape(array, shape, wanted, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=array)
    found = read_rows(tmp_path / "rows.npz", shape)
    assert torch.allclose(found.x, wanted)
    assert found.x.dtype == torch.float32
    assert found.labels is None


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.array([{}, {}], dtype=object))
    with pytest.raises(InputError, match="pickled objects are not loaded"):
        read_rows(tmp_path / "rows.npz", (1,))


def test_images_are_resized_and_files_beside_subfolders_have_no_label(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "left").mkdir()
    Image.new("RGB", (5, 7), (255, 0, 0)).save(tmp_path / "left/a.png")
    rows = read_rows(tmp_path, (3, 4, 4))
    assert torch.allclose(rows.x[0], torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 4, 4))
    assert (rows.names, rows.title, rows.labels) == (["left/a.png"], "file", ["left"])
    Image.new("L", (4, 4), 51).save(tmp_path / "b.png")
    rows = read_rows(tmp_path, (3, 4, 4))
    assert (rows.names, rows.labels) == (["b.png", "left/a.png"], None)
    assert torch.allclose(rows.x[0], torch.full((3, 4, 4), 0.2))
    with pytest.raises(InputError, match=r"rows of shape \(1, 7, 5\), but the model takes \(16,\)"):
        read_rows(tmp_path, (16,))
