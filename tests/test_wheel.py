"""What `pip install .` would install."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling comes with the dev extra")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_scenarios_are_inside(names: set[str]) -> None:
    shipped = {f"cl_moe/scenarios/{path.name}" for path in (ROOT / "scenarios").glob("*.toml")}
    assert shipped
    assert shipped <= names


def test_the_types_are_announced_and_every_module_is_inside(names: set[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cl_moe").rglob("*.py")}
    assert modules | {"cl_moe/py.typed"} <= names


def test_nothing_else_is_inside(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cl_moe"}
