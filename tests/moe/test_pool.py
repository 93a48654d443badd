from __future__ import annotations

from torch import nn

from cl_moe.moe.pool import ExpertPool


def test_ids_are_never_used_again_not_even_after_loading():
    pool = ExpertPool()
    pool.add(nn.Linear(2, 2))
    pool.add(nn.Linear(2, 2))
    pool.remove("e1")
    state = pool.state_dict()
    other = ExpertPool()
    other.add(nn.Linear(2, 2))
    other.load_state_dict(state)
    assert other.add(nn.Linear(2, 2)) == "e2"


def test_freezing_forgets_gradients_and_can_be_undone():
    pool = ExpertPool()
    pool.add(expert := nn.Linear(1, 1))
    expert.weight.grad = expert.weight.detach().clone()
    pool.freeze("e0")
    assert expert.weight.grad is None
    assert pool.frozen == ["e0"]
    pool.unfreeze("e0")
    assert pool.frozen == []
