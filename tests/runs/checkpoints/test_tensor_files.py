"""Tensors of frozen parts are known by identity, all others by their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cl_moe.moe import offload
from cl_moe.runs.checkpoints.tensor_files import TensorFiles
from cl_moe.state import State, merged


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return the list of the tensors whose values are read."""
    found: list[Tensor] = []
    digest = offload.tensor_digest

    def noting(tensor: Tensor, *args: Any) -> bytes:
        found.append(tensor)
        return digest(tensor, *args)

    monkeypatch.setattr(offload, "tensor_digest", noting)
    return found


def state(**tensors: Tensor) -> State:
    """Return a state whose tensors, but for ``trained``, are of frozen parts."""
    return State({}, tensors, frozenset(tensors) - {"trained"})


def test_a_frozen_tensor_is_read_once_and_others_each_time(read):
    files, frozen, trained = TensorFiles(Path()), torch.ones(3), torch.zeros(3)
    first = files.store(state(frozen=frozen, trained=trained), "a")
    files.content("a")
    second = files.store(state(frozen=frozen, trained=trained), "b")
    assert len(read) == 3
    assert first.places == second.places
    assert files.content("b") == {}


def written(tensor: Tensor) -> Tensor:
    return tensor.add_(1)


def exchanged(tensor: Tensor) -> Tensor:
    tensor.data = tensor.data + 1
    return tensor


def replaced(tensor: Tensor) -> Tensor:
    return tensor + 1


@pytest.mark.parametrize("change", [written, exchanged, replaced])
def test_a_frozen_tensor_that_is_changed_after_all_is_stored_again(change):
    files, frozen = TensorFiles(Path()), torch.ones(3)
    files.store(state(frozen=frozen), "a")
    files.content("a")
    places = files.store(state(frozen=change(frozen)), "b").places
    assert places["frozen"][0] == "b"
    assert len(files.content("b")["b"]) > 0


def test_a_tensor_whose_file_is_gone_is_stored_again():
    files, frozen = TensorFiles(Path()), torch.ones(3)
    files.store(state(frozen=frozen), "a")
    files.content("a")
    assert files.keep([]) == ["a"]
    assert files.store(state(frozen=frozen), "b").places == {"frozen": ["b", "0", None]}


def test_states_without_frozen_tensors_between_two_with_some(read):
    """Such are the checkpoints within a task."""
    files, frozen = TensorFiles(Path()), torch.ones(3)
    files.store(state(frozen=frozen), "a")
    files.store(state(trained=torch.zeros(3)), "b")
    files.store(state(frozen=frozen), "c")
    assert len(read) == 2


def test_the_memory_order_of_a_frozen_tensor_is_kept():
    files, frozen = TensorFiles(Path()), torch.rand(2, 3).T
    places = [files.store(state(frozen=frozen), name).places for name in "ab"]
    assert places == [{"frozen": ["a", "0", [1, 0]]}] * 2


def test_a_merged_state_tells_which_tensors_are_of_frozen_parts():
    own = state(frozen=torch.ones(1), trained=torch.ones(1))
    assert merged({"x": merged({"y": own}), "z": State()}).still == {"x.y.frozen"}
