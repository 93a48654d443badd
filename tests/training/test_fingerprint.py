"""A fingerprint changes with every change of an answer, and is missing where that is not sure."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from torch import nn

from cl_moe import catalog
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.strategies.networks import build_dense
from cl_moe.strategies.task_aware import TaskAwareMoE
from cl_moe.streams.spec import NetworkSpec
from cl_moe.training.evaluation import evaluate, evaluate_changed
from cl_moe.training.fingerprint import Fingerprints
from cl_moe.training.strategy import Strategy

MIXTURES = [
    {"gate": gate, "growth": growth, "experts": 3, "gate_options": {"k": 2}}
    for gate in catalog.names("gate")
    for growth in ("fixed", "per_task")
]
METHODS = [*((name, {}) for name in catalog.names("method")), *(("moe", m) for m in MIXTURES)]
FROZEN = ["single_task", "moe", "nearest_mean", "packnet", "progressive", "ridge"]
TASKS = range(3)


def prints(strategy):
    return [Fingerprints(strategy).of(task) for task in TASKS]


def answers(strategy, x):
    strategy.model.eval()
    with torch.no_grad():
        return [strategy.model(x, task) for task in TASKS]


def tensors(model):
    yield from (p for p in model.parameters())
    yield from (b for b in model.buffers() if b.is_floating_point())


@pytest.mark.parametrize(("name", "parameters"), METHODS)
def test_no_tensor_changes_an_answer_and_not_its_fingerprint(name, parameters, context, learn):
    network = NetworkSpec(hidden=[8, 5], layers=2, encoder_hidden=[6], shared_expert=True)
    context = replace(context, network=network)
    strategy = learn(context, name, **parameters).strategy
    x = context.stream[0].tensors("test")[0]
    before, known, noticed = answers(strategy, x), prints(strategy), 0
    assert None not in known
    for tensor in tensors(strategy.model):
        kept = tensor.detach().clone()
        tensor.data += 0.5 + torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0))
        for task, (old, new) in enumerate(zip(before, answers(strategy, x), strict=True)):
            if not torch.equal(old, new):
                noticed += 1
                assert Fingerprints(strategy).of(task) != known[task]
        tensor.data.copy_(kept)
    assert noticed >= len(TASKS)
    assert prints(strategy) == known
    assert prints(copy.deepcopy(strategy)) == known


@pytest.mark.parametrize("name", FROZEN)
def test_what_cannot_forget_keeps_its_fingerprints(name, context, learn):
    """Else nothing would be saved. They are the same in two trainings from the same seed, too."""
    earlier, later = (learn(context, name, tasks=tasks).strategy for tasks in (2, 3))
    assert [Fingerprints(earlier).of(t) for t in (0, 1)] == prints(later)[:2]


def test_a_task_depends_on_the_paths_that_its_head_reads(context, learn):
    network = learn(context, "moe").strategy.model.network
    head = network.heads["2"]
    assert isinstance(head, EnsembleHead)
    read = {block.task for block in head.blocks} - {-1}
    assert read, "the test needs a head that reads a path"
    path = network.moe_layers[0].pool[network.path(0)[0][0]]
    assert any(part is path for part in network.depends_on(2))


class Acting(SupervisedPlugin):
    def after_eval_forward(self, strategy, *args, **kwargs):
        strategy.mb_output = strategy.mb_output.flip(1)


class Watching(SupervisedPlugin):
    def after_training_epoch(self, strategy, *args, **kwargs): ...


class Own(Strategy):
    """A user's: it may answer as it likes."""


class Dice(nn.Module):
    def forward(self, x):
        return x * torch.rand(())


def test_there_is_none_where_others_have_a_say(context, learn):
    def first(make=TaskAwareMoE, **options):
        if make is not TaskAwareMoE:
            options["model"] = build_dense(context)
        else:
            options["shape"] = context.stream.shape
        strategy = make(training=context.training, **options)
        strategy.train(context.stream.to_benchmark().train_stream[0], eval_streams=[])
        return Fingerprints(strategy).of(0)

    assert first() is not None
    assert first(plugins=[Watching()]) is not None
    assert first(Strategy) is not None
    assert first(plugins=[Acting()]) is None
    assert first(evaluator=EvaluationPlugin(accuracy_metrics(stream=True), loggers=[])) is None
    assert first(Own) is None
    assert Fingerprints(learn(context, "avalanche.training:Naive").strategy).of(0) is None
    strategy = learn(context, "dense").strategy
    strategy.model.network.trunk.append(Dice())
    assert Fingerprints(strategy).of(0) is None


def counted(strategy, monkeypatch):
    """Return a list that takes up the labels of the tasks as they are evaluated."""
    seen = []

    original = strategy.eval

    def spied(experiences):
        seen.extend(experience.task_labels[0] for experience in experiences)
        return original(experiences)

    monkeypatch.setattr(strategy, "eval", spied)
    return seen


def test_only_what_changed_is_evaluated_again(context, learn, monkeypatch):
    strategy = learn(context, "single_task").strategy
    tests, record = list(context.stream.to_benchmark().test_stream), {}
    seen = counted(strategy, monkeypatch)
    first = evaluate_changed(strategy, tests, record)
    assert [evaluation.task for evaluation in first] == [0, 1, 2], "the probe is not known"
    assert evaluate_changed(strategy, tests, record) == first
    assert seen == [0, 1, 2]
    strategy.model.network.heads["1"].bias.data[0] += 5.0
    again = evaluate_changed(strategy, tests, record)
    assert seen == [0, 1, 2, 1]
    assert again[1] != first[1]
    assert again == evaluate(strategy, tests)


def test_rows_from_a_transform_are_evaluated_each_time(context, learn, monkeypatch):
    strategy = learn(context, "single_task").strategy
    tests = list(context.stream.to_benchmark().test_stream)[:2]
    noise = torch.Generator().manual_seed(0)
    plain = tests[0].dataset.eval()

    def noisy(x):
        return x + torch.rand(x.shape, generator=noise)

    tests[0].dataset = plain.replace_current_transform_group((noisy, None))
    seen, record = counted(strategy, monkeypatch), {}
    for _ in range(2):
        evaluate_changed(strategy, tests, record)
    assert seen == [0, 1, 0]
