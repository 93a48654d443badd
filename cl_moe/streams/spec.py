"""The schema of scenarios/*.toml as pydantic models. Imports neither torch nor Avalanche."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cl_moe import catalog
from cl_moe.errors import shortened
from cl_moe.parameters import LARGEST
from cl_moe.schedules import Schedule
from cl_moe.streams.schema import DEEPEST, LARGEST_ROW, MOST, WIDEST, FolderName, Name, Spec

__all__ = (
    "MethodSpec",
    "NetworkSpec",
    "OperatorSpec",
    "ProbeSpec",
    "SourceSpec",
    "StreamSpec",
    "TaskSpec",
    "TrainingSpec",
)


def _gather(values: Any, own: frozenset[str], into: str) -> Any:
    """Move other keys than the table's fields into its parameters."""
    if not isinstance(values, dict):
        return values
    extra = {key: value for key, value in values.items() if key not in own | {into}}
    given = values.get(into, {})
    if not isinstance(given, dict):
        return values  # for the schema to say
    kept = {key: value for key, value in values.items() if key in own}
    return kept | {into: {**given, **extra}}


class NetworkSpec(Spec):
    """The network of all methods.

    Args:
        kind: the kind of trunk and of experts: mlp, conv, resnet, or package.module:Object.
        hidden: widths of the hidden layers (mlp).
        channels: channels of the convolutions (conv, resnet).
        feature_dim: width of the features after them (conv).
        layers: mixture layers that the trunk is divided into; a path has one expert per layer.
        encoder_hidden: widths of layers before the first expert, which all tasks share.
        shared_expert: whether each mixture layer has one more expert that all tasks use.
        heads: task, one head per task; or shared, one head for all tasks (domain-incremental: all
            have the same classes, and can be evaluated before they are learned). It applies to
            methods that train one dense network; moe, single_task, progressive, packnet, ridge and
            nearest_mean have separate parameters per task, and so always one head per task.
        resident: number of frozen experts that each layer of a mixture keeps in memory, the most
            recently used ones; the others are offloaded to disk (to main memory for a network on a
            GPU). Default: all are resident. It changes no result.
    """

    kind: str = "mlp"
    hidden: list[int] = Field(default=[64])
    channels: list[int] = Field(default=[16, 32])
    feature_dim: int = Field(default=64, ge=1, le=WIDEST)
    layers: int = Field(default=1, ge=1, le=DEEPEST)
    encoder_hidden: list[int] = Field(default=[])
    shared_expert: bool = False
    heads: Literal["task", "shared"] = "task"
    resident: int | None = Field(default=None, ge=1, le=MOST)

    @field_validator("hidden", "channels", "encoder_hidden")
    @classmethod
    def _widths(cls, widths: list[int]) -> list[int]:
        if any(width < 1 for width in widths):
            raise ValueError(f"{shortened(widths)} holds a width below 1")
        if max(widths, default=1) > WIDEST or len(widths) > DEEPEST:
            raise ValueError(
                f"{shortened(widths)} is too large; give up to {DEEPEST} widths of {WIDEST} or less"
            )
        return widths


def sample_size(evaluate: str) -> int | None:
    """Return N of ``sample:N``; None for ``all``.

    Raises:
        ValueError: neither of both.

    >>> sample_size("sample:50"), sample_size("all")
    (50, None)
    """
    kind, _, number = evaluate.partition(":")
    if evaluate == "all":
        return None
    if kind != "sample" or not number.isdecimal() or len(number) > 9 or int(number) < 1:
        raise ValueError(f"'{evaluate}' is neither 'all' nor 'sample:N' with N from 1")
    return int(number)


class TrainingSpec(Spec):
    """The training of a task, the same for every method.

    Args:
        epochs: passes over a task's training data, unless ``min_steps`` asks for more.
        batch_size: rows per step.
        optimizer: adam, adamw or sgd.
        learning_rate: the optimizer's step size.
        schedule: of the learning rate in each task: constant, or one_cycle, which rises to
            ``learning_rate`` in the first quarter of the steps and then falls to 0
            (:mod:`cl_moe.schedules`).
        weight_decay, momentum: of the optimizer; momentum only of sgd.
        min_steps: minimum number of optimizer steps per task: a small task gets more epochs to
            reach it, as 25 rows in batches of 32 would otherwise get one step per epoch and stay at
            chance level. 0: ``epochs``, however small the task.
        eval_batch_size: rows per batch in evaluation; changes no result.
        validation_fraction: share of a task's training data held out while grids are searched.
        evaluate_every: all known tasks are evaluated after each such number of tasks, and after the
            last one; after any other task only this task is. With 1, the rows grow with the square
            of the number of tasks. Metrics that need every row (average incremental accuracy) are
            undefined where it is not 1.
        evaluate: which earlier tasks are evaluated then: ``all``, or ``sample:N``, a random sample
            of N of them, drawn anew each time (after the last task, all). The mean over a sample
            is an unbiased estimate of the mean over all of them; the average incremental accuracy
            is estimated from it. With ``sample:50`` the cost of a task does not grow with their
            number.
    """

    epochs: int = Field(default=5, ge=1, le=10**6)
    batch_size: int = Field(default=32, ge=1, le=2**20)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0, le=LARGEST)
    schedule: Schedule = "constant"
    weight_decay: float = Field(default=0.0, ge=0, le=LARGEST)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    min_steps: int = Field(default=100, ge=0, le=10**8)
    eval_batch_size: int = Field(default=512, ge=1, le=2**20)
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    evaluate_every: int = Field(default=1, ge=1, le=MOST)
    evaluate: str = Field(default="all")

    @field_validator("evaluate")
    @classmethod
    def _all_or_sample(cls, text: str) -> str:
        sample_size(text)
        return text


