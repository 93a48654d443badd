"""CONTRIBUTING names what a part of each kind must define."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from cl_moe import catalog
from cl_moe.testing import KINDS

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BASES = [base for bases in KINDS.values() for base in bases]


def written(method: object) -> str:
    """Return a method's parameters as a caller writes them."""
    if isinstance(method, property):
        return ""
    parameters = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
    names = [p.name for p in parameters]
    keyword = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    if keyword:
        names.insert(names.index(keyword[0]), "*")
    return f"({', '.join(names)})"


@pytest.mark.parametrize("base", BASES)
def test_abstract_methods_are_listed_with_their_parameters(base: str) -> None:
    module, _, name = base.partition(":")
    kind = getattr(importlib.import_module(module), name)
    assert f"`{name}`" in TEXT
    for method in getattr(kind, "__abstractmethods__", ()):
        assert f"`{method}{written(getattr(kind, method))}`" in TEXT


def test_every_kind_has_its_row_and_its_entry_point() -> None:
    rows = re.findall(r"^\| (\w+)", TEXT, re.MULTILINE)
    for kind in (*catalog.KINDS, *catalog.TABLES):
        assert kind in rows
        assert f"`cl_moe.{kind}`" in TEXT
