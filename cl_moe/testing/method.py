"""Checks of methods, on a small stream of tasks."""

from __future__ import annotations

import copy
import inspect
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cl_moe import catalog
from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.strategies.context import Method, MethodContext
from cl_moe.streams.spec import NetworkSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
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
)
from cl_moe.testing.learning import learn, toy_context, toy_stream, toy_task
from cl_moe.training.evaluation import Evaluation, evaluate
from cl_moe.training.resume import obstacle, restore_strategy, strategy_state

__all__ = ("CHECKS",)


def learned(subject: Subject, context: MethodContext | None = None) -> Method:
    """Return the method after it has learned a stream; by default three tasks."""
    given = toy_context(toy_stream()) if context is None else context
    return learn(given, subject.part, **subject.parameters)


def learned_part(subject: Subject, context: MethodContext, tasks: int) -> Method:
    """Return the method after it has learned the first tasks of a stream."""
    return learn(context, subject.part, tasks, **subject.parameters)


def evaluations(method: Method, stream: TaskStream) -> list[Evaluation]:
    """Return the method's evaluations on the tasks that it knows."""
    return evaluate(method.strategy, stream.to_benchmark().test_stream)


def state(method: Method) -> dict[str, Tensor]:
    """Return copies of the tensors of a method's model."""
    held = method.strategy.model.state_dict().items()
    return {name: value.clone() for name, value in held if isinstance(value, Tensor)}


def require_learned(method: Method, stream: TaskStream) -> list[Evaluation]:
    """Require a score of every task of the stream, and of no other task."""
    found = evaluations(method, stream)
    known = [evaluation.task for evaluation in found]
    wanted = list(range(len(stream)))
    require(known == wanted, f"it can predict tasks {known}, but has learned {wanted}")
    bad = [name for name, value in state(method).items()
           if value.is_floating_point() and not bool(torch.isfinite(value).all())]  # fmt: skip
    require(not bad, f"'{bad[0] if bad else ''}' of its model is not finite after learning")
    return found


