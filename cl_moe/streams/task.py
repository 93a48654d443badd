"""Task: one task of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from cl_moe.arguments import checked
from cl_moe.errors import InputError, shortened
from cl_moe.objectives.base import Objective
from cl_moe.streams.datasets import Data, row_form
from cl_moe.streams.problems import name_problems
from cl_moe.streams.targets import (
    as_task_data,
    objective_kind,
    objective_of,
    output_names,
    target_problems,
    targets,
    tensors,
)

__all__ = ("Split", "Task")

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Task:
    """One task: its data, its objective, and its relation to other tasks.

    Args:
        name: unique within a stream.
        train: any torch ``Dataset`` of rows (x, y), or a pair (x_N..., y_N) of arrays or tensors.
            x of any type becomes float32, bytes scaled to [0, 1]; integers in rows (length,) are
            token ids and become int64, in images they become float32. y are class numbers of any
            type, names of ``classes`` or one-hot rows. Data sets with transforms stay lazy: the
            transforms are applied whenever a sample is read, and the sample is checked; up to 2,000
            samples are checked immediately.
        test: the same; never used for learning or for a decision.
        classes: their names; labels are 0..len(classes)-1, each with at least one training sample.
            For other objectives the names of the outputs, which may be left out.
        group: tasks that are averaged together in the results, e.g. ``"low_resource"``.
        derived_from: name of the task or source this one was made from.
        relation: how, e.g. ``"shifted input"``, ``"new classes"``, ``"recurring"``.
        objective: ``"classification"``; ``"regression"``, y real numbers (N,) or (N, D), or
            ``"multilabel"``, y of 0 and 1, (N, C), both kept as float32 (N, D); or an
            :class:`~cl_moe.objectives.base.Objective`.

    Raises:
        InputError: with every problem of the data.

    >>> import torch
    >>> Task(
    ...     "toy",
    ...     train=(torch.eye(4), [0, 1, 0, 1]),
    ...     test=(torch.eye(4), [0, 1, 0, 1]),
    ...     classes=("a", "b"),
    ... )
    Task('toy', 2 classes, shape (4,), 4 train, 4 test)
    >>> x, y = torch.eye(4), [0.5, 1.5, 2.0, 3.0]
    >>> Task("rated", (x, y), (x, y), objective="regression")
    Task('rated', 1 output, shape (4,), 4 train, 4 test)
    """

    name: str
    train: Dataset[Any] = field(repr=False)
    test: Dataset[Any] = field(repr=False)
    classes: tuple[str, ...]
    group: str | None = None
    derived_from: str | None = None
    relation: str | None = None
    objective: Objective = field(default=None)  # type: ignore[assignment] # set in any case

    @checked(free=("name", "train", "test"))
    def __init__(
        self,
        name: str,
        train: Data,
        test: Data,
        classes: Iterable[Any] = (),
        group: str | None = None,
        derived_from: str | None = None,
        relation: str | None = None,
        objective: str | Objective = "classification",
    ) -> None:
        names = tuple(str(label) for label in classes)
        if isinstance(objective, Objective):
            names = names or output_names(objective)
        splits = {"train": train, "test": test}
        data, aim, problems = _converted(splits, objective, names, f"task '{name}'")
        problems = name_problems(name) + problems
        about = {"group": group, "derived_from": derived_from, "relation": relation}
        for key, text in about.items():
            if text:
                problems += [f"task '{name}', {key}: {found}" for found in name_problems(text)]
        if problems or aim is None:
            raise InputError(problems)
        values: dict[str, object] = {
            "name": name,
            **data,
            "classes": names or output_names(aim),
            **about,
            "objective": aim,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def _dataset(self, split: Split) -> Dataset[Any]:
        if str(split) not in ("train", "test"):
            raise InputError(f"split: {shortened(split)} is neither 'train' nor 'test'")
        return self.train if split == "train" else self.test

    @property
    def n_classes(self) -> int:
        """Number of classes; for other objectives, of outputs."""
        return len(self.classes)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch."""
        return row_form(self.train)[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of inputs: torch.float32, or torch.int64 for token ids."""
        return row_form(self.train)[1]

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(cast(Any, self.train))

    @property
    def n_test(self) -> int:
        """Number of test samples."""
        return len(cast(Any, self.test))

    def labels(self, split: Split) -> Tensor:
        """Return the targets of a split, without reading inputs where possible.

        Labels (N,) int64; for other objectives float32 (N, D).
        """
        return targets(self._dataset(split), self.objective)

    def strata(self, split: Split) -> Tensor:
        """Return the strata (N,) for draws of a split: classes, else a single stratum."""
        return self.objective.strata(self.labels(split))

    def tensors(self, split: Split) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of a split; reads all samples of a lazy data set.

        >>> import torch
        >>> task = Task("toy", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), ("a", "b"))
        >>> task.tensors("train")[1]
        tensor([0, 1])
        """
        return tensors(self._dataset(split), self.objective)

    def __repr__(self) -> str:
        extra = f", group '{self.group}'" if self.group else ""
        if self.relation:
            extra += f", {self.relation}"
        if self.derived_from:
            extra += f" of '{self.derived_from}'"
        return (
            f"Task('{self.name}', {self.objective.counted}, shape {self.shape}, "
            f"{self.n_train} train, {self.n_test} test{extra})"
        )

    def in_memory(self) -> Task:
        """Return the task as tensors; reads all samples of a lazy data set."""
        train, test = self.tensors("train"), self.tensors("test")
        return replace(self, train=TensorDataset(*train), test=TensorDataset(*test))

    def renamed(self, name: str) -> Task:
        """Return the task under another name."""
        return replace(self, name=name)


def _converted(
    splits: Mapping[str, Data], given: str | Objective, names: tuple[str, ...], place: str
) -> tuple[dict[str, Dataset[Any]], Objective | None, list[str]]:
    """Return the data of each split in one form, their objective, and every problem they have."""
    made: dict[str, Dataset[Any]] = {}
    try:
        kind = objective_kind(given, names, place)
    except InputError as error:
        return made, None, error.problems
    problems: list[str] = []
    for split, data in splits.items():
        try:
            made[split] = as_task_data(data, kind, f"{place}, {split} data", names)
        except InputError as error:  # noqa: PERF203 - every problem is to be told
            problems += error.problems
    if not made:
        return made, None, problems
    aim = objective_of(given, names, next(iter(made.values())))
    problems += [
        f"{place}, {split} data: {problem}"
        for split, data in made.items()
        for problem in target_problems(data, aim, names, complete=split == "train")
    ]
    if not problems:
        forms = [row_form(data) for data in made.values()]
        if forms[0][0] != forms[1][0]:
            problems.append(
                f"{place}: train inputs have shape {forms[0][0]}, test inputs {forms[1][0]}; "
                "give both the same shape"
            )
        elif forms[0][1] != forms[1][1]:
            problems.append(
                f"{place}: train inputs are {forms[0][1]}, test inputs {forms[1][1]}; "
                "give both one type"
            )
    return made, aim, problems
