"""The interface of data sources."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from cl_moe.errors import InputError, one_per_cause, shortened
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.objectives.named import make_objective
from cl_moe.seeding import generator
from cl_moe.streams.datasets import split_stratified

__all__ = (
    "MOST_VALUES",
    "Source",
    "SourceData",
    "cache_folder",
    "data_folder",
    "encode",
    "find_path",
    "range_problems",
    "split_apart",
)

MOST_VALUES = 2**32
"""Most values of a source that makes its data: 16 GiB of float32."""


@dataclass(frozen=True, eq=False)
class SourceData:
    """All examples of a source.

    Args:
        train_x: (N, *shape) float32, or uint8 that is scaled to [0, 1] when a task is drawn (a
            quarter of the memory), or int64 token ids (N, length).
        train_y: (N,) int64, labels 0..len(classes)-1.
        test_x: as train_x.
        test_y: as train_y.
        classes: their names; for other objectives the names of outputs.
        objective: ``classification``, ``regression`` (real numbers) or ``multilabel`` (0 and 1),
            both float32 (N, outputs).
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: tuple[str, ...]
    objective: str = "classification"

    @property
    def classifies(self) -> bool:
        """Whether examples have classes."""
        return self.objective == "classification"

    def problems(self, place: str) -> list[str]:
        """Return the problems of the data as sentences with place and valid values."""
        classes: object = self.classes
        if not isinstance(classes, (tuple, list)):
            return [f"{place}: classes are {classes!r}; give their names, as many as labels"]
        try:
            aim = make_objective(self.objective, max(1, len(self.classes)))
        except InputError as error:
            return [f"{place}: {problem}" for problem in error.problems]
        found = []
        for split, x, y in (
            ("train", self.train_x, self.train_y),
            ("test", self.test_x, self.test_y),
        ):
            found += [f"{place}, {split}: {p}" for p in _split_problems(x, y, aim)]
        if not found and self.train_x.shape[1:] != self.test_x.shape[1:]:
            found.append(
                f"{place}: train inputs have shape {tuple(self.train_x.shape[1:])}, test inputs "
                f"{tuple(self.test_x.shape[1:])}; give both the same shape"
            )
        if not self.classifies:
            return found
        if len(self.classes) < 2:
            found.append(f"{place}: {len(self.classes)} class; a task needs two or more")
        if len(set(self.classes)) < len(self.classes):
            found.append(f"{place}: two classes have the same name; rename one")
        if not found:
            empty = set(range(len(self.classes))) - set(self.train_y.tolist())
            found += one_per_cause(
                (
                    None,
                    f"{place}: class '{self.classes[k]}' has no training example; add some or "
                    "remove the class",
                )
                for k in sorted(empty)
            )
        return found


def _split_problems(x: object, y: object, objective: Objective) -> list[str]:
    if not (isinstance(x, Tensor) and isinstance(y, Tensor) and x.ndim and y.ndim):
        return ["inputs or labels are not lists of examples; give tensors (N, ...) and (N,)"]
    if len(x) != len(y):
        return [f"{len(x)} inputs but {len(y)} labels; give one label per input"]
    if len(x) == 0:
        return ["no example; give at least one per class"]
    problems = []
    if x.ndim not in (2, 4) or 0 in x.shape:
        problems.append(
            f"inputs of shape {tuple(x.shape[1:])}; give vectors (d,) or images (C, H, W)"
        )
    if x.dtype not in (torch.float32, torch.uint8) and not (x.dtype == torch.int64 and x.ndim == 2):
        problems.append(f"inputs are {x.dtype}; give float32, uint8 images or int64 token ids")
    elif x.is_floating_point() and not bool(torch.isfinite(x).all()):
        bad = (~torch.isfinite(x.reshape(len(x), -1)).all(1)).nonzero().flatten().tolist()
        problems += one_per_cause(
            (None, f"example {row} holds NaN or infinity; clean or remove it") for row in bad
        )
    classes = objective.n_outputs
    if not isinstance(objective, Classification):
        problems += objective.target_problems(y)
    elif y.ndim != 1 or y.dtype != torch.int64:
        problems.append(f"labels are {y.dtype} of shape {tuple(y.shape)}; give int64 (N,)")
    elif int(y.min()) < 0 or int(y.max()) >= classes:
        wrong = int(y.min()) if int(y.min()) < 0 else int(y.max())
        problems.append(f"label {wrong} for {classes} classes; labels are 0 to {classes - 1}")
    return problems


def range_problems(part: object, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return a sentence for each attribute of a part that is outside its range, or not finite.

    >>> from types import SimpleNamespace
    >>> range_problems(SimpleNamespace(dim=10**8), {"dim": (2, 2**20)})
    ['dim: 100000000 is too large; give 1048576 or less']
    """
    problems = []
    for key, (low, high) in ranges.items():
        value = getattr(part, key)
        if not value >= low:  # also where it is NaN
            problems.append(f"{key}: {shortened(value)} is too small; give {low} or more")
        elif value > high:
            problems.append(f"{key}: {shortened(value)} is too large; give {high} or less")
    return problems


class Source(ABC):
    """A source of data for tasks. A source is a frozen dataclass; its fields are its keys.

    ``seeded``: the data depend on the study's seed. ``varies``: it has variants of chosen
    relatedness (see :class:`cl_moe.streams.sources.synthetic.Synthetic`).
    """

    seeded: ClassVar[bool] = False
    varies: ClassVar[bool] = False

    @abstractmethod
    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return all examples.

        Raises:
            InputError: the data are invalid: all problems, with file and value.
        """

    def available(self, data_dir: Path | None) -> str | None:
        """Return None if the data are available, else the reason and a remedy."""
        return None


def cache_folder() -> Path:
    """Return the user's cache folder for this package."""
    from platformdirs import user_cache_path

    return user_cache_path("cl_moe")


def data_folder(data_dir: Path | None) -> Path:
    """Return the folder of data: the one given, else CL_MOE_DATA_DIR, else in the user's cache."""
    if data_dir is not None:
        return Path(data_dir)
    named = os.environ.get("CL_MOE_DATA_DIR")
    return Path(named) if named else cache_folder() / "data"


def find_path(path: str, data_dir: Path | None) -> Path:
    """Return the path of a user's file or folder.

    A relative path is looked up in the data folder first and then in the current folder.
    """
    given = Path(path)
    with contextlib.suppress(RuntimeError):  # ~name of an unknown user is an ordinary name
        given = given.expanduser()
    inside = data_folder(data_dir) / given
    return inside if inside.exists() or not given.exists() else given


def split_apart(y: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """Return the indices of training and test examples, stratified by label y_N.

    For sources without a test set. The split is the same for every seed, so that no example is
    training data in one run of a study and test data in another.

    >>> train, test = split_apart(torch.tensor([0, 0, 1, 1]), 0.5)
    >>> len(train), len(test)
    (2, 2)
    """
    return split_stratified(y, fraction, generator(0, "split_apart"))


def encode(labels: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    """Return labels as int64 (N,) and the class names, sorted (as numbers if all are).

    >>> encode(["b", "a", "b"])
    (tensor([1, 0, 1]), ('a', 'b'))
    """
    names = sorted(set(labels), key=lambda s: (0, int(s), s) if s.isdecimal() else (1, 0, s))
    position = {name: k for k, name in enumerate(names)}
    return torch.tensor([position[label] for label in labels], dtype=torch.int64), tuple(names)
