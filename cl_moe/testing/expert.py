"""Checks of experts: trunks that are cut into layers, and experts at a host module."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn

from cl_moe.moe.experts.base import (
    ExpertFactory,
    HostExpert,
    Shape,
    cut,
    make_module,
    output_shape,
    stages_of,
)
from cl_moe.moe.freezing import FreezableDict, count_parameters
from cl_moe.testing import common
from cl_moe.testing.base import (
    Check,
    NotApplicable,
    Subject,
    accelerator,
    require,
    require_equal,
    require_refusal,
    same_state,
    state_of,
)

__all__ = ("CHECKS",)

SHAPES: tuple[Shape, ...] = ((1, 8, 8), (6,))


def trunk_of(subject: Subject) -> tuple[ExpertFactory, Shape]:
    """Return a factory of trunks, and a shape of rows that it takes."""
    kind = subject.make()
    if not isinstance(kind, ExpertFactory):
        raise NotApplicable("it is not a trunk, but works at a host module")
    (factory,) = cut(kind.stages(), 1)
    why = ""
    for shape in SHAPES:
        make = partial(make_module, factory, shape, 0)
        why = require_refusal(make, f"an expert for rows {shape}")
        if not why:
            return kind, shape
    raise AssertionError(f"it takes neither images {SHAPES[0]} nor vectors {SHAPES[1]}: {why}")


def host_of(subject: Subject) -> tuple[HostExpert, nn.Linear]:
    """Return a factory of experts at a host, and a linear host of six inputs and four outputs."""
    kind = subject.make()
    if not isinstance(kind, HostExpert):
        raise NotApplicable("it does not work at a host module")
    host = make_module(lambda _: nn.Linear(6, 4), (), seed=0)
    assert isinstance(host, nn.Linear)
    return kind, host


def expert_of(subject: Subject, seed: int = 0) -> tuple[nn.Module, Shape]:
    """Return an expert, whole trunk or at a host, and the shape of the rows that it reads."""
    kind = subject.make()
    if isinstance(kind, ExpertFactory):
        factory, shape = trunk_of(subject)
        return make_module(cut(factory.stages(), 1)[0], shape, seed), shape
    kind, host = host_of(subject)
    expert = make_module(lambda _: kind.make(host, (6,), (4,)), (), seed)
    return expert, ((4,) if kind.placement == "output" else (6,))


def rows(shape: Shape, count: int = 5) -> Tensor:
    """Return rows (B, *shape)."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


def require_features(expert: nn.Module, x: Tensor) -> Tensor:
    """Require features, one per row, that are finite."""
    y = expert(x)
    if not isinstance(y, Tensor):
        raise AssertionError(f"it gives {type(y).__name__}; give a tensor")
    require(len(y) == len(x), f"it gives {len(y)} rows for {len(x)}")
    require(bool(torch.isfinite(y).all()), "its outputs are not finite")
    return y.detach()


def gives_modules(subject: Subject) -> None:
    """It makes an ``nn.Module`` that returns features for each row."""
    expert, shape = expert_of(subject)
    require(isinstance(expert, nn.Module), f"it makes {type(expert).__name__}; make an nn.Module")
    require_features(expert, rows(shape))


def same_seed_same_result(subject: Subject) -> None:
    """The same seed gives the same expert, and an expert the same outputs, repeatedly."""
    (one, shape), (two, _) = expert_of(subject, seed=1), expert_of(subject, seed=1)
    differs = same_state(state_of(one), state_of(two))
    require(not differs, f"'{differs}' differs between two experts of one seed; draw from torch's "
            "global random state, which is seeded")  # fmt: skip
    first = one.eval()(rows(shape))
    require_equal(first, one(rows(shape)), "the same rows have other outputs the second time")


def inputs_untouched(subject: Subject) -> None:
    """Rows are unchanged, in training and in evaluation mode."""
    expert, shape = expert_of(subject)
    for training in (True, False):
        x = rows(shape)
        before = x.clone()
        expert.train(training)(x)
        require_equal(before, x, "its input rows are changed; modify a copy")


