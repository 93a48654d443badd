"""Every method on regression, on several labels a row, and on all objectives in one stream."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from cl_moe import catalog
from cl_moe.errors import InputError
from cl_moe.strategies.methods.base import MethodContext, build_method
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.evaluation import evaluate

CLASSES_ONLY = {"lwf", "nearest_mean"}
METHODS = sorted(set(catalog.names("method")) - CLASSES_ONLY)
LEAST = {"accuracy": 0.45, "r2": 0.2, "f1": 0.6}
"""What any method gets to on the task it learned last; a guess has 0.33, 0 and about 0.5."""


def made(kind: str, position: int, outputs: int = 1) -> Task:
    """Return a task that a linear map of its inputs answers."""
    draw = torch.Generator().manual_seed(position)
    x = torch.randn(180, 6, generator=draw)
    y = x @ torch.randn(6, outputs, generator=draw) / 6**0.5
    names: tuple[str, ...] = ()
    if kind == "classification":
        y, names = y.argmax(1), tuple(map(str, range(outputs)))
    elif kind == "multilabel":
        y = (y > 0).int()
    return Task(f"{kind}{position}", (x[:120], y[:120]), (x[120:], y[120:]), names, objective=kind)


STREAMS = {
    "regression": [("regression", 0, 1), ("regression", 1, 2)],
    "multilabel": [("multilabel", 0, 3), ("multilabel", 1, 2)],
    "mixed": [("classification", 0, 3), ("regression", 1, 1), ("multilabel", 2, 3)],
}


def context_of(name: str, **network: object) -> MethodContext:
    return MethodContext(
        stream=TaskStream([made(*one) for one in STREAMS[name]]),
        network=NetworkSpec(hidden=[12], **network),
        training=TrainingSpec(epochs=8, batch_size=16, learning_rate=0.01),
        seed=0,
    )


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("method", [*METHODS, "avalanche.training:Naive"])
def test_a_method_learns_every_objective(method, name, learn):
    context = context_of(name)
    parameters = {"growth": "per_task"} if method == "moe" else {}
    strategy = learn(context, method, **parameters).strategy
    found = evaluate(strategy, context.stream.to_benchmark().test_stream)
    assert [one.task for one in found] == list(range(len(context.stream)))
    for task, one in zip(context.stream, found, strict=True):
        metrics = task.objective.higher_is_better
        assert set(one.metrics) == set(metrics)
        assert one.n == task.n_test
    score, value = found[-1].score
    assert value > LEAST[score]
    again = evaluate(copy.deepcopy(strategy), context.stream.to_benchmark().test_stream)
    assert [one.metrics for one in again] == [one.metrics for one in found]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("method", sorted(CLASSES_ONLY))
def test_a_method_that_needs_classes_says_so(method, name):
    with pytest.raises(InputError) as caught:
        build_method(method, {}, context_of(name))
    (problem,) = caught.value.problems
    assert problem.startswith(f"method '{method}': ")
    assert problem.endswith("remove the method, or give tasks of classification")


def test_predicted_labels_tell_nothing_of_regression():
    with pytest.raises(InputError, match="method 'ewc': labels = 'predicted' takes the error"):
        build_method("ewc", {"labels": "predicted"}, context_of("regression"))
    build_method("ewc", {"labels": "predicted"}, context_of("multilabel"))


def test_a_task_is_answered_as_its_network_answers(learn):
    """What is measured are the objective's metrics of the outputs on all test rows at once."""
    context = context_of("mixed")
    strategy = learn(context, "dense").strategy
    strategy.eval_mb_size = 7
    found = evaluate(strategy, context.stream.to_benchmark().test_stream)
    strategy.model.eval()
    for position, task in enumerate(context.stream):
        x, y = task.tensors("test")
        expected = task.objective.metrics(strategy.model(x, position).detach(), y)
        assert found[position].metrics == pytest.approx(dict(expected), rel=1e-4)


def test_classes_are_learned_the_same_beside_other_objectives(learn):
    """Targets of a mixed stream have another form; what is learned of classes is the same."""
    context = context_of("mixed")
    single_task = replace(context, stream=context.stream[:1])
    beside = learn(context, "dense", tasks=1).strategy.model.state_dict()
    for name, tensor in learn(single_task, "dense", tasks=1).strategy.model.state_dict().items():
        assert torch.equal(tensor, beside[name]), name


def test_one_head_for_all_tasks_of_one_objective(learn):
    tasks = [made("regression", 0, 2), made("regression", 1, 2)]
    context = replace(context_of("regression", heads="shared"), stream=TaskStream(tasks))
    strategy = build_method("dense", {}, context).strategy
    before = evaluate(strategy, context.stream.to_benchmark().test_stream)
    assert len(before) == 2  # it can be asked before anything is learned
    after = evaluate(learn(context, "dense").strategy, context.stream.to_benchmark().test_stream)
    assert after[1].score[1] > max(0.2, before[1].score[1])


@pytest.mark.parametrize("name", ["regression", "mixed"])
def test_one_head_does_not_fit_several_objectives(name):
    with pytest.raises(InputError, match=r"network.heads: 'shared' is for tasks with"):
        build_method("dense", {}, context_of(name, heads="shared"))
    same = TaskStream([made("regression", 0, 2), made("multilabel", 1, 2)])
    context = replace(context_of("mixed", heads="shared"), stream=same)
    with pytest.raises(InputError, match="with one objective, but 'regression0' is regression"):
        build_method("dense", {}, context)
