"""Avalanche is the same, name by name, whether cl_moe loads it or a user does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

# What a module holds: for each name the object's own name, so that two processes can be compared.
_TOLD = """
import importlib, json, sys, types

def told(value):
    if isinstance(value, types.ModuleType):
        return value.__name__
    own = (getattr(value, "__module__", None), getattr(value, "__qualname__", None))
    return f"{own[0]}.{own[1]}" if all(own) else type(value).__name__

def names_of(module):
    return [n for n in dir(module) if n == "__all__" or not n.startswith("__")]

def loaded():
    return [n for n in sys.modules if n.partition(".")[0] == "avalanche"]
"""

_ALL = (
    "{m: {n: told(getattr(sys.modules[m], n)) for n in names_of(sys.modules[m])} for m in loaded()}"
)


def _tell(code: str, value: str) -> Any:
    """Return the value of an expression in a fresh interpreter, after some code."""
    script = f"{_TOLD}\nimport warnings\nwarnings.simplefilter('ignore')\n{code}\n"
    script += f"sys.stdout.flush()\nprint(json.dumps({value}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_name_of_every_module_is_the_same_object() -> None:
    usual = _tell("import avalanche", _ALL)
    code = (
        "import cl_moe, avalanche\n"
        "from cl_moe.lazy_avalanche import HOMES\n"
        "listed = [(p, n, getattr(sys.modules[p], n)) for p, ns in HOMES.items() for n in ns]\n"
        "for module in loaded(): dir(sys.modules[module])\n"
        "assert all(getattr(sys.modules[p], n) is value for p, n, value in listed)\n"
    )
    ours = _tell(code, _ALL)
    assert len(usual) > 100
    assert ours.keys() == usual.keys()
    for module, names in usual.items():
        assert names.items() <= ours[module].items(), module


def test_what_cl_moe_uses_loads_no_package_that_it_does_not_need() -> None:
    code = (
        "import pkgutil, cl_moe.training, cl_moe.strategies, cl_moe.streams.benchmark\n"
        "for room in (cl_moe.training, cl_moe.strategies):\n"
        "    for found in pkgutil.walk_packages(room.__path__, room.__name__ + '.'):\n"
        "        importlib.import_module(found.name)\n"
    )
    value = "sorted({m.partition('.')[0] for m in sys.modules})"
    unused = {"gdown", "tensorboard", "torchmetrics", "transformers", "wandb"}
    found = set(_tell(code, value))
    assert "avalanche" in found
    assert not found & unused


FIRST = {
    "from avalanche.training import EWC as found": "training.supervised.strategy_wrappers.EWC",
    "from avalanche.benchmarks import SplitMNIST as found": "benchmarks.classic.cmnist.SplitMNIST",
    "import avalanche.benchmarks.classic as found": "benchmarks.classic",
    "import avalanche.evaluation.metrics.topk_acc as found": "evaluation.metrics.topk_acc",
    "import avalanche; found = avalanche.logging.WandBLogger": "logging.wandb_logger.WandBLogger",
}


@pytest.mark.parametrize("code", FIRST)
def test_a_users_own_import_works_in_any_order(code: str) -> None:
    value = (
        "[told(found), found is getattr(sys.modules[parent], name), sys.modules[parent].__name__]"
    )
    parent, _, name = f"avalanche.{FIRST[code]}".rpartition(".")
    after = f"\nparent, name = {parent!r}, {name!r}"
    assert _tell(f"import cl_moe\n{code}{after}", value) == [f"{parent}.{name}", True, parent]


def test_star_and_dir_give_what_the_packages_define() -> None:
    code = "import cl_moe, avalanche\nnames = set(dir(avalanche.benchmarks))\n"
    code += "from avalanche.logging import *"
    value = "['SplitMNIST' in names, 'nc_benchmark' in names, 'WandBLogger' in globals()]"
    assert _tell(code, value) == [True, True, True]
    wrong = "import cl_moe, avalanche\nfound = hasattr(avalanche.benchmarks, 'no_such_name')"
    assert _tell(wrong, "found") is False


def test_another_version_is_imported_as_usual() -> None:
    code = (
        "import cl_moe, cl_moe.lazy_avalanche as lazy\n"
        "lazy.HOMES['avalanche.logging']['BaseLogger'] = 'moved'\n"
        "lazy.HOMES['avalanche.no_such_package'] = {}\n"
        "from torch.utils.data import Dataset\n"
        "usual = Dataset.__add__\n"
        "import avalanche\n"
        "waiting = [n for n in loaded() if '__getattr__' in vars(sys.modules[n])]\n"
    )
    value = (
        "[waiting, told(avalanche.logging.BaseLogger), avalanche._dataset_add is usual, "
        "any(type(f).__module__ == 'cl_moe.lazy_avalanche' for f in sys.meta_path)]"
    )
    assert _tell(code, value) == [[], "avalanche.logging.base_logger.BaseLogger", True, False]


def test_an_avalanche_that_is_there_already_stays_as_it_is() -> None:
    code = (
        "import avalanche\nbefore = names_of(avalanche.benchmarks)\nimport cl_moe.training.strategy"
    )
    value = (
        "[before == names_of(avalanche.benchmarks), "
        "any(type(f).__module__ == 'cl_moe.lazy_avalanche' for f in sys.meta_path)]"
    )
    assert _tell(code, value) == [True, False]
