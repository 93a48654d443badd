"""A batch of several tasks is answered as its rows are, one by one."""

from __future__ import annotations

import torch

from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.strategies.adapter import ABSENT, TaskModel

CLASSES = [2, 4, 3]


def model_of_three_tasks():
    layer = MoELayer(MLPExpert([6]).stages()[0], TaskGate(5), (5,), experts=3)
    network = MoENetwork([layer])
    for task, classes in enumerate(CLASSES):
        network.add_task(task, [[f"e{task}"]], network.new_head(task, classes))
    return TaskModel(network)


def test_rows_of_a_mixed_batch_keep_their_places():
    model, x = model_of_three_tasks(), torch.randn(7, 5)
    labels = torch.tensor([2, 0, 1, 1, 2, 0, 1])
    logits = model(x, labels)
    for row, task in enumerate(labels.tolist()):
        own, width = model(x[row : row + 1], task)[0], CLASSES[task]
        assert torch.allclose(logits[row, :width], own, atol=1e-6)
        assert (logits[row, width:] == ABSENT).all()


def test_a_task_that_is_not_in_the_batch_gets_no_gradient():
    model = model_of_three_tasks()
    model(torch.randn(4, 5), torch.tensor([2, 0, 0, 2])).sum().backward()
    (layer,) = model.network.moe_layers
    with_gradient = {
        id_ for id_ in layer.pool if all(p.grad is not None for p in layer.pool[id_].parameters())
    }
    assert with_gradient == {"e0", "e2"}
    assert model.network.heads["1"].weight.grad is None
