"""Held-out training data; the streams of classification are tested in test_stream.py."""

from __future__ import annotations

import pytest
import torch

from cl_moe.errors import InputError
from cl_moe.streams.task import Task
from cl_moe.streams.validation import validation_split


def test_classes_are_spread_and_labels_are_not() -> None:
    x, y = torch.rand(20, 2), torch.tensor([0] * 18 + [1] * 2)
    tags = torch.nn.functional.one_hot(y)
    labelled = Task("tags", (x, tags), (x, tags), objective="multilabel")
    tasks = [Task("kinds", (x, y), (x, y), "ab"), labelled]
    kinds, split = validation_split(tasks, 0.5, seed=1)
    assert kinds.labels("test").bincount().tolist() == [9, 1]
    assert (split.n_train, split.n_test) == (10, 10)
    assert split.objective == labelled.objective


def test_what_is_left_must_still_be_a_task() -> None:
    x, y = torch.rand(3, 2), torch.tensor([1.0, 2.0, 3.0])
    task = Task("rated", (x, y), (x, y), objective="regression")
    with pytest.raises(InputError, match="test data: targets of output 0 are all"):
        validation_split([task], 0.3, seed=0)
