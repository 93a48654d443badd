"""Labels without reads, draws, splits."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from cl_moe.streams.datasets import (
    as_tensors,
    data_problems,
    draw_per_class,
    labels,
    relabelled,
    take,
)


class Transformed(Dataset[tuple[torch.Tensor, int]]):
    """Like torchvision's: ``targets`` are those before the target transform."""

    target_transform = staticmethod(lambda y: y + 1)
    targets = (0, 1)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(1), self.target_transform(self.targets[index])


def test_labels_of_nested_data_sets() -> None:
    data = TensorDataset(torch.zeros(4, 1), torch.tensor([3, 1, 2, 0]))
    nested = ConcatDataset([Subset(data, [2, 0]), data])
    assert labels(nested).tolist() == [2, 3, 3, 1, 2, 0]
    assert as_tensors(Subset(data, [1, 3]))[1].tolist() == [1, 0]


def test_a_target_transform_is_not_overlooked() -> None:
    assert labels(Transformed()).tolist() == [1, 2]


def test_taking_and_relabelling_keep_tensors() -> None:
    data = TensorDataset(torch.arange(6.0).view(3, 2), torch.tensor([5, 7, 5]))
    part = relabelled(take(data, torch.tensor([2, 1])), {5: 1, 7: 0})
    assert isinstance(part, TensorDataset)
    assert part.tensors[1].tolist() == [1, 0]
    assert part.tensors[0].tolist() == [[4.0, 5.0], [2.0, 3.0]]


@given(
    y=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    few=st.integers(1, 5),
    more=st.integers(0, 5),
    seed=st.integers(0, 50),
)
def test_fewer_examples_are_a_part_of_more(y: list[int], few: int, more: int, seed: int) -> None:
    target = torch.tensor(y)
    small, large = (
        draw_per_class(target, n, torch.Generator().manual_seed(seed)) for n in (few, few + more)
    )
    assert set(small.tolist()) <= set(large.tolist())
    for label in set(y):
        assert int((target[small] == label).sum()) == min(few, y.count(label))


def test_values_are_finite_even_if_their_sum_is_not() -> None:
    huge = torch.full((4, 2), 3e38)
    assert data_problems(TensorDataset(huge, torch.zeros(4)), ["a"], complete=False) == []
    for wrong in (float("inf"), float("-inf"), float("nan")):
        x = torch.zeros(4, 2)
        x[2, 1] = wrong
        found = data_problems(TensorDataset(x, torch.zeros(4)), ["a"], complete=False)
        assert len(found) == 1
        assert "2" in found[0]
    both = torch.tensor([[float("inf"), float("-inf")]])
    assert data_problems(TensorDataset(both, torch.zeros(1)), ["a"], complete=False)
