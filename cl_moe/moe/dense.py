"""Task-incremental networks, and the dense ones that mixtures are compared with."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from cl_moe.moe.experts.base import Shape, StageFactory, floats, make_module, output_shape
from cl_moe.moe.extract import FixedTask, frozen_copy
from cl_moe.moe.resting import RestingDict, Wake
from cl_moe.seeding import derive

__all__ = ("DenseNetwork", "SharedHeadNetwork", "TaskNetwork", "linear_of", "widen_head")


class TaskNetwork(nn.Module, ABC):
    """A network with one output per task label, to which tasks are added explicitly.

    Attributes:
        heads: one head per task, by the task's label as text.
    """

    heads: nn.ModuleDict

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict()

    @property
    def tasks(self) -> list[int]:
        """Labels of the tasks that have a head."""
        return [int(label) for label in self.heads]

    @abstractmethod
    def add_task(self, task: int, n_classes: int) -> None:
        """Take in a task."""

    def restore_task(self, task: int, n_outputs: int) -> None:
        """Add a task of a saved network, whose tensors are copied into it afterwards.

        Tasks are added in the order in which they were learned.
        """
        self.add_task(task, n_outputs)

    def rest(self, woken: Wake) -> None:
        """Let the heads rest from one use in training to the next, if the network supports it.

        Args:
            woken: see :meth:`cl_moe.moe.resting.RestingDict.rest`.
        """

    def widen_head(self, task: int, n_classes: int) -> None:
        """Give a task's head outputs for further classes, if it has fewer."""
        head = self.heads[str(task)]
        if isinstance(head, nn.Linear) and head.out_features < n_classes:
            self.heads[str(task)] = widen_head(head, n_classes)

    def n_outputs(self, task: int) -> int:
        """Return the number of outputs of a task's head."""
        head = self.heads[str(task)]
        assert isinstance(head, nn.Linear)
        return head.out_features

    def stem(self, x: Tensor) -> Tensor:
        """Return the task-independent features of rows x (B, ...), the input of :meth:`branch`.

        Rows of several tasks, or rows evaluated for several tasks, need one pass.
        """
        return x

    @abstractmethod
    def branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task for the stem's output."""

    def forward(self, x: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task for its rows."""
        return self.branch(self.stem(floats(x)), task)

    def for_task(self, task: int) -> nn.Module:
        """Return a stand-alone module for one task, which is not trained any further.

        It takes rows x (B, ...) and gives logits (B, C). Here it is a copy of the whole network
        with the task fixed; networks that know which parts a task uses copy only these.
        """
        return frozen_copy(FixedTask(self, task))

    def depends_on(self, task: int) -> Iterable[nn.Module | Tensor] | None:
        """Return all modules and tensors that the task's predictions depend on; None: unknown."""
        return None


class DenseNetwork(TaskNetwork):
    """One trunk for all tasks and one linear head per task, which rests while it is not trained.

    With an expert's trunk it has as many active parameters as a mixture with one expert per row.

    Args:
        trunk: makes the trunk for inputs of ``in_shape``.
        in_shape: shape of a row.
        seed: where initial parameters are derived from.

    >>> import torch
    >>> from cl_moe.moe.experts.base import cut
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> network = DenseNetwork(*cut(MLPExpert([8]).stages(), 1), in_shape=(4,))
    >>> network.add_task(0, n_classes=3)
    >>> network(torch.rand(5, 4), task=0).shape
    torch.Size([5, 3])
    """

    heads: RestingDict

    def __init__(self, trunk: StageFactory, in_shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self.seed, self.heads = seed, RestingDict()
        self.trunk = make_module(trunk, in_shape, derive(seed, "expert", "0"))
        self.feature_dim = math.prod(output_shape(self.trunk, in_shape))

    def add_task(self, task: int, n_classes: int) -> None:
        """Give a task a fresh head."""
        self.heads[str(task)] = make_module(
            lambda shape: nn.Linear(shape[0], n_classes),
            (self.feature_dim,),
            derive(self.seed, "head", task),
        )

    def rest(self, woken: Wake) -> None:
        """Let the heads rest, see :class:`~cl_moe.moe.resting.RestingDict`."""
        self.heads.rest(woken)

    def reopen(self, task: int) -> None:
        """Wake the head of a recurring task."""
        self.heads.wake(str(task))

    def stem(self, x: Tensor) -> Tensor:
        """Return the trunk's features (B, D)."""
        features: Tensor = self.trunk(x).flatten(1)
        return features

    def branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task for features (B, D)."""
        logits: Tensor = self.heads[str(task)](z)
        return logits

    def for_task(self, task: int) -> nn.Module:
        """Return a copy of the trunk and the task's head, in a row."""
        return frozen_copy(nn.Sequential(self.trunk, nn.Flatten(), self.heads[str(task)]))

    def depends_on(self, task: int) -> Iterable[nn.Module | Tensor]:
        """Return all that can change a task's answers."""
        return self.trunk, self.heads[str(task)]


class SharedHeadNetwork(TaskNetwork):
    """One trunk and one linear head for all tasks; predictions do not depend on the task.

    The network of domain-incremental learning (van de Ven & Tolias 2019, "Three scenarios for
    continual learning"): classes mean the same in every task, and a task can be evaluated before it
    is learned. Its initial parameters are those of :class:`DenseNetwork` with its task 0.

    Attributes:
        heads: the tasks learned so far, in that order; each passes on the output of ``head``.
        head: the shared head.

    Args:
        trunk: makes the trunk for inputs of ``in_shape``.
        in_shape: shape of a row.
        n_classes: classes of every task.
        seed: where initial parameters are derived from.

    >>> import torch
    >>> from cl_moe.moe.experts.base import cut
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> network = SharedHeadNetwork(*cut(MLPExpert([8]).stages(), 1), in_shape=(4,), n_classes=3)
    >>> x = torch.rand(5, 4)
    >>> network(x, task=0).shape, torch.equal(network(x, task=0), network(x, task=7))
    (torch.Size([5, 3]), True)
    """

    heads: RestingDict

    def __init__(self, trunk: StageFactory, in_shape: Shape, n_classes: int, seed: int = 0) -> None:
        super().__init__()
        start = DenseNetwork(trunk, in_shape, seed)
        start.add_task(0, n_classes)
        self.heads = RestingDict()
        self.trunk, self.feature_dim, self.n_classes = start.trunk, start.feature_dim, n_classes
        self.head = start.heads["0"]

    def add_task(self, task: int, n_classes: int) -> None:
        """Register a task.

        Raises:
            ValueError: it has more classes than the head.
        """
        if n_classes > self.n_classes:
            raise ValueError(
                f"task {task} has {n_classes} classes, and the head of all tasks {self.n_classes}"
            )
        self.heads[str(task)] = nn.Identity()

    def rest(self, woken: Wake) -> None:
        """Let the tasks' own modules, which have no parameters, rest."""
        self.heads.rest(woken)

    def widen_head(self, task: int, n_classes: int) -> None:
        """Check a recurring task: all tasks have the classes of the shared head."""
        if n_classes > self.n_classes:
            raise ValueError(
                f"task {task} has {n_classes} classes, and the head of all tasks {self.n_classes}"
            )

    def n_outputs(self, task: int) -> int:
        """Return the number of outputs of the shared head."""
        return self.n_classes

    def stem(self, x: Tensor) -> Tensor:
        """Return the logits (B, C), the same for every task."""
        logits: Tensor = self.head(self.trunk(x).flatten(1))
        return logits

    def branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits as they are."""
        return z

    def depends_on(self, task: int) -> Iterable[nn.Module | Tensor]:
        """Return all that a task's predictions depend on, the same for every task."""
        return self.trunk, self.head


def widen_head(head: nn.Linear, n_classes: int) -> nn.Linear:
    """Return a head with outputs for further classes and the old outputs unchanged.

    >>> import torch
    >>> wide = widen_head(old := nn.Linear(2, 2), 3)
    >>> bool(torch.equal(wide.weight[:2], old.weight)), wide.out_features
    (True, 3)
    """
    wide = nn.Linear(head.in_features, n_classes, device=head.weight.device)
    wide.weight.data[: head.out_features] = head.weight.data
    wide.bias.data[: head.out_features] = head.bias.data
    return wide


def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear map with copies of the given parameters; draws no random numbers.

    >>> import torch
    >>> linear_of(torch.eye(2), torch.zeros(2))(torch.tensor([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    made = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    made.weight = nn.Parameter(weight.detach().clone())
    made.bias = nn.Parameter(bias.detach().clone())
    return made
