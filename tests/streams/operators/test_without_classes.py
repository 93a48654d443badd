"""Operators on tasks without classes: inputs change, targets stay, classes cannot be chosen."""

from __future__ import annotations

import pytest
import torch

from cl_moe.errors import InputError
from cl_moe.streams.operators.base import Operator, chain
from cl_moe.streams.operators.invert import Invert
from cl_moe.streams.operators.noise import Noise
from cl_moe.streams.operators.per_class import PerClass
from cl_moe.streams.operators.permute_labels import PermuteLabels
from cl_moe.streams.operators.permute_pixels import PermutePixels
from cl_moe.streams.operators.repeat import Repeat
from cl_moe.streams.operators.standardize import Standardize
from cl_moe.streams.operators.subset import Subset
from cl_moe.streams.task import Task

X = torch.rand(30, 4, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([1.0, -2.0, 3.0, 0.5])
RATED = Task("rated", (X, Y), (X, Y), objective="regression")
TAGGED = Task("tagged", (X, X > 0.5), (X, X > 0.5), objective="multilabel")


@pytest.mark.parametrize("task", [RATED, TAGGED], ids=lambda task: task.name)
@pytest.mark.parametrize(
    "operator", [Invert(), Noise(), PermutePixels(), Repeat(), Standardize()], ids=repr
)
def test_targets_stay(task: Task, operator: Operator) -> None:
    made = operator(task, seed=1)
    assert made.objective == task.objective
    assert made.classes == task.classes
    assert torch.equal(made.labels("train"), task.labels("train"))
    assert chain(task, [operator], name="again").objective == task.objective


def test_few_examples_are_so_many_in_all() -> None:
    few = PerClass(5, test=7)(RATED, seed=1)
    assert (few.n_train, few.n_test) == (5, 7)
    x, y = few.tensors("train")
    torch.testing.assert_close(y[:, 0], x @ torch.tensor([1.0, -2.0, 3.0, 0.5]))
    more = PerClass(9)(RATED, seed=1)
    assert set(y.flatten().tolist()) < set(more.labels("train").flatten().tolist())


@pytest.mark.parametrize("task", [RATED, TAGGED], ids=lambda task: task.name)
@pytest.mark.parametrize("operator", [Subset(2), PermuteLabels(), PermuteLabels(1)], ids=repr)
def test_there_are_no_classes_to_choose_or_permute(task: Task, operator: Operator) -> None:
    with pytest.raises(InputError) as caught:
        operator(task)
    (problem,) = caught.value.problems
    assert problem.startswith(f"task '{task.name}': is {task.objective.name}, which has no classes")