def parameters_are_keywords(subject: Subject) -> None:
    """Parameters are keyword-only, after the context."""
    if inspect.isclass(subject.part):
        raise NotApplicable("it is an Avalanche strategy, which is given what its signature takes")
    first, *own = inspect.signature(subject.part).parameters.values()
    positional = (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
    require(first.kind in positional, "its first parameter is not the context")
    loose = [p.name for p in own if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    require(not loose, f"{', '.join(loose)}: put parameters behind a *, so that they are keywords")


def learns_every_task(subject: Subject) -> None:
    """It learns tasks of 2, 3 and 2 classes, the last one better than chance."""
    stream = toy_stream()
    found = require_learned(learned(subject, toy_context(stream)), stream)
    score = found[-1].accuracy
    require(score > 0.6, f"it has an accuracy of {score:.2f} on the task learned last, two blobs")


def same_seed_same_result(subject: Subject) -> None:
    """The same seed gives the same model, bit for bit."""
    differs = same_state(state(learned(subject)), state(learned(subject)))
    require(not differs, f"'{differs}' of its model differs between two runs of one seed; draw "
            "from cl_moe.seeding with context.seed")  # fmt: skip


def inputs_untouched(subject: Subject) -> None:
    """The stream's data and the tables [network] and [training] are unchanged."""
    stream = toy_stream()
    context = toy_context(stream)
    before = [tensor.clone() for task in stream for tensor in task.tensors("train")]
    tables = (context.network.model_dump(), context.training.model_dump())
    learned(subject, context)
    after = [tensor for task in stream for tensor in task.tensors("train")]
    for one, other in zip(before, after, strict=True):
        require_equal(one, other, "the stream's training data are changed")
    same = tables == (context.network.model_dump(), context.training.model_dump())
    require(same, "the tables [network] or [training] are changed; copy them first")


def evaluation_changes_nothing(subject: Subject) -> None:
    """Evaluation changes neither its model nor random states, and is reproducible."""
    stream = toy_stream()
    method = learned(subject, toy_context(stream))
    before, random = state(method), torch.get_rng_state()
    scores = [[e.accuracy for e in evaluations(method, stream)] for _ in range(2)]
    differs = same_state(before, state(method))
    require(not differs, f"'{differs}' of its model changes in evaluation")
    require_equal(random, torch.get_rng_state(), "evaluation draws random numbers")
    require(
        scores[0] == scores[1], f"the second evaluation scores {scores[1]}, the first {scores[0]}"
    )


def a_copy_learns_apart(subject: Subject) -> None:
    """When a copy learns an unseen task, the original does not change."""
    context = toy_context(toy_stream())
    method = learned(subject, context)
    before = state(method)
    probe = context.stream.to_benchmark().train_stream[3]
    copied = copy.deepcopy(method.strategy)
    copied.train([probe] if method.joint else probe, eval_streams=[])
    differs = same_state(before, state(method))
    require(not differs, f"'{differs}' of the model changes when a copy of the strategy learns")
    knows = getattr(copied.model, "knows", None)
    require(knows is None or knows(3), "a copy does not know the task that it has learned")
    original = getattr(method.strategy.model, "knows", None)
    require(original is None or not original(3), "it knows a task that its copy has learned")


def one_task(subject: Subject) -> None:
    """It learns a stream of one task."""
    stream = TaskStream([toy_task(0)])
    require_learned(learned(subject, toy_context(stream)), stream)


def one_row(subject: Subject) -> None:
    """A task with one row per class is learned, and an odd row makes a batch of one."""
    stream = TaskStream([toy_task(0, n=9), toy_task(1, n=2)])
    require_learned(learned(subject, toy_context(stream)), stream)


def images_with_convolutions(subject: Subject) -> None:
    """It learns images with a convolutional network."""
    stream = TaskStream([toy_task(k, shape=(1, 4, 4)) for k in range(2)])
    network = NetworkSpec(kind="conv", channels=[3], feature_dim=6)
    require_learned(learned(subject, toy_context(stream, network=network)), stream)


def tasks_without_classes(subject: Subject) -> None:
    """It learns tasks of regression, or a ValueError before training says why not."""
    tasks = []
    for k in range(2):
        x = toy_task(k).tensors("train")[0]
        tasks.append(Task(f"rated{k}", (x, x[:, :1]), (x, x[:, :1]), objective="regression"))
    stream, found = TaskStream(tasks), []
    learns = partial(learned, subject, toy_context(stream))
    if why := require_refusal(lambda: found.append(learns()), "regression"):
        raise NotApplicable(f"it refuses tasks of regression: {why}")
    require_learned(found[0], stream)


def devices(subject: Subject) -> None:
    """It trains on an accelerator."""
    stream, device = toy_stream(), accelerator()
    method = learned(subject, toy_context(stream, device=device.type))
    require_learned(method, stream)
    places = {value.device.type for value in state(method).values()}
    require(places <= {device.type}, f"its model is on {sorted(places)}")


def state_round_trips(subject: Subject) -> None:
    """Restored in a new strategy, it learns the next task as if nothing had happened."""
    context = toy_context(toy_stream())
    first = learned_part(subject, context, 2)
    if first.joint:
        raise NotApplicable("it learns all tasks at once, so there is no state between two tasks")
    if why := obstacle(first.strategy):
        raise NotApplicable(f"a run of it is not resumed within a task stream: {why}")
    again = learned_part(subject, context, 0)
    restore_strategy(again.strategy, strategy_state(first.strategy))
    experience = list(context.stream.to_benchmark().train_stream)[2]
    for method in (first, again):
        with isolated(threads=1):
            seed_all(1)
            method.strategy.train(experience, eval_streams=[])
    differs = same_state(state(first), state(again))
    require(not differs, f"'{differs}' of its model differs when it learns the next task after "
            "its state was restored; return all that later tasks depend on in state()")  # fmt: skip


def gives_a_method(subject: Subject) -> None:
    """Called with a context it returns a Method, without training."""
    if inspect.isclass(subject.part):
        raise NotApplicable("it is an Avalanche strategy, which is made into a Method")
    made: Any = catalog.build(
        subject.part, subject.parameters, subject.name, toy_context(toy_stream())
    )
    require(isinstance(made, Method), f"it gives {type(made).__name__}; give a "
            "cl_moe.strategies.context.Method")  # fmt: skip


CHECKS: tuple[Check, ...] = (
    *(common.docstring, common.example, common.defaults, parameters_are_keywords, gives_a_method),
    *(learns_every_task, same_seed_same_result, inputs_untouched, evaluation_changes_nothing),
    *(
        a_copy_learns_apart,
        state_round_trips,
        one_task,
        one_row,
        images_with_convolutions,
        tasks_without_classes,
    ),
    devices,
)
