"""Avalanche's own benchmarks, with their own data sets and transforms."""

from __future__ import annotations

import shutil
import warnings

import pytest
import torch

from cl_moe.strategies.task_aware import TaskAwareMoE
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.training.evaluation import evaluate


@pytest.fixture(scope="module")
def split_mnist(data_dir, tmp_path_factory):
    """SplitMNIST, task-incremental; torchvision unpacks a copy of the files, offline."""
    root = tmp_path_factory.mktemp("data")
    shutil.copytree(data_dir / "MNIST", root / "MNIST")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from avalanche.benchmarks.classic import SplitMNIST

        return SplitMNIST(
            n_experiences=5,
            return_task_id=True,
            seed=0,
            fixed_class_order=list(range(10)),
            class_ids_from_zero_in_each_exp=True,
            dataset_root=root,
        )


def test_the_mixture_learns_avalanches_split_mnist_and_forgets_nothing(split_mnist):
    torch.manual_seed(0)
    strategy = TaskAwareMoE(
        shape=(1, 28, 28),
        network=NetworkSpec(hidden=[64]),
        training=TrainingSpec(epochs=1, batch_size=128, min_steps=0),
    )
    accuracies = []
    for task in range(2):
        strategy.train(split_mnist.train_stream[task], eval_streams=[])
        found = evaluate(strategy, split_mnist.test_stream[: task + 1])
        accuracies.append([result.accuracy for result in found])
    assert min(accuracies[1]) > 0.95
    assert accuracies[1][0] == accuracies[0][0]
    assert [event["task"] for event in strategy.events] == [0, 1]


def test_it_becomes_a_stream_of_tasks_without_losing_a_sample(split_mnist):
    stream = TaskStream.from_benchmark(split_mnist)
    assert len(stream) == 5
    assert sum(task.n_train for task in stream) == 60_000
    assert sum(task.n_test for task in stream) == 10_000
    assert {task.n_classes for task in stream} == {2}
