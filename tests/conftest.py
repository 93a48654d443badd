"""What every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small tensors on two cores: more threads only get in each other's way."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real data that CL_MOE_DATA_DIR names; skip where there is none."""
    folder = os.environ.get("CL_MOE_DATA_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real data: set CL_MOE_DATA_DIR to a folder in torchvision's layout")
    return Path(folder)
