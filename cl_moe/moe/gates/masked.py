"""A gate that routes rows among the experts of their task."""

from __future__ import annotations

from cl_moe.moe.gates.token import TokenGate

__all__ = ("MaskedGate",)


class MaskedGate(TokenGate):
    """Routes each row by its content among its task's experts: z = W x + M[t].

    M[t] is 0 for the experts assigned to the task and minus infinity for the others, which is the
    same as offering only the assigned ones. W is shared by all tasks.

    >>> import torch
    >>> MaskedGate.task_aware, issubclass(MaskedGate, TokenGate)
    (True, True)
    """

    task_aware = True
