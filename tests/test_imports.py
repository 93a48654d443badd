"""No file of a room imports another one that imports it, wherever the import stands."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["cl_moe.analysis", "cl_moe.cli", "cl_moe.runs", "cl_moe.strategies"]


def _modules(room: str, root: Path) -> dict[str, Path]:
    """Return the modules of a room and of its folders, by name."""
    names = {}
    for path in sorted(root.joinpath(*room.split(".")).rglob("*.py")):
        words = path.relative_to(root).with_suffix("").parts
        names[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
    return names


def _imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield what a file imports: also in functions, and where types alone are checked."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in known else node.module


def _circle(room: str, root: Path) -> list[str]:
    """Return the modules of a circle of imports, none where there is no circle."""
    known = _modules(room, root)
    graph = {
        name: {other for other in _imported(path, known) if other in known and other != name}
        for name, path in known.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


@pytest.mark.parametrize("room", ROOMS)
def test_no_circles(room: str) -> None:
    assert len(_modules(room, ROOT)) > 1
    assert _circle(room, ROOT) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    room = tmp_path / "house" / "room"
    room.mkdir(parents=True)
    (room / "__init__.py").write_text("")
    (room / "one.py").write_text("def f():\n    from house.room import two\n")
    (room / "two.py").write_text("if TYPE_CHECKING:\n    from house.room.one import f\n")
    assert set(_circle("house.room", tmp_path)) == {"house.room.one", "house.room.two"}
