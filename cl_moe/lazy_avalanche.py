"""Import of Avalanche that executes only the modules in use.

The packages of Avalanche import all of their modules, and with them torchmetrics, transformers,
wandb, tensorboard and others: seconds and hundreds of megabytes for each process of a study. After
``import cl_moe``, the first import of Avalanche loads the modules that cl_moe uses. The code of the
packages in :data:`HOMES` is executed when a name is read that is not listed there, so that all of
Avalanche stays available under its usual names, as the same objects.

If Avalanche was imported before cl_moe, nothing changes. If its modules cannot be loaded in this
way, which a new version may cause, it is imported as usual.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

__all__ = ("HOMES", "install")

HOMES: dict[str, dict[str, str]] = {
    "avalanche.benchmarks": {
        "CLExperience": "scenarios.generic_scenario",
        "CLScenario": "scenarios.generic_scenario",
        "CLStream": "scenarios.generic_scenario",
        "DatasetExperience": "scenarios.dataset_scenario",
        "OnlineCLExperience": "scenarios.online",
        "dataset_benchmark": "scenarios.deprecated.generators",
    },
    "avalanche.evaluation.metrics": {
        "Mean": "mean",
        "accuracy_metrics": "accuracy",
        "loss_metrics": "loss",
    },
    "avalanche.logging": {
        "BaseLogger": "base_logger",
        "InteractiveLogger": "interactive_logging",
        "TextLogger": "text_logging",
    },
}
"""For each package that waits: the names that are read without its code, and their modules."""

_CORE = (
    "avalanche.benchmarks.scenarios.deprecated.generators",
    "avalanche.core",
    "avalanche.training",
)
"""Modules that are loaded first; in another order some of Avalanche's circular imports fail."""


def install() -> None:
    """Let the next import of Avalanche load only what is used; without effect if it is imported.

    >>> install()  # `import cl_moe` has done so
    """
    if "avalanche" not in sys.modules and not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds Avalanche and its packages that wait."""

    def __init__(self) -> None:
        self.ready = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("avalanche"):
            return None
        if fullname == "avalanche" or fullname in HOMES:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                usual = spec.loader
                loader = _Waiting(usual) if fullname in HOMES else _Root(usual, self)
                spec.loader = cast("Loader", loader)
            return spec
        package, _, name = fullname.rpartition(".")
        if self.ready and package in HOMES and name not in HOMES[package].values():
            dir(sys.modules[package])  # executes the package's code, as a usual import would
            if fullname in sys.modules:
                return _Loaded.spec(sys.modules[fullname])
        return None


class _Root:
    """Loads the package ``avalanche``: first the modules in use, then its own code."""

    def __init__(self, usual: Loader, finder: _Finder) -> None:
        self._usual, self._finder = usual, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._usual.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        _name_loader(module, self._usual)
        before = dict(vars(module))
        try:
            for name in (*HOMES, *_CORE):
                importlib.import_module(name)
        except Exception:  # noqa: BLE001 - another version: import it as if there were no cl_moe
            sys.meta_path.remove(self._finder)
            for name in [name for name in sys.modules if name.startswith("avalanche.")]:
                del sys.modules[name]
            vars(module).clear()
            vars(module).update(before)
        self._finder.ready = True
        self._usual.exec_module(module)


class _Waiting:
    """Loads a package whose code waits until a name is read that it defines."""

    def __init__(self, usual: Loader) -> None:
        self._usual = usual
        self._busy: set[int] = set()  # threads that execute the package's code

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._usual.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        own, homes = vars(module), HOMES[module.__name__]

        def read(name: str) -> Any:
            if name in homes:
                with contextlib.suppress(ImportError, AttributeError):  # another version
                    home = importlib.import_module(f"{module.__name__}.{homes[name]}")
                    own[name] = getattr(home, name)
            elif name == "__all__" or not name.startswith("__"):
                self._execute(module)
            if name not in own:
                self._execute(module)
            if name in own:
                return own[name]
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        def names() -> list[str]:
            self._execute(module)
            return sorted(own)

        own.update(__getattr__=read, __dir__=names)

    def _execute(self, module: ModuleType) -> None:
        """Execute the package's code, which may read names of the package meanwhile."""
        dir(sys.modules[module.__name__.rpartition(".")[0]])  # a parent's code comes first
        thread = threading.get_ident()
        if thread in self._busy or "__getattr__" not in vars(module):
            return
        self._busy.add(thread)  # two threads may execute it at once: it only imports names
        try:
            self._usual.exec_module(module)
        finally:
            self._busy.discard(thread)
        _name_loader(module, self._usual)
        for name in ("__getattr__", "__dir__"):
            vars(module).pop(name, None)


class _Loaded:
    """Returns a module that the code of its package has imported meanwhile."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    @classmethod
    def spec(cls, module: ModuleType) -> ModuleSpec:
        """Return the module's spec for now: the import system prefers it to that of a finder."""
        module.__spec__ = ModuleSpec(module.__name__, cast("Loader", cls(module)))
        return module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _name_loader(module: ModuleType, loader: Loader) -> None:
    """Give a module its usual loader, as after a usual import."""
    module.__loader__ = loader
    if module.__spec__ is not None:
        module.__spec__.loader = loader
