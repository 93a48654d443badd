from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.continual.growth._race import survivors
from cl_moe.continual.growth._trial import folds, judged, single_examples
from cl_moe.continual.view import TaskView


def view_of(labels, classes):
    y = torch.tensor(labels)
    return TaskView(0, "t", torch.zeros(len(y), 1), y, classes, 1, 1, torch.optim.Adam)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.integers(2, 6))
def test_every_row_is_held_out_once_and_never_fitted_meanwhile(labels, parts):
    view = view_of(labels, 4)
    split = folds(view, parts, enough=1000)
    held = torch.cat([h for _, h in split])
    assert sorted(held.tolist()) == list(range(len(labels)))
    for fit, out in split:
        assert not set(fit.tolist()) & set(out.tolist())
        assert len(fit) + len(out) == len(labels)


@given(st.integers(2, 12), st.integers(2, 5))
def test_each_class_keeps_examples_to_learn_from(per_class, classes):
    view = view_of(list(range(classes)) * per_class, classes)
    for fit, _ in folds(view, 3, enough=1000):
        assert len(set(view.y[fit].tolist())) == classes


def test_with_one_example_a_class_each_row_is_a_part():
    view = view_of([0, 1, 2], 3)
    assert single_examples(view)
    assert len(folds(view, 2, enough=1000)) == 3


def test_a_large_task_is_split_once():
    ((fit, held),) = folds(view_of([0, 1] * 500, 2), 3, enough=100)
    assert (len(fit), len(held)) == (900, 100)


def test_loudness_is_calibrated_away_and_wrongness_is_not():
    y = torch.tensor([0, 1, 0, 1])
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert judged(right, y, 0).loss == pytest.approx(judged(8 * right, y, 0).loss, rel=1e-3)
    assert judged(right, y, 0).accuracy == 0.75
    assert judged(-right, y, 0).loss > judged(right, y, 0).loss


def test_a_race_drops_what_is_clearly_behind_and_keeps_what_is_close():
    draw = torch.Generator().manual_seed(0)
    good = torch.rand(40, generator=draw)
    close = good + 0.3 * torch.randn(40, generator=draw)
    assert survivors({3: good, 5: good + 0.5 * torch.rand(40, generator=draw)}) == [3]
    assert survivors({3: good, 5: close - close.mean() + good.mean()}) == [3, 5]
    assert survivors({7: good}) == [7]
