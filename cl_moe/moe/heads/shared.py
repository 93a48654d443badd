"""One linear head for all tasks, trained on the first one."""

from __future__ import annotations

from cl_moe.moe.heads.linear import LinearHead

__all__ = ("SharedHead",)


class SharedHead(LinearHead):
    """A linear head whose classes mean the same in every task.

    Domain-incremental tasks (van de Ven & Tolias 2019, "Three scenarios for continual learning").
    It is trained on the first task; each later task gets a frozen copy, and its experts learn
    features for this head. So nothing is forgotten.

    >>> import torch
    >>> from cl_moe.moe.blocks import OWN
    >>> head = SharedHead(2, 3)
    >>> later, x = head.for_later_task(3), torch.rand(5, 2)
    >>> bool(torch.equal(later({OWN: x}), head({OWN: x}))), later.weight.requires_grad
    (True, False)
    """

    fits = False
    serves_all = True

    def for_later_task(self, n_outputs: int) -> SharedHead:
        """Return the head of a later task.

        Raises:
            ValueError: the number of outputs differs.
        """
        if n_outputs != self.n_outputs:
            raise ValueError(
                f"a shared head has {self.n_outputs} outputs, and the new task {n_outputs}; "
                "give head = 'linear', or tasks with the same classes"
            )
        made = SharedHead.of(self.weight, self.bias)
        made.requires_grad_(False)
        return made
