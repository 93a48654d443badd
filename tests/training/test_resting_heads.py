"""Heads that rest change nothing but the time of a step: compared with heads that never rest."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch

from cl_moe import catalog
from cl_moe.moe.dense import DenseNetwork, SharedHeadNetwork
from cl_moe.strategies.methods.base import MethodContext, build_method
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

ALL = sorted(catalog.names("method"))
TRAINING = {"epochs": 2, "batch_size": 16, "min_steps": 0, "learning_rate": 0.02}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    "adam": {"optimizer": "adam", "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.01},
}
RETURNING = (0, 1, 2, 0, 2, 3)
"""The tasks in the order in which they are learned."""
SPREADING = {"lwf", "mas", "replay", "rwalk"}
"""Methods that change earlier heads: by rows of a memory, distillation or a penalty.

The memory of ``agem`` gives them gradients, which are gone before the step.
"""


def task(position: int) -> Task:
    draw = torch.Generator().manual_seed(position)
    centres = 2.0 * torch.randn(3, 6, generator=draw)

    def data(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.arange(size) % 3
        return centres[y] + torch.randn(size, 6, generator=draw), y

    return Task(f"task{position}", data(50), data(9), ["a", "b", "c"])


STREAM = TaskStream([task(k) for k in range(4)], "four")


def strategy_of(name: str, heads: str, **training: Any) -> Any:
    network = NetworkSpec(hidden=[7, 5], heads=heads)
    context = MethodContext(STREAM, network, TrainingSpec(**(TRAINING | training)), seed=0)
    method = build_method(name, {}, context)
    return method.strategy, method.joint


def learned(name: str, heads: str, **training: Any) -> tuple[Any, set[str]]:
    """Return a strategy that has learned the stream, and the other tasks' heads that changed."""
    strategy, joint = strategy_of(name, heads, **training)
    sets = [*STREAM.to_benchmark().train_stream]
    touched: set[str] = set()
    torch.manual_seed(0)
    random.seed(0)
    if joint:
        strategy.train(sets, eval_streams=[])
        return strategy, touched
    for position in RETURNING:
        before = {n: t.clone() for n, t in strategy.model.state_dict().items() if ".heads." in n}
        strategy.train(sets[position], eval_streams=[])
        after = strategy.model.state_dict()
        changed = {n for n, t in before.items() if not torch.equal(after[n], t)}
        touched |= {n for n in changed if f".heads.{position}." not in n}
    return strategy, touched


def everything(strategy: Any) -> dict[str, Any]:
    """Return the parameters, and the moments of those that have some."""
    names = {id(p): name for name, p in strategy.model.named_parameters()}
    found = dict(strategy.model.state_dict())
    for parameter, values in getattr(
        strategy, "optimizer", torch.optim.SGD([torch.zeros(1)])
    ).state.items():
        found |= {f"{names[id(parameter)]}/{key}": value for key, value in values.items()}
    return found


def require_equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        same = torch.equal(found[name], value) if isinstance(value, torch.Tensor) else True
        assert same, name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("heads", ["task", "shared"])
@pytest.mark.parametrize("name", ALL)
def test_results_are_those_of_heads_that_never_rest(name, heads, optimizer, monkeypatch):
    strategy, touched = learned(name, heads, **OPTIMIZERS[optimizer])
    with monkeypatch.context() as patch:
        for network in (DenseNetwork, SharedHeadNetwork):
            patch.setattr(network, "rest", lambda *_: None)
        awake, touched_awake = learned(name, heads, **OPTIMIZERS[optimizer])
    require_equal(everything(strategy), everything(awake))
    assert touched == touched_awake
    assert bool(touched) == (heads == "task" and name in SPREADING)


@pytest.mark.parametrize("name", ["dense", "ewc", "ewc_avalanche", "si"])
def test_a_step_visits_the_trunk_and_one_head(name):
    strategy, _ = learned(name, "task", optimizer="adam")
    assert len(strategy.model.network.heads) == 4
    held = [p for group in strategy.optimizer.param_groups for p in group["params"]]
    assert len(held) == 2 * 2 + 2
    assert len(strategy.optimizer.state) == 2 * 2 + 2 * 4


def test_a_copy_of_a_strategy_trains_its_own_heads():
    """A probe is learned from a copy; a recurring task trains the copy's head, and no other."""
    strategy, _ = learned("dense", "task", optimizer="adam")
    copied = copy.deepcopy(strategy)
    before = everything(strategy)
    before = {name: value.clone() for name, value in before.items()}
    sets = [*STREAM.to_benchmark().train_stream]
    torch.manual_seed(1)
    copied.train(sets[1], eval_streams=[])
    require_equal(everything(strategy), before)
    torch.manual_seed(1)
    strategy.train(sets[1], eval_streams=[])
    require_equal(everything(copied), everything(strategy))


def test_several_groups_stay_as_they_are():
    """Which group a head belongs to is then the author's choice, and is not lost."""
    strategy, _ = strategy_of("dense", "task")
    sets = [*STREAM.to_benchmark().train_stream]
    strategy.train(sets[0], eval_streams=[])
    head = list(strategy.model.network.heads["0"].parameters())
    first = strategy.optimizer.param_groups[0]
    first["params"] = [p for p in first["params"] if id(p) not in set(map(id, head))]
    strategy.optimizer.add_param_group({"params": head, "lr": 0.5})
    strategy.train(sets[1], eval_streams=[])
    assert [id(p) for p in strategy.optimizer.param_groups[1]["params"]] == [id(p) for p in head]
