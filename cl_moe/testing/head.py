"""Checks of heads. Shape letters: B rows, D features, C outputs."""

from __future__ import annotations

import copy
import json

import torch
from torch import Tensor

from cl_moe.moe.blocks import OWN, Block
from cl_moe.moe.heads.base import Head
from cl_moe.testing import common
from cl_moe.testing.base import (
    Check,
    NotApplicable,
    Subject,
    accelerator,
    require,
    require_equal,
    same_state,
    state_of,
)

__all__ = ("CHECKS",)

FEATURES, OUTPUTS = 6, 3
Values = dict[Block, Tensor]


def head_of(subject: Subject, seed: int = 0, outputs: int = OUTPUTS) -> Head:
    """Return a head of six features, if it has that parameter, and three outputs."""
    torch.default_generator.manual_seed(seed)
    given = common.given_to(subject)
    if "n_outputs" in given:
        given["n_outputs"] = outputs
    made: Head = subject.make(**given)
    return made


def values_of(head: Head, count: int = 7) -> Values:
    """Return rows (B, D) for each of its blocks."""
    draw = torch.Generator().manual_seed(count)
    return {block: torch.randn(count, FEATURES, generator=draw) for block in head.blocks}


def require_outputs(head: Head, values: Values) -> Tensor:
    """Require outputs (B, C) that are finite."""
    y: Tensor = head(values)
    wanted = (len(next(iter(values.values()))), head.n_outputs)
    require(tuple(y.shape) == wanted, f"outputs are {tuple(y.shape)}; give (B, C), here {wanted}")
    require(bool(torch.isfinite(y).all()), "outputs are not finite")
    return y.detach()


def gives_an_output_a_class(subject: Subject) -> None:
    """It reads its blocks and returns (B, C)."""
    head = head_of(subject)
    require(len(list(head.blocks)) > 0, "it reads no block; name them in 'blocks'")
    if "n_outputs" in common.names(subject):
        require(head.n_outputs == OUTPUTS, f"n_outputs is {head.n_outputs}, made with {OUTPUTS}")
    require(head.reads_own_path == (OWN in head.blocks), "reads_own_path contradicts blocks")
    require_outputs(head, values_of(head))


def same_seed_same_result(subject: Subject) -> None:
    """The same seed gives the same head, and a head the same outputs, repeatedly."""
    one, two = head_of(subject), head_of(subject)
    differs = same_state(state_of(one), state_of(two))
    require(not differs, f"'{differs}' differs between two heads of one seed")
    values, first = values_of(one), one.eval()(values_of(one))
    require_equal(first, one(values), "the same rows have other outputs the second time")


def inputs_untouched(subject: Subject) -> None:
    """The values of its blocks are unchanged."""
    head = head_of(subject)
    values = values_of(head)
    before = {block: x.clone() for block, x in values.items()}
    head(values)
    require(values.keys() == before.keys(), "its input loses or gains a block")
    for block, x in before.items():
        require_equal(x, values[block], "its input rows are changed; modify a copy")


def state_round_trips(subject: Subject) -> None:
    """``restored`` reconstructs it from ``describe``, via JSON, and ``state_dict``."""
    head = head_of(subject).eval()
    plain = json.loads(json.dumps(head.describe()))
    made = type(head).restored(plain, head.state_dict()).eval()
    require(type(made) is type(head), f"restored gives {type(made).__name__}")
    values, before = values_of(head), require_outputs(head, values_of(head))
    require_equal(before, made(values), "a restored head has other outputs")
    copied = copy.deepcopy(head)
    with torch.no_grad():
        for tensor in (*copied.parameters(), *made.parameters()):
            tensor.zero_()
    require_equal(before, head(values), "a restored or copied head shares tensors with it")


def dtypes(subject: Subject) -> None:
    """It runs in double precision."""
    head = head_of(subject).double()
    y = require_outputs(head, {block: x.double() for block, x in values_of(head).items()})
    require(y.dtype == torch.float64, f"outputs are {y.dtype} for doubles")


def devices(subject: Subject) -> None:
    """It runs on an accelerator."""
    device = accelerator()
    head = head_of(subject).to(device)
    y = require_outputs(head, {block: x.to(device) for block, x in values_of(head).items()})
    require(y.device.type == device.type, f"outputs are on {y.device}")


def finite(subject: Subject) -> None:
    """Rows of zeros and of large numbers get finite outputs."""
    head = head_of(subject)
    for scale in (0.0, 1e4):
        require_outputs(head, {block: scale * x for block, x in values_of(head).items()})


