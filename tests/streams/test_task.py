"""Task and TaskStream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset, TensorDataset

from cl_moe.errors import InputError
from cl_moe.streams.stream import TaskStream
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
    assert task.train is data
    task.labels("train")
    assert data.reads <= 2  # the shapes of train and test, no more
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
    with pytest.raises(InputError, match="is no name; give a text on one line"):
        toy(name)


def test_train_and_test_must_have_one_shape() -> None:
    with pytest.raises(InputError, match=r"train inputs have shape \(2,\), test inputs \(3,\)"):
        Task("bad", (torch.eye(2), [0, 1]), (torch.eye(3), [0, 1, 0]), "ab")


def test_a_stream_is_a_sequence() -> None:
    stream = TaskStream([toy("a"), toy("b"), toy("c")], name="abc", probes=[toy("p")])
    assert [task.name for task in stream] == ["a", "b", "c"]
    assert stream[-1].name == "c"
    assert [task.name for task in stream[1:]] == ["b", "c"]
    assert stream[1:].probes == stream.probes
    assert stream.shape == (4,)
    assert [row["probe"] for row in stream.table()] == [False, False, False, True]
    assert [row["position"] for row in stream.table()] == [0, 1, 2, 3]


def test_repr_shows_tasks_groups_relations_and_sizes() -> None:
    related = toy("b", group="low_resource", derived_from="a", relation="inverted input")
    text = repr(TaskStream([toy("a"), related], probes=[toy("p")]))
    assert text.splitlines() == [
        "TaskStream 'stream': 2 tasks and 1 probe, inputs (4,)",
        "  0 a  3 classes  train 12  test 3",
        "  1 b  3 classes  train 12  test 3  [low_resource]  inverted input of a",
        "  2 p  3 classes  train 12  test 3  (probe)",
    ]


def test_a_stream_names_all_its_problems() -> None:
    other = Task("wide", (torch.eye(5), [0, 1, 0, 1, 0]), (torch.eye(5), [0, 1, 0, 1, 0]), "ab")
    with pytest.raises(InputError) as caught:
        TaskStream([toy("a"), other], probes=[toy("a")])
    assert len(caught.value.problems) == 2
    assert "inputs of task 'wide' have shape (5,)" in caught.value.problems[0]
    assert "two tasks are called 'a'" in caught.value.problems[1]
    with pytest.raises(InputError, match="no task"):
        TaskStream([])


@given(
    counts=st.lists(st.integers(2, 9), min_size=2, max_size=4),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_validation_split_is_stratified_and_uses_training_data_alone(
    counts: list[int], fraction: float, seed: int
) -> None:
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    x = torch.arange(len(y), dtype=torch.float32).unsqueeze(1)
    task = Task("t", (x, y), (x - 1000, y), [str(k) for k in range(len(counts))])
    split = TaskStream([task], probes=[task.renamed("p")]).validation_split(fraction, seed)
    (train_x, train_y), (held_x, held_y) = split[0].tensors("train"), split[0].tensors("test")
    assert sorted([*train_x.flatten().tolist(), *held_x.flatten().tolist()]) == x.flatten().tolist()
    assert not split.probes
    for label, n in enumerate(counts):
        held = int((held_y == label).sum())
        assert 1 <= held <= n - 1
        assert abs(held - fraction * n) <= 1
        assert int((train_y == label).sum()) == n - held


def test_validation_split_depends_on_the_seed_alone() -> None:
    stream = TaskStream([toy(n=60)])
    first, again = (stream.validation_split(0.5, 1)[0].tensors("test")[0] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, stream.validation_split(0.5, 2)[0].tensors("test")[0])


def test_validation_split_says_where_it_cannot() -> None:
    with pytest.raises(InputError, match="not between 0 and 1"):
        TaskStream([toy()]).validation_split(1.0, 0)
    with pytest.raises(InputError, match="task 'toy': one sample a class"):
        TaskStream([toy(n=3)]).validation_split(0.5, 0)


def test_validation_split_keeps_lazy_data_lazy() -> None:
    data = Lazy(10)
    split = TaskStream([Task("lazy", data, data, "ab")]).validation_split(0.4, 0)
    assert split[0].n_train + split[0].n_test == 10
    assert data.reads <= 6
