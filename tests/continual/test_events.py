"""What a decision is told as."""

from __future__ import annotations

import pytest
import torch

from cl_moe.continual.decision import Decision
from cl_moe.continual.events import sentence
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.edits import Assign
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.symmetry import Symmetry

VIEW = TaskView(
    4, "new", torch.zeros(1, 1), torch.zeros(1), 2, 1, 1, torch.optim.SGD, names={0: "a", 1: "b"}
)


@pytest.mark.parametrize(
    ("symmetries", "told"),
    [
        ([None], ""),
        ([Symmetry(1)], " (turned by 90 degrees)"),
        ([None, Symmetry(1)], " (as they are and turned by 90 degrees)"),
    ],
)
def test_an_average_says_through_which_symmetries_each_path_sees(symmetries, told):
    blocks = [RAW, Block(1), *(Block(0, symmetry=symmetry) for symmetry in symmetries)]
    weights = {block: torch.zeros(2, 3) for block in blocks}
    head = EnsembleHead(weights, torch.zeros(2), {0: 0.5, 1: 0.3, -1: 0.2})
    expected = f"ensemble: 50 % task 0 'a'{told}, 30 % task 1 'b', 20 % the raw input"
    assert sentence(Decision("ensemble", (Assign(4, {}, head),)), VIEW).endswith(expected)
