"""Task: what is learned at one time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from cl_moe.errors import InputError
from cl_moe.streams.datasets import Data, as_dataset, as_tensors, data_problems, labels, row_form
from cl_moe.streams.labels import class_numbers
from cl_moe.streams.problems import name_problems

__all__ = ("Split", "Task")

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Task:
    """One classification task: data, classes, and how it relates to other tasks.

    Args:
        name: unique within a stream.
        train: any torch ``Dataset`` of rows (x, y), or a pair (x_N..., y_N) of arrays or tensors.
            x of any type becomes float32, bytes scaled to [0, 1]; whole numbers of rows (length,)
            are token ids and become int64, in images they become float32. y are class numbers of
            any type, names of ``classes`` or one-hot rows. Data sets with own transforms stay lazy:
            these are applied whenever a sample is read, and what is read is checked; up to 2,000
            samples are checked at once.
        test: the same; never used for learning or for a decision.
        classes: their names; labels are 0..len(classes)-1, each with at least one training sample.
        group: tasks that are averaged together in the results, e.g. ``"low_resource"``.
        derived_from: name of the task or source this one was made from.
        relation: how, e.g. ``"shifted input"``, ``"new classes"``, ``"recurring"``.

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
    """

    name: str
    train: Dataset[Any] = field(repr=False)
    test: Dataset[Any] = field(repr=False)
    classes: tuple[str, ...]
    group: str | None = None
    derived_from: str | None = None
    relation: str | None = None

    def __init__(
        self,
        name: str,
        train: Data,
        test: Data,
        classes: Iterable[str],
        group: str | None = None,
        derived_from: str | None = None,
        relation: str | None = None,
    ) -> None:
        names = tuple(str(label) for label in classes)
        data, problems = _converted({"train": train, "test": test}, f"task '{name}'", names)
        problems = name_problems(name) + problems
        if problems:
            raise InputError(problems)
        values: dict[str, object] = {
            "name": name,
            **data,
            "classes": names,
            "group": group,
            "derived_from": derived_from,
            "relation": relation,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def _dataset(self, split: Split) -> Dataset[Any]:
        return self.train if split == "train" else self.test

    @property
    def n_classes(self) -> int:
        """Number of classes."""
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
        """Return y_N (int64) of a split, without reading inputs where that can be avoided."""
        return labels(self._dataset(split))

    def tensors(self, split: Split) -> tuple[Tensor, Tensor]:
        """Return (x_N..., y_N) of a split; each sample of a lazy data set is read once, now.

        >>> import torch
        >>> task = Task("toy", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), ("a", "b"))
        >>> task.tensors("train")[1]
        tensor([0, 1])
        """
        return as_tensors(self._dataset(split))

    def __repr__(self) -> str:
        extra = f", group '{self.group}'" if self.group else ""
        if self.relation:
            extra += f", {self.relation}"
        if self.derived_from:
            extra += f" of '{self.derived_from}'"
        return (
            f"Task('{self.name}', {self.n_classes} classes, shape {self.shape}, "
            f"{self.n_train} train, {self.n_test} test{extra})"
        )

    def in_memory(self) -> Task:
        """Return the task as tensors: each sample of a lazy data set is read once, now."""
        train, test = self.tensors("train"), self.tensors("test")
        return replace(self, train=TensorDataset(*train), test=TensorDataset(*test))

    def renamed(self, name: str) -> Task:
        """Return the task under another name."""
        return replace(self, name=name)


def _converted(
    splits: Mapping[str, Data], place: str, classes: tuple[str, ...]
) -> tuple[dict[str, Dataset[Any]], list[str]]:
    """Return the data of each split in one form, and every problem they have."""
    made: dict[str, Dataset[Any]] = {}
    problems: list[str] = []
    convert = partial(class_numbers, classes=classes)
    for split, data in splits.items():
        at = f"{place}, {split} data"
        try:
            made[split] = as_dataset(data, at, convert)
        except InputError as error:
            problems += error.problems
            continue
        found = data_problems(made[split], classes, complete=split == "train")
        problems += [f"{at}: {problem}" for problem in found]
    if not problems:
        forms = [row_form(data) for data in made.values()]
        if forms[0][0] != forms[1][0]:
            problems.append(
                f"{place}: train inputs have shape {forms[0][0]}, test inputs {forms[1][0]}; "
                "give both one shape"
            )
        elif forms[0][1] != forms[1][1]:
            problems.append(
                f"{place}: train inputs are {forms[0][1]}, test inputs {forms[1][1]}; "
                "give both one type"
            )
    return made, problems