def state_round_trips(subject: Subject) -> None:
    """``state_dict`` and copies hold its complete state, and share no tensors."""
    (one, shape), (other, _) = expert_of(subject, seed=0), expert_of(subject, seed=1)
    other.load_state_dict(one.state_dict())
    before = require_features(one.eval(), rows(shape))
    copied = copy.deepcopy(one)
    for made, word in ((other, "loads its state_dict"), (copied, "is a copy")):
        require_equal(before, made.eval()(rows(shape)), f"one that {word} gives other outputs")
    with torch.no_grad():
        for tensor in (*copied.parameters(), *copied.buffers()):
            tensor.zero_()
    require_equal(before, one(rows(shape)), "a copy shares tensors with it")


def dtypes(subject: Subject) -> None:
    """It runs in double precision."""
    expert, shape = expert_of(subject)
    y = require_features(expert.double().eval(), rows(shape).double())
    require(y.dtype == torch.float64, f"outputs are {y.dtype} for doubles")


def devices(subject: Subject) -> None:
    """It runs on an accelerator."""
    device = accelerator()
    expert, shape = expert_of(subject)
    y = require_features(expert.to(device).eval(), rows(shape).to(device))
    require(y.device.type == device.type, f"outputs are on {y.device}")


def finite(subject: Subject) -> None:
    """Rows of zeros and of large numbers get finite outputs."""
    expert, shape = expert_of(subject)
    for scale in (0.0, 1e4):
        require_features(expert.eval(), scale * rows(shape))


def one_row(subject: Subject) -> None:
    """In evaluation mode a single row has the same outputs as in a batch."""
    expert, shape = expert_of(subject)
    among = require_features(expert.eval(), rows(shape))[:1]
    alone = require_features(expert, rows(shape)[:1])
    close = torch.allclose(among, alone, atol=1e-5)
    require(close, "a single row has other outputs than in a batch")


def learns(subject: Subject) -> None:
    """Some of its parameters receive a gradient."""
    expert, shape = expert_of(subject)
    y = expert.train()(rows(shape))
    require(y.requires_grad, "its outputs depend on no parameter, so nothing is trained")
    (y * rows(tuple(y.shape[1:]))).sum().backward()
    moved = any(p.grad is not None and bool((p.grad != 0).any()) for p in expert.parameters())
    require(moved, "no parameter gets a gradient from its outputs")


def frozen_do_not_move(subject: Subject) -> None:
    """When frozen, its parameters, buffers and outputs do not change in any mode."""
    expert, shape = expert_of(subject)
    held = FreezableDict({"expert": expert})
    held.freeze("expert")
    before, first = state_of(expert), require_features(expert, rows(shape))
    for mode in (True, False, True):
        held.train(mode)
        for _ in range(3):
            expert(rows(shape, count=9))
    differs = same_state(before, state_of(expert))
    require(not differs, f"'{differs}' changes though the expert is frozen; change it only in "
            "training mode (self.training)")  # fmt: skip
    require_equal(first, expert(rows(shape)), "a frozen expert gives other outputs after forward "
                  "passes; draw and count only in training mode (self.training)")  # fmt: skip
    frozen = not any(p.requires_grad for p in expert.parameters())
    require(frozen, "a forward pass makes frozen parameters trainable again")


def evaluation_changes_nothing(subject: Subject) -> None:
    """In evaluation mode no parameter, buffer or random state changes."""
    expert, shape = expert_of(subject)
    before, random = state_of(expert.eval()), torch.get_rng_state()
    expert(rows(shape))
    differs = same_state(before, state_of(expert))
    require(not differs, f"'{differs}' changes in evaluation")
    require_equal(random, torch.get_rng_state(), "random numbers are drawn in evaluation")


def any_cut_is_the_same_trunk(subject: Subject) -> None:
    """Cut into layers, it has the features and parameters of the complete trunk."""
    kind, whole_shape = trunk_of(subject)
    stages = kind.stages()
    whole = make_module(cut(stages, 1)[0], whole_shape, 0)
    for layers in range(1, len(stages) + 1):
        shape, parameters = whole_shape, 0
        for factory in cut(stages, layers):
            part = make_module(factory, shape, 0)
            shape, parameters = output_shape(part, shape), parameters + count_parameters(part)
        right = shape == output_shape(whole, whole_shape)
        require(right, f"cut into {layers} layers it gives features {shape}")
        require(parameters == count_parameters(whole),
                f"cut into {layers} layers it has {parameters} parameters, "
                f"and {count_parameters(whole)} as a whole")  # fmt: skip


