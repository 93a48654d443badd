"""Weights of answers on the paths of earlier tasks; -1 is the raw input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.moe.gates._ensemble import ENOUGH, MARGIN
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.gates.task import TaskGate


def gate_of(**options):
    return EnsembleGate(4, **options)


def test_other_gates_weigh_no_answers():
    assert TaskGate(4).ensemble is None
    assert isinstance(EnsembleGate(4), TaskGate)


def test_concentrates_as_examples_pile_up():
    gate, losses = gate_of(k=3), [0.3, 0.4, 0.9]
    few, many = gate.ensemble(losses, [0, 1, 2], 4), gate.ensemble(losses, [0, 1, 2], 10_000)
    assert few.max() < 0.6
    assert many.argmax() == 0
    assert many.max() > 0.99


def test_is_the_softmax_of_losses_times_the_root_of_examples():
    losses = torch.tensor([0.3, 0.4, 0.2, 0.9])
    weights = gate_of(k=3).ensemble(losses.tolist(), [-1, 0, 0, 1], 49)
    assert torch.allclose(weights, (-7 * losses).softmax(0))


def test_keeps_every_answer_on_the_k_best_paths():
    losses, paths = [0.3, 0.25, 0.9, 0.2, 0.5], [5, 2, 2, 7, 7]
    one = gate_of(k=1).ensemble(losses, paths, 9)
    assert (one > 0).tolist() == [False, False, False, True, True]
    two = gate_of(k=2).ensemble(losses, paths, 9)
    assert (two > 0).tolist() == [False, True, True, True, True]
    assert one[3] / one[4] == pytest.approx(float(two[3] / two[4]))


def test_the_raw_input_costs_no_path_and_is_always_kept():
    weights = gate_of(k=1).ensemble([1.5, 0.3, 0.2], [-1, 0, 1], 9)
    assert (weights > 0).tolist() == [True, False, True]
    assert gate_of().ensemble([0.7], [-1], 9).tolist() == [1.0]


@pytest.mark.parametrize(("ahead", "share"), [(0.9 * MARGIN, 0.0), (1.1 * MARGIN, 0.5)])
def test_with_enough_examples_a_path_has_to_be_worth_its_pass(ahead, share):
    losses = [0.7, 0.7 - ahead]
    gate = gate_of()
    assert float(gate.ensemble(losses, [-1, 0], ENOUGH)[1]) == pytest.approx(share, abs=0.02)
    assert gate.ensemble(losses, [-1, 0], ENOUGH - 1)[1] > 0.5  # with fewer both are averaged


def test_where_the_raw_input_says_nothing_a_path_is_taken_however_bad():
    assert gate_of().ensemble([9.0], [0], ENOUGH).tolist() == [1.0]


def test_the_controls_look_at_no_evidence():
    uniform, random = (gate_of(k=2, weights=w) for w in ("uniform", "random"))
    paths = [-1, 3, 3, 5, 8]
    for losses in ([0.3, 0.2, 0.9, 0.1, 0.4], [9.0, 0.0, 0.0, 5.0, 5.0]):
        assert uniform.ensemble(losses, paths, 100).tolist() == pytest.approx([0.2] * 5)
        one, two = (
            random.ensemble(losses, paths, 100, torch.Generator().manual_seed(3)) for _ in "ab"
        )
        assert torch.equal(one, two)
    drawn = set()
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        weights = random.ensemble([0.3, 0.2, 0.9, 0.1, 0.4], paths, 9, draw)
        found = {path for path, weight in zip(paths, weights, strict=True) if weight}
        assert len(found) == 3
        assert len(set(weights[weights > 0].tolist())) == 1
        assert weights[0] > 0
        assert weights[1] == weights[2]
        drawn.add(tuple(sorted(found)))
    assert len(drawn) == 3


def test_a_draw_among_fewer_paths_takes_them_all():
    random = gate_of(k=2, weights="random")
    assert random.ensemble([0.3], [-1], 9, torch.Generator()).tolist() == [1.0]
    assert random.ensemble([0.3, 9.0], [-1, 4], 9, torch.Generator()).tolist() == [0.5, 0.5]


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(-1, 4)), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 100),
    st.sampled_from(["evidence", "uniform", "random"]),
)
def test_weights_are_shares_of_one_on_k_paths_at_most(answers, k, examples, weights):
    losses, paths = zip(*answers, strict=True)
    gate = gate_of(k=k, weights=weights)
    found = gate.ensemble(losses, paths, examples, torch.Generator().manual_seed(0))
    assert found.shape == (len(answers),)
    assert (found >= 0).all()
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    used = {path for path, weight in zip(paths, found, strict=True) if weight > 0}
    assert weights == "uniform" or len(used - {-1}) <= k
    assert all(w > 0 for path, w in zip(paths, found, strict=True) if path == -1)
    if weights == "evidence":
        kept = [loss for loss, weight in zip(losses, found, strict=True) if weight > 0]
        slack = MARGIN if examples >= ENOUGH else 0.0
        assert min(kept) <= min(losses) + slack
