"""Checks of sources of data."""

from __future__ import annotations

import copy
import dataclasses

import torch

from cl_moe.streams.sources.base import Source, SourceData
from cl_moe.testing import common
from cl_moe.testing.base import (
    Check,
    NotApplicable,
    Subject,
    require,
    require_equal,
)

__all__ = ("CHECKS",)


def source_of(subject: Subject) -> Source:
    """Return a source whose data are available."""
    source: Source = subject.make()
    reason = source.available(subject.data_dir)
    if reason is not None:
        raise NotApplicable(f"its data are not available: {reason}")
    return source


def loaded(source: Source, subject: Subject, seed: int = 0) -> SourceData:
    """Return all examples of a source."""
    data = source.load(seed=seed, data_dir=subject.data_dir)
    right = isinstance(data, SourceData)
    require(right, f"load gives {type(data).__name__}; give a SourceData")
    return data


def require_same_data(one: SourceData, other: SourceData, sentence: str) -> None:
    """Require two sets of examples to be the same bit for bit."""
    for name in ("train_x", "train_y", "test_x", "test_y"):
        require_equal(getattr(one, name), getattr(other, name), f"{name}: {sentence}")
    require(one.classes == other.classes, f"classes: {sentence}")


def state_round_trips(subject: Subject) -> None:
    """It is a frozen dataclass; copies and objects with the same fields are equal."""
    source = subject.make()
    require(dataclasses.is_dataclass(source), "it is not a dataclass")
    assert dataclasses.is_dataclass(source)
    assert not isinstance(source, type)
    require(
        getattr(type(source), "__dataclass_params__").frozen,  # noqa: B009 - unknown to mypy
        "its fields can be changed; use @dataclass(frozen=True)",
    )
    again = {f.name: getattr(source, f.name) for f in dataclasses.fields(source) if f.init}
    for made in (type(source)(**again), copy.deepcopy(source)):
        require(made == source, "another object with the same fields is not equal")


def availability_is_said(subject: Subject) -> None:
    """``available`` returns None or a sentence for any folder, without errors."""
    source: Source = subject.make()
    for folder in (None, subject.data_dir):
        said: object = source.available(folder)
        require(said is None or (isinstance(said, str) and said), f"available gives {said!r}; give "
                "None, or a sentence why the data are not available")  # fmt: skip


def data_can_be_used(subject: Subject) -> None:
    """Its examples are finite, of a known type, and labelled with its classes."""
    problems = loaded(source_of(subject), subject).problems("its data")
    require(not problems, "; ".join(problems))


def same_seed_same_result(subject: Subject) -> None:
    """The same seed gives the same examples; unless ``seeded``, all seeds do."""
    source = source_of(subject)
    first = loaded(source, subject)
    torch.rand(3)
    require_same_data(first, loaded(source, subject), "another load of the same seed differs; draw "
                      "from cl_moe.seeding.generator(seed, ...)")  # fmt: skip
    if not source.seeded:
        require_same_data(first, loaded(source, subject, seed=1), "depends on the seed, though "
                          "seeded is False")  # fmt: skip


def inputs_untouched(subject: Subject) -> None:
    """Loading changes neither its fields nor torch's random state."""
    source = source_of(subject)
    before, random = copy.deepcopy(source), torch.get_rng_state()
    loaded(source, subject)
    require(source == before, "its fields change when it loads")
    require_equal(random, torch.get_rng_state(), "it draws from torch's global random state; use "
                  "cl_moe.seeding.generator(seed, ...)")  # fmt: skip


def variants_fit(subject: Subject) -> None:
    """If it ``varies``, variants have examples of the same shape and number of classes."""
    source = source_of(subject)
    if not source.varies:
        raise NotApplicable("it has no variants")
    variant = getattr(source, "variant")("check", 0.5)  # noqa: B009 - not in the base class
    one, other = loaded(source, subject), loaded(variant, subject)
    require(one.train_x.shape[1:] == other.train_x.shape[1:], "a variant has another shape")
    require(len(one.classes) == len(other.classes), "a variant has another number of classes")
    require(not torch.equal(one.test_x, other.test_x), "a variant has the same examples")


CHECKS: tuple[Check, ...] = (
    *(common.constructs, common.docstring, common.example, common.defaults, common.readable),
    *(state_round_trips, availability_is_said, data_can_be_used, same_seed_same_result),
    *(inputs_untouched, variants_fit),
)
