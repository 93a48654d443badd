"""Checks of growth policies, on a small network that learns small tasks."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cl_moe.continual.decision import Decision
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.moe.edits import Add, Assign, Train, apply
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.regression import Regression
from cl_moe.state import load_state, save_state
from cl_moe.testing import common
from cl_moe.testing.base import (
    Check,
    NotApplicable,
    Subject,
    require,
    require_equal,
    require_refusal,
    same_state,
    state_of,
)
from cl_moe.testing.growing import FEW, MANY, after, learn, view_of

__all__ = ("CHECKS",)


@dataclass
class _Snapshot:
    """The state that a decision must not change."""

    tensors: dict[str, Tensor]
    trainable: list[str]
    modes: list[bool]
    assigned: list[dict[int, tuple[str, ...]]]
    tasks: list[int]
    random: Tensor

    @classmethod
    def of(cls, network: MoENetwork) -> _Snapshot:
        return cls(
            state_of(network),
            [name for name, p in network.named_parameters() if p.requires_grad],
            [module.training for module in network.modules()],
            [dict(layer.assigned) for layer in network.moe_layers],
            list(network.tasks),
            torch.get_rng_state(),
        )

    def require_same(self, network: MoENetwork, during: str) -> None:
        """Require that nothing has changed since."""
        now = _Snapshot.of(network)
        name = same_state(self.tensors, now.tensors)
        require(not name, f"{during} changes '{name}' of the network; return edits instead")
        require(self.trainable == now.trainable, f"{during} freezes or unfreezes parameters")
        require(self.modes == now.modes, f"{during} leaves the network in another mode")
        same = (self.assigned, self.tasks) == (now.assigned, now.tasks)
        require(same, f"{during} assigns tasks to experts; return an Assign instead")
        require_equal(self.random, now.random, f"{during} draws from torch's global random state; "
                      "use cl_moe.seeding with view.seed")  # fmt: skip


def require_decision(found: object, view: TaskView, network: MoENetwork) -> Decision:
    """Require a decision that can be applied."""
    require(isinstance(found, Decision), f"decide gives {type(found).__name__}; give a Decision")
    assert isinstance(found, Decision)
    require(found.kind, "the decision has no kind; name it in a word or two")
    assigns = [edit for edit in found.edits if isinstance(edit, Assign)]
    require(len(assigns) == 1, f"{len(assigns)} edits Assign; give one, for the new task")
    task = assigns[0].task
    require(task == view.task, f"the decision is for task {task} instead of {view.task}")
    outputs = found.head.n_outputs
    require(outputs == view.n_classes, f"a head of {outputs} outputs for {view.n_classes} classes")
    slots, added = network.backbone.slots, {(e.slot, e.key) for e in found.edits
                                            if isinstance(e, Add)}  # fmt: skip
    for slot, names in assigns[0].experts.items():
        require(slot in slots, f"there is no slot '{slot}'")
        unknown = [n for n in names if n not in slots[slot].pool and (slot, n) not in added]
        require(not unknown, f"slot '{slot}' has no expert {unknown}; add it with an Add")
    trained = sum(isinstance(edit, Train) for edit in found.edits)
    require(trained == 1, f"{trained} edits Train; give one, with all that is trained")
    require(found.steps >= found.learned >= 0, "steps are fewer than those that are kept")
    return found


def decisions_can_be_applied(subject: Subject) -> None:
    """It decides on several tasks, and each decision is valid for the network."""
    policy, network = after(subject, 0)
    for task in range(3):
        view = view_of(task)
        require_decision(policy.decide(view, network), view, network)
        learn(policy, network, view)
        y = network(view.x, task)
        require(tuple(y.shape) == (FEW, 2), f"task {task} has outputs {tuple(y.shape)}")
        require(bool(torch.isfinite(y).all()), f"the outputs of task {task} are not finite")


def a_decision_changes_nothing(subject: Subject) -> None:
    """``decide`` changes neither network, random states nor policy; ``learned`` not the network.

    What is to be remembered is noted in ``learned``.
    """
    for tasks, rows in ((0, FEW), (2, FEW), (2, MANY)):
        policy, network = after(subject, tasks)
        view, before, own = view_of(tasks, rows), _Snapshot.of(network), _plain(policy)
        decision = policy.decide(view, network)
        before.require_same(network, "decide")
        require(own == _plain(policy), "decide changes the state of the policy; update it in "
                "learned")  # fmt: skip
        apply(network, decision.edits)
        applied = _Snapshot.of(network.eval())
        policy.learned(view, network, decision)
        applied.require_same(network, "learned")


def inputs_untouched(subject: Subject) -> None:
    """The task's rows and labels are unchanged."""
    policy, network = after(subject, 1)
    view = view_of(1)
    x, y = view.x.clone(), view.y.clone()
    decision = policy.decide(view, network)
    apply(network, decision.edits)
    policy.learned(view, network, decision)
    require_equal(x, view.x, "the task's rows are changed; modify a copy")
    require_equal(y, view.y, "the task's labels are changed; modify a copy")


