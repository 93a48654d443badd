"""Samples that are converted and checked when they are read."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from cl_moe.errors import InputError
from cl_moe.streams.converted import MOST_CHECKED, Converted


class Rows(Dataset[Any]):
    """Rows made when read, and counted."""

    def __init__(self, n: int, row: Callable[[int], Any], targets: Any = None) -> None:
        self.n, self.row, self.reads = n, row, 0
        if targets is not None:
            self.targets = targets

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
        return self.row(index)


def with_nan(*bad: int) -> Callable[[int], Any]:
    return lambda k: (torch.full((2,), float("nan") if k in bad else 0.0), k % 2)


def test_rows_are_converted_when_read() -> None:
    data = Converted(Rows(4, lambda k: (np.full(3, k, dtype=np.float64), np.int16(k % 2))))
    assert data.shape == (3,)
    assert data.targets.tolist() == [0, 1, 0, 1]
    x, y = data[3]
    assert (x.dtype, x.tolist(), type(y), y) == (torch.float32, [3.0] * 3, int, 1)
    x_NX, y_N = data.tensors()
    assert x_NX[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert y_N.tolist() == [0, 1, 0, 1]
    batches = list(DataLoader(data, batch_size=3))
    assert [len(batch[0]) for batch in batches] == [3, 1]
    assert [int(y) for _, y in data] == [0, 1, 0, 1]  # iterating ends


def test_a_part_keeps_the_numbers_of_its_samples() -> None:
    rows = Rows(6, lambda k: (torch.full((1,), float(k)), k % 2))
    part = Converted(rows).take([5, 2]).take([1, 0])
    reads = rows.reads
    assert part.targets.tolist() == [0, 1]
    assert rows.reads == reads
    assert [float(x) for x, _ in part] == [2.0, 5.0]
    rows.row = lambda k: (torch.tensor([float("inf")]), 0)
    with pytest.raises(InputError, match="data: sample 5 holds NaN"):
        part[1]


def test_one_cause_is_told_once() -> None:
    with pytest.raises(InputError) as caught:
        Converted(Rows(400, with_nan(*range(0, 358, 2))), "task 't', train data")
    assert caught.value.problems == [
        "task 't', train data: sample 0 holds NaN or infinity; clean or remove it "
        "(and 178 more like it)"
    ]


def test_several_causes_are_told_at_once() -> None:
    def row(k: int) -> Any:
        if k == 2:
            raise KeyError("gone")
        return torch.zeros(3 if k in (3, 4) else 2), ["a", 0.5][k == 5]

    with pytest.raises(InputError) as caught:
        Converted(Rows(6, row))
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "data: sample 2 cannot be read (KeyError: 'gone')",
        "data: sample 3 is float32 of shape (3,), the first one float32 of shape (2,)",
        "data: labels are not whole numbers, class names or one-hot rows (sample 5 has 0.5)",
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((Image.new("L", (2, 2)), 0), r"PIL images; .*ToTensor"),
        (
            {"image": Image.new("L", (2, 2)), "label": 0},
            r"keys 'image', 'label'; .*\(row\['image'\], row\['label'\]\).*ToTensor",
        ),
        (torch.zeros(2), r"rows are Tensor; give pairs \(x, y\)"),
        ((torch.zeros(2),), "rows are tuples of 1; give pairs"),
        ([torch.zeros(2), 0, 0], "rows are lists of 3; give pairs"),
        (("text", 0), "inputs are str"),
    ],
)
def test_rows_that_are_no_pairs_of_numbers_are_named(row: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"data: .*{words}") as caught:
        Converted(Rows(50, lambda _: row))
    assert len(caught.value.problems) == 1


def test_many_samples_are_checked_here_and_there_and_all_when_read() -> None:
    n = 3 * MOST_CHECKED - 1
    rows = Rows(n, with_nan(1), targets=[k % 2 for k in range(n)])
    data = Converted(rows, "here")
    assert rows.reads <= MOST_CHECKED
    with pytest.raises(InputError, match="here: sample 1 holds NaN"):
        data[1]
    with pytest.raises(InputError, match="here: sample 1 holds NaN"):
        data.tensors()
    with pytest.raises(InputError, match="here: sample 3 holds NaN"):
        Converted(Rows(n, with_nan(3), targets=rows.targets), "here")


def test_targets_that_samples_contradict_are_not_believed() -> None:
    n = 2 * MOST_CHECKED
    rows = Rows(n, lambda k: (torch.zeros(1), k % 2), targets=[1] * n)
    assert Converted(rows).targets.tolist() == [k % 2 for k in range(n)]


def test_checking_leaves_random_states_as_they_were() -> None:
    def row(_: int) -> Any:
        noise = random.random() + np.random.rand()  # noqa: NPY002 - as transforms do
        return torch.rand(2) + noise, 0

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    data = Converted(Rows(5, row))
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert not torch.equal(data[0][0], data[0][0])  # transforms are applied at every read
