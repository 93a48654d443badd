"""A batch of several tasks is answered as its rows are, one by one."""

from __future__ import annotations

import torch

from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.dense import DenseNetwork
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.multilabel import Multilabel
from cl_moe.training.model import ABSENT, TaskModel

CLASSES = [2, 4, 3]


def model_of_three_tasks():
    layer = MoELayer(MLPExpert([6]).stages()[0], TaskGate(5), (5,), experts=3)
    network = MoENetwork(Chain([layer]))
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


def test_what_tasks_share_is_run_once_for_all_of_them():
    network = DenseNetwork(MLPExpert([6]).stages()[0], in_shape=(5,))
    for task, classes in enumerate(CLASSES):
        network.add_task(task, classes)
    model, x = TaskModel(network), torch.randn(7, 5)
    sizes = []
    network.trunk.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    mixed, answers = model(x, torch.tensor([2, 0, 1, 1, 2, 0, 1])), model(x)
    assert sizes == [7, 7]
    assert list(answers) == [0, 1, 2]
    for task, logits in answers.items():
        assert torch.allclose(logits, model(x, task), atol=1e-6)
    assert torch.allclose(mixed[0, : CLASSES[2]], answers[2][0], atol=1e-6)


def test_a_saved_model_knows_what_its_outputs_mean():
    model = model_of_three_tasks()
    plain = model.state()
    model.objectives[1] = Multilabel(4)
    layer = MoELayer(MLPExpert([6]).stages()[0], TaskGate(5), (5,), experts=3)
    again = TaskModel(MoENetwork(Chain([layer])))
    again.restore(model.state())
    assert again.objectives == {1: Multilabel(4)}
    assert "objectives" not in plain.plain  # a model of classes alone is saved as before
