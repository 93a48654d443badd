"""With ``network.heads = "shared"`` dense methods have one head for all tasks; others do not."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

import cl_moe
from cl_moe.analysis.metrics import compute
from cl_moe.errors import InputError
from cl_moe.strategies.methods.base import build_method
from cl_moe.strategies.networks import build_dense
from cl_moe.streams.spec import NetworkSpec
from cl_moe.training.regularization import shared_parameters

DENSE = [
    *("agem", "dense", "dense_wide", "ewc", "ewc_avalanche", "joint", "lwf", "mas"),
    *("replay", "rwalk", "si"),
]
APART = ["single_task", "moe", "nearest_mean", "packnet", "progressive", "ridge"]
ONE_HEAD = NetworkSpec(hidden=[16, 16], heads="shared")


@pytest.fixture
def shared(context, conflicting):
    """What a method of three tasks with the same classes is given."""
    return replace(context, stream=conflicting, network=ONE_HEAD)


def answers(method, x):
    method.strategy.model.eval()
    with torch.no_grad():
        return [method.strategy.model(x, task) for task in range(3)]


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_method_answers_all_tasks_by_one_head(name, shared, learn):
    first, *others = answers(learn(shared, name), shared.stream[0].tensors("test")[0])
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("name", APART)
def test_what_keeps_tasks_apart_has_a_head_a_task(name, shared, learn):
    method = learn(shared, name)
    first, second, _ = answers(method, shared.stream[0].tensors("test")[0])
    assert not torch.equal(first, second)
    assert not build_method(name, {}, shared).strategy.model.knows(0)


def test_no_parameter_is_a_tasks_own(shared, learn):
    model = learn(shared, "dense").strategy.model
    assert set(shared_parameters(model)) == set(dict(model.network.named_parameters()))
    assert model.network.tasks == [0, 1, 2]
    assert sum(p.shape == (2, 16) for p in model.parameters()) == 1


def test_the_gradient_of_one_task_moves_the_answers_of_another(shared):
    x, y = shared.stream[1].tensors("train")
    for heads, moves in (("shared", True), ("task", False)):
        network = ONE_HEAD.model_copy(update={"heads": heads})
        model = build_dense(replace(shared, network=network)).network
        for task in range(2):
            model.add_task(task, 2)
        model.trunk.requires_grad_(False)  # what moves is the head, or nothing
        before = model(x, 0)
        torch.nn.functional.cross_entropy(model(x, 1), y).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * (0 if parameter.grad is None else parameter.grad)
        assert torch.equal(before, model(x, 0)) != moves


def test_the_first_task_is_learned_as_with_a_head_a_task(shared, learn):
    x = shared.stream[0].tensors("test")[0]
    apart = replace(shared, network=NetworkSpec(hidden=[16, 16]))
    one, other = (learn(given, "dense", tasks=1) for given in (shared, apart))
    one.strategy.model.eval()
    other.strategy.model.eval()
    assert torch.equal(one.strategy.model(x, 0), other.strategy.model(x, 0))


@pytest.mark.parametrize("name", ["ewc", "si"])
def test_the_shared_head_is_held_too(name, shared, learn):
    def moved(strength):
        after = [learn(shared, name, tasks=n, strength=strength) for n in (1, 2)]
        one, two = (method.strategy.model.network.head.weight for method in after)
        return (one - two).norm()

    assert moved(1e4) < moved(0.0) / 3


def test_distillation_asks_a_shared_head_once(shared, learn):
    """Else old tasks would count as often as there are tasks, each time the same answer."""
    method = learn(shared, "lwf", tasks=2)
    x = shared.stream[2].tensors("train")[0]
    assert set(method.strategy.model(x, None)) == {0}
    plugin = next(p for p in method.strategy.plugins if hasattr(p, "lwf"))
    changed = copy.deepcopy(method.strategy.model)
    with torch.no_grad():
        changed.network.head.bias[0] += 1.0
    new, old = (model(x, 0) for model in (changed, plugin.lwf.prev_model))
    new, old = ((logits / 2).log_softmax(1) for logits in (new, old))
    expected = torch.nn.functional.kl_div(new, old, reduction="batchmean", log_target=True)
    assert torch.isclose(plugin.lwf(x, None, changed), expected)


def test_tasks_with_other_numbers_of_classes_are_refused(context):
    with pytest.raises(InputError, match=r"'task0' has 2 and 'task1' 3; give 'task'"):
        build_method("dense", {}, replace(context, network=ONE_HEAD))
    build_method("single_task", {}, replace(context, network=ONE_HEAD))


def test_a_task_with_more_classes_than_the_head_is_refused(shared):
    with pytest.raises(ValueError, match="task 5 has 3 classes, and the head of all tasks 2"):
        build_dense(shared).network.add_task(5, 3)


def test_a_wide_network_has_the_parameters_of_a_mixture_with_a_head_a_task(shared):
    def size(method):
        return sum(p.numel() for p in method.strategy.model.parameters())

    wide = size(build_method("dense_wide", {}, shared))
    trunk = sum(p.numel() for p in build_dense(shared).network.trunk.parameters())
    assert wide == pytest.approx(3 * (trunk + 17 * 2), rel=0.02)


def test_forward_transfer_is_measured_before_tasks_are_learned(conflicting):
    budget = {"epochs": 1, "min_steps": 0}
    data = cl_moe.run(
        conflicting,
        ["dense", "single_task"],
        seeds=1,
        network=ONE_HEAD,
        training=budget,
        progress=False,
    ).data
    a, initial = data.accuracies()["dense", 0], data.rows[data.rows["after_task"] == -1]
    assert not np.isnan(a).any()
    assert set(initial["method"]) == {"dense"}
    found = compute(data)
    found = found[(found["metric"] == "forward_transfer") & found["group"].isna()]
    value = dict(zip(found["method"], found["value"], strict=True))
    start = initial[initial["metric"] == "accuracy"].set_index("task")["value"]
    expected = np.mean([a[0, 1] - start["xor1"], a[1, 2] - start["xor2"]])
    assert value["dense"] == pytest.approx(expected)
    assert np.isnan(value["single_task"])


def test_what_is_kept_of_a_study_names_only_a_head_that_is_shared(conflicting):
    """A study from before there was the choice goes on."""
    from cl_moe.runs.folder.description import describe
    from cl_moe.runs.planning import make_plan

    for heads, kept in (("task", {}), ("shared", {"heads": "shared"})):
        plan = make_plan(conflicting, ["dense"], 1, network={"heads": heads})
        spec = describe(plan, conflicting.table())["spec"]
        assert {key: value for key, value in spec["network"].items() if key == "heads"} == kept
