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
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.targets import padded
from cl_moe.streams.task import Task

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


class Listed(Dataset[Any]):
    """Rows as they are, their targets said nowhere else."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index]


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
        ((X, Y, Y), {"objective": "regression"}, "a tuple of 3; give a pair"),
        ((X, ["a"] * 6), {"objective": "regression"}, "targets are not numbers"),
        ((X, 1.0), {"objective": "regression"}, "one number; give inputs"),
        ((X, Y * np.nan), {"objective": "regression"}, "sample 0 has a target NaN or infinity"),
        ((X, Y * 0 + 2), {"objective": "regression"}, "targets of output 0 are all 2;"),
        ((X, Y), {"objective": "multilabel"}, "sample 0 has target 0.5 for label 0; give 0 or 1"),
        ((X, TAGS), {"objective": "multilabel", "classes": "aab"}, "two labels have one name"),
        ((X * np.inf, Y), {"objective": "regression"}, "sample 0 holds NaN or infinity"),
        ((X[:0], Y[:0]), {"objective": "regression"}, "no sample"),
        (Lazy([[1.0], [2.0, 3.0]]), {"objective": "regression"}, "not numbers of the same shape"),
    ],
)
def test_what_is_wrong_is_said(train: Any, values: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        Task("mine", train, train if isinstance(train, Lazy) else (X, Y), **values)
    assert any(problem in said for said in caught.value.problems), caught.value.problems
    assert all(said.startswith("task 'mine'") for said in caught.value.problems)


@pytest.mark.parametrize("objective", ["regression", "multilabel"])
@pytest.mark.parametrize("form", [list, np.asarray, torch.as_tensor])
def test_targets_of_samples_are_of_any_form(objective: str, form: Any) -> None:
    rows = [form(row) for row in TAGS.tolist()]
    for y in (rows, Lazy(rows), Lazy(rows, listed=False)):
        data = y if isinstance(y, Lazy) else (X, y)
        task = Task("tags", data, (X, TAGS), objective=objective)
        assert task.n_classes == 3
        assert torch.equal(task.labels("train"), TAGS.float())
        assert torch.equal(torch.stack([task.train[k][1] for k in range(6)]), TAGS.float())


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("dtype", "kept", "most"),
    [
        (torch.uint8, torch.float32, 23 / 255),
        (torch.int32, torch.int64, 23),
        (torch.float64, torch.float32, 23),
    ],
)
def test_inputs_are_converted_as_those_of_classification(
    lazy: bool, dtype: torch.dtype, kept: torch.dtype, most: float
) -> None:
    x = X.to(dtype)
    data: Any = [(x[k], Y[k]) for k in range(6)] if lazy else TensorDataset(x, Y)
    task = Task("rated", Listed(data) if lazy else data, (x, Y), objective="regression")
    assert task.dtype == kept
    assert [float(task.tensors(split)[0].max()) for split in ("train", "test")] == [
        pytest.approx(most)
    ] * 2


def test_one_cause_is_told_once_and_all_causes_at_once() -> None:
    rows: list[Any] = [(X[k] * np.nan, Y[k]) for k in range(3)]
    rows += [(X[0], "high"), (X[0], "low"), (X[0], [1.0, 2.0]), (X[0], 1.0)]
    with pytest.raises(InputError) as caught:
        Task("t", Listed(rows), (X[:, :2], Y * np.inf), objective="regression")
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "task 't', train data: sample 0 holds NaN or infinity",
        "task 't', train data: targets are not numbers (sample 3 has 'high')",
        "task 't', train data: targets are not numbers of the same shape (that of sample 6 is (), "
        "the first (2,))",
        "task 't', test data: sample 0 has a target NaN or infinity",
    ]
    assert caught.value.problems[0].endswith("(and 2 more like it)")
    assert caught.value.problems[1].endswith("(and 1 more like it)")
    assert caught.value.problems[3].endswith("(and 5 more like it)")


def test_lazy_data_of_one_kind_of_task_serve_another() -> None:
    kinds = Task("kinds", Lazy([0, 1] * 3), Lazy([0, 1] * 3), "ab")
    rated = Task("rated", kinds.train, kinds.test, objective="regression")
    assert rated.train[1][1].tolist() == [1.0]
    assert torch.equal(rated.labels("test"), torch.tensor([[0.0], [1.0]] * 3))
    again = Task("kinds", rated.train, rated.test, "ab")
    assert again.train[1][1] == 1
    assert again.tensors("test")[1].tolist() == [0, 1] * 3


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
