"""Methods by name: the catalogue's, one's own, and Avalanche's."""

from __future__ import annotations

import pytest
from torch import nn

from cl_moe.errors import InputError
from cl_moe.strategies.methods.base import Method, build_method
from cl_moe.streams.spec import NetworkSpec
from cl_moe.training.evaluation import evaluate


def problems(type, parameters, context):
    with pytest.raises(InputError) as caught:
        build_method(type, parameters, context)
    return caught.value.problems


def test_every_wrong_parameter_is_named_at_once(context):
    found = problems("ewc", {"strenght": 1.0, "samples": "all"}, context)
    assert len(found) == 2
    assert "did you mean 'strength'?" in found[0]
    assert "samples: 'all' is not" in found[1]


@pytest.mark.parametrize(
    ("type", "parameters"),
    [
        ("ewc", {"strength": -1.0, "samples": 0}),
        ("ewc_avalanche", {"strength": -1.0, "decay": 2.0}),
        ("si", {"strength": -1.0, "damping": 0.0}),
        ("mas", {"strength": -1.0, "mixing": 2.0}),
        ("rwalk", {"strength": -1.0, "mixing": 2.0, "every": 0}),
        ("lwf", {"strength": -1.0, "temperature": 0.0}),
        ("packnet", {"keep": 0.0, "retrain": 1.0}),
        ("agem", {"memory_per_task": 0, "sample": 1}),
        ("replay", {"memory": 0}),
        ("dense_wide", {"experts": 0}),
    ],
)
def test_values_out_of_range_are_refused_all_at_once(type, parameters, context):
    assert len(problems(type, parameters, context)) == len(parameters)


def test_an_unknown_method_is_refused_with_the_nearest(context):
    assert "did you mean 'replay'?" in problems("repaly", {}, context)[0]


@pytest.mark.parametrize(
    ("type", "parameters"),
    [
        ("avalanche.training:Naive", {}),
        ("avalanche.training:LwF", {"alpha": 1.0, "temperature": 2.0}),
        ("avalanche.training:Replay", {"mem_size": 20}),
        ("avalanche.training:SynapticIntelligence", {"si_lambda": 1.0}),
        ("avalanche.training:Cumulative", {}),
        ("avalanche.training:JointTraining", {}),
    ],
)
def test_an_avalanche_strategy_learns_the_stream(type, parameters, context, learn):
    method = learn(context, type, **parameters)
    assert method.joint == ("Joint" in type)
    found = evaluate(method.strategy, context.stream.to_benchmark().test_stream)
    assert [evaluation.task for evaluation in found] == [0, 1, 2]
    assert found[2].accuracy > 0.6


def test_the_arguments_of_an_avalanche_strategy_are_checked(context):
    found = problems(
        "avalanche.training:EWC", {"mod": "separate", "train_epochs": 3, "ewc_lambda": 1.0}, context
    )
    assert len(found) == 2
    assert "did you mean 'mode'?" in found[0]
    assert "is set by [network] and [training]" in found[1]
    assert "ewc_lambda: missing" in problems("avalanche.training:EWC", {}, context)[0]
    refused = problems("avalanche.training:EWC", {"ewc_lambda": 1.0, "mode": "sometimes"}, context)
    assert "EWC refuses its parameters" in refused[0]


def test_an_avalanche_strategy_has_the_budget_of_all(context, learn):
    """A small task's epochs are raised for a strategy that is not built on our template, too."""
    from dataclasses import replace

    training = context.training.model_copy(update={"epochs": 1, "min_steps": 11})
    context = replace(context, training=training)
    for type in ("dense", "avalanche.training:Naive"):
        strategy = learn(context, type, tasks=1).strategy
        assert strategy.clock.train_iterations == 12  # 24 rows in batches of 8: four epochs of 3


def test_what_is_no_strategy_is_refused(context):
    assert "is not an Avalanche strategy" in problems("torch.nn:Linear", {}, context)[0]


def mine(context, /, *, width: float = 1.0):
    from cl_moe.strategies.methods.base import sequential
    from cl_moe.strategies.networks import build_dense

    return sequential(context, build_dense(context, width))


def nothing(context, /):
    return None


def plain(context):
    from cl_moe.strategies.methods.base import sequential

    return sequential(context)


def no_module(shape):
    return 3


def no_expert(shape):
    raise KeyError("boom")


def test_a_function_of_ones_own_is_a_method(context, monkeypatch):
    import sys
    import types

    module = types.ModuleType("my_methods")
    for part in (mine, nothing, plain):
        setattr(module, part.__name__, part)
    monkeypatch.setitem(sys.modules, "my_methods", module)
    assert isinstance(build_method("my_methods:mine", {"width": 2.0}, context), Method)
    assert "did you mean 'width'?" in problems("my_methods:mine", {"widht": 2.0}, context)[0]
    assert "instead of a Method" in problems("my_methods:nothing", {}, context)[0]
    assert isinstance(build_method("my_methods:plain", {}, context), Method)


def test_problems_of_parameters_name_the_method(context):
    assert problems("ewc", {"strength": -1.0}, context) == [
        "method 'ewc'.strength: -1.0 is below 0"
    ]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"gate": "torch.nn:Linear"},
            "gate: 'torch.nn:Linear' is not a valid gate",
        ),
        (
            {"growth": "torch.nn:Linear"},
            "growth: 'torch.nn:Linear' is not a valid growth",
        ),
        ({"gate_options": {"k": 0}}, "gate_options.k: 0 must be 1 or more experts"),
        (
            {"gate_options": {"in_features": 3}},
            "gate_options.in_features: is set by the network",
        ),
        ({"experts": 0}, "experts: 0 is too few; give 1 or more"),
    ],
)
def test_parts_of_the_mixture_are_checked(context, parameters, words):
    assert problems("moe", parameters, context)[0].startswith(f"method 'moe'.{words}")


@pytest.mark.parametrize("method", ["dense", "moe"])
def test_experts_of_ones_own_are_checked(context, monkeypatch, method):
    import sys
    import types
    from dataclasses import replace

    module = types.ModuleType("my_experts")
    module.no_module, module.no_expert = no_module, no_expert
    module.misfit = lambda shape: nn.Linear(99, 5)
    monkeypatch.setitem(sys.modules, "my_experts", module)
    for name, words in {
        "no_module": "network.kind: 'my_experts:no_module' returns int; return a torch nn.Module",
        "no_expert": "network.kind: 'my_experts:no_expert' fails for inputs of shape (6,)",
        "misfit": "network: ",
    }.items():
        own = replace(context, network=NetworkSpec(kind=f"my_experts:{name}"))
        assert problems(method, {}, own)[0].startswith(words)
