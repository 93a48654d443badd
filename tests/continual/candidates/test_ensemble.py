"""What an average may read: which parts of which paths, and whose answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cl_moe.continual.candidates.ensemble import (
    MATCHED_HEADS,
    FeatureChoice,
    _earned,
    ensemble_members,
)
from cl_moe.continual.candidates.matched import matchable, matched_plans
from cl_moe.continual.candidates.trial import split_of
from cl_moe.continual.evidence.alignment import SYMMETRIES
from cl_moe.continual.evidence.ensemble import EnsembleMember
from cl_moe.continual.evidence.rows import EVIDENCE_ROWS
from cl_moe.continual.evidence.sample import sample_of
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.features import PathReader
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry

ORDER = torch.tensor([3, 1, 0, 2])
ALL = ("features", "predictions", "stages", "matched")


@pytest.fixture
def network():
    """Two paths of three stages each."""
    (factory,) = cut(MLPExpert([9, 8, 4]).stages(), 1)
    network = MoENetwork(Chain([MoELayer(factory, EnsembleGate(4), (4,), experts=2)]))
    network.add_task(0, [["e0"]], network.new_head(0, 4))
    network.add_task(1, [["e1"]], network.new_head(1, 4))
    return network.requires_grad_(False)


@pytest.fixture
def view():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    return TaskView(9, "t", x, torch.arange(60) % 3, 3, 10, 8, lambda p: torch.optim.Adam(p))


def sampled(view, network):
    return sample_of(view, network, split_of(view).fit)


def parts(members, task):
    return {b.part for o in members for b in o.blocks if b.task == task}


def test_a_path_is_read_beside_the_raw_input_and_in_each_inner_stage(view, network):
    found = ensemble_members(view, network, FeatureChoice([0], [], ALL), (), sampled(view, network))
    price = math.log(2)  # one of two tasks
    matching = price + math.lgamma(4)  # and one of 3! matchings
    assert set(found) == {
        EnsembleMember((RAW,)),
        EnsembleMember((RAW, Block(0)), price),
        EnsembleMember((RAW, Block(0, "predictions")), price),
        EnsembleMember((Block(0, 0),), price),
        EnsembleMember((Block(0, 1),), price),
        EnsembleMember((Block(0, "log predictions"),), matching, matched=True, route=0),
    }


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([], set()),
        (["features"], {"features"}),
        (["predictions"], {"predictions"}),
        (["stages"], {0, 1}),
        (["matched"], {"log predictions"}),
        (["stages", "features"], {0, 1, "features"}),
    ],
)
def test_only_what_is_asked_for_is_read(view, network, reads, expected):
    found = ensemble_members(
        view, network, FeatureChoice([0, 1], [], reads), (), sampled(view, network)
    )
    assert found[0] == EnsembleMember((RAW,))
    assert parts(found, 0) == parts(found, 1) == expected


@torch.no_grad()
def add_reader(network, view, task, classes=4):
    """Add a task on the path of task 1 that is sure of its answers; return what they are."""
    weight = torch.randn(classes, 4, generator=torch.Generator().manual_seed(task))
    scores = network.features(view.x, 1)[0] @ weight.T
    gain = 5 / scores.std(0, keepdim=True)
    network.add_task(task, [["e1"]], LinearHead.of(gain.T * weight, -(gain * scores.mean(0))[0]))
    return network(view.x, task).argmax(1)


def test_answers_may_be_taken_over_if_they_are_other_ones_and_classes_enough(view, network):
    add_reader(network, view, 2, classes=3)
    add_reader(network, view, 3, classes=2)  # too few
    shares = {-1: 1.0}
    network.add_task(4, [], EnsembleHead({RAW: torch.eye(4)}, torch.zeros(4), shares))
    assert matchable(view, network, [1], ()) == [1, 2, 4]
    assert matchable(view, network, [0], ()) == [0, 4]
    assert matchable(view, network, [0, 1], {2, 4}) == [0, 1]
    assert (
        parts(
            ensemble_members(
                view, network, FeatureChoice([1], [], ["matched"]), {2}, sampled(view, network)
            ),
            2,
        )
        == set()
    )
    assert parts(
        ensemble_members(
            view, network, FeatureChoice([1], [], ["matched"]), (), sampled(view, network)
        ),
        4,
    ) == {"log predictions"}


def test_the_answers_that_match_best_are_pooled_and_no_more_than_a_few(view, network):
    for task in range(2, 10):
        network.add_task(task, [["e0"]], network.new_head(task, 4))
    y = ORDER[add_reader(network, view, 10)]
    view = replace(view, y=y, n_classes=4)
    found = [
        o
        for o in ensemble_members(
            view, network, FeatureChoice([0, 1], [], ["matched"]), (), sampled(view, network)
        )
        if o.matched
    ]
    assert len(found) == MATCHED_HEADS
    assert found[0].blocks == (Block(10, "log predictions"),)


def test_rows_that_lie_class_by_class_are_matched_in_all_classes(view, network):
    """Task 11 tells class 0 for sure and no other; task 10 tells all of them, less surely."""
    x = torch.randn(1200, 4, generator=torch.Generator().manual_seed(1))
    best = x.argmax(1)
    order = best.argsort(stable=True)  # some 300 rows of class 0 come first
    view = replace(view, x=x[order], y=best[order], n_classes=4)
    assert (view.y[:EVIDENCE_ROWS] == 0).all()
    one, all_ = torch.zeros(4, 4), 0.5 * torch.eye(4)
    one[0] = 9.0
    for task, weight in ((10, all_), (11, one)):
        bias = torch.tensor([5.0 * (task == 11), 0.0, 0.0, 0.0])
        network.add_task(task, [], EnsembleHead({RAW: weight}, bias, {-1: 1.0}))
    found = [
        o
        for o in ensemble_members(
            view, network, FeatureChoice([0], [], ["matched"]), (), sampled(view, network)
        )
        if o.matched
    ]
    assert found[0].blocks == (Block(10, "log predictions"),)


def test_of_many_matched_heads_those_that_hold_up_on_other_rows_are_kept(view, network):
    for task in range(2, 6):
        network.add_task(task, [["e1"]], network.new_head(task, 4))
    y = ORDER[add_reader(network, view, 6)]
    view = replace(view, y=y, n_classes=4)
    plans = matched_plans(view, network, {1: 0.1}, {2}, sampled(view, network), limit=2)
    assert len(plans) == 2
    assert plans[0].source == 6
    assert (plans[0].gain, plans[0].starts, plans[0].train) == (0.1, ("keep",), False)
    assert {plan.source for plan in plans}.isdisjoint({0, 2})
    values = torch.eye(4)
    network.add_task(7, [], EnsembleHead({RAW: values}, torch.zeros(4), {-1: 1.0}))
    view = replace(view, y=view.x.argmax(1))
    first, *_ = matched_plans(view, network, {1: 0.1}, (), sampled(view, network), limit=2)
    assert (first.source, first.gain, first.starts) == (7, None, ())


def test_a_path_may_be_read_through_a_symmetry_too_and_that_has_its_price(view, network):
    symmetry, sample = Symmetry(turns=1), sampled(view, network)
    sample = sample._replace(reader=ThroughAnything(network.backbone, network.heads, view.x))
    plain = ensemble_members(view, network, FeatureChoice([0], [], ALL), (), sample)
    both = ensemble_members(view, network, FeatureChoice([0], [(0, symmetry)], ALL), (), sample)
    assert set(plain) < set(both)
    more = set(both) - set(plain)
    assert all(block.symmetry == symmetry for o in more for block in o.blocks if block != RAW)
    seen = {o.blocks[-1]: o.price for o in both}
    assert seen[Block(0, "features", symmetry)] == pytest.approx(
        seen[Block(0)] + math.log(SYMMETRIES)
    )
    answers = Block(0, "log predictions")
    assert seen[answers._replace(symmetry=symmetry)] == pytest.approx(
        seen[answers] + math.log(SYMMETRIES)
    )
    matched_tasks = ensemble_members(
        view, network, FeatureChoice([0], [(0, symmetry)], ALL), (0,), sample
    )
    assert not any(member.matched for member in matched_tasks)


class ThroughAnything(PathReader):
    """Reads rows that are no images, with a symmetry that leaves them as they are."""

    def blocks(self, wanted):
        plain = [(block, block._replace(symmetry=None)) for block in wanted]
        return {block: super(ThroughAnything, self).blocks([p])[p] for block, p in plain}


@pytest.mark.parametrize(
    ("loss", "old", "earned"),
    [(0.8, 24, True), (1.0, 24, False), (0.3, 24, True), (0.4, 30, False)],
)
def test_a_matching_on_one_example_a_class_has_to_pay_for_itself(view, loss, old, earned):
    lone = replace(view, x=view.x[:24], y=torch.arange(24), n_classes=24)
    assert _earned(loss, 0.0, lone, old) == earned  # log 24! / 24 is 2.28, a guess costs log 24
    assert not _earned(loss, 24 * (math.log(24) - 2), lone, old)
