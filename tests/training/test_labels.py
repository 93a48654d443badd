"""A benchmark without task labels is not one task that forgets."""

from __future__ import annotations

import warnings

import pytest
import torch
from avalanche.benchmarks import (
    benchmark_from_datasets,
    dataset_benchmark,
    nc_benchmark,
    split_online_stream,
    tensors_benchmark,
)
from avalanche.benchmarks.utils import (
    ConstantSequence,
    DataAttribute,
    TaskAwareSupervisedClassificationDataset,
    TaskLabels,
)
from avalanche.training import JointTraining, Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset

from cl_moe import catalog
from cl_moe.errors import InputError, InputWarning
from cl_moe.strategies.methods.base import build_method
from cl_moe.strategies.networks import build_moe
from cl_moe.strategies.task_aware import TaskAwareMoE
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.training.labels import require_labels
from cl_moe.training.plugin import MoEPlugin

TRAINING = TrainingSpec(epochs=1, batch_size=16, min_steps=0)
REFUSED = r"all of its \d experiences have task label 0.*return_task_id=True.*from_benchmark"


def rows(seed, classes=2):
    y = torch.arange(32) % classes
    return torch.randn(32, 6, generator=torch.Generator().manual_seed(seed)) + y[:, None], y


def labelled(task, classes=2):
    x, y = rows(task, classes)
    attributes = [
        DataAttribute(y.tolist(), "targets"),
        TaskLabels(ConstantSequence(task, len(y))),
    ]
    return TaskAwareSupervisedClassificationDataset(
        [TensorDataset(x, y)], data_attributes=attributes
    )


def datasets(*tasks):
    made = [labelled(task) for task in tasks]
    return dataset_benchmark(made, made)


def new_api(*tasks):
    made = [labelled(task) for task in tasks]
    return benchmark_from_datasets(train=made, test=made)


def tensors(*tasks):
    sets = [rows(position) for position in range(len(tasks))]
    return tensors_benchmark(sets, sets, task_labels=list(tasks))


def classes(*tasks):
    """Split one data set of four classes, as SplitMNIST(return_task_id=False) does."""
    x, y = rows(0, classes=4)
    data = TensorDataset(x, y)
    data.targets = y.tolist()
    return nc_benchmark(data, data, len(tasks), task_labels=len(set(tasks)) > 1, shuffle=False)


MAKERS = [datasets, new_api, tensors, classes]


@pytest.mark.parametrize("make", MAKERS)
def test_experiences_that_all_have_one_label_are_refused(make):
    for experience in make(0, 0).train_stream:
        with pytest.raises(InputError, match=REFUSED):
            require_labels(experience)


@pytest.mark.parametrize("make", MAKERS)
def test_experiences_with_labels_are_learned(make):
    for experience in make(0, 1).train_stream:
        require_labels(experience)


@pytest.mark.parametrize("make", [datasets, new_api, tensors])
@pytest.mark.parametrize("tasks", [(0, 1, 0), (0, 0, 1), (1, 0, 0, 0)])
def test_a_label_that_comes_back_beside_others_is_a_task_that_comes_back(make, tasks):
    for experience in make(*tasks).train_stream:
        require_labels(experience)


@pytest.mark.parametrize("make", [datasets, new_api, tensors])
def test_one_experience_is_one_task(make):
    require_labels(make(0).train_stream[0])


def test_an_experience_in_pieces_is_still_one_task():
    (experience,) = datasets(0).train_stream
    for piece in split_online_stream([experience], experience_size=8):
        require_labels(piece)


def test_an_experience_of_several_tasks_has_labels():
    both = labelled(0).concat(labelled(1))
    for experience in dataset_benchmark([both, both], [both, both]).train_stream:
        require_labels(experience)


@pytest.mark.parametrize("name", catalog.names("method"))
def test_every_method_with_a_head_a_task_refuses(name, context):
    built = build_method(name, {}, context)
    experience = datasets(0, 0).train_stream[0]
    with pytest.raises(InputError, match=REFUSED):
        built.strategy.train([experience] if built.joint else experience, eval_streams=[])


def test_one_head_for_all_tasks_needs_no_labels(context):
    network = context.network.model_copy(update={"heads": "shared"})
    stream = TaskStream(context.stream[::2])
    context = type(context)(stream, network, context.training, 0)
    strategy = build_method("dense", {}, context).strategy
    for experience in datasets(0, 0).train_stream:
        strategy.train(experience, eval_streams=[])


@pytest.mark.parametrize("kind", [Naive, JointTraining])
def test_the_plugin_refuses_in_strategies_of_avalanche(kind):
    model = build_moe(NetworkSpec(hidden=[8]), shape=(6,), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = kind(
            model=model,
            optimizer=torch.optim.Adam(model.parameters()),
            criterion=nn.CrossEntropyLoss(),
            plugins=[MoEPlugin()],
            evaluator=EvaluationPlugin(loggers=[]),
        )
    with pytest.raises(InputError, match=REFUSED):
        strategy.train(classes(0, 0).train_stream)
    assert model.network.tasks == []


def test_the_way_out_works():
    with pytest.warns(InputWarning, match="each becomes a task"):
        benchmark = TaskStream.from_benchmark(classes(0, 0)).to_benchmark()
    strategy = TaskAwareMoE(shape=(6,), training=TRAINING)
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[])
    assert strategy.model.network.tasks == [0, 1]
