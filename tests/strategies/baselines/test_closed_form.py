"""Classifiers that are computed: what they answer, and what they may take."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from cl_moe.strategies.baselines import closed_form
from cl_moe.strategies.baselines.closed_form import (
    ClosedFormNetwork,
    nearest_mean_head,
    ridge_head,
)
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.evaluation import evaluate


def blobs(n, classes=3, seed=0, dim=5, noise=0.3):
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    return torch.eye(classes, dim)[y] + noise * torch.randn(n, dim, generator=draw), y


@pytest.mark.parametrize("fit", [ridge_head, nearest_mean_head])
def test_answers_rows_it_has_not_seen_with_fair_confidence(fit):
    head, (x, y) = fit(*blobs(150, noise=0.6), 3), blobs(300, seed=1, noise=0.6)
    logits = head(x)
    assert (logits.argmax(1) == y).float().mean() > 0.7
    losses = [F.cross_entropy(t * logits, y).item() for t in (0.25, 1.0, 4.0)]
    assert min(losses) == losses[1], "the temperature is neither too low nor too high"


def test_the_nearest_mean_is_the_mean_with_the_smallest_angle():
    x, y = blobs(40)
    means = torch.stack([x[y == c].mean(0) for c in range(3)])
    wanted = F.cosine_similarity(x[:, None], means[None], dim=2)
    logits = nearest_mean_head(x, y, 3)(x)
    factor = logits / wanted
    assert torch.allclose(factor, factor[0, 0].expand_as(factor), rtol=1e-3)


def test_the_temperature_comes_from_rows_left_out():
    """Every row lies on its class's mean while it is counted in, and far from it when not."""
    x, y = torch.eye(8), torch.arange(8) % 2
    head = nearest_mean_head(x, y, 2)
    assert (head(x).argmax(1) == y).all()
    assert head(x).softmax(1).max() < 0.55


@pytest.mark.parametrize("fit", [ridge_head, nearest_mean_head])
def test_a_class_without_examples_is_never_the_answer(fit):
    x, y = blobs(30)
    logits = fit(x - x.mean(0), y, 4)(x - x.mean(0))
    assert logits.shape == (30, 4)
    assert not (logits.argmax(1) == 3).any()
    assert logits.isfinite().all()


@pytest.mark.parametrize("fit", [ridge_head, nearest_mean_head])
def test_one_example_a_class_is_enough(fit):
    x, y = torch.eye(3), torch.arange(3)
    assert (fit(x, y, 3)(x).argmax(1) == y).all()


def test_a_task_too_large_is_fitted_to_rows_drawn_from_it(monkeypatch):
    seen = []

    def fit(x, y, n_classes):
        seen.append((x, y))
        return ridge_head(x, y, n_classes)

    monkeypatch.setattr(closed_form, "ENTRIES", 100)
    x, y = blobs(60)
    for seed in (0, 0, 1):
        ClosedFormNetwork(fit, (5,), seed).fit(0, x, y, 3)
    (one, one_y), (two, _), (three, _) = seen
    assert one.shape == (20, 5)
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
    assert all((x[y == label] == row).all(1).any() for row, label in zip(one, one_y, strict=True))


def test_small_tasks_are_fitted_whole_in_the_shape_of_images(context, learn):
    x, y = blobs(40, dim=16)
    task = Task("images", (x.reshape(-1, 1, 4, 4), y), (x.reshape(-1, 1, 4, 4), y), "abc")
    context = type(context)(TaskStream([task]), context.network, context.training, seed=0)
    method = learn(context, "ridge")
    expected = ridge_head(x, y, 3)
    head = method.strategy.model.network.heads["0"]
    assert torch.equal(head.weight, expected.weight)
    (found,) = evaluate(method.strategy, context.stream.to_benchmark().test_stream)
    assert found.accuracy > 0.9
