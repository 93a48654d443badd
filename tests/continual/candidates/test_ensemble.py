"""What an ensemble may read of earlier paths and heads, and the candidate that is made of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cl_moe.continual.candidates.ensemble import (
    MATCHED_HEADS,
    EnsembleCandidate,
    _beats_guess,
    _matchable,
    ensemble_members,
)
from cl_moe.continual.candidates.trial import split_of
from cl_moe.continual.decision import Evidence
from cl_moe.continual.evidence.alignment import SYMMETRIES
from cl_moe.continual.evidence.ensemble import EnsembleMember
from cl_moe.continual.evidence.rows import EVIDENCE_ROWS
from cl_moe.continual.evidence.sample import sample_of
from cl_moe.continual.evidence.weights import EnsembleWeights
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.features import PathReader
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry

ORDER = torch.tensor([3, 1, 0, 2])
ALL = ("features", "stages", "matched")


@pytest.fixture
def network():
    """Two paths of three stages each."""
    (factory,) = cut(MLPExpert([9, 8, 4]).stages(), 1)
    network = MoENetwork(Chain([MoELayer(factory, TaskGate(4), (4,), experts=2)]))
    network.add_task(0, [["e0"]], network.new_head(0, 4))
    network.add_task(1, [["e1"]], network.new_head(1, 4))
    return network.requires_grad_(False)


@pytest.fixture
def view():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    return TaskView(9, "t", x, torch.arange(60) % 3, 3, 10, 8, lambda p: torch.optim.Adam(p))


def sampled(view, network):
    return sample_of(view, network, split_of(view).fit)


def members_of(view, network, sources, reads=ALL, among=None, sample=None):
    known = network.tasks if among is None else among
    return ensemble_members(view, network, sources, reads, sample or sampled(view, network), known)


def parts(members, task):
    return {b.part for o in members for b in o.blocks if b.task == task}


def test_a_path_is_read_beside_the_raw_input_and_in_each_inner_stage(view, network):
    found = members_of(view, network, [(0, None)])
    price = math.log(2)  # one of two tasks
    matching = price + math.lgamma(4)  # and one of 3! matchings
    assert set(found) == {
        EnsembleMember((RAW,)),
        EnsembleMember((RAW, Block(0)), price),
        EnsembleMember((Block(0, 0),), price),
        EnsembleMember((Block(0, 1),), price),
        EnsembleMember((Block(0, "log predictions"),), matching, matched=True, route=0),
    }


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([], set()),
        (["features"], {"features"}),
        (["stages"], {0, 1}),
        (["matched"], {"log predictions"}),
        (["stages", "features"], {0, 1, "features"}),
    ],
)
def test_only_what_is_asked_for_is_read(view, network, reads, expected):
    found = members_of(view, network, [(0, None), (1, None)], reads)
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
    assert _matchable(view, network, [1], network.tasks) == [1, 2, 4]
    assert _matchable(view, network, [0], network.tasks) == [0, 4]
    assert _matchable(view, network, [0, 1], [0, 1, 3]) == [0, 1]
    assert parts(members_of(view, network, [(1, None)], ["matched"], among=[1]), 2) == set()
    found = members_of(view, network, [(1, None)], ["matched"])
    assert parts(found, 4) == parts(found, 2) == {"log predictions"}


def test_the_answers_that_match_best_are_pooled_and_no_more_than_a_few(view, network):
    for task in range(2, 10):
        network.add_task(task, [["e0"]], network.new_head(task, 4))
    y = ORDER[add_reader(network, view, 10)]
    view = replace(view, y=y, n_classes=4)
    found = [o for o in members_of(view, network, [(0, None), (1, None)], ["matched"]) if o.matched]
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
    found = [o for o in members_of(view, network, [(0, None)], ["matched"]) if o.matched]
    assert found[0].blocks == (Block(10, "log predictions"),)


def test_a_path_may_be_read_through_a_symmetry_too_and_that_has_its_price(view, network):
    symmetry, sample = Symmetry(turns=1), sampled(view, network)
    sample = sample._replace(reader=ThroughAnything(network.backbone, network.heads, view.x))
    plain = members_of(view, network, [(0, None)], sample=sample)
    both = members_of(view, network, [(0, None), (0, symmetry)], sample=sample)
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
    others = members_of(view, network, [(0, None), (0, symmetry)], among=[1], sample=sample)
    assert not any(member.matched for member in others)


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
    assert (
        _beats_guess(loss, 0.0, lone, old) == earned
    )  # log 24! / 24 is 2.28, a guess costs log 24
    assert not _beats_guess(loss, 24 * (math.log(24) - 2), lone, old)


def candidate(view, network, weights=None):
    sample = sampled(view, network)
    members = members_of(view, network, [(0, None), (1, None)], sample=sample)
    return EnsembleCandidate(view, network, members, weights or EnsembleWeights(), sample)


class TestCandidate:
    @pytest.fixture
    def view(self, view):
        return replace(view, x=view.x + torch.nn.functional.one_hot(view.y, 4))

    def test_its_score_is_that_of_a_head_fitted_to_the_rows_to_fit(self, view, network):
        split = split_of(view)
        score = candidate(view, network).score(split)
        head = candidate(view, network).head(split.fit)
        network.add_task(9, [], head)
        with torch.no_grad():
            outputs = network(view.x[split.held], 9)
        expected = view.objective.calibrated_score(outputs, view.y[split.held])
        assert score == pytest.approx(expected, abs=1e-5)

    def test_held_out_labels_have_no_part_in_the_head_that_is_scored(self, view, network):
        split = split_of(view)
        y = view.y.clone()
        y[split.held] = (y[split.held] + 1) % 3
        one, two = (_fixed(v, network).head(split.fit) for v in (view, replace(view, y=y)))
        assert all(torch.equal(a, b) for a, b in zip(one.weights, two.weights, strict=True))

    def test_its_decision_is_fitted_to_all_rows_and_trains_nothing(self, view, network):
        decision = candidate(view, network).decision(Evidence(), steps=7)
        assert (decision.kind, decision.train, decision.path, decision.steps) == (
            "ensemble",
            False,
            (),
            7,
        )
        whole = candidate(view, network).head()
        pairs = zip(decision.head.weights, whole.weights, strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)

    def test_random_weights_read_the_same_paths_for_some_rows_and_for_all(self, view, network):
        weights = EnsembleWeights(kind="random")
        for seed in range(5):
            network.seed = seed
            some = candidate(view, network, weights).head(split_of(view).fit)
            assert some.sources.keys() == candidate(view, network, weights).head().sources.keys()


def _fixed(view, network):
    """Return the candidate with the raw input alone, the evidence looked for on the rows to fit."""
    sample = sample_of(view, network, split_of(view).fit)
    members = [EnsembleMember((RAW,))]
    return EnsembleCandidate(view, network, members, EnsembleWeights(), sample)
