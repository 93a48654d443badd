"""TaskStream."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset

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
    with pytest.raises(InputError, match="task 'toy': one sample per class"):
        TaskStream([toy(n=3)]).validation_split(0.5, 0)


def test_validation_split_keeps_lazy_data_lazy() -> None:
    data = Lazy(10)
    split = TaskStream([Task("lazy", data, data, "ab")]).validation_split(0.4, 0)
    assert split[0].n_train + split[0].n_test == 10
    assert data.reads == 20  # each sample is checked once, when the task is made


def test_one_fault_of_many_tasks_is_told_once() -> None:
    tasks = [toy(f"t{k}") for k in range(3)]
    wide = Task("wide", (torch.eye(5), [0, 1, 0, 1, 0]), (torch.eye(5), [0, 1, 0, 1, 0]), "ab")
    with pytest.raises(InputError) as caught:
        TaskStream([wide, *tasks])
    (problem,) = caught.value.problems
    assert "inputs of task 't0' have shape (4,), those of 'wide' (5,)" in problem
    assert problem.endswith("(and 2 more like it)")


def test_token_ids_and_floats_do_not_mix() -> None:
    data = (torch.ones(4, 4, dtype=torch.int64), [0, 1, 0, 1])
    ids = Task("ids", data, data, "ab")
    assert TaskStream([ids])[0].dtype == torch.int64
    with pytest.raises(InputError, match=r"'ids' are torch\.int64, those of 'toy' torch\.float32"):
        TaskStream([toy(), ids])
