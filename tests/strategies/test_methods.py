"""What holds for every method of the catalogue."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from cl_moe import catalog
from cl_moe.streams.spec import NetworkSpec
from cl_moe.training.evaluation import evaluate

METHODS = catalog.names("method")
COMPUTED = ["nearest_mean", "ridge"]
NEVER_FORGET = ["single_task", "packnet", "progressive", *COMPUTED]


def accuracies(method, stream):
    found = evaluate(method.strategy, stream.to_benchmark().test_stream)
    return {evaluation.task: evaluation.accuracy for evaluation in found}


def state(method):
    return {
        name: value.clone()
        for name, value in method.strategy.model.state_dict().items()
        if isinstance(value, torch.Tensor)
    }


@pytest.mark.parametrize("name", METHODS)
def test_learns_every_task_of_a_stream(name, context, learn):
    method = learn(context, name)
    found = accuracies(method, context.stream)
    assert set(found) == {0, 1, 2}, "the probe has no head yet"
    assert found[2] > 0.6


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_network(name, context, learn):
    one, two = state(learn(context, name)), state(learn(context, name))
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[key]) for key, value in one.items())


@pytest.mark.parametrize("name", [name for name in METHODS if name not in COMPUTED])
def test_another_seed_gives_another_network(name, context, learn):
    one, two = state(learn(context, name)), state(learn(replace(context, seed=1), name))
    assert any(key not in two or not torch.equal(value, two[key]) for key, value in one.items())


@pytest.mark.parametrize("name", METHODS)
def test_a_probe_is_learned_from_a_copy_that_leaves_the_original_alone(name, context, learn):
    method = learn(context, name)
    before = state(method)
    probe = context.stream.to_benchmark().train_stream[3]
    copied = copy.deepcopy(method.strategy)
    copied.train([probe] if method.joint else probe, eval_streams=[])
    assert copied.model.knows(3)
    assert not method.strategy.model.knows(3)
    after = state(method)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@pytest.mark.parametrize("name", METHODS)
def test_learns_images_with_convolutions(name, context, learn):
    shape = (1, 4, 4)
    stream = type(context.stream)(
        [replace_shape(task, shape) for task in context.stream.tasks[:2]], "images"
    )
    network = NetworkSpec(kind="conv", channels=[3], feature_dim=6)
    method = learn(replace(context, stream=stream, network=network), name)
    assert set(accuracies(method, stream)) == {0, 1}


def replace_shape(task, shape):
    def reshaped(split):
        x, y = task.tensors(split)
        return torch.nn.functional.pad(x, (0, 10)).reshape(-1, *shape), y

    return type(task)(task.name, reshaped("train"), reshaped("test"), task.classes)


@pytest.mark.parametrize("name", NEVER_FORGET)
def test_old_tasks_are_untouched_by_what_cannot_forget(name, context, learn):
    """Logits of earlier tasks stay the same bit for bit, whatever is learned after them."""
    earlier, later = learn(context, name, tasks=1), learn(context, name, tasks=3)
    x = context.stream[0].tensors("test")[0]
    for method in (earlier, later):
        method.strategy.model.eval()
    with torch.no_grad():
        assert torch.equal(earlier.strategy.model(x, 0), later.strategy.model(x, 0))


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_computed_takes_no_step_and_knows_no_seed(name, context, learn):
    method = learn(context, name)
    assert method.strategy.clock.train_iterations == 0
    assert not any(p.requires_grad for p in method.strategy.model.parameters())
    one, two = state(method), state(learn(replace(context, seed=1), name))
    assert all(torch.equal(value, two[key]) for key, value in one.items())


def test_a_dense_network_forgets_and_the_methods_against_it_forget_less(
    conflicting, context, learn
):
    training = context.training.model_copy(
        update={"epochs": 60, "batch_size": 32, "learning_rate": 0.03}
    )
    context = replace(
        context, stream=conflicting, network=NetworkSpec(hidden=[16, 16]), training=training
    )

    def forgetting(name, **parameters):
        first = accuracies(learn(context, name, tasks=1, **parameters), conflicting)[0]
        assert first > 0.85, f"{name} does not learn the task"
        return first - accuracies(learn(context, name, **parameters), conflicting)[0]

    dense = forgetting("dense")
    assert dense > 0.25
    assert forgetting("single_task") == 0
    assert forgetting("replay", memory=100) < dense - 0.1
    assert forgetting("ewc", strength=1000.0) < dense - 0.1
    assert forgetting("si", strength=1.0) < dense - 0.1


def test_checking_a_method_imports_neither_torch_nor_avalanche():
    code = (
        "import sys\n"
        "from cl_moe import catalog\n"
        "for name in catalog.names('method'):\n"
        "    target = catalog.resolve('method', name)\n"
        "    assert catalog.check_parameters(target, {'nonsense': 1}, 'here')\n"
        "print([m for m in ('torch', 'avalanche') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", METHODS)
def test_parameters_are_keyword_only_annotated_and_have_defaults(name):
    from inspect import Parameter, signature

    target = catalog.resolve("method", name)
    context, *own = signature(target).parameters.values()
    assert context.name == "context"
    for parameter in own:
        assert parameter.kind is Parameter.KEYWORD_ONLY
        assert parameter.default is not Parameter.empty
        assert parameter.annotation is not Parameter.empty
