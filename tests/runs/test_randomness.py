from __future__ import annotations

import random

import numpy as np
import torch

from cl_moe.runs.randomness import isolated, preserve_random_state, seed_all


def draws() -> tuple[float, float, float]:
    from_numpy = np.random.rand()  # noqa: NPY002 - the global state is what is looked at
    return random.random(), float(from_numpy), float(torch.rand(1))


def test_a_run_leaves_random_states_and_threads_alone() -> None:
    threads = torch.get_num_threads()
    with isolated(1):
        seed_all(7)
        expected = draws()
    with preserve_random_state():
        seed_all(7)
        with isolated(threads + 1):
            assert torch.get_num_threads() == threads + 1
            seed_all(3)
            draws()
        assert draws() == expected
    assert torch.get_num_threads() == threads


def test_states_are_restored_after_an_error() -> None:
    with preserve_random_state():
        seed_all(7)
        expected = draws()
        seed_all(7)
        try:
            with isolated(1):
                draws()
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        assert draws() == expected
