"""A small network that learns small tasks with a growth policy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from cl_moe import catalog
from cl_moe.continual.decision import Decision
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.edits import apply, set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.strategies.methods.moe import moe
from cl_moe.testing.base import Subject

__all__ = ("FEW", "MANY", "after", "learn", "view_of")

FEATURES, STEPS = 6, 12
FEW, MANY = 40, 80
"""Numbers of rows of a task, since policies may treat small and large tasks differently."""


def network_of(experts: int = 1) -> MoENetwork:
    """Return a network of two layers without tasks, with the mixture's default gate."""
    gate = catalog.resolve("gate", catalog.parameters(moe)["gate"].default)
    shape: tuple[int, ...] = (FEATURES,)
    layers: list[MoELayer] = []
    for depth, factory in enumerate(cut(MLPExpert([8, 8]).stages(), 2)):
        made = gate(FEATURES if depth == 0 else 8)
        layers.append(MoELayer(factory, made, shape, experts=experts, seed=depth))
        shape = layers[-1].out_shape
    return MoENetwork(Chain(layers))


def view_of(task: int, rows: int = FEW, classes: int = 2) -> TaskView:
    """Return a task whose classes are blobs; tasks of one parity are alike."""
    centres = torch.randn(4, FEATURES, generator=torch.Generator().manual_seed(task % 2))
    y = torch.arange(rows) % classes
    draw = torch.Generator().manual_seed(100 + task)
    x = centres[y] + 0.3 * torch.randn(rows, FEATURES, generator=draw)
    return TaskView(task, f"task{task}", x, y, classes, STEPS, 8, _optimizer, seed=task)


def _optimizer(parts: Mapping[str, nn.Module]) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for part in parts.values() for p in part.parameters()], lr=1e-2)


def learn(policy: GrowthPolicy, network: MoENetwork, view: TaskView) -> Decision:
    """Decide on a task, train accordingly, and call ``learned``."""
    decision = policy.decide(view, network)
    apply(network, decision.edits)
    if decision.train:
        network.train()
        trained = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=1e-2)
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(network(view.x, view.task), view.y).backward()
            optimizer.step()
    if policy.freezes:
        set_trainable(network, set())
    network.eval()
    policy.learned(view, network, decision)
    return decision


def after(subject: Subject, tasks: int) -> tuple[GrowthPolicy, MoENetwork]:
    """Return a policy and a network that have learned this number of tasks."""
    policy, network = subject.make(), network_of(experts=2)
    network.eval()
    for task in range(tasks):
        learn(policy, network, view_of(task))
    return policy, network