class MethodSpec(Spec):
    """A method: its name, its type, and its parameters (every other key of the table)."""

    name: FolderName
    type: str
    parameters: dict[str, Any] = Field(default={})
    grid: dict[str, list[Any]] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _other_keys_are_parameters(cls, values: Any) -> Any:
        if isinstance(values, str):
            values = {"name": values}
        values = _gather(values, frozenset(("name", "type", "grid")), "parameters")
        if isinstance(values, dict) and "name" in values:
            values.setdefault("type", values["name"])
        if isinstance(values, dict) and isinstance(values.get("type"), str):
            values["type"] = catalog.canonical("method", values["type"])
        return values

    @field_validator("grid")
    @classmethod
    def _not_empty(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for key, choices in grid.items():
            if not choices:
                raise ValueError(f"'{key}' has no value to try; give a list of one or more")
        return grid


class SourceSpec(Spec):
    """A source of data: a type and its parameters, or a slot (the first available of several)."""

    type: str | None = None
    parameters: dict[str, Any] = Field(default={})
    any_of: list[SourceSpec] = Field(default=[])

    @model_validator(mode="before")
    @classmethod
    def _other_keys_are_parameters(cls, values: Any) -> Any:
        return _gather(values, frozenset(("type", "any_of")), "parameters")

    @model_validator(mode="after")
    def _one_of_both(self) -> SourceSpec:
        if (self.type is None) == (not self.any_of):
            raise ValueError("give either a type or a list any_of, exactly one of them")
        if self.any_of and self.parameters:
            raise ValueError(f"{sorted(self.parameters)} beside any_of; move them into its tables")
        if any(choice.any_of for choice in self.any_of):
            raise ValueError("any_of inside any_of; write one list")
        return self


class OperatorSpec(Spec):
    """A change of a task: the operator's name and its parameters."""

    operator: str
    parameters: dict[str, Any] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _other_keys_are_parameters(cls, values: Any) -> Any:
        if isinstance(values, str):
            values = {"operator": values}
        return _gather(values, frozenset(("operator",)), "parameters")


class TaskSpec(Spec):
    """A task: a source, or an earlier task's recipe, and the changes of it."""

    name: Name
    source: str | None = None
    from_: str | None = Field(default=None, alias="from")
    variant: str | None = None
    related_to: str | None = None
    relatedness: float | None = Field(default=None, ge=0, le=1)
    classes: list[int | str] | int | None = None
    per_class: int | None = Field(default=None, ge=1, le=MOST)
    test_per_class: int | None = Field(default=None, ge=1, le=MOST)
    group: Name | None = None
    relation: Name | None = None
    operators: list[OperatorSpec] = Field(default=[])

    @field_validator("classes")
    @classmethod
    def _at_least_two(cls, classes: list[int | str] | int | None) -> list[int | str] | int | None:
        size = classes if isinstance(classes, int) else 2 if classes is None else len(classes)
        if size < 2:
            raise ValueError("a task needs two classes or more")
        positions = classes if isinstance(classes, list) else []
        if any(not 0 <= n <= MOST for n in (size, *positions) if isinstance(n, int)):
            raise ValueError(f"{shortened(classes)} is not within 0 to {MOST}")
        if isinstance(classes, list) and len(set(classes)) < len(classes):
            raise ValueError("a class is given twice")
        return classes

    @model_validator(mode="after")
    def _one_origin(self) -> TaskSpec:
        if (self.source is None) == (self.from_ is None):
            raise ValueError("give either source or from (an earlier task), exactly one of them")
        if (self.related_to is None) != (self.relatedness is None):
            raise ValueError("related_to and relatedness go together; give both or neither")
        if self.from_ is not None and (self.variant is not None or self.related_to is not None):
            raise ValueError("variant and related_to go with source, not with from")
        return self


class ProbeSpec(TaskSpec):
    """An unseen task; a list of sizes makes one probe per size, drawn from one shuffle."""

    per_class: int | list[int] | None = None  # type: ignore[assignment]

    @field_validator("per_class")
    @classmethod
    def _sizes(cls, sizes: int | list[int] | None) -> int | list[int] | None:
        listed = sizes if isinstance(sizes, list) else [] if sizes is None else [sizes]
        wrong = any(not 1 <= size <= MOST for size in listed)
        if sizes == [] or wrong or len(set(listed)) < len(listed):
            raise ValueError(
                f"{shortened(sizes)} is not a size of 1 or more (at most {MOST}), or a list of "
                "different ones"
            )
        return sizes


class StreamSpec(Spec):
    """The settings of a stream.

    Args:
        shape: [features] or [channels, height, width] that all inputs are brought to; null: theirs.
        order: listed, or shuffled.
        order_seed: draws the order where it is shuffled.
    """

    shape: list[int] | None = None
    order: Literal["listed", "shuffled"] = "listed"
    order_seed: int = Field(default=0, ge=-LARGEST, le=LARGEST)

    @field_validator("shape")
    @classmethod
    def _vector_or_image(cls, shape: list[int] | None) -> list[int] | None:
        if shape is not None and (len(shape) not in (1, 3) or min(shape) < 1):
            raise ValueError(
                f"{shortened(shape)} is neither [features] nor [channels, height, width]"
            )
        if shape is not None and math.prod(shape) > LARGEST_ROW:
            raise ValueError(
                f"{shortened(shape)} is too large; give a shape of {LARGEST_ROW} values or less"
            )
        return shape