def same_seed_same_result(subject: Subject) -> None:
    """The same task gets the same decision, and equal policies decide alike."""
    (policy, network), (other, _) = after(subject, 2), after(subject, 2)
    for view in (view_of(2, FEW), view_of(2, MANY)):
        first = _written(policy.decide(view, network))
        torch.rand(3)
        again = _written(policy.decide(view, network))
        require(_alike(first, again), "the same task gets another decision the second time; draw "
                "from cl_moe.seeding.generator(view.seed, ...)")  # fmt: skip
        alike = _alike(first, _written(other.decide(view, network)))
        require(alike, "two equal policies that learned the same tasks decide differently")


def state_round_trips(subject: Subject) -> None:
    """Its state can be saved and restored, and the next decision is the same."""
    policy, network = after(subject, 2)
    state, made = policy.state(), subject.make()
    with tempfile.TemporaryDirectory() as folder:
        save_state(Path(folder) / "state", state)
        made.restore(load_state(Path(folder) / "state"))
    require(_plain(policy) == _plain(made), "a policy that is restored has another state")
    one, two = (_written(p.decide(view_of(2), network)) for p in (policy, made))
    require(_alike(one, two), "a policy that is restored decides differently: state() lacks "
            "a value that decisions depend on")  # fmt: skip


def one_example(subject: Subject) -> None:
    """It decides on tasks of two examples, of one, and of many classes."""
    for rows, classes in ((2, 2), (1, 2), (FEW, 4)):
        policy, network = after(subject, 1)
        view = view_of(1, rows, classes)
        require_decision(policy.decide(view, network), view, network)


def one_class(subject: Subject) -> None:
    """It decides on a task with one class."""
    policy, network = after(subject, 1)
    view = view_of(1, rows=8, classes=1)
    require_decision(policy.decide(view, network), view, network)


def tasks_without_classes(subject: Subject) -> None:
    """It decides on a task of regression, or raises a ValueError that says why not."""
    policy, network = after(subject, 1)
    view = view_of(1)
    rated = replace(view, y=view.x[:, :1].clone(), n_classes=1, objective=Regression(1))
    found: list[Decision] = []
    if why := require_refusal(lambda: found.append(policy.decide(rated, network)), "regression"):
        raise NotApplicable(f"it refuses tasks of regression: {why}")
    require_decision(found[0], rated, network)


def frozen_do_not_move(subject: Subject) -> None:
    """If it freezes, the outputs of earlier tasks are the same bit for bit after a later task."""
    policy, network = after(subject, 1)
    if not policy.freezes:
        raise NotApplicable("its attribute freezes is False")
    x = view_of(0).x
    before = network(x, 0).detach()
    decision = learn(policy, network, view_of(1))
    if decision.retrain:
        raise NotApplicable("its decision retrains an expert of the first task")
    require_equal(before, network(x, 0).detach(), "outputs of the first task change while the "
                  "second is learned; train frozen experts only as 'retrain'")  # fmt: skip


def the_limit_holds(subject: Subject) -> None:
    """With ``max_experts`` no layer uses more experts."""
    if "max_experts" not in common.names(subject):
        raise NotApplicable("it has no parameter max_experts")
    limited = replace(subject, parameters={**subject.parameters, "max_experts": 1})
    _, network = after(limited, 3)
    for layer in network.moe_layers:
        used = {expert for experts in layer.assigned.values() for expert in experts}
        require(len(used) <= 1, f"max_experts is 1, and layer '{layer.name}' uses {sorted(used)}")


def _plain(policy: GrowthPolicy) -> Any:
    """Return a policy's state and attributes, for comparison."""
    state = copy.deepcopy(policy.state())
    tensors = {name: tensor.tolist() for name, tensor in state.tensors.items()}
    own = {k: v for k, v in vars(policy).items() if isinstance(v, (bool, int, float, str, tuple))}
    return dict(state.plain), tensors, own


def _written(decision: Decision) -> tuple[Any, dict[str, Tensor]]:
    """Return a decision's plain values and its tensors."""
    assign = decision.assign
    plain = (decision.kind, decision.evidence, decision.retrain, decision.train, decision.steps)
    tensors = {f"head.{name}": tensor for name, tensor in state_of(decision.head).items()}
    for part, expert in decision.added.items():
        tensors |= {f"{part}.{name}": tensor for name, tensor in state_of(expert).items()}
    return (plain, assign.experts), tensors


def _alike(one: tuple[Any, dict[str, Tensor]], two: tuple[Any, dict[str, Tensor]]) -> bool:
    return one[0] == two[0] and not same_state(one[1], two[1])


CHECKS: tuple[Check, ...] = (
    *(common.constructs, common.docstring, common.example, common.defaults, common.readable),
    *(decisions_can_be_applied, a_decision_changes_nothing, inputs_untouched),
    *(same_seed_same_result, state_round_trips, one_example, one_class, tasks_without_classes),
    *(frozen_do_not_move, the_limit_holds),
)
