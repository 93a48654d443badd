"""A continual-learning simulator for adding tasks over time.

>>> import cl_moe
>>> stream = cl_moe.load_scenario("digits_quick").build_stream(seed=0)

Names are imported on first access, so that ``import cl_moe`` is fast.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from cl_moe.lazy_avalanche import install

if TYPE_CHECKING:
    from cl_moe.errors import InputError
    from cl_moe.moe.network import MoENetwork
    from cl_moe.runs.engines.spec import RaySpec
    from cl_moe.runs.failures import StudyError, StudyInterrupted
    from cl_moe.runs.folder.loading import load_study
    from cl_moe.runs.outcome import Study
    from cl_moe.runs.study import run
    from cl_moe.runs.transfer import transfer
    from cl_moe.strategies.mixture import mixture
    from cl_moe.strategies.networks import build_moe
    from cl_moe.strategies.saved import load
    from cl_moe.strategies.task_aware import TaskAwareMoE
    from cl_moe.streams.scenario import ScenarioSpec, load_scenario
    from cl_moe.streams.spec import NetworkSpec, TrainingSpec
    from cl_moe.streams.stream import TaskStream
    from cl_moe.streams.task import Task
    from cl_moe.training.batches import TensorBatches
    from cl_moe.training.plugin import MoEPlugin

    __version__: str

# Avalanche imports qpsolvers, which says so where no solver is installed; only its GEM needs one.
warnings.filterwarnings("ignore", message="no QP solver found", category=UserWarning)
install()

__all__ = (
    "InputError",
    "MoENetwork",
    "MoEPlugin",
    "NetworkSpec",
    "RaySpec",
    "ScenarioSpec",
    "Study",
    "StudyError",
    "StudyInterrupted",
    "Task",
    "TaskAwareMoE",
    "TaskStream",
    "TensorBatches",
    "TrainingSpec",
    "__version__",
    "build_moe",
    "load",
    "load_scenario",
    "load_study",
    "mixture",
    "run",
    "transfer",
)

_HOME = {
    "InputError": "errors",
    "MoENetwork": "moe.network",
    "MoEPlugin": "training.plugin",
    "NetworkSpec": "streams.spec",
    "RaySpec": "runs.engines.spec",
    "ScenarioSpec": "streams.scenario",
    "Study": "runs.outcome",
    "StudyError": "runs.failures",
    "StudyInterrupted": "runs.failures",
    "Task": "streams.task",
    "TaskAwareMoE": "strategies.task_aware",
    "TaskStream": "streams.stream",
    "TensorBatches": "training.batches",
    "TrainingSpec": "streams.spec",
    "build_moe": "strategies.networks",
    "load": "strategies.saved",
    "load_scenario": "streams.scenario",
    "load_study": "runs.folder.loading",
    "mixture": "strategies.mixture",
    "run": "runs.study",
    "transfer": "runs.transfer",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from cl_moe.runs.environment import version

        return version()
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