def one_class(subject: Subject) -> None:
    """A head may have one output."""
    if "n_outputs" not in common.names(subject):
        head = head_of(subject).select([0])
    else:
        head = head_of(subject, outputs=1)
    require(head.n_outputs == 1, f"n_outputs is {head.n_outputs} of a head with one output")
    require_outputs(head, values_of(head))


def one_row(subject: Subject) -> None:
    """A single row has the same outputs as in a batch."""
    head = head_of(subject).eval()
    values = values_of(head)
    among = require_outputs(head, values)[:1]
    alone = require_outputs(head, {block: x[:1] for block, x in values.items()})
    require(
        torch.allclose(among, alone, atol=1e-5), "a single row has other outputs than in a batch"
    )


def outputs_are_selected(subject: Subject) -> None:
    """``select`` returns a copy with the given outputs, in their order."""
    head = head_of(subject)
    values, chosen = values_of(head), [head.n_outputs - 1, 0]
    made = head.select(chosen)
    require(type(made) is type(head), f"select gives {type(made).__name__}")
    close = torch.allclose(made(values), head(values)[:, chosen], atol=1e-6)
    require(close, "select([2, 0]) gives other outputs than those of 2 and 0")
    _require_apart(head, made, "select")


def outputs_are_added(subject: Subject) -> None:
    """``widened`` adds outputs and keeps the first ones."""
    head = head_of(subject)
    values, wide = values_of(head), head.widened(head.n_outputs + 2)
    require(type(wide) is type(head), f"widened gives {type(wide).__name__}")
    require(wide.n_outputs == head.n_outputs + 2, f"widened by 2, it has {wide.n_outputs} outputs")
    first = require_outputs(wide, values)[:, : head.n_outputs]
    require(torch.allclose(first, head(values), atol=1e-6), "widened changes the first outputs")
    _require_apart(head, wide, "widened")


def _require_apart(head: Head, made: Head, word: str) -> None:
    before = require_outputs(head, values_of(head))
    learns = all(p.requires_grad and p.is_leaf for p in made.parameters())
    require(learns, f"the parameters of the result of {word} cannot be trained; use nn.Parameters")
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    require_equal(before, head(values_of(head)), f"the result of {word} shares tensors with it")


def on_features_it_is_the_same(subject: Subject) -> None:
    """``on_features`` gives a module with this head's own parameters."""
    head = head_of(subject).eval()
    if list(head.blocks) != [OWN]:
        raise NotApplicable("it reads more than the features of the task's own path")
    module, values = head.on_features(), values_of(head)
    require_equal(head(values), module(values[OWN]), "on_features gives other outputs")
    same = {id(p) for p in module.parameters()} == {id(p) for p in head.parameters()}
    require(same, "on_features does not hold the head's own parameters, so they are not trained")


def learns(subject: Subject) -> None:
    """Its parameters receive a gradient."""
    head = head_of(subject)
    (head(values_of(head)) ** 2).sum().backward()
    without = [n for n, p in head.named_parameters() if p.requires_grad and p.grad is None]
    require(not without, f"{', '.join(without)} gets no gradient from the outputs")


def frozen_do_not_move(subject: Subject) -> None:
    """A head for all tasks gives later ones a frozen copy; a frozen head does not change."""
    head = head_of(subject)
    before = state_of(head)
    later = head.for_later_task(head.n_outputs)
    frozen = not any(p.requires_grad for p in later.parameters())
    require(frozen or not head.serves_all, "it serves all tasks, but a later task would train it")
    require(all(p.requires_grad for p in head.parameters()), "for_later_task freezes the head")
    for parameter in head.requires_grad_(False).parameters():
        parameter.grad = None
    head.eval()(values_of(head))
    differs = same_state(before, state_of(head))
    require(not differs, f"'{differs}' changes though the head is frozen")


def evaluation_changes_nothing(subject: Subject) -> None:
    """In evaluation mode no parameter, buffer or random state changes."""
    head = head_of(subject).eval()
    before, random = state_of(head), torch.get_rng_state()
    head(values_of(head))
    differs = same_state(before, state_of(head))
    require(not differs, f"'{differs}' changes in evaluation")
    require_equal(random, torch.get_rng_state(), "random numbers are drawn in evaluation")


CHECKS: tuple[Check, ...] = (
    *(common.constructs, common.docstring, common.example, common.defaults, common.readable),
    *(gives_an_output_a_class, same_seed_same_result, inputs_untouched, state_round_trips),
    *(dtypes, devices, finite, one_class, one_row, outputs_are_selected, outputs_are_added),
    *(on_features_it_is_the_same, learns, frozen_do_not_move, evaluation_changes_nothing),
)
