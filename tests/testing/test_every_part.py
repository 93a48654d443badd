"""Every part that is shipped here is held to every check of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cl_moe import catalog
from cl_moe.moe.blocks import OWN, RAW
from cl_moe.testing import KINDS, part_checks
from cl_moe.testing.base import NotApplicable

# What those are made with whose constructors need something, or have more to show.
PARAMETERS: dict[tuple[str, str], dict[str, Any]] = {
    ("expert", "mlp"): {"hidden": [4, 3]},  # several stages
    ("expert", "conv"): {"channels": [4, 3]},
    ("head", "ensemble"): {
        "weights": {RAW: torch.eye(3, 6), OWN: torch.ones(3, 6)},
        "bias": torch.zeros(3),
        "shares": {-1: 0.5, 0: 0.5},
    },
    ("operator", "per_class"): {"n": 2},
    ("operator", "rotate"): {"degrees": 30},
    ("operator", "subset"): {"classes": 2},
    ("source", "csv"): {"path": "rows.csv", "label": "kind"},
    ("source", "function"): {"function": f"{Path(__file__)}:arrays"},
    ("source", "images"): {"path": "images"},
    ("source", "npz"): {"path": "rows.npz"},
    ("source", "text"): {"path": "rows.csv", "text": "kind", "label": "kind"},
    ("source", "torchvision"): {"dataset": "MNIST"},
}


def arrays() -> tuple[Any, ...]:
    """Data of one's own, for the source that calls a function."""
    x = np.arange(24, dtype=np.float32).reshape(12, 2)
    return x[:8], [0, 1] * 4, x[8:], [0, 1] * 2


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a little data of every format."""
    made = tmp_path_factory.mktemp("data")
    rows = [f"{k},{k % 3},{'ab'[k % 2]}" for k in range(20)]
    (made / "rows.csv").write_text("\n".join(["size,count,kind", *rows]))
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    np.savez(made / "rows.npz", x=x, y=np.arange(20) % 2)
    for k in range(10):
        path = made / "images" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), color=10 * k).save(path)
    return made


CASES = [
    pytest.param(kind, name, check, id=f"{kind}-{name}-{word.replace(' ', '_')}")
    for kind in KINDS
    for name in catalog.names(kind)
    for word, check in part_checks(kind)
]


@pytest.mark.parametrize(("kind", "name", "check"), CASES)
def test_every_part(
    kind: str, name: str, check: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CL_MOE_DATA_DIR", raising=False)
    part = catalog.resolve(kind, name)
    try:
        check(part, PARAMETERS.get((kind, name)), folder)
    except NotApplicable:
        return


def test_what_is_made_with_parameters_is_shipped() -> None:
    assert all(name in catalog.names(kind) for kind, name in PARAMETERS)
