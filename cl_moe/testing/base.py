"""Subjects and results of checks, and helpers."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cl_moe import catalog
from cl_moe.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = (
    "Check",
    "NotApplicable",
    "Result",
    "Subject",
    "accelerator",
    "require",
    "require_equal",
    "require_refusal",
    "same_state",
    "state_of",
)

Check = Callable[["Subject"], None]
"""Raises an AssertionError with a sentence if the part fails the check."""


class NotApplicable(unittest.SkipTest):
    """A check does not apply to a part, with the reason. Pytest counts it as skipped."""


@dataclass(frozen=True)
class Result:
    """The result of a check.

    Attributes:
        check: its name.
        outcome: ``passed``, ``failed`` or ``not applicable``.
        why: a sentence, unless it passed.

    >>> print(Result("one row", "failed", "weights have shape (3, 1); give (1, 1)"))
    failed          one row: weights have shape (3, 1); give (1, 1)
    """

    check: str
    outcome: Literal["passed", "failed", "not applicable"]
    why: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:<14}  {self.check}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True)
class Subject:
    """A part and its parameters.

    Attributes:
        kind: as in :data:`cl_moe.testing.KINDS`.
        part: a class, a function or a value.
        parameters: arguments of its constructor besides those given by the checks.
        data_dir: folder of real data, for sources; None for that of CL_MOE_DATA_DIR.
    """

    kind: str
    part: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data_dir: Path | None = None

    @property
    def name(self) -> str:
        """The part's name, for messages."""
        return str(getattr(self.part, "__qualname__", self.kind))

    def make(self, **given: Any) -> Any:
        """Construct the part with ``given`` and its parameters.

        Raises:
            AssertionError: the parameters are invalid.
        """
        try:
            return catalog.build(self.part, {**given, **self.parameters}, self.name)
        except InputError as error:
            raise AssertionError("; ".join(error.problems)) from error


def require(holds: object, sentence: str) -> None:
    """Raise an AssertionError with the sentence unless ``holds``, even under ``python -O``.

    >>> require(1 + 1 == 3, "1 + 1 is 2, not 3")
    Traceback (most recent call last):
    ...
    AssertionError: 1 + 1 is 2, not 3
    """
    if not holds:
        raise AssertionError(sentence)


def require_refusal(action: Callable[[], Any], what: str) -> str:
    """Return the message of an action's ValueError; "" if it succeeds.

    Raises:
        AssertionError: it raises another error.
    """
    try:
        action()
    except ValueError as error:
        require(
            str(error),
            f"{what} raises a ValueError without a message; say why, and what would be valid",
        )
        return str(error)
    except Exception as error:
        raise AssertionError(
            f"{what} raises {type(error).__name__} ({error}); support it, or raise a "
            "ValueError that says what would be valid"
        ) from error
    return ""


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of a module's parameters and buffers, by name."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in tensors}


def same_state(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> str:
    """Return the name of the first tensor that differs, bit for bit; "" if none does."""
    import torch

    for name in (*before, *after):
        one, other = before.get(name), after.get(name)
        if one is None or other is None or not torch.equal(one, other):
            return name
    return ""


def require_equal(one: Tensor, other: Tensor, sentence: str) -> None:
    """Require two tensors to be the same bit for bit."""
    import torch

    require(one.shape == other.shape and torch.equal(one, other), sentence)


def accelerator() -> torch.device:
    """Return this machine's accelerator.

    Raises:
        NotApplicable: there is none.
    """
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    raise NotApplicable("this machine has no CUDA device")
