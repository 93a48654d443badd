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
    """Return a head of six features, where it takes that, and three outputs."""
    torch.default_generator.manual_seed(seed)
    given = common.given_to(subject)
    if "n_outputs" in given:
        given["n_outputs"] = outputs
    made: Head = subject.make(**given)
    return made


def values_of(head: Head, count: int = 7) -> Values:
    """Return what it reads: for each of its blocks rows (B, D)."""
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
    """It reads its blocks and gives (B, C)."""
    head = head_of(subject)
    require(len(list(head.blocks)) > 0, "it reads no block; name them in 'blocks'")
    if "n_outputs" in common.names(subject):
        require(head.n_outputs == OUTPUTS, f"n_outputs is {head.n_outputs}, made with {OUTPUTS}")
    require(head.reads_own_path == (OWN in head.blocks), "reads_own_path is not what blocks says")
    require_outputs(head, values_of(head))


def same_seed_same_result(subject: Subject) -> None:
    """The same seed gives the same head, and a head the same outputs, time and again."""
    one, two = head_of(subject), head_of(subject)
    differs = same_state(state_of(one), state_of(two))
    require(not differs, f"'{differs}' differs between two heads of one seed")
    values, first = values_of(one), one.eval()(values_of(one))
    require_equal(first, one(values), "the same rows get other outputs a second time")


def inputs_untouched(subject: Subject) -> None:
    """The values of its blocks are as they were."""
    head = head_of(subject)
    values = values_of(head)
    before = {block: x.clone() for block, x in values.items()}
    head(values)
    require(values.keys() == before.keys(), "the values that it is given lose or gain a block")
    for block, x in before.items():
        require_equal(x, values[block], "the rows that it is given are changed; work on a copy")


def state_round_trips(subject: Subject) -> None:
    """``restored`` makes it again from ``describe``, through JSON, and ``state_dict``."""
    head = head_of(subject).eval()
    plain = json.loads(json.dumps(head.describe()))
    made = type(head).restored(plain, head.state_dict()).eval()
    require(type(made) is type(head), f"restored gives {type(made).__name__}")
    values, before = values_of(head), require_outputs(head, values_of(head))
    require_equal(before, made(values), "a head that is restored gives other outputs")
    copied = copy.deepcopy(head)
    with torch.no_grad():
        for tensor in (*copied.parameters(), *made.parameters()):
            tensor.zero_()
    require_equal(before, head(values), "a head that is restored or copied shares numbers with it")


def dtypes(subject: Subject) -> None:
    """In double precision it reads doubles."""
    head = head_of(subject).double()
    y = require_outputs(head, {block: x.double() for block, x in values_of(head).items()})
    require(y.dtype == torch.float64, f"outputs are {y.dtype} for doubles")


def devices(subject: Subject) -> None:
    """On an accelerator it reads what is there."""
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
    """A head of one output is a head."""
    if "n_outputs" not in common.names(subject):
        head = head_of(subject).select([0])
    else:
        head = head_of(subject, outputs=1)
    require(head.n_outputs == 1, f"n_outputs is {head.n_outputs} of a head with one output")
    require_outputs(head, values_of(head))


def one_row(subject: Subject) -> None:
    """One row gets what it gets among others."""
    head = head_of(subject).eval()
    values = values_of(head)
    among = require_outputs(head, values)[:1]
    alone = require_outputs(head, {block: x[:1] for block, x in values.items()})
    require(torch.allclose(among, alone, atol=1e-5), "a row by itself gets other outputs")


def outputs_are_selected(subject: Subject) -> None:
    """``select`` gives a copy with the outputs asked for, in their order."""
    head = head_of(subject)
    values, chosen = values_of(head), [head.n_outputs - 1, 0]
    made = head.select(chosen)
    require(type(made) is type(head), f"select gives {type(made).__name__}")
    close = torch.allclose(made(values), head(values)[:, chosen], atol=1e-6)
    require(close, "select([2, 0]) gives other outputs than those of 2 and 0")
    _require_apart(head, made, "select")


def outputs_are_added(subject: Subject) -> None:
    """``widened`` gives further outputs, and the first ones as they are."""
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
    require(learns, f"parameters of what {word} gives cannot be trained; make them nn.Parameters")
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    require_equal(before, head(values_of(head)), f"what {word} gives shares numbers with it")


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
    """Its parameters have a gradient to learn from."""
    head = head_of(subject)
    (head(values_of(head)) ** 2).sum().backward()
    without = [n for n, p in head.named_parameters() if p.requires_grad and p.grad is None]
    require(not without, f"{', '.join(without)} gets no gradient from the outputs")


def frozen_do_not_move(subject: Subject) -> None:
    """A head that serves all tasks gives later ones a frozen copy; frozen, nothing of it moves."""
    head = head_of(subject)
    before = state_of(head)
    later = head.for_later_task(head.n_outputs)
    frozen = not any(p.requires_grad for p in later.parameters())
    require(frozen or not head.serves_all, "it serves all tasks, and a later one would train it")
    require(all(p.requires_grad for p in head.parameters()), "for_later_task freezes the head")
    for parameter in head.requires_grad_(False).parameters():
        parameter.grad = None
    head.eval()(values_of(head))
    differs = same_state(before, state_of(head))
    require(not differs, f"'{differs}' changes though the head is frozen")


def evaluation_changes_nothing(subject: Subject) -> None:
    """In evaluation no parameter, buffer or random state changes."""
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
