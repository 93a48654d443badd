"""Models of methods, saved and read back: they answer as before, bit for bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import cl_moe
from cl_moe import catalog
from cl_moe.errors import InputError
from cl_moe.strategies.saved import saveable
from cl_moe.streams.spec import NetworkSpec

METHODS = catalog.names("method")
FOREIGN = [
    "avalanche.training:GDumb",
    "avalanche.training:Replay",
    "avalanche.training:JointTraining",
]


def kept(method, type, context, folder: Path, **parameters):
    model = saveable(method.strategy.model, type, parameters, context)
    model.save(folder)
    return model


def answers(model, context):
    model.eval()
    x = torch.cat([task.tensors("test")[0] for task in context.stream])
    with torch.no_grad():
        return [model(x, task) for task in model.network.tasks]


@pytest.mark.parametrize("name", [*METHODS, *FOREIGN])
def test_a_loaded_model_answers_as_the_saved_one(name, context, learn, tmp_path):
    model = kept(learn(context, name), name, context, tmp_path / "model")
    again = cl_moe.load(tmp_path / "model")
    assert again.network.tasks == model.network.tasks == [0, 1, 2]
    for one, two in zip(answers(model, context), answers(again, context), strict=True):
        assert torch.equal(one, two)
    assert {k: i["name"] for k, i in again.tasks_info.items()} == dict(
        enumerate(["task0", "task1", "task2"])
    )
    assert again.tasks_info[1]["classes"] == ["0", "1", "2"]
    again.save(tmp_path / "twice")
    assert torch.equal(answers(cl_moe.load(tmp_path / "twice"), context)[2], one)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "network",
    [
        NetworkSpec(kind="conv", channels=[3], feature_dim=6),
        NetworkSpec(hidden=[8, 5], encoder_hidden=[7], heads="shared"),
    ],
    ids=["conv", "shared"],
)
def test_it_does_so_with_other_networks(name, network, context, learn, tmp_path):
    tasks = [task for task in context.stream if task.n_classes == 2]
    if network.kind == "conv":
        tasks = [as_images(task) for task in tasks]
    context = replace(context, stream=type(context.stream)(tasks), network=network)
    model = kept(learn(context, name), name, context, tmp_path / "model")
    again = cl_moe.load(tmp_path / "model")
    for one, two in zip(answers(model, context), answers(again, context), strict=True):
        assert torch.equal(one, two)


def as_images(task):
    def reshaped(split):
        x, y = task.tensors(split)
        return torch.nn.functional.pad(x, (0, 10)).reshape(-1, 1, 4, 4), y

    return type(task)(task.name, reshaped("train"), reshaped("test"), task.classes)


@pytest.mark.parametrize("name", ["dense_wide", "packnet", "agem"])
def test_parameters_go_with_the_model(name, context, learn, tmp_path):
    parameters = {
        "dense_wide": {"experts": 5},
        "packnet": {"keep": 0.3},
        "agem": {"sample": 6},
    }[name]
    method = learn(context, name, **parameters)
    model = kept(method, name, context, tmp_path / "model", **parameters)
    again = cl_moe.load(tmp_path / "model")
    assert again.origin["parameters"] == parameters
    for one, two in zip(answers(model, context), answers(again, context), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["dense", "single_task", "progressive", "packnet", "ridge", "moe"])
def test_a_loaded_model_takes_in_the_next_task(name, context, learn, tmp_path):
    """It has room for it, and its old answers are those that the saved model would keep."""
    model = kept(learn(context, name, tasks=2), name, context, tmp_path / "model")
    again = cl_moe.load(tmp_path / "model")
    flags = [{n: p.requires_grad for n, p in m.named_parameters()} for m in (model, again)]
    assert flags[0] == flags[1]
    if name != "moe":
        for each in (model, again):
            each.network.add_task(2, 2)
            each.eval()
        for task in range(3):
            x = context.stream[task].tensors("test")[0]
            assert torch.equal(model(x, task), again(x, task))


@pytest.mark.parametrize("name", [*METHODS, *FOREIGN])
def test_loading_draws_no_random_number(name, context, learn, tmp_path):
    kept(learn(context, name, tasks=1), name, context, tmp_path / "model")
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 - it is the global state that must stay
    wanted = torch.rand(2), random.random(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    cl_moe.load(tmp_path / "model")
    assert torch.equal(torch.rand(2), wanted[0])
    assert (random.random(), np.random.rand()) == wanted[1:]  # noqa: NPY002


def test_a_model_of_another_kind_is_refused_in_a_sentence(context):
    with pytest.raises(InputError, match=r"method 'mine:m': its model, a Linear, cannot be saved"):
        saveable(torch.nn.Linear(2, 2), "mine:m", {}, context)


@pytest.mark.parametrize("value", [float("inf"), object()])
def test_parameters_that_no_file_can_hold_are_refused(value, context, learn):
    model = learn(context, "dense", tasks=1).strategy.model
    with pytest.raises(InputError, match="method 'ewc': its parameters cannot be saved"):
        saveable(model, "ewc", {"strength": value}, context)


def test_a_model_of_its_own_network_takes_no_backbone(context, learn, tmp_path):
    kept(learn(context, "dense", tasks=1), "dense", context, tmp_path / "model")
    with pytest.raises(InputError, match="remove backbone"):
        cl_moe.load(tmp_path / "model", backbone=torch.nn.Linear(2, 2))
