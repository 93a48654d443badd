"""Avalanche's trees of concatenations and subsets give the tensors that reading them gives."""

from __future__ import annotations

import pytest
import torch
from avalanche.benchmarks.utils import DataAttribute, TaskLabels
from avalanche.benchmarks.utils.flat_data import ConstantSequence

from cl_moe.training.tensors import numbers_of, tensors_of


def read(data):
    """Return the columns of a data set, sample by sample."""
    rows = [data[i] for i in range(len(data))]
    return tuple(torch.stack([torch.as_tensor(row[k]) for row in rows]) for k in range(3))


@pytest.fixture
def parts(stream):
    return [experience.dataset for experience in stream.to_benchmark().train_stream]


def test_any_tree_gives_what_reading_it_gives(parts):
    a, b, c, _ = parts
    joined = a.concat(b.subset([5, 2, 9])).concat(c)
    trees = [
        a,
        a.subset([3]),
        a.subset(range(4, 9)),
        joined,
        joined.subset([30, 1, 25, 0, 24, 26, 1]),
        joined.subset([30, 1, 25]).concat(a.subset([7])).subset([3, 0, 2]),
        b.subset([1, 2]).concat(a.subset([0])).eval(),
        # with transform groups, even empty ones, a tree is not flattened
        type(a)([joined], transform_groups={"train": None, "eval": None}).subset([28, 2, 25]),
    ]
    for tree in trees:
        found = tensors_of(tree)
        assert found is not None
        for column, expected in zip(found, read(tree), strict=True):
            assert column.dtype == expected.dtype
            assert torch.equal(column, expected)
        assert torch.equal(numbers_of(tree.targets), found[1])
        assert torch.equal(numbers_of(tree.targets_task_labels), found[2])


def test_rows_that_lie_side_by_side_are_not_copied(stream, parts):
    whole = stream[0].train.tensors[0]
    for data, first in ((parts[0], 0), (parts[0].subset(range(4, 9)), 4)):
        assert tensors_of(data)[0].data_ptr() == whole[first].data_ptr()


def test_a_transform_of_another_group_does_not_matter_until_it_is_used(parts):
    data = type(parts[0])([parts[0]], transform_groups={"train": None, "eval": lambda x: -x})
    nested = type(data)([data], transform_groups={"train": None, "eval": None})
    assert tensors_of(data) is not None
    assert tensors_of(data.eval()) is None
    assert tensors_of(nested.eval()) is None


def test_what_else_a_sample_carries_is_read(parts):
    numbers = DataAttribute(list(range(24)), "numbers", use_in_getitem=True)
    hidden = DataAttribute(list(range(24)), "hidden")
    scores = DataAttribute([torch.rand(3) for _ in range(24)], "scores", use_in_getitem=True)
    found = tensors_of(type(parts[0])([parts[0]], data_attributes=[numbers, hidden]))
    assert [len(column) for column in found] == [24] * 4
    assert torch.equal(found[3], torch.arange(24))
    assert tensors_of(type(parts[0])([parts[0]], data_attributes=[scores])) is None


def test_numbers_of_constants_are_not_read_one_by_one():
    class Silent(ConstantSequence):
        def __iter__(self):
            raise AssertionError

    labels = TaskLabels(Silent(3, 5)).concat(TaskLabels(Silent(4, 2)))
    assert numbers_of(labels).tolist() == [3] * 5 + [4] * 2
