"""The interface of metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ("Metric",)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric: its label, unit, requirements and function.

    A third-party metric is such a value with a ``function``, named ``package.module:object`` or
    declared as an entry point of the group ``cl_moe.metric``.

    Args:
        label: its name in tables.
        unit: ``share`` is in 0..1 (or a difference of two such) and is printed in points.
        higher_is_better: None if neither direction is better.
        needs: what it requires to be defined; completes the sentence "needs ...".
        function: from one run's accuracy matrix and the columns of some tasks (None: all) to the
            value; NaN if undefined. ``a_TT[k][j]`` is the test accuracy on task j after
            task k was learned, NaN where there is none. None if it takes other inputs.

    >>> last = Metric(
    ...     "last accuracy",
    ...     "share",
    ...     True,
    ...     "the last task's accuracy",
    ...     lambda a_TT, columns=None: float(a_TT[-1, -1]),
    ... )
    >>> last.function(np.array([[0.5, np.nan], [0.5, 0.75]]))
    0.75
    """

    label: str
    unit: Literal["share", "count", "operations", "seconds", "examples", "MiB"]
    higher_is_better: bool | None
    needs: str
    function: Callable[..., float] | None = None

    def of(self, a_TT: Array, columns: Sequence[int] | None = None) -> float:
        """Return the value for a copy of an accuracy matrix [T, T] and some of its columns."""
        assert self.function is not None, f"'{self.label}' is no function of a matrix"
        return float(self.function(a_TT.copy(), columns))
