"""The strategy template of cl_moe: Avalanche's, with batches by indexing of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from avalanche.benchmarks import CLExperience, OnlineCLExperience
from avalanche.core import SupervisedPlugin
from avalanche.logging import BaseLogger
from avalanche.models import DynamicModule
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_moe.batching import NO_SPREAD, n_batches
from cl_moe.errors import InputError
from cl_moe.moe.dense import TaskNetwork
from cl_moe.moe.freezing import kinds_of, modes_of, restore_modes
from cl_moe.schedules import factor_at, scaled
from cl_moe.training.batches import TensorBatches
from cl_moe.training.criterion import TaskCriterion
from cl_moe.training.evaluator import EvaluatorProxy
from cl_moe.training.labels import require_experiences, require_labels
from cl_moe.training.loader import Rows, TensorLoader
from cl_moe.training.model import TaskModel
from cl_moe.training.optimizer import make_optimizer, sync_optimizer
from cl_moe.training.tensors import tensors_of

if TYPE_CHECKING:
    from cl_moe.streams.spec import TrainingSpec

__all__ = ("Strategy", "epochs_for")


class Steps(Protocol):
    """Acts between the steps of a task: :class:`cl_moe.training.stepping.Stepping`."""

    first_epoch: int

    def loader(self, strategy: Strategy) -> Any:
        """Return the loader of the epoch that starts."""


class Strategy(TensorBatches, SupervisedTemplate):
    """A ``SupervisedTemplate`` that any Avalanche plugin works with.

    It has four differences: batches are taken by indexing wherever the data are tensors; the
    optimizer holds exactly the trainable parameters after each adaptation, less those of heads that
    get no gradient (:class:`~cl_moe.moe.resting.RestingDict`); a task with few examples gets enough
    epochs for ``training.min_steps`` optimizer steps; and Avalanche's operations on every module
    between two tasks cost little, however many experts and heads there are.

    Args:
        model: the model, with its current heads or experts.
        training: the training budget, the same for all methods.
        plugins: Avalanche plugins.
        device: where to train.
        evaluator: an Avalanche evaluation plugin; None for a silent one.

    Attributes:
        stepping: takes checkpoints between the steps of a task; None for none.
        learned: steps of the current task's training that are not repeated, which count for the
            schedule of the learning rate.
    """

    stepping: Steps | None = None
    learned: int = 0
    _stop_training: bool

    def __init__(
        self,
        *,
        model: TaskModel,
        training: TrainingSpec,
        plugins: Sequence[SupervisedPlugin] = (),
        device: str = "cpu",
        evaluator: EvaluationPlugin | None = None,
    ) -> None:
        super().__init__(
            model=model,
            optimizer=make_optimizer(training, model.parameters()),
            criterion=TaskCriterion(model),
            train_mb_size=training.batch_size,
            train_epochs=training.epochs,
            eval_mb_size=training.eval_batch_size,
            device=device,
            plugins=list(plugins),
            evaluator=evaluator or EvaluationPlugin(loggers=[BaseLogger()]),
        )
        self.plugins[self.plugins.index(self.evaluator)] = EvaluatorProxy(self.evaluator)
        self.training = training

    def forward(self) -> Any:
        """Return the model's logits (B, C) for the batch."""
        self._set_mode()
        return self.model(self.mb_x, self.mb_task_id)

    def train(self, experiences: Any, *args: Any, **kwargs: Any) -> Any:
        """Learn experiences, see Avalanche.

        Raises:
            InputError: no experiences; the network has batch normalisation, and would have to train
                on one row; or it has one head per task, and the benchmark has no task labels.
        """
        require_experiences(experiences, "train")
        try:
            return super().train(experiences, *args, **kwargs)
        except ValueError as error:
            if NO_SPREAD not in str(error):
                raise
            raise InputError(
                f"training on {self._rows()}: the network has batch normalisation, which cannot "
                "train on one row; give each task and each batch 2 rows or more"
            ) from error

    def _rows(self) -> str:
        rows, batch = len(self.experience.dataset), self.train_mb_size
        return f"{rows} row{'s' * (rows != 1)} in batches of {batch}"

    def _set_mode(self) -> None:
        """Set the strategy's mode, whatever mode a plugin left the model in."""
        if self.model.training != self.is_training:
            self.model.train(self.is_training)

    def _before_training_exp(self, **kwargs: Any) -> None:
        if not self.model.one_head:
            require_labels(self.experience)
        network = self.model.network
        if isinstance(network, TaskNetwork) and len(self.optimizer.param_groups) == 1:
            network.rest(self._optimize)
        super()._before_training_exp(**kwargs)

    def _optimize(self, parameters: list[nn.Parameter]) -> None:
        """Add parameters to the optimizer, which has kept their state."""
        self.optimizer.param_groups[0]["params"] += parameters

    def _train_exp(self, experience: CLExperience, eval_streams: Any = None, **kwargs: Any) -> None:
        self.train_epochs = self.planned_epochs()
        first = 0 if self.stepping is None else self.stepping.first_epoch
        for _ in range(first, self.train_epochs):
            self._before_training_epoch(**kwargs)
            if self._stop_training:
                self._stop_training = False
                break
            self.training_epoch(**kwargs)
            self._after_training_epoch(**kwargs)

    def training_epoch(self, **kwargs: Any) -> None:
        """Train on the batches of an epoch, with checkpoints between them, if asked for."""
        loader = self._dataloader
        if self.stepping is not None:
            self._dataloader = self.stepping.loader(self)
        super().training_epoch(**kwargs)
        self._dataloader = loader

    def optimizer_step(self) -> None:
        """Take a step with the learning rate that the schedule has for it."""
        schedule = self.training.schedule
        if schedule == "constant":
            super().optimizer_step()
            return
        step = self.learned + self.clock.train_exp_iterations
        steps = self.train_epochs * len(self.dataloader)
        with scaled(self.optimizer, factor_at(schedule, step, steps)):
            super().optimizer_step()

    def planned_epochs(self) -> int:
        """Return the number of epochs for the adapted data set."""
        return epochs_for(len(self.adapted_dataset), self.training, self.pairs)

    def make_train_dataloader(self, shuffle: bool = True, **kwargs: Any) -> None:
        """Make the training batches from tensors; fall back to Avalanche's loader."""
        if not self._load_tensors(self.train_mb_size, shuffle):
            super().make_train_dataloader(shuffle=shuffle, **kwargs)

    def make_eval_dataloader(self, shuffle: bool = False, **kwargs: Any) -> None:
        """Make the evaluation batches from tensors; fall back to Avalanche's loader."""
        if not self._load_tensors(self.eval_mb_size, shuffle):
            super().make_eval_dataloader(shuffle=shuffle, **kwargs)

    def _load_tensors(self, batch_size: int, shuffle: bool) -> bool:
        """Load the adapted data set from tensors; return False where it has none."""
        tensors = tensors_of(self.adapted_dataset)
        if tensors is not None:
            order = Rows(len(tensors[0]), batch_size, shuffle, self.pairs)
            self.dataloader = TensorLoader([tensors], order)
        return tensors is not None

    def make_optimizer(self, reset_optimizer_state: bool = False, **kwargs: Any) -> None:
        """Make the optimizer hold the trainable parameters that do not rest, with their state."""
        at_rest = getattr(self.model.network.heads, "at_rest", ())
        sync_optimizer(self.optimizer, self.model, at_rest)
        if reset_optimizer_state:
            self.optimizer.state.clear()
        # Avalanche only checks whether there is one.
        self.optimized_param_id: dict[str, Any] = {}

    def model_adaptation(self, model: nn.Module | None = None) -> nn.Module:
        """Adapt the model to the experience; in evaluation its parameters do not change.

        Avalanche's traversal is skipped where only the model itself has an adaptation.
        """
        model = self.model if model is None else model
        self._set_mode()
        if not self.is_training:
            if isinstance(model, DynamicModule):
                model.adaptation(self.experience)
            return model
        adapting = {
            kind: n for kind, n in kinds_of(model).items() if issubclass(kind, DynamicModule)
        }
        if adapting != {type(model): 1} or isinstance(self.experience, OnlineCLExperience):
            return super().model_adaptation(model)
        assert isinstance(model, DynamicModule)
        model.adaptation(self.experience)
        return model.to(self.device)

    def _save_train_state(self) -> dict[str, Any]:
        """Store the training modes by module; Avalanche restores them after evaluation."""
        noted = ("experience", "is_training", "adapted_dataset", "dataloader")
        return {"modes": modes_of(self.model), **{name: getattr(self, name) for name in noted}}

    def _load_train_state(self, prev_state: dict[str, Any]) -> None:
        restore_modes(prev_state.pop("modes"))
        for name, value in prev_state.items():
            setattr(self, name, value)


def epochs_for(
    examples: int, training: TrainingSpec, pairs: Callable[[], bool] = lambda: False
) -> int:
    """Return the number of epochs for a task: enough for ``min_steps`` optimizer steps.

    Args:
        examples: rows of the task, 1 or more.
        training: the budget.
        pairs: whether a single last row joins the batch before it.
    """
    size = training.batch_size
    steps = n_batches(examples, size, examples % size == 1 and pairs())
    return max(training.epochs, math.ceil(training.min_steps / steps))
