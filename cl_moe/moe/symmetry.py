"""Looking at images from another side, as a path saw those it was trained on."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ("Symmetry",)


class Symmetry(NamedTuple):
    """A symmetry of the square, with or without brightness inverted: what is done to images first.

    Nothing in it is trained, and there is nothing to multiply: pixels change places.

    Attributes:
        turns: quarter turns counter-clockwise, 0 to 3; those by 1 and 3 need square images.
        flipped: whether left and right are exchanged before the turns.
        inverted: the sum of darkest and brightest, from which values are taken away, one for all
            channels; None where brightness stays as it is.

    >>> import torch
    >>> image = torch.tensor([[[[1.0, 0.0], [0.25, 0.0]]]])
    >>> Symmetry(turns=1, inverted=1.0)(image)[0, 0].tolist()
    [[1.0, 1.0], [0.0, 0.75]]
    >>> print(Symmetry(turns=1, inverted=1.0))
    inverted, turned by 90 degrees
    """

    turns: int = 0
    flipped: bool = False
    inverted: float | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images (..., H, W) as the path is to see them."""
        if self.inverted is not None:
            images = self.inverted - images
        if self.flipped:
            images = images.flip(-1)
        return images.rot90(self.turns, (-2, -1)) if self.turns else images

    def __str__(self) -> str:
        """Return what is done, in words."""
        turned = f"turned by {90 * self.turns} degrees"
        words = {
            "inverted": self.inverted is not None,
            "flipped": self.flipped,
            turned: self.turns,
        }
        return ", ".join(word for word, done in words.items() if done) or "as they are"
