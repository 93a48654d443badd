"""Each check of gates catches a gate that is broken in that way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cl_moe import catalog
from cl_moe.testing import gate as gate_checks
from cl_moe.testing import part_checks

Good = catalog.resolve("gate", "multi_gate")


class Flat(Good):
    def forward(self, x, task, experts):
        found = super().forward(x, task, experts)
        return replace(found, weights=found.weights.flatten(), chosen=found.chosen.flatten())


class Outside(Good):
    def forward(self, x, task, experts):
        found = super().forward(x, task, experts)
        return replace(found, chosen=found.chosen + 3)


class Liar(Good):
    reads_rows = False


class Dice(Good):
    def logits(self, x_BD, task, experts):
        logits = super().logits(x_BD, task, experts)
        return logits + torch.rand_like(logits)


class GlobalDraw(Good):
    def add_task(self, task, experts, generator):
        torch.rand(1)
        super().add_task(task, experts, generator)


class Mutates(Good):
    def logits(self, x_BD, task, experts):
        return super().logits(x_BD.mul_(2), task, experts)


class Forgets(Good):
    """Keeps a tensor that state_dict does not hold."""

    def add_task(self, task, experts, generator):
        super().add_task(task, experts, generator)
        self.plain = torch.randn(1, len(experts), generator=generator)

    def logits(self, x_BD, task, experts):
        return super().logits(x_BD, task, experts) + self.plain[:, : len(experts)]


class Float(Good):
    def logits(self, x_BD, task, experts):
        return super().logits(x_BD.float(), task, experts)


class Divides(Good):
    def logits(self, x_BD, task, experts):
        return super().logits(x_BD / x_BD.norm(dim=1, keepdim=True), task, experts)


class Doubles(Good):
    def logits(self, x_BD, task, experts):
        logits = super().logits(x_BD, task, experts)
        return torch.cat([logits, logits + 1], 1) if len(experts) == 1 else logits


class Batch(Good):
    def logits(self, x_BD, task, experts):
        return super().logits(x_BD - x_BD.mean(0), task, experts)


class Detached(Good):
    def logits(self, x_BD, task, experts):
        return super().logits(x_BD, task, experts).detach()


class Stacked(Good):
    """All tasks share what each says is its own."""

    def task_parameters(self, task):
        return list(self.parameters())


class Independent(Good):
    def depends_on(self, task, experts):
        return []


class Loses(Good):
    def forward(self, x, task, experts):
        found = super().forward(x, task, experts)
        return replace(found, losses={"z": x.sum()})


class Drops(Good):
    def drop_expert(self, expert, into):
        self.routers.clear()


class Counts(Good):
    def __init__(self, in_features, k=1):
        super().__init__(in_features, k)
        self.register_buffer("seen", torch.zeros(1))

    def logits(self, x_BD, task, experts):
        self.seen += 1
        return super().logits(x_BD, task, experts)


class Tolerant(Good):
    def __init__(self, in_features, k=1):
        super().__init__(in_features, max(k, 1))


BROKEN = {
    "routes each row or all alike": (Flat, "weights (7,), chosen (7,) for 7 rows; give both"),
    "routes each row or all alike / outside": (Outside, "of 3 available experts"),
    "routes each row or all alike / liar": (Liar, "reads_rows is False, but rows are routed"),
    "same seed same result": (Dice, "the same rows are routed differently the second time"),
    "draws from the generator alone": (GlobalDraw, "draw from the given generator"),
    "inputs untouched": (Mutates, "its input rows are changed"),
    "state round trips": (Forgets, "loads its state_dict routes differently"),
    "dtypes": (Float, "dtype"),
    "finite": (Divides, "weights are not finite"),
    "one expert": (Doubles, "of 1 available experts"),
    "one row": (Batch, "a single row is routed differently"),
    "learns from a single choice": (Detached, "do not depend on the gate's parameters"),
    "frozen do not move": (Stacked, "gives the parameters of task 1 a gradient"),
    "depends on names everything": (Independent, "depends_on lacks a parameter"),
    "losses in training alone": (Loses, "auxiliary losses in evaluation"),
    "an expert is dropped": (Drops, ""),
    "evaluation changes nothing": (Counts, "'seen' changes in evaluation"),
    "refuses no experts": (Tolerant, "k: 0 is accepted"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    catches("gate", BROKEN, name)


def test_devices_are_those_of_the_machine(monkeypatch):
    """Where there is an accelerator the check runs there; here the processor stands for one."""
    monkeypatch.setattr(gate_checks, "accelerator", lambda: torch.device("cpu"))
    look = dict(part_checks("gate"))["devices"]
    look(Good)

    class Elsewhere(Good):
        def logits(self, x_BD, task, experts):
            return super().logits(x_BD, task, experts) + torch.zeros(3, device="meta")

    with pytest.raises((RuntimeError, NotImplementedError)):
        look(Elsewhere)
