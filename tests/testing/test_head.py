"""Each check of heads catches a head that is broken in that way."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe import catalog
from cl_moe.moe.blocks import OWN

Good = catalog.resolve("head", "linear")


class Narrow(Good):
    def forward(self, values):
        return super().forward(values)[:, :1]


class Dice(Good):
    def forward(self, values):
        return super().forward(values) + torch.rand(1)


class Mutates(Good):
    def forward(self, values):
        return super().forward({OWN: values[OWN].mul_(2)})


class Forgets(Good):
    @classmethod
    def restored(cls, plain, tensors):
        return cls.of(tensors["weight"], torch.zeros_like(tensors["bias"]))


class Unplain(Good):
    def describe(self):
        return {"kind": object()}


class Float(Good):
    def forward(self, values):
        return super().forward(values).float()


class Divides(Good):
    def forward(self, values):
        return super().forward({OWN: values[OWN] / values[OWN].norm(dim=1, keepdim=True)})


class Standardizes(Good):
    def forward(self, values):
        y = super().forward(values)
        return y / y.std(1, correction=0, keepdim=True)


class Batch(Good):
    def forward(self, values):
        return super().forward({OWN: values[OWN] - values[OWN].mean(0)})


class Sorts(Good):
    def select(self, outputs):
        return super().select(sorted(outputs))


class Shares(Good):
    def select(self, outputs):
        made = super().select(outputs)
        made.bias.data = self.bias.data[: len(outputs)]
        made.weight.data = self.weight.data[list(outputs)]
        self.bias.data[:] = 1.0
        return made


class Anew(Good):
    def widened(self, n_outputs):
        return type(self)(self.weight.shape[1], n_outputs)


class Copies(Good):
    def on_features(self):
        made = nn.Linear(*self.weight.shape[::-1])
        made.load_state_dict(self.state_dict())
        return made


class Detached(Good):
    def forward(self, values):
        return values[OWN] @ self.weight.T + self.bias.detach()


class Trained(Good):
    serves_all = True


class Counts(Good):
    def __init__(self, in_features, n_outputs):
        super().__init__(in_features, n_outputs)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, values):
        self.seen += 1
        return super().forward(values)


BROKEN = {
    "gives an output a class": (Narrow, "outputs are (7, 1); give (B, C), here (7, 3)"),
    "same seed same result": (Dice, "the same rows have other outputs the second time"),
    "inputs untouched": (Mutates, "its input rows are changed"),
    "state round trips": (Forgets, "a restored head has other outputs"),
    "state round trips / JSON": (Unplain, "JSON"),
    "dtypes": (Float, "outputs are torch.float32 for doubles"),
    "finite": (Divides, "outputs are not finite"),
    "one class": (Standardizes, "outputs are not finite"),
    "one row": (Batch, "a single row has other outputs than in a batch"),
    "outputs are selected": (Sorts, "select([2, 0]) gives other outputs"),
    "outputs are selected / shared": (Shares, "shares tensors"),
    "outputs are added": (Anew, "widened changes the first outputs"),
    "on features it is the same": (Copies, "does not hold the head's own parameters"),
    "learns": (Detached, "bias gets no gradient"),
    "frozen do not move": (Trained, "it serves all tasks, but a later task would train it"),
    "evaluation changes nothing": (Counts, "'seen' changes in evaluation"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    catches("head", BROKEN, name)
