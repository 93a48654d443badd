"""Task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from cl_moe.errors import InputError
from cl_moe.streams.task import Task


def toy(name: str = "toy", n: int = 12, classes: int = 3, **values: Any) -> Task:
    x = torch.arange(n * 4, dtype=torch.float32).view(n, 4)
    y = torch.arange(n) % classes
    return Task(
        name, (x, y), (x[:classes], y[:classes]), [f"c{k}" for k in range(classes)], **values
    )


class Lazy(Dataset[tuple[torch.Tensor, int]]):
    """Samples that are made when read, and counted."""

    def __init__(self, n: int) -> None:
        self.targets = [k % 2 for k in range(n)]
        self.reads = 0

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        self.reads += 1
        return torch.full((3,), float(index)), self.targets[index]


@pytest.mark.parametrize("kind", [list, np.asarray, torch.as_tensor])
def test_pairs_of_lists_arrays_and_tensors_become_tensor_data_sets(kind: Any) -> None:
    pair = (kind([[0.0, 1.0], [1.0, 0.0]]), kind([0, 1]))
    task = Task("toy", pair, pair, "ab")
    assert isinstance(task.train, TensorDataset)
    assert task.tensors("train")[0].dtype == torch.float32
    assert task.tensors("train")[1].dtype == torch.int64
    assert (task.n_classes, task.shape, task.n_train, task.n_test) == (2, (2,), 2, 2)


def test_bytes_are_scaled() -> None:
    x = np.array([[[[0, 255]]], [[[51, 0]]]], dtype=np.uint8)
    task = Task("toy", (x, [0, 1]), (x, [0, 1]), "ab")
    torch.testing.assert_close(
        task.tensors("train")[0].flatten(), torch.tensor([0.0, 1.0, 0.2, 0.0])
    )


def test_lazy_data_sets_stay_lazy() -> None:
    data = Lazy(10)
    task = Task("lazy", data, data, "ab")
    assert data.reads == 20  # each sample of training and test data is checked once
    assert task.labels("train").tolist() == data.targets
    assert task.renamed("again").shape == (3,)
    assert data.reads == 20
    x, y = task.in_memory().tensors("train")
    assert x[:, 0].tolist() == list(range(10))
    assert y.tolist() == data.targets


@pytest.mark.parametrize(
    ("train", "classes", "words"),
    [
        ((torch.zeros(0, 2), torch.zeros(0)), "ab", "no sample"),
        ((torch.eye(2), [0, 2]), "ab", "label 2 for 2 classes"),
        ((torch.eye(2), [0, -1]), "ab", "label -1 for 2 classes"),
        ((torch.eye(2), [0, 0]), "ab", "class 'b' has no sample"),
        ((torch.eye(2), [0, 0]), "abc", r"class 'b' has no sample; .* \(and 1 more like it\)"),
        ((torch.eye(2), [0, 1, 1]), "ab", "2 inputs but 3 labels"),
        ((torch.eye(2), [0.5, 1]), "ab", "not whole numbers"),
        ((torch.tensor([[0.0], [float("nan")]]), [0, 1]), "ab", "sample 1 holds NaN"),
        ((torch.zeros(2), [0, 1]), "ab", r"inputs of shape \(2,\)"),
    ],
)
def test_wrong_data_are_named(train: Any, classes: str, words: str) -> None:
    with pytest.raises(InputError, match=f"task 'bad', train data: .*{words}"):
        Task("bad", train, train, classes)


@pytest.mark.parametrize("data", [None, (1, 2), ([0.0, 1.0],), (["a", "b"], [0, 1]), iter([])])
def test_what_is_no_data_is_named(data: Any) -> None:
    with pytest.raises(InputError, match="task 'toy', train data: "):
        Task("toy", data, (torch.eye(2), [0, 1]), "ab")


@pytest.mark.parametrize("name", ["", "a\nb", 3, None])
def test_a_name_is_a_text_on_one_line(name: Any) -> None:
    with pytest.raises(InputError, match="is not a valid name; give a text on one line"):
        toy(name)


def test_train_and_test_must_have_one_shape() -> None:
    with pytest.raises(InputError, match=r"train inputs have shape \(2,\), test inputs \(3,\)"):
        Task("bad", (torch.eye(2), [0, 1]), (torch.eye(3), [0, 1, 0]), "ab")


class Rows(Dataset[Any]):
    """A data set of one's own over two arrays."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> Any:
        return self.x[index], self.y[index]


def subset(x: Any, y: Any) -> Any:
    return Subset(TensorDataset(x, y), range(len(y)))


