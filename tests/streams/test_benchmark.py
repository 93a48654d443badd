"""To Avalanche and back: no sample, class or label may be lost (and Avalanche's own ways do)."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from cl_moe.errors import InputError, InputWarning
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

avalanche = pytest.importorskip("avalanche.benchmarks")


def numbered(n: int, classes: int = 10, start: int = 0) -> TensorDataset:
    """Samples whose only feature is their number, so that each can be told from all others."""
    x = torch.arange(start, start + n, dtype=torch.float32).view(n, 1, 1, 1)
    return TensorDataset(x, (torch.arange(n) * 7) % classes)


def samples(task: Task, split: Any) -> Counter[tuple[float, str]]:
    x, y = task.tensors(split)
    pairs = zip(x.flatten().tolist(), y.tolist(), strict=True)
    return Counter((value, task.classes[label]) for value, label in pairs)


def three_tasks() -> TaskStream:
    tasks = [
        Task(
            f"t{k}",
            numbered(30 + k, c, 100 * k),
            numbered(20, c, 1000 + 100 * k),
            map(str, range(c)),
        )
        for k, c in enumerate((10, 3, 5))
    ]
    return TaskStream(tasks[:2], probes=tasks[2:])


def test_a_stream_becomes_a_task_incremental_benchmark() -> None:
    stream = three_tasks()
    benchmark = stream.to_benchmark()
    for split, experiences in (("train", benchmark.train_stream), ("test", benchmark.test_stream)):
        assert len(experiences) == 3
        for position, (task, experience) in enumerate(
            zip((*stream.tasks, *stream.probes), experiences, strict=True)
        ):
            assert experience.task_label == position
            assert sorted(experience.classes_in_this_experience) == list(range(task.n_classes))
            x, y = task.tensors(split)
            rows = [experience.dataset[i] for i in range(len(experience.dataset))]
            assert torch.equal(torch.stack([row[0] for row in rows]), x)
            assert [int(row[1]) for row in rows] == y.tolist()
            assert {row[2] for row in rows} == {position}
            assert list(experience.dataset.targets) == y.tolist()
            assert set(experience.dataset.targets_task_labels) == {position}


def test_a_round_trip_loses_nothing() -> None:
    stream = three_tasks()
    back = TaskStream.from_benchmark(stream.to_benchmark())
    for before, after in zip((*stream.tasks, *stream.probes), back, strict=True):
        assert before.classes == after.classes
        assert samples(before, "train") == samples(after, "train")
        assert samples(before, "test") == samples(after, "test")


@pytest.mark.parametrize("from_zero", [False, True])
@pytest.mark.parametrize("task_labels", [False, True])
@pytest.mark.filterwarnings("ignore::cl_moe.errors.InputWarning")
def test_split_mnist_alike(from_zero: bool, task_labels: bool) -> None:
    train, test = numbered(200), numbered(100, start=500)
    benchmark = avalanche.nc_benchmark(
        train,
        test,
        n_experiences=5,
        task_labels=task_labels,
        seed=3,
        class_ids_from_zero_in_each_exp=from_zero,
    )
    stream = TaskStream.from_benchmark(benchmark, name="split")
    assert stream.name == "split"
    assert [task.n_classes for task in stream] == [2] * 5
    seen = [value for task in stream for value in task.tensors("train")[0].flatten().tolist()]
    assert sorted(seen) == train.tensors[0].flatten().tolist()
    seen = [value for task in stream for value in task.tensors("test")[0].flatten().tolist()]
    assert sorted(seen) == test.tensors[0].flatten().tolist()
    truth = dict(zip(train.tensors[0].flatten().tolist(), train.tensors[1].tolist(), strict=True))
    for task in stream:
        names: dict[int, set[int]] = {0: set(), 1: set()}
        for value, label in zip(
            *[t.flatten().tolist() for t in task.tensors("train")], strict=True
        ):
            names[label].add(truth[value])
        assert [len(originals) for originals in names.values()] == [1, 1]
        if not from_zero:
            assert task.classes == tuple(str(*names[label]) for label in (0, 1))


def test_uneven_classes_are_not_lost() -> None:
    """Ten classes in three experiences: ``class_incremental_benchmark`` drops one of them."""
    train = numbered(100)
    benchmark = avalanche.nc_benchmark(
        train,
        numbered(50),
        n_experiences=3,
        task_labels=True,
        seed=0,
        per_exp_classes={0: 4, 1: 3, 2: 3},
    )
    stream = TaskStream.from_benchmark(benchmark)
    assert sorted(name for task in stream for name in task.classes) == sorted(map(str, range(10)))
    assert sum(task.n_train for task in stream) == 100


def test_one_test_set_for_all_is_shared_out_by_class() -> None:
    first = avalanche.nc_benchmark(numbered(40, 4), numbered(20, 4), 2, task_labels=True, seed=0)
    whole = avalanche.nc_benchmark(numbered(40, 4), numbered(20, 4), 1, task_labels=False)
    benchmark = avalanche.CLScenario([first.train_stream, whole.test_stream])
    stream = TaskStream.from_benchmark(benchmark)
    assert [task.n_test for task in stream] == [10, 10]


def test_benchmarks_that_do_not_match_are_named() -> None:
    few = avalanche.nc_benchmark(numbered(40, 4), numbered(20, 4), 4, task_labels=True, seed=0)
    many = avalanche.nc_benchmark(numbered(40, 4), numbered(20, 4), 2, task_labels=True, seed=0)
    with pytest.raises(InputError, match="4 train and 2 test experiences"):
        TaskStream.from_benchmark(avalanche.CLScenario([few.train_stream, many.test_stream]))
    with pytest.raises(InputError, match="no test stream"):
        TaskStream.from_benchmark(avalanche.CLScenario([few.train_stream]))


class Doubling(Dataset[tuple[torch.Tensor, int]]):
    """A transform that is applied when a sample is read, differently each time."""

    targets = (0, 1, 0, 1)

    def __init__(self) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        self.reads += 1
        return torch.full((2,), float(self.reads)), self.targets[index]


def test_transforms_stay_lazy() -> None:
    data = Doubling()
    stream = TaskStream([Task("lazy", data, data, "ab")])
    before = data.reads
    dataset = stream.to_benchmark().train_stream[0].dataset
    assert data.reads == before
    assert not torch.equal(dataset[0][0], dataset[0][0])


def test_tensors_are_wrapped_and_not_copied() -> None:
    stream = three_tasks()
    sample = stream.to_benchmark().train_stream[0].dataset[0][0]
    assert sample.data_ptr() == stream[0].tensors("train")[0].data_ptr()


def test_what_came_before_an_experience_and_after_is_what_avalanche_says() -> None:
    from avalanche.benchmarks.scenarios.deprecated.classification_scenario import GenericCLScenario

    benchmark = three_tasks().to_benchmark()
    for split in ("train", "test"):
        for position in range(3):
            ours = benchmark.get_classes_timeline(position, split)
            theirs = GenericCLScenario.get_classes_timeline(benchmark, position, split)
            assert [sorted(part) for part in ours] == [sorted(part or []) for part in theirs]


def split(task_labels: bool, **values: Any) -> Any:
    return avalanche.nc_benchmark(
        numbered(40, 4), numbered(20, 4), 2, task_labels=task_labels, seed=0, **values
    )


def test_a_benchmark_without_task_labels_is_said_to_become_tasks() -> None:
    with pytest.warns(InputWarning, match="its 2 experiences have no task label each") as caught:
        stream = TaskStream.from_benchmark(split(task_labels=False))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [task.n_classes for task in stream] == [2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TaskStream.from_benchmark(split(task_labels=True))
        TaskStream.from_benchmark(three_tasks().to_benchmark())


def test_permuted_inputs_without_task_labels_are_said_to_become_tasks() -> None:
    whole = [avalanche.nc_benchmark(numbered(40, 4), numbered(20, 4), 1, False) for _ in range(2)]
    benchmark = avalanche.dataset_benchmark(
        *([b.streams[s][0].dataset for b in whole] for s in ("train", "test"))
    )
    with pytest.warns(InputWarning, match="no task label each"):
        stream = TaskStream.from_benchmark(benchmark)
    assert [task.classes for task in stream] == [("0", "1", "2", "3")] * 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.uint8, torch.int64])
def test_inputs_of_any_type(dtype: torch.dtype) -> None:
    x = torch.arange(40).view(40, 1).to(dtype)
    data = TensorDataset(x, torch.arange(40) % 4)
    benchmark = avalanche.nc_benchmark(data, data, 2, task_labels=True, seed=0)
    stream = TaskStream.from_benchmark(benchmark)
    assert {task.dtype for task in stream} == {
        torch.int64 if dtype == torch.int64 else torch.float32
    }
    seen = torch.cat([task.tensors("train")[0] for task in stream]).flatten()
    assert seen.max() == (39 / 255 if dtype == torch.uint8 else 39)


def test_a_fault_of_every_experience_is_told_once() -> None:
    x = torch.full((40, 1), float("nan"))
    data = TensorDataset(x, torch.arange(40) % 4)
    benchmark = avalanche.nc_benchmark(data, data, 2, task_labels=True, seed=0)
    with pytest.raises(InputError) as caught:
        TaskStream.from_benchmark(benchmark)
    assert caught.value.problems == [
        "task 'task0', train data: sample 0 holds NaN or infinity; clean or remove it "
        "(and 19 more like it) (and the same in 3 more places, next in task 'task0', test data)"
    ]


def mixed() -> TaskStream:
    x = numbered(12).tensors[0]
    kinds = Task("kinds", numbered(12, 3), numbered(12, 3), "abc")
    rated = Task("rated", (x, x.flatten() / 7), (x, x.flatten() / 7), objective="regression")
    tags = torch.stack([torch.arange(12) % k == 0 for k in (2, 3)], 1)
    return TaskStream([kinds, rated, Task("tags", (x, tags), (x, tags), objective="multilabel")])


def test_tasks_of_all_objectives_stand_in_one_benchmark_and_come_back() -> None:
    stream = mixed()
    benchmark = stream.to_benchmark()
    for position, (task, experience) in enumerate(zip(stream, benchmark.train_stream, strict=True)):
        data = experience.dataset
        assert {row[2] for row in (data[i] for i in range(len(data)))} == {position}
        y = torch.stack([data[i][1] for i in range(len(data))])
        assert y.shape == (12, 2)
        assert torch.equal(task.objective.targets(y), task.labels("train"))
        assert set(data.objectives) == {task.objective}
        expected = task.labels("train").tolist() if position == 0 else [0] * 12
        assert list(data.targets) == expected  # Avalanche wants whole numbers here
    again = TaskStream.from_benchmark(benchmark)
    for task, other in zip(stream, again, strict=True):
        assert other.objective == task.objective
        for split in ("train", "test"):
            for one, two in zip(task.tensors(split), other.tensors(split), strict=True):
                assert torch.equal(one, two)
    alone = TaskStream.from_benchmark(TaskStream([stream[1]]).to_benchmark())
    assert torch.equal(alone[0].labels("test"), stream[1].labels("test"))


def test_one_test_set_for_all_cannot_be_shared_out_without_classes() -> None:
    both = mixed().to_benchmark()
    one = TaskStream([mixed()[1]]).to_benchmark()
    with pytest.raises(InputError, match="3 train experiences, some of other objectives than"):
        TaskStream.from_benchmark(avalanche.CLScenario([both.train_stream, one.test_stream]))


def test_a_stream_of_classes_is_as_it_was() -> None:
    dataset = three_tasks().to_benchmark().train_stream[0].dataset
    assert not hasattr(dataset, "objectives")
    assert dataset[0][1].dtype == torch.int64


def test_what_learners_are_told_of_a_data_set() -> None:
    from cl_moe.objectives.classification import Classification
    from cl_moe.training.objectives import objectives_by_task
    from cl_moe.training.tensors import tensors_of

    stream = mixed()
    benchmark = stream.to_benchmark()
    for position, (task, experience) in enumerate(zip(stream, benchmark.train_stream, strict=True)):
        assert objectives_by_task(experience.dataset) == {position: task.objective}
        assert tensors_of(experience.dataset) is not None  # batches are taken from tensors
    joined = experience.dataset.concat(benchmark.train_stream[0].dataset)
    assert objectives_by_task(joined) == {0: stream[0].objective, 2: stream[2].objective}
    classes = three_tasks().to_benchmark().train_stream[1].dataset
    assert objectives_by_task(classes) == {1: Classification(3)}


def test_the_benchmark_is_that_of_avalanches_generator() -> None:
    stream = three_tasks()
    ours = stream.to_benchmark()
    data = [[e.dataset for e in s] for s in (ours.train_stream, ours.test_stream)]
    usual = avalanche.dataset_benchmark(*data)
    for name, made in ours.stream_definitions.items():
        theirs = usual.stream_definitions[name]
        assert made.exps_task_labels == theirs.exps_task_labels
        assert (made.origin_dataset, made.is_lazy) == (theirs.origin_dataset, theirs.is_lazy)
        for field in ("targets_field_sequence", "task_labels_field_sequence"):
            assert getattr(made.exps_data, field) == getattr(theirs.exps_data, field)
        assert vars(made.exps_data).keys() == vars(theirs.exps_data).keys()
        assert made.exps_data._exp_generator is theirs.exps_data._exp_generator
        assert made.exps_data._next_exp_id == theirs.exps_data._next_exp_id
    for experience in (*ours.train_stream, *ours.test_stream):
        groups = experience.dataset._flat_data._transform_groups
        assert groups.current_group == "train"
        assert set(groups.transform_groups) == {"train", "eval"}
