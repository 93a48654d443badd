"""Avalanche calls hooks by name and ignores a misspelt one: every name must be one of its own."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from avalanche.core import SupervisedPlugin

import cl_moe.strategies

PLUGINS = [
    found
    for info in pkgutil.walk_packages(cl_moe.strategies.__path__, "cl_moe.strategies.")
    for found in vars(importlib.import_module(info.name)).values()
    if inspect.isclass(found)
    and found.__module__ == info.name  # first: to Python 3.10 an alias such as list[int] is a class
    and issubclass(found, SupervisedPlugin)
]


def test_plugins_are_found():
    assert len(PLUGINS) >= 5


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.__name__)
def test_every_hook_exists(plugin):
    hooks = [name for name in vars(plugin) if name.startswith(("before_", "after_"))]
    known = [name for name in dir(SupervisedPlugin) if name.startswith(("before_", "after_"))]
    assert set(hooks) <= set(known)
