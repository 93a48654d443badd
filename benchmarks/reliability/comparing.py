"""Comparison of the folders of two studies, file by file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ("compared",)

NAMES = ("rows.csv", "events.jsonl", "tuning.csv", "model.safetensors", "model.json")


def compared(one: Path, other: Path) -> list[str]:
    """Return the files that differ: rows, decisions (but for their times), final parameters.

    What an interrupted process has left in the other folder differs, too.
    """
    names = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.name in NAMES]
    assert names, f"{one} holds no run"
    found = []
    for name in names:
        if not (other / name).is_file():
            found.append(f"{name} is missing")
        elif _content(one / name) != _content(other / name):
            found.append(f"{name} differs")
    left = [path for kind in ("checkpoints", ".*") for path in sorted(other.glob(kind))]
    return found + [f"{path.name} is left" for path in left]


def _content(path: Path) -> Any:
    if path.name != "events.jsonl":
        return path.read_bytes()
    return [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]