def stages_follow_one_another(subject: Subject) -> None:
    """A trunk is the composition of its stages."""
    kind, shape = trunk_of(subject)
    trunk = make_module(cut(kind.stages(), 1)[0], shape, 0).eval()
    stages, x = stages_of(trunk), rows(shape)
    require(len(stages) == len(kind.stages()), "it has another number of stages")
    z = x
    for stage in stages:
        z = stage(z)
    require_equal(trunk(x), z, "the trunk is not the composition of its stages")


def widening_multiplies_the_features(subject: Subject) -> None:
    """Widened by 2, it has twice as many features."""
    kind, shape = trunk_of(subject)
    made: list[ExpertFactory] = []
    if why := require_refusal(lambda: made.append(kind.widened(2.0)), "widened(2.0)"):
        raise NotApplicable(f"it cannot be widened: {why}")
    one, two = (
        output_shape(make_module(cut(k.stages(), 1)[0], shape, 0), shape) for k in (kind, made[0])
    )
    require(two[0] == 2 * one[0], f"widened by 2, features are {two[0]} and not {2 * one[0]}")


def begins_as_the_host(subject: Subject) -> None:
    """It replaces the host, or is zero before training."""
    kind, host = host_of(subject)
    known = ("replace", "add", "output")
    require(kind.placement in known, f"placement is '{kind.placement}'; give one of {known}")
    expert = make_module(lambda _: kind.make(host, (6,), (4,)), (), 0)
    x = rows((6,))
    y = require_features(expert, host(x).detach() if kind.placement == "output" else x)
    right = y.shape == (5, 4)
    require(right, f"at a host that gives (5, 4) it gives {tuple(y.shape)}")
    if kind.placement != "replace":
        zero = bool((y == 0).all())
        require(zero, "it changes the outputs of the host before training; initialise it at zero")


def the_host_is_left_alone(subject: Subject) -> None:
    """The host's parameters are unchanged, and not shared with the expert."""
    kind, host = host_of(subject)
    before = state_of(host)
    expert = kind.make(host, (6,), (4,))
    require(not same_state(before, state_of(host)), "the host is changed; copy it first")
    own = {id(p) for p in expert.parameters()} & {id(p) for p in host.parameters()}
    require(not own, "it holds parameters of the host, so training would change the host")
    trained = all(p.requires_grad for p in host.parameters())
    require(trained, "it switches off gradients of the host")


def tokens_are_mapped_one_by_one(subject: Subject) -> None:
    """At a host of tokens, each token is mapped independently."""
    kind, host = host_of(subject)
    expert = kind.make(host, (3, 6), (3, 4))
    for parameter in expert.parameters():
        nn.init.normal_(parameter)
    x = rows((3, 6), count=2)
    read = host(x) if kind.placement == "output" else x
    close = torch.allclose(expert(read)[:, 1:2], expert(read[:, 1:2]), atol=1e-5)
    require(close, "a single token is mapped differently than in a sequence")


def a_host_that_does_not_fit_is_refused(subject: Subject) -> None:
    """For an unsuitable host it raises a ValueError that says why, or it works."""
    kind, _ = host_of(subject)
    host, x = nn.Conv2d(3, 4, 3, padding=1), rows((3, 5, 5))
    made: list[nn.Module] = []
    if not require_refusal(
        lambda: made.append(kind.make(host, (3, 5, 5), (4, 5, 5))), "a convolution as its host"
    ):
        y = require_features(made[0], host(x).detach() if kind.placement == "output" else x)
        require(y.shape == (5, 4, 5, 5), f"at a convolution it gives {tuple(y.shape)}")


CHECKS: tuple[Check, ...] = (
    *(common.constructs, common.docstring, common.example, common.defaults, common.readable),
    *(gives_modules, same_seed_same_result, inputs_untouched, state_round_trips, dtypes, devices),
    *(finite, one_row, learns, frozen_do_not_move, evaluation_changes_nothing),
    *(any_cut_is_the_same_trunk, stages_follow_one_another, widening_multiplies_the_features),
    *(begins_as_the_host, the_host_is_left_alone, tokens_are_mapped_one_by_one),
    a_host_that_does_not_fit_is_refused,
)
