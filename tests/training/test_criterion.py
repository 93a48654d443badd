"""The loss of a batch is the mean of its rows' own losses."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from cl_moe.moe.dense import DenseNetwork
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.objectives.multilabel import Multilabel
from cl_moe.objectives.regression import Regression
from cl_moe.training.criterion import TaskCriterion
from cl_moe.training.model import TaskModel


def model_of(objectives, outputs):
    network = DenseNetwork(MLPExpert([6]).stages()[0], in_shape=(5,))
    for task, size in enumerate(outputs):
        network.add_task(task, size)
    return TaskModel(network, objectives=objectives)


def test_of_classes_it_is_torchs_cross_entropy_to_the_bit():
    model = model_of({}, [3, 2])
    x, tasks = torch.rand(8, 5), torch.tensor([0, 1] * 4)
    y = torch.tensor([2, 1, 0, 0, 1, 1, 2, 0])
    for labels in (tasks, 0):
        outputs = model(x, labels)
        assert torch.equal(
            TaskCriterion(model)(outputs, y), torch.nn.CrossEntropyLoss()(outputs, y)
        )


@pytest.mark.parametrize("order", [[0, 1, 2, 0, 2, 1], [2, 2, 1, 0, 0, 0], [1] * 6])
def test_rows_of_several_objectives(order):
    objectives = {1: Regression(1), 2: Multilabel(2)}
    model, x, tasks = model_of(objectives, [3, 1, 2]), torch.rand(6, 5), torch.tensor(order)
    y = torch.tensor([[1.0, 0.0]] * 6)  # class 1, or 1.0, or the first of two labels
    found = TaskCriterion(model)(model(x, tasks), y)
    each = []
    for row, task in enumerate(order):
        own = model(x[row : row + 1], task)
        losses = (
            lambda own: F.cross_entropy(own, torch.tensor([1])),
            lambda own: (own - 1).square().mean(),
            lambda own: F.binary_cross_entropy_with_logits(own, y[:1]),
        )
        each.append(losses[task](own))
    assert found.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-5)
    model(x, tasks)
    assert TaskCriterion(model)(model(x, tasks), y).requires_grad


def test_a_copy_judges_what_its_own_model_was_asked():
    model = model_of({1: Regression(1)}, [2, 1])
    criterion = TaskCriterion(model)
    other_model, other = copy.deepcopy((model, criterion))
    x = torch.rand(4, 5)
    model(x, 0)
    outputs = other_model(x, 1)
    assert other(outputs, torch.ones(4, 1)).item() == pytest.approx(
        (outputs - 1).square().mean().item()
    )
