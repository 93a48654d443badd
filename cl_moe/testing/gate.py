"""Checks of gates. Shape letters: B rows, E available experts, K experts chosen."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from cl_moe.moe.gates.base import Gate
from cl_moe.moe.routing import Routing
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

FEATURES, EXPERTS = 6, ("e0", "e1", "e2")


def gate_of(subject: Subject, seed: int = 0, **options: Any) -> Gate:
    """Return a gate that knows three experts and two tasks."""
    torch.default_generator.manual_seed(seed)
    gate: Gate = subject.make(in_features=FEATURES, **options)
    draw = torch.Generator().manual_seed(seed)
    for expert in EXPERTS:
        gate.add_expert(expert, draw)
    for task in range(2):
        gate.add_task(task, list(EXPERTS), draw)
    return gate


def rows(count: int = 7) -> Tensor:
    """Return rows (B, D)."""
    return torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(count))


def require_routing(found: object, count: int, offered: int) -> Routing:
    """Require a routing of ``count`` rows over ``offered`` experts that can be used."""
    require(isinstance(found, Routing), f"forward gives {type(found).__name__}; give a Routing")
    assert isinstance(found, Routing)
    weights, chosen = found.weights, found.chosen
    shapes = f"weights {tuple(weights.shape)}, chosen {tuple(chosen.shape)}"
    right = weights.dim() == 2 and weights.shape == chosen.shape and len(weights) in (1, count)
    require(right, f"{shapes} for {count} rows; give both (B, K), or (1, K) for all rows")
    require(chosen.dtype == torch.int64, f"chosen is {chosen.dtype}; give int64 positions")
    inside = bool((chosen >= 0).all()) and bool((chosen < offered).all())
    require(inside, f"chosen holds {int(chosen.max())} of {offered} available experts")
    require(bool(torch.isfinite(weights).all()), "weights are not finite")
    least, total = float(weights.detach().min()), float(weights.detach().sum(1).max())
    require(least >= 0, f"a weight is {least:.3g}; give 0 or more")
    require(total <= 1 + 1e-4, f"the weights of a row sum to {total:.3g}; give 1 or less")
    twice = any(len(set(row)) < len(row) for row in chosen.tolist())
    require(not twice, "a row is routed to one expert twice; choose each at most once")
    return found


def require_same_routing(one: Routing, other: Routing, sentence: str) -> None:
    """Require two routings to be the same bit for bit."""
    require_equal(one.chosen, other.chosen, sentence)
    require_equal(one.weights, other.weights, sentence)


def routes_each_row_or_all_alike(subject: Subject) -> None:
    """A routing selects available experts; without ``reads_rows`` it is the same for all rows."""
    gate = gate_of(subject).eval()
    found = require_routing(gate(rows(), 0, EXPERTS), 7, len(EXPERTS))
    if not gate.reads_rows:
        require(found.shared, "reads_rows is False, but rows are routed separately")
        other = gate(rows(5), 0, EXPERTS)
        require_same_routing(
            found, other, "reads_rows is False, but other rows are routed differently"
        )
    wider = gate_of(subject).eval()(rows().view(7, 2, 3), 0, EXPERTS)
    require_same_routing(found, wider, "rows (B, 2, 3) are not flattened to (B, 6)")


def same_seed_same_result(subject: Subject) -> None:
    """The same seed gives the same gate, and a gate always routes alike."""
    one, two = gate_of(subject), gate_of(subject)
    differs = same_state(state_of(one), state_of(two))
    require(not differs, f"'{differs}' differs between two gates of one seed; draw from generator")
    first = one.eval()(rows(), 0, EXPERTS)
    torch.rand(3)  # other random draws must not change the routing
    for _ in range(3):
        again = one(rows(), 0, EXPERTS)
        require_same_routing(first, again, "the same rows are routed differently the second time")
    require_same_routing(first, two.eval()(rows(), 0, EXPERTS), "a gate of the same seed routes "
                         "the same rows differently")  # fmt: skip


def draws_from_the_generator_alone(subject: Subject) -> None:
    """Experts and tasks are initialised from the given generator, not from global state."""
    gate, draw = subject.make(in_features=FEATURES), torch.Generator().manual_seed(0)
    before = torch.get_rng_state()
    for expert in EXPERTS:
        gate.add_expert(expert, draw)
    gate.add_task(0, list(EXPERTS), draw)
    require_equal(before, torch.get_rng_state(), "add_expert or add_task draws from torch's global "
                  "random state; draw from the given generator")  # fmt: skip


def inputs_untouched(subject: Subject) -> None:
    """Rows and the list of experts are unchanged, in training and in evaluation mode."""
    gate = gate_of(subject)
    for training in (True, False):
        x, experts = rows(), list(EXPERTS)
        before = x.clone()
        gate.train(training)(x, 0, experts)
        gate.logits(x, 0, experts)
        require_equal(before, x, "its input rows are changed; modify a copy")
        require(experts == list(EXPERTS), "its list of experts is changed")


def state_round_trips(subject: Subject) -> None:
    """``state_dict`` holds the state of the routing; copies route alike and share no tensors."""
    one, other = gate_of(subject, seed=0), gate_of(subject, seed=1)
    other.load_state_dict(one.state_dict())
    copied = copy.deepcopy(one).eval()
    before = one.eval()(rows(), 0, EXPERTS)
    require_same_routing(before, other.eval()(rows(), 0, EXPERTS), "a gate of another seed that "
                         "loads its state_dict routes differently; register what it "
                         "remembers as parameters or buffers")  # fmt: skip
    require_same_routing(before, copied(rows(), 0, EXPERTS), "a deep copy routes differently")
    with torch.no_grad():
        for tensor in (*copied.parameters(), *copied.buffers()):
            tensor.zero_()
    require_same_routing(before, one(rows(), 0, EXPERTS), "a deep copy shares tensors with it")


def dtypes(subject: Subject) -> None:
    """It routes in double precision."""
    gate = gate_of(subject).double().eval()
    require_routing(gate(rows().double(), 0, EXPERTS), 7, len(EXPERTS))


def devices(subject: Subject) -> None:
    """It routes on an accelerator."""
    device = accelerator()
    gate = gate_of(subject).to(device).eval()
    found = require_routing(gate(rows().to(device), 0, EXPERTS), 7, len(EXPERTS))
    require(found.weights.device.type == device.type, f"weights are on {found.weights.device}")


def finite(subject: Subject) -> None:
    """Rows of zeros and of large numbers are routed with finite weights."""
    gate = gate_of(subject, k=2) if "k" in common.names(subject) else gate_of(subject)
    for training in (True, False):
        for scale in (0.0, 1e4):
            found = gate.train(training)(scale * rows(), 0, EXPERTS)
            require_routing(found, 7, len(EXPERTS))
            for name, loss in found.losses.items():
                right = loss.dim() == 0 and bool(torch.isfinite(loss))
                require(right, f"the loss '{name}' is {loss}; give a finite scalar")


def one_expert(subject: Subject) -> None:
    """A single available expert gets every row."""
    gate = gate_of(subject)
    gate.add_task(2, [EXPERTS[0]], torch.Generator().manual_seed(0))
    found = require_routing(gate(rows(), 2, [EXPERTS[0]]), 7, 1)
    require(found.chosen.shape[1] == 1, "one expert is available, and more are chosen")


def one_row(subject: Subject) -> None:
    """A single row is routed as in a batch."""
    gate = gate_of(subject)
    require_routing(gate(rows(1), 0, EXPERTS), 1, len(EXPERTS))
    among, alone = (gate.eval()(x, 0, EXPERTS) for x in (rows(), rows()[:1]))
    close = torch.allclose(among.weights[:1], alone.weights, atol=1e-5)
    same = close and torch.equal(among.chosen[:1], alone.chosen)
    require(same, "a single row is routed differently than in a batch")


def learns_from_a_single_choice(subject: Subject) -> None:
    """With one expert per row the weights have a gradient."""
    gate = gate_of(subject)
    if not any(p.requires_grad for p in gate.parameters()):
        raise NotApplicable("it has no parameters to learn")
    weights = gate(rows(), 0, EXPERTS).weights
    require(weights.requires_grad, "weights do not depend on the gate's parameters")
    (weights * torch.arange(1, weights.numel() + 1).view_as(weights)).sum().backward()
    moved = any(p.grad is not None and bool((p.grad != 0).any()) for p in gate.parameters())
    require(moved, "no parameter gets a gradient from the weights, so nothing is trained")


def frozen_do_not_move(subject: Subject) -> None:
    """Training one task gives the parameters of another no gradient, not even zeros."""
    gate = gate_of(subject)
    own = gate.task_parameters(1)
    if not own:
        raise NotApplicable("it has no task-specific parameters")
    weights = gate(rows(), 0, EXPERTS).weights
    if weights.requires_grad:
        weights.sum().backward()
    still = all(p.grad is None for p in own)
    require(still, "learning task 0 gives the parameters of task 1 a gradient, so momentum or "
            "weight decay moves them; use separate parameters per task")  # fmt: skip


def depends_on_names_everything(subject: Subject) -> None:
    """Parameters outside ``depends_on`` do not change the routing of the task."""
    gate = gate_of(subject).eval()
    before = gate(rows(), 0, EXPERTS)
    named: set[int] = set()
    for part in gate.depends_on(0, EXPERTS):
        held = [*part.parameters(), *part.buffers()] if isinstance(part, nn.Module) else [part]
        named |= {id(tensor) for tensor in held}
    with torch.no_grad():
        for tensor in (*gate.parameters(), *gate.buffers()):
            if id(tensor) not in named:
                tensor.add_(1)
    require_same_routing(before, gate(rows(), 0, EXPERTS), "depends_on lacks a parameter that "
                         "changes the routing, so evaluations would be outdated")  # fmt: skip


def losses_in_training_alone(subject: Subject) -> None:
    """There are auxiliary losses in training mode only."""
    options: dict[str, Any] = {
        name: 0.1 for name in ("balance", "z") if name in common.names(subject)
    }
    if not options:
        raise NotApplicable("it has no coefficient of an auxiliary loss")
    gate = gate_of(subject, **options)
    learned = gate(rows(), 0, EXPERTS).losses
    require("z" not in options or "z" in learned, "z = 0.1 gives no loss 'z' in training")
    require(not gate.eval()(rows(), 0, EXPERTS).losses, "auxiliary losses in evaluation")


def an_expert_is_dropped(subject: Subject) -> None:
    """After an expert is dropped, its tasks are routed to its replacement."""
    gate = gate_of(subject).eval()
    gate.drop_expert(EXPERTS[0], EXPERTS[1])
    left = [EXPERTS[1], EXPERTS[1], EXPERTS[2]]
    require_routing(gate(rows(), 0, left), 7, len(left))


def evaluation_changes_nothing(subject: Subject) -> None:
    """In evaluation mode no parameter, buffer or random state changes."""
    gate = gate_of(subject).eval()
    before, random = state_of(gate), torch.get_rng_state()
    gate(rows(), 0, EXPERTS)
    differs = same_state(before, state_of(gate))
    require(not differs, f"'{differs}' changes in evaluation")
    require_equal(random, torch.get_rng_state(), "random numbers are drawn in evaluation")
    require(not gate.training, "it is in training mode after evaluation")


def refuses_no_experts(subject: Subject) -> None:
    """K = 0 raises a ValueError."""
    if "k" not in common.names(subject):
        raise NotApplicable("it has no parameter k")
    made = Subject(subject.kind, subject.part, {**subject.parameters, "k": 0})
    refused = require_refusal(lambda: subject.part(in_features=FEATURES, **made.parameters), "k: 0")
    require(refused, "k: 0 is accepted; raise a ValueError that asks for 1 or more")


CHECKS: tuple[Check, ...] = (
    *(common.constructs, common.docstring, common.example, common.defaults, common.readable),
    *(routes_each_row_or_all_alike, same_seed_same_result, draws_from_the_generator_alone),
    *(inputs_untouched, state_round_trips, dtypes, devices, finite, one_expert, one_row),
    *(learns_from_a_single_choice, frozen_do_not_move, depends_on_names_everything),
    *(losses_in_training_alone, an_expert_is_dropped, evaluation_changes_nothing),
    refuses_no_experts,
)
