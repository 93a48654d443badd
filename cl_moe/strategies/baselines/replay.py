"""Experience replay from a memory of tensors."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from cl_moe.seeding import generator
from cl_moe.state import State
from cl_moe.training.samples import samples

__all__ = ("MemoryReplay",)


class MemoryReplay(SupervisedPlugin):
    """Joins every batch with the same number of rows from a memory of earlier tasks.

    Chaudhry et al. 2019, "On tiny episodic memories in continual learning", with a memory that is
    divided equally among the tasks so far. The number of optimizer steps is that of the other
    methods; each step has twice the rows. (Avalanche's plugin lengthens the epoch of a task that is
    smaller than the memory, and loads samples one by one.)

    Args:
        memory: total number of rows in the memory.
        seed: seed for the rows that are kept and drawn.
    """

    def __init__(self, memory: int, seed: int) -> None:
        super().__init__()
        self.memory = memory
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._rows: tuple[Tensor, ...] = ()
        self._generator = generator(seed, "replay")

    def __len__(self) -> int:
        return sum(len(y) for _, y in self._kept.values())

    def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Append rows of the memory to the batch: inputs, targets and task labels."""
        if len(self) == 0:
            return
        rows = torch.randint(len(self), (len(strategy.mb_y),), generator=self._generator)
        batch = (strategy.mb_x, strategy.mb_y, strategy.mb_task_id)
        strategy.mbatch = [
            torch.cat([now, kept[rows].to(now.device)])
            for now, kept in zip(batch, self._rows, strict=True)
        ]

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Add rows of the finished task; remove rows of each earlier task."""
        x, y, tasks = samples(strategy.experience.dataset)
        for task in tasks.unique().tolist():
            members = (tasks == task).nonzero()[:, 0]
            order = torch.randperm(len(members), generator=self._generator)
            chosen = members[order[: self.memory]]
            self._kept[task] = (x[chosen], y[chosen])
        sizes = _shares(self.memory, {task: len(y) for task, (_, y) in self._kept.items()})
        for task, (kept_x, kept_y) in self._kept.items():  # rows are in random order
            self._kept[task] = (kept_x[: sizes[task]], kept_y[: sizes[task]])
        self._join()

    def state(self) -> State:
        """Return the memory and the state of the random generator."""
        tensors = {"generator": self._generator.get_state()}
        for task, (x, y) in self._kept.items():
            tensors |= {f"{task}.x": x.clone(), f"{task}.y": y.clone()}
        return State({"tasks": list(self._kept)}, tensors)

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        held = state.tensors
        self._kept = {t: (held[f"{t}.x"], held[f"{t}.y"]) for t in state.plain["tasks"]}
        self._generator.set_state(held["generator"])
        if self._kept:
            self._join()

    def _join(self) -> None:
        """Concatenate the rows of all tasks."""
        self._rows = (
            torch.cat([x for x, _ in self._kept.values()]),
            torch.cat([y for _, y in self._kept.values()]),
            torch.cat([torch.full((len(y),), task) for task, (_, y) in self._kept.items()]),
        )


def _shares(memory: int, available: dict[int, int]) -> dict[int, int]:
    """Divide a memory equally; the unused share of a small task goes to the others.

    >>> _shares(10, {0: 100, 1: 2, 2: 100})
    {0: 4, 1: 2, 2: 4}
    """
    sizes, left = {}, memory
    for waiting, task in enumerate(sorted(available, key=lambda t: available[t])):
        sizes[task] = min(available[task], left // (len(available) - waiting))
        left -= sizes[task]
    return {task: sizes[task] for task in available}