WAYS = [lambda x, y: (x, y), Rows, TensorDataset, subset]
X = torch.tensor([[0, 255], [51, 0], [102, 204], [0, 51]])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("dtype", "factor"),
    [
        (torch.float64, 1.0),
        (torch.float16, 1.0),
        (torch.bfloat16, 1.0),
        (torch.float32, 1.0),
        (torch.uint8, 1 / 255),
    ],
)
def test_inputs_of_any_type_are_alike_whatever_brings_them(
    way: Any, dtype: torch.dtype, factor: float
) -> None:
    data = way(X.to(dtype), torch.tensor([0, 1, 0, 1]))
    task = Task("toy", data, data, "ab")
    x, y = task.tensors("train")
    assert task.dtype == x.dtype == torch.float32
    torch.testing.assert_close(x, X.to(dtype).to(torch.float32) * factor)
    torch.testing.assert_close(task.train[0][0], x[0])
    assert y.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
def test_token_ids_stay_whole(way: Any, dtype: torch.dtype) -> None:
    data = way(X.to(dtype), torch.tensor([0, 1, 0, 1]))
    task = Task("toy", data, data, "ab")
    assert task.dtype == task.tensors("test")[0].dtype == task.train[0][0].dtype == torch.int64
    assert torch.equal(task.tensors("test")[0], X)


@pytest.mark.parametrize("way", WAYS)
def test_a_tensor_data_set_that_needs_no_change_is_kept_and_others_are_not(way: Any) -> None:
    data = way(torch.eye(2), torch.tensor([0, 1]))
    assert (Task("toy", data, data, "ab").train is data) == isinstance(data, TensorDataset)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("y", "right"),
    [
        (torch.tensor([1.0, 0.0]), True),
        (torch.tensor([[1], [0]]), True),
        (torch.tensor([[0, 1], [1, 0]]), True),
        (torch.tensor([0.2, 1.7]), False),
        (torch.tensor([[0.2, 0.8], [1.0, 0.0]]), False),
    ],
)
def test_labels_in_any_form_whatever_brings_them(way: Any, y: torch.Tensor, right: bool) -> None:
    data = way(torch.eye(2), y)
    if not right:
        with pytest.raises(InputError, match="task 'toy', train data: labels are not whole"):
            Task("toy", data, data, "ab")
        return
    task = Task("toy", data, data, "ab")
    assert task.labels("train").tolist() == [1, 0]
    assert [int(task.train[row][1]) for row in range(2)] == [1, 0]


@pytest.mark.parametrize("way", [lambda x, y: (x, y), Rows])
@pytest.mark.parametrize("y", [["b", "a"], ["1", "0"]])
def test_names_of_classes_may_be_labels(way: Any, y: list[str]) -> None:
    data = way(torch.eye(2), y)
    assert Task("toy", data, data, "ab").labels("test").tolist() == [1, 0]
    with pytest.raises(InputError, match="label 'x' of sample 1 is not a class; known: a, b"):
        Task("toy", way(torch.eye(2), ["a", "x"]), data, "ab")


@pytest.mark.parametrize("way", WAYS)
def test_a_fault_of_many_samples_is_told_once(way: Any) -> None:
    x = torch.zeros(400, 2)
    x[:358:2, 1] = float("nan")
    data = way(x, torch.arange(400) % 2)
    with pytest.raises(InputError) as caught:
        Task("t0", data, data, "ab")
    assert caught.value.problems == [
        f"task 't0', {split} data: sample 0 holds NaN or infinity; clean or remove it "
        "(and 178 more like it)"
        for split in ("train", "test")
    ]


def test_problems_of_both_splits_are_told() -> None:
    with pytest.raises(InputError) as caught:
        Task("t", (torch.eye(2), [0, 0.5]), (torch.zeros(0, 2), []), "ab")
    first, second = caught.value.problems
    assert first.startswith("task 't', train data: labels are not whole numbers")
    assert second == "task 't', test data: no sample; give at least one per class"


def test_train_and_test_must_have_one_type() -> None:
    pair, ids = (torch.eye(2), [0, 1]), (torch.eye(2).long(), [0, 1])
    with pytest.raises(
        InputError, match=r"train inputs are torch\.float32, test inputs torch\.int64"
    ):
        Task("bad", pair, ids, "ab")


def test_rows_of_three_tensors_are_refused() -> None:
    data = TensorDataset(torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="rows are tuples of 3; give pairs"):
        Task("bad", data, data, "ab")
