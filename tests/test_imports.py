"""No file of a room imports itself by way of others, inside functions neither."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = [
    "analysis",
    "cli",
    "continual",
    "moe",
    "objectives",
    "runs",
    "strategies",
    "streams",
    "testing",
    "training",
]


def imports(path: Path, known: set[str]) -> set[str]:
    """Modules of a room that a file imports: at its top, in functions, for type checkers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= submodules & known or {node.module}
    return found & known


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which imports all others, itself included, by some way."""
    reached = {module: set(targets) for module, targets in edges.items()}
    for middle in edges:
        for module in edges:
            if middle in reached[module]:
                reached[module] |= reached[middle]
    groups = {
        tuple(sorted(b for b in edges if b in reached[a] and a in reached[b]))
        for a in edges
        if a in reached[a]
    }
    return sorted(map(list, groups))


def test_circles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert circles(edges) == [["a", "b", "c"]]
    assert circles({"a": {"a"}}) == [["a"]]
    assert circles({"a": {"b"}, "b": set()}) == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_circles(room: str) -> None:
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / "cl_moe" / room).rglob("*.py"))
    }
    assert len(paths) > 1
    edges = {module: imports(path, set(paths)) for module, path in paths.items()}
    assert any(edges.values())
    assert circles(edges) == []
