"""The dial of relatedness means what it says."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.sources.base import SourceData
from cl_moe.streams.sources.synthetic import Synthetic

SOURCE = Synthetic(train_per_class=200, test_per_class=100)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


@settings(max_examples=20)
@given(r=st.floats(0, 1), seed=st.integers(0, 100))
def test_parameters_have_the_correlation_asked_for(r: float, seed: int) -> None:
    wide = Synthetic(dim=2000)
    first = wide.variant("a")
    a, b = first.parameters(seed), first.variant("b", r).parameters(seed)
    assert correlation(a, b) == pytest.approx(r, abs=0.06)
    assert float(b.std()) == pytest.approx(1, abs=0.05)


def test_correlations_multiply_along_the_way() -> None:
    first = Synthetic(dim=4000).variant("a")
    third = first.variant("b", 0.8).variant("c", 0.5)
    assert correlation(first.parameters(0), third.parameters(0)) == pytest.approx(0.4, abs=0.05)


def test_one_is_the_same_task_with_other_examples() -> None:
    first = SOURCE.variant("a")
    same = first.variant("b", 1.0)
    assert torch.equal(first.parameters(3), same.parameters(3))
    one, other = (source.load(seed=3, data_dir=None) for source in (first, same))
    assert not torch.equal(one.train_x, other.train_x)
    assert correlation(SOURCE.variant("c").parameters(3), first.parameters(3)) < 0.2


def test_a_family_has_a_whole_matrix_of_correlations() -> None:
    data = SOURCE.family([[1, 1, 0], [1, 1, 0], [0, 0, 1]], seed=1)
    means = [d.train_x.mean(0) for d in data]
    assert (means[0] - means[1]).abs().mean() < 0.5 * (means[0] - means[2]).abs().mean()


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[1.0, 0.5]], "not square"),
        ([[1.0, 0.5], [0.4, 1.0]], "symmetric"),
        ([[2.0, 0.5], [0.5, 2.0]], "ones on its diagonal"),
        ([[1, 1, 0], [1, 1, 1], [0, 1, 1]], "lowest eigenvalue"),
    ],
)
def test_impossible_matrices_are_named(matrix: list[list[float]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SOURCE.family(matrix)


@settings(max_examples=20)
@given(
    classes=st.integers(2, 5),
    train=st.integers(1, 6),
    test=st.integers(1, 6),
    image=st.booleans(),
    seed=st.integers(0, 9),
)
def test_classes_are_balanced_and_values_are_in_range(
    classes: int, train: int, test: int, image: bool, seed: int
) -> None:
    source = Synthetic(
        dim=16, classes=classes, train_per_class=train, test_per_class=test, image=image
    )
    data = source.load(seed=seed, data_dir=None)
    assert data.problems("syn") == []
    assert data.train_y.bincount().tolist() == [train] * classes
    assert data.test_y.bincount().tolist() == [test] * classes
    assert data.train_x.shape[1:] == ((1, 4, 4) if image else (16,))
    assert 0 <= float(data.train_x.min()) <= float(data.train_x.max()) <= 1


def test_seeds_give_other_tasks_and_repeat_themselves() -> None:
    one, again, other = (SOURCE.load(seed=s, data_dir=None).train_x for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_all_wrong_parameters_are_named() -> None:
    with pytest.raises(InputError) as caught:
        Synthetic(dim=15, classes=1, noise=-1, image=True)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "classes",
        "noise",
        "dim",
    ]


def probe(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor) -> float:
    """Return the test accuracy of a ridge classifier."""
    mean, scale = x.mean(0), x.std(0) + 1e-3
    a, b = ((z - mean) / scale for z in (x, test_x))
    a, b = (torch.cat([z, torch.ones(len(z), 1)], 1) for z in (a, b))
    gram = a.T @ a + 5 * torch.eye(a.shape[1])
    weights = torch.linalg.solve(gram, a.T @ nn.functional.one_hot(y).float())
    return float(((b @ weights).argmax(1) == test_y).float().mean())


def trained(data: SourceData, seed: int) -> tuple[nn.Sequential, float]:
    """Return the features of a small network trained on the task, and its accuracy."""
    features = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    head = nn.Linear(64, 4)
    draw = generator(seed, "test")
    with torch.no_grad():
        for weight in (features[0].weight, head.weight):
            weight.copy_(torch.randn(weight.shape, generator=draw) / 8)
        for bias in (features[0].bias, head.bias):
            bias.zero_()  # torch draws them from the process's generator, which no seed reaches
    parameters = [*features.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(features(data.train_x)), data.train_y).backward()
        optimizer.step()
    with torch.no_grad():
        hits = head(features(data.test_x)).argmax(1) == data.test_y
    return features.requires_grad_(False), float(hits.float().mean())


def test_transfer_rises_with_the_dial() -> None:
    """Features of one task, a linear probe on 20 examples a class of another; means over seeds."""
    dial, seeds = (0.0, 0.5, 0.75, 0.9, 1.0), range(3)
    few = torch.arange(4 * 200).view(4, 200)[:, :20].flatten()
    gains = torch.zeros(len(dial), len(seeds))
    networks, linears = [], []
    for seed in seeds:
        first = SOURCE.variant("a")
        data = first.load(seed=seed, data_dir=None)
        features, accuracy = trained(data, seed)
        networks.append(accuracy)
        linears.append(probe(data.train_x, data.train_y, data.test_x, data.test_y))
        for position, r in enumerate(dial):
            other = first.variant("b", r).load(seed=seed, data_dir=None)
            x, y = other.train_x[few], other.train_y[few]
            learned = probe(features(x), y, features(other.test_x), other.test_y)
            gains[position, seed] = learned - probe(x, y, other.test_x, other.test_y)
    worth = gains.mean(1).tolist()
    assert sum(networks) / len(networks) > 0.85
    assert sum(linears) / len(linears) < 0.7
    assert all(later > earlier for earlier, later in itertools.pairwise(worth)), worth
    assert abs(worth[0]) < 0.12
    assert worth[-1] > 0.3
