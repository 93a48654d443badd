"""Targets that are no labels: converted, checked, read without inputs, padded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from cl_moe.errors import InputError
from cl_moe.objectives.classification import Classification
from cl_moe.objectives.multilabel import Multilabel
from cl_moe.objectives.regression import Regression
from cl_moe.streams.targets import padded
from cl_moe.streams.task import Task, TaskStream

X = torch.arange(24, dtype=torch.float32).view(6, 4)
Y = torch.tensor([0.5, 1.0, -2.0, 3.25, 0.0, 7.5])
TAGS = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0], [1, 0, 1], [0, 1, 0]])


class Lazy(Dataset[tuple[torch.Tensor, float]]):
    """Samples that are made when read, and counted."""

    def __init__(self, y: list[Any], listed: bool = True) -> None:
        self.y, self.reads = y, 0
        if listed:
            self.targets = y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
        self.reads += 1
        return X[index], self.y[index]


@pytest.mark.parametrize(
    "y", [Y, Y[:, None], Y.numpy(), Y.double(), Y.tolist(), np.float16(Y.numpy())]
)
def test_numbers_in_any_form_become_a_column(y: Any) -> None:
    task = Task("rated", (X, y), TensorDataset(X, Y), objective="regression")
    assert task.objective == Regression(1)
    assert task.classes == ("value",)
    for split in ("train", "test"):
        assert task.tensors(split)[1].dtype == torch.float32
        assert torch.equal(task.labels(split), Y[:, None])
    assert task.strata("train").tolist() == [0] * 6


def test_several_outputs_and_labels() -> None:
    two = Task("two", (X, torch.stack([Y, -Y], 1)), (X, torch.stack([Y, -Y], 1)), ("a", "b"),
               objective=Regression(2))  # fmt: skip
    assert (two.n_classes, two.classes) == (2, ("a", "b"))
    tags = Task("tags", (X, TAGS), (X, TAGS.bool()), objective="multilabel")
    assert tags.objective == Multilabel(3)
    assert tags.classes == ("y0", "y1", "y2")
    assert torch.equal(tags.labels("train"), tags.labels("test"))
    assert repr(tags) == "Task('tags', 3 labels, shape (4,), 6 train, 6 test)"


def test_the_objective_goes_along_when_a_task_is_made_of_another() -> None:
    task = Task("rated", (X, Y), (X, Y), objective="regression")
    for other in (task.renamed("again"), task.in_memory(), replace(task, group="g")):
        assert other.objective == task.objective
        assert torch.equal(other.labels("train"), task.labels("train"))


@pytest.mark.parametrize(
    ("train", "values", "problem"),
    [
        ((X, Y), {"objective": "regresion"}, "did you mean 'regression'?"),
        ((X, [0, 1] * 3), {}, "no class; give the names of its classes"),
        ((X, Y), {"objective": "regression", "classes": ("a", "b")}, "give (samples, 2) real"),
        ((X, Y), {"objective": Regression(1), "classes": ("a", "b")}, "has 1 output; give as many"),
        ((X, Y[:5]), {"objective": "regression"}, "6 inputs but 5 labels"),
        ((X, Y, Y), {"objective": "regression"}, "3 parts; give a pair (inputs, targets)"),
        ((X, ["a"] * 6), {"objective": "regression"}, "targets are no numbers"),
        ((X, 1.0), {"objective": "regression"}, "one number; give inputs"),
        ((X, Y * np.nan), {"objective": "regression"}, "sample 0 has a target NaN or infinity"),
        ((X, Y * 0 + 2), {"objective": "regression"}, "targets of output 0 are all 2;"),
        ((X, Y), {"objective": "multilabel"}, "sample 0 has target 0.5 for label 0; give 0 or 1"),
        ((X, TAGS), {"objective": "multilabel", "classes": "aab"}, "two labels have one name"),
        ((X * np.inf, Y), {"objective": "regression"}, "sample 0 holds NaN or infinity"),
        ((X[:0], Y[:0]), {"objective": "regression"}, "no sample"),
        (Lazy([[1.0], [2.0, 3.0]]), {"objective": "regression"}, "no numbers of one shape"),
    ],
)
def test_what_is_wrong_is_said(train: Any, values: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        Task("mine", train, train if isinstance(train, Lazy) else (X, Y), **values)
    assert any(problem in said for said in caught.value.problems), caught.value.problems
    assert all(said.startswith("task 'mine'") for said in caught.value.problems)


def test_targets_are_read_without_inputs_where_that_can_be_avoided() -> None:
    data = Lazy(Y.tolist())
    joined: Dataset[Any] = ConcatDataset([Subset(data, [5, 0]), data])
    task = Task("lazy", joined, data, objective="regression")
    read = data.reads
    assert task.labels("train").flatten().tolist() == [7.5, 0.5, *Y.tolist()]
    assert data.reads == read
    x, y = task.tensors("test")
    assert torch.equal(x, X)
    assert torch.equal(y, Y[:, None])
    unlisted = Task("lazy", Lazy(TAGS.tolist(), listed=False), (X, TAGS), objective="multilabel")
    assert torch.equal(unlisted.labels("train"), TAGS.float())


def test_all_objectives_have_one_form_in_a_mixed_stream() -> None:
    tensors = padded(TensorDataset(X, Y[:, None]), Regression(1), 3)
    lazy = padded(Lazy([0, 2, 1, 0, 1, 2]), Classification(3), 3)
    assert isinstance(tensors, TensorDataset)
    assert tensors.tensors[0] is X
    assert tensors[3][1].tolist() == [3.25, 0.0, 0.0]
    assert lazy[1][1].tolist() == [2.0, 0.0, 0.0]


def test_a_stream_says_what_is_no_classification() -> None:
    rated = Task("rated", (X, Y), (X, Y), objective="regression")
    kinds = Task("kinds", (X, [0, 1] * 3), (X, [0, 1] * 3), "ab")
    stream = TaskStream([kinds, rated], probes=[rated.renamed("new")])
    assert [row.get("objective") for row in stream.table()] == [None, "regression", "regression"]
    assert "objective" not in TaskStream([kinds]).table()[0]  # as in studies from before
    assert repr(stream).splitlines()[1:] == [
        "  0 kinds  2 classes  train 6  test 6",
        "  1 rated  1 output   train 6  test 6",
        "  2 new    1 output   train 6  test 6  (probe)",
    ]


def test_a_plain_random_part_is_held_out() -> None:
    x, y = torch.rand(50, 4), torch.rand(50)
    stream = TaskStream([Task("rated", (x, y), (x, y), objective="regression")])
    split = stream.validation_split(0.2, seed=0)[0]
    assert (split.n_train, split.n_test) == (40, 10)
    both = torch.cat([split.labels("train"), split.labels("test")]).flatten()
    assert sorted(both.tolist()) == sorted(y.tolist())
    again = stream.validation_split(0.2, seed=0)[0]
    assert torch.equal(again.labels("test"), split.labels("test"))
