"""Each check of experts catches a kind that is broken in that way."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from cl_moe.moe.experts.base import ExpertFactory, HostExpert, make_module

counter = itertools.count()


class Layer(nn.Module):
    """A linear map of flattened rows; what is broken is added below."""

    def __init__(self, shape, width=4):
        super().__init__()
        self.linear = nn.Linear(torch.Size(shape).numel(), width)

    def forward(self, x):
        return self.linear(self.read(x))

    def read(self, x):
        return x.flatten(1)


class Good(ExpertFactory):
    layer, width = Layer, 4

    def stages(self):
        return [lambda shape: self.layer(shape, self.width)]

    def widened(self, factor):
        made = type(self)()
        made.width = round(self.width * factor)
        return made


def trunk(layer):
    """Return a kind of experts made of such layers."""
    return type(layer.__name__, (Good,), {"layer": layer})


@trunk
class Pair(Layer):
    def forward(self, x):
        return super().forward(x), x


@trunk
class Drifts(Layer):
    def __init__(self, shape, width=4):
        super().__init__(shape, width)
        nn.init.constant_(self.linear.bias, next(counter))


@trunk
class Mutates(Layer):
    def read(self, x):
        return x.mul_(2).flatten(1)


@trunk
class Forgets(Layer):
    def __init__(self, shape, width=4):
        super().__init__(shape, width)
        self.plain = torch.randn(width)

    def forward(self, x):
        return super().forward(x) + self.plain


@trunk
class Float(Layer):
    def read(self, x):
        return x.flatten(1).float()


@trunk
class Divides(Layer):
    def read(self, x):
        return x.flatten(1) / x.flatten(1).norm(dim=1, keepdim=True)


@trunk
class Batch(Layer):
    def read(self, x):
        return x.flatten(1) - x.flatten(1).mean(0)


@trunk
class Detached(Layer):
    def forward(self, x):
        return super().forward(x).detach()


@trunk
class Stubborn(Layer):
    """It counts rows in whatever mode it is set to."""

    def __init__(self, shape, width=4):
        super().__init__(shape, width)
        self.register_buffer("rows", torch.zeros(1))

    def train(self, mode=True):
        return super().train(True)

    def forward(self, x):
        self.rows += len(x) * self.training
        return super().forward(x)


@trunk
class Counts(Layer):
    def __init__(self, shape, width=4):
        super().__init__(shape, width)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen += 1
        return super().forward(x)


class Growing(Good):
    def stages(self):
        return [*super().stages(), lambda shape: Layer(shape, 3 + next(counter))]


class Fickle(Good):
    def stages(self):
        return super().stages() * (1 + next(counter) % 2)


class Narrow(Good):
    def widened(self, factor):
        return self


class AtHost(HostExpert):
    placement = "add"

    def make(self, host, in_shape, out_shape):
        if len(in_shape) == 3:
            raise ValueError("it works at linear maps; name one")
        made = nn.Linear(in_shape[-1], out_shape[-1])
        for parameter in made.parameters():
            nn.init.zeros_(parameter)
        return made


class Loud(AtHost):
    def make(self, host, in_shape, out_shape):
        return nn.Linear(in_shape[-1], out_shape[-1])


class TheHost(AtHost):
    placement = "replace"

    def make(self, host, in_shape, out_shape):
        return host


class MovesTheHost(AtHost):
    def make(self, host, in_shape, out_shape):
        nn.init.zeros_(host.bias)
        return super().make(host, in_shape, out_shape)


class Mixes(AtHost):
    def make(self, host, in_shape, out_shape):
        return nn.Sequential(super().make(host, in_shape, out_shape), nn.Softmax(dim=1))


class Wordless(AtHost):
    def make(self, host, in_shape, out_shape):
        assert isinstance(host, nn.Linear)
        return super().make(host, in_shape, out_shape)


BROKEN = {
    "gives modules": (Pair, "raises AttributeError ('tuple'"),
    "same seed same result": (Drifts, "'linear.bias' differs between two experts of one seed"),
    "inputs untouched": (Mutates, "its input rows are changed"),
    "state round trips": (Forgets, "one that loads its state_dict gives other outputs"),
    "dtypes": (Float, "dtype"),
    "finite": (Divides, "not finite"),
    "one row": (Batch, "a single row has other outputs than in a batch"),
    "learns": (Detached, "its outputs depend on no parameter"),
    "frozen do not move": (Stubborn, "changes though the expert is frozen"),
    "evaluation changes nothing": (Counts, "'seen' changes in evaluation"),
    "any cut is the same trunk": (Growing, "cut into 1 layers it"),
    "stages follow one another": (Fickle, "it has another number of stages"),
    "widening multiplies the features": (Narrow, "widened by 2, features are 4 and not 8"),
    "begins as the host": (Loud, "it changes the outputs of the host before training"),
    "the host is left alone": (TheHost, "it holds parameters of the host,"),
    "the host is left alone / moved": (MovesTheHost, "the host is changed"),
    "tokens are mapped one by one": (Mixes, "a single token is mapped differently"),
    "a host that does not fit is refused": (Wordless, "raises AssertionError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    catches("expert", BROKEN, name)


def test_what_they_are_broken_from_is_whole():
    from cl_moe.testing import run_checks

    for kind in (Good, AtHost):
        failed = {
            result.check for result in run_checks("expert", kind) if result.outcome == "failed"
        }
        assert failed <= {"docstring", "example"}
    assert make_module(Good().stages()[0], (2,), 0)(torch.zeros(1, 2)).shape == (1, 4)
