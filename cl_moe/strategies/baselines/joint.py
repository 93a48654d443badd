"""A strategy that trains on several experiences as one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from avalanche.benchmarks.utils.utils import concat_datasets

from cl_moe.batching import n_batches
from cl_moe.training.strategy import Strategy, epochs_for

__all__ = ("JointStrategy",)


class JointStrategy(Strategy):
    """Trains on all experiences of one ``train`` call together; it may be called again.

    The number of optimizer steps is that of training on one experience after the other (rounded up
    to whole epochs), with the extra epochs of small ones.
    """

    experience: Any
    _experiences: Sequence[Any] = ()

    def train(
        self,
        experiences: Any,
        eval_streams: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Train once on the union of the experiences."""
        several = isinstance(experiences, Iterable)
        self._experiences = tuple(experiences) if several else (experiences,)
        streams = [self._experiences] if eval_streams is None else eval_streams
        return super().train(self._experiences[0], streams, **kwargs)

    def train_dataset_adaptation(self, **kwargs: Any) -> None:
        """Join the experiences' data."""
        joined = concat_datasets([experience.dataset for experience in self._experiences])
        self.adapted_dataset = joined.train()

    def model_adaptation(self, model: Any = None) -> Any:
        """Adapt the model to every experience."""
        model = self.model if model is None else model
        current = self.experience
        for experience in self._experiences if self.is_training else (current,):
            self.experience = experience
            model = super().model_adaptation(model)
        self.experience = current
        return model

    def planned_epochs(self) -> int:
        """Return the epochs with as many steps as training on one experience after the other."""
        batch, pairs = self.training.batch_size, self.pairs()
        one_by_one = sum(
            epochs_for(size, self.training, self.pairs) * n_batches(size, batch, pairs)
            for size in (len(experience.dataset) for experience in self._experiences)
        )
        return math.ceil(one_by_one / n_batches(len(self.adapted_dataset), batch, pairs))
