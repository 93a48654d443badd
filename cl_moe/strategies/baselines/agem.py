"""Avalanche's A-GEM, made so that a strategy with it can be copied."""

from __future__ import annotations

from typing import Any

from avalanche.training.plugins import AGEMPlugin

__all__ = ("CopyableAGEM",)


class CopyableAGEM(AGEMPlugin):
    """A-GEM whose endless pass over the memory starts anew in a copy: iterators have no copies."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "buffer_dliter"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.buffer_dliter = iter(self.buffer_dataloader or ())
