"""The pool equals what its members say one by one, and leans on those that evidence is for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cl_moe.continual.evidence.ensemble import Ensemble, EnsembleMember, EvidenceRows
from cl_moe.continual.evidence.matching import match_classes, matching_evidence
from cl_moe.continual.evidence.ridge import leave_one_out
from cl_moe.continual.evidence.rows import evidence_rows
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.gates._ensemble import EnsembleWeights
from cl_moe.moe.symmetry import Symmetry
from cl_moe.objectives.regression import Regression

FEATURES, ANSWERS, LOG_PREDICTIONS = Block(0), Block(0, "predictions"), Block(0, "log predictions")
STAGE = Block(1, 0)
RIDGES = [
    EnsembleMember((RAW,)),
    EnsembleMember((RAW, FEATURES), price=0.5),
    EnsembleMember((RAW, ANSWERS), price=0.5),
    EnsembleMember((STAGE,), price=0.5),
]
MATCHED = EnsembleMember((LOG_PREDICTIONS,), price=1.0, matched=True)


def task(n=48, classes=3, seed=0, signal=1.0):
    """Rows whose class shows a little in the input, and more on the path of task 0."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    clue = F.one_hot(y, classes).float()
    logits = 2 * signal * clue.roll(1, 1) + torch.randn(n, classes, generator=draw)
    values = {
        RAW: signal * clue @ torch.randn(classes, 7, generator=draw)
        + 2 * torch.randn(n, 7, generator=draw),
        FEATURES: 30 + 10 * (signal * clue + torch.randn(n, classes, generator=draw)),
        ANSWERS: logits.softmax(1),
        LOG_PREDICTIONS: logits.log_softmax(1),
        STAGE: torch.randn(n, 60, generator=draw),  # more values than rows
    }
    return values, y


def scaled(x):
    """Rows with mean 0 and mean square length 1."""
    x = x - x.mean(0)
    return x / x.square().sum(1).mean().sqrt()


def said(member, values, y, classes, rows, seen):
    """What one member fitted to rows says of all, logits (N, C), and its loss on those seen."""
    if member.matched:
        (log_probs,) = (values[block].double() for block in member.blocks)
        temperature, loss = matching_evidence(log_probs[seen], y[seen], classes)
        matched = log_probs[:, match_classes(log_probs[rows], y[rows], classes)]
        return temperature * matched, loss
    x = torch.cat([scaled(values[block].double()) for block in member.blocks], 1)
    looked_at = torch.cat([scaled(values[block][seen].double()) for block in member.blocks], 1)
    found = leave_one_out(looked_at @ looked_at.T, y[seen], classes)
    target = F.one_hot(y[rows], classes).double()
    system = x[rows].T @ x[rows] + found.strength * torch.eye(x.shape[1])
    weight = torch.linalg.solve(system, x[rows].T @ (target - target.mean(0)))
    logits = found.temperature * (x @ weight + target.mean(0))
    return logits, found.loss


def check(head, gate, members, values, y, rows, seen):
    """Compare a head with the weighted sum of what each member says; return the weights."""
    logits, losses = zip(*(said(o, values, y, 3, rows, seen) for o in members), strict=True)
    losses = [loss + o.price / len(seen) for loss, o in zip(losses, members, strict=True)]
    share = gate(losses, [o.task for o in members], len(seen))
    share = torch.where(share < 0.1 * share.max(), 0.0, share).double()
    share = share / share.sum()
    expected = sum(w * z for w, z in zip(share, logits, strict=True))
    assert torch.allclose(head(values).double(), expected, atol=1e-3)
    pooled = sum(w * z.log_softmax(1) for w, z in zip(share, logits, strict=True)).softmax(1)
    assert torch.allclose(head(values).softmax(1).double(), pooled, atol=1e-3)
    for path, found in head.shares.items():
        own = sum(float(w) for w, o in zip(share, members, strict=True) if o.task == path)
        assert found == pytest.approx(own, abs=1e-6)
    assert sum(head.shares.values()) == pytest.approx(1)
    assert len(set(head.blocks)) == len(head.blocks)
    return share


@pytest.mark.parametrize(("weights", "pooled"), [("evidence", 3), ("uniform", 5)])
@pytest.mark.parametrize("kept", [48, 30])
def test_the_head_is_the_weighted_sum_of_what_each_opinion_says(weights, pooled, kept):
    values, y = task(signal=0.4)
    gate, members = EnsembleWeights(k=2, kind=weights), [*RIDGES, MATCHED]
    rows = torch.randperm(48, generator=torch.Generator().manual_seed(1))[:kept]
    head = Ensemble(values, y, 3).head(members, gate, rows)
    share = check(head, gate, members, values, y, rows, seen=rows)
    assert (share > 0).sum() >= pooled


@pytest.mark.parametrize("weights", ["evidence", "uniform"])
@pytest.mark.parametrize(("n", "first"), [(48, 30), (80, 54), (120, 80)])
def test_evidence_is_looked_for_once_and_all_the_rows_asked_for_are_fitted(weights, n, first):
    values, y = task(n, signal=0.4)
    ensemble, gate = Ensemble(values, y, 3), EnsembleWeights(k=2, kind=weights)
    part = torch.randperm(n, generator=torch.Generator().manual_seed(2))[:first]
    shares = ensemble.head(RIDGES, gate, part).shares
    head = ensemble.head(RIDGES, gate)
    check(head, gate, RIDGES, values, y, torch.arange(n), seen=part)
    assert head.shares == shares  # what was judged is what answers


@pytest.mark.parametrize("first", [None, 30])
def test_a_block_with_more_values_than_rows_is_solved_row_by_row_in_any_order(first):
    values, y = task()
    draw = torch.Generator().manual_seed(3)
    values[STAGE] = values[STAGE] + 3 * F.one_hot(y, 3).float() @ torch.randn(3, 60, generator=draw)
    ensemble, gate, member = Ensemble(values, y, 3), EnsembleWeights(), [EnsembleMember((STAGE,))]
    rows = torch.randperm(48, generator=draw)[:first]
    head = ensemble.head(member, gate, rows)
    assert (head(values).argmax(1) == y).all()  # there is something to solve
    check(head, gate, member, values, y, rows, seen=rows)
    check(ensemble.head(member, gate), gate, member, values, y, torch.arange(48), seen=rows)


@pytest.mark.parametrize("n", [48, 200])
def test_values_that_are_the_same_in_all_rows_cost_nothing_and_say_nothing(n):
    values, y = task(n)
    wider = dict(values)
    wider[RAW] = torch.cat([torch.full((n, 90), 0.3), values[RAW], torch.zeros(n, 90)], 1)
    gate = EnsembleWeights()
    plain, wide = (Ensemble(v, y, 3).head(RIDGES, gate) for v in (values, wider))
    assert torch.allclose(plain(values), wide(wider), atol=1e-5)
    weight = dict(zip(wide.blocks, wide.weights, strict=True))[RAW]
    assert not weight[:, :90].any()
    assert weight[:, 90:97].any()
    assert not weight[:, 97:].any()
    constant = {block: torch.ones_like(value) for block, value in values.items()}
    logits = Ensemble(constant, y, 3).head(RIDGES[:1], gate)(constant)
    assert torch.allclose(logits, logits[:1].expand_as(logits))


def test_evidence_is_looked_for_among_so_many_rows_and_all_are_fitted(monkeypatch):
    monkeypatch.setattr("cl_moe.continual.evidence.rows.EVIDENCE_ROWS", 30)
    values, y = task(signal=0.4)
    gate, rows = EnsembleWeights(k=2), torch.arange(48)
    head = Ensemble(values, y, 3).head(RIDGES, gate)
    assert len(evidence_rows(48)) == 30
    check(head, gate, RIDGES, values, y, rows, seen=evidence_rows(48))


def test_what_is_looked_at_may_be_read_by_itself_and_of_the_rest_what_has_weight():
    values, y = task(80, signal=0.4)
    values[FEATURES] = F.one_hot(y, 3) + 0.3 * values[STAGE][:, :3]
    gate, rows = EnsembleWeights(k=1), torch.arange(60)
    some = torch.arange(80).roll(30)[:40]
    seen = EvidenceRows(some, {block: value[some] for block, value in values.items()})
    expected = {block: value for block, value in values.items() if block in (RAW, FEATURES)}
    head = Ensemble(expected, y, 3, seen).head(RIDGES, gate, rows)  # no stage is asked for
    assert FEATURES in head.blocks
    check(head, gate, RIDGES, values, y, rows, seen=some)


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(4)), st.integers(0, 99))
def test_a_matched_opinion_finds_permuted_labels_again(order, seed):
    old = torch.arange(40) % 4
    noise = torch.randn(40, 4, generator=torch.Generator().manual_seed(seed))
    log_predictions = (6 * F.one_hot(old, 4) + noise).log_softmax(1)
    values = {RAW: noise, LOG_PREDICTIONS: log_predictions}
    ensemble = Ensemble(values, torch.tensor(order)[old], 4)
    head = ensemble.head([EnsembleMember((RAW,)), MATCHED], EnsembleWeights())
    expected = torch.tensor(order)[log_predictions.argmax(1)]
    assert torch.equal(head(values).argmax(1), expected)
    assert head.shares[0] > 0.9


def test_an_old_head_with_more_classes_is_matched_too():
    old = torch.tensor([4, 1, 2]).repeat(10)
    values = {LOG_PREDICTIONS: (5 * F.one_hot(old, 6)).float().log_softmax(1)}
    y = torch.arange(30) % 3
    head = Ensemble(values, y, 3).head([MATCHED], EnsembleWeights())
    assert head.n_outputs == 3
    assert torch.equal(head(values).argmax(1), y)


UNSCORED = [replace(member, scored=False) for member in RIDGES[:3]]
"""All on one path."""


class TestWhatIsNotJudged:
    """With one example a class nothing can be left out."""

    def task(self):
        values, _ = task(n=48)
        y = torch.arange(24).roll(5)
        values = {block: value[:24] for block, value in values.items()}
        values[RAW] = values[RAW] + F.one_hot(y, 24)[:, :7]
        return values, y

    @pytest.mark.parametrize("weights", ["evidence", "uniform"])
    def test_is_weighed_alike_and_has_no_price(self, weights):
        values, y = self.task()
        head = Ensemble(values, y, 24).head(UNSCORED, EnsembleWeights(kind=weights))
        assert head.shares == pytest.approx({-1: 1 / 3, 0: 2 / 3})

    def test_is_fitted_at_a_strength_and_a_temperature_set_beforehand(self):
        values, y = self.task()
        head = Ensemble(values, y, 24).head(UNSCORED[:1], EnsembleWeights())
        x, target = scaled(values[RAW].double()), F.one_hot(y, 24).double() - 1 / 24
        fitted = x @ torch.linalg.solve(x.T @ x + torch.eye(7).double(), x.T @ target)
        assert torch.allclose(head(values).double(), 8 * (fitted + 1 / 24), atol=1e-4)

    def test_has_the_loss_of_a_guess_beside_what_is(self):
        values, y = self.task()
        values[LOG_PREDICTIONS] = (9 * F.one_hot(y.roll(3), 24)).float().log_softmax(1)
        gate = EnsembleWeights()
        for price, wins in ((math.lgamma(25), True), (4 * math.lgamma(25), False)):
            matched = EnsembleMember((LOG_PREDICTIONS,), price=price, matched=True)
            head = Ensemble(values, y, 24).head([*UNSCORED, matched], gate)
            assert (LOG_PREDICTIONS in head.blocks) == wins


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(12, 47))
def test_only_the_labels_of_the_rows_given_are_used(seed, kept):
    values, y = task(seed=seed)
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randperm(48, generator=draw)[:kept]
    elsewhere = torch.ones(48, dtype=torch.bool)
    elsewhere[rows] = False
    other = torch.where(elsewhere, (y + 1) % 3, y)

    def head(labels):
        made = Ensemble(values, labels, 3).head([*RIDGES, MATCHED], EnsembleWeights(), rows)
        return {name: value.clone() for name, value in made.state_dict().items()}

    one, two = head(y), head(other)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    wrong = y.clone()
    wrong[rows[:4]] = (wrong[rows[:4]] + 1) % 3
    assert not torch.equal(head(wrong)["bias"], one["bias"])


def test_evidence_prefers_a_path_that_tells_the_classes_apart():
    values, y = task(n=120, signal=0.0)
    values[FEATURES] = F.one_hot(y, 3) + 0.3 * values[STAGE][:, :3]
    both = [EnsembleMember((RAW,)), EnsembleMember((RAW, FEATURES)), EnsembleMember((STAGE,))]
    head = Ensemble(values, y, 3).head(both, EnsembleWeights(k=2))
    assert max(head.shares, key=head.shares.__getitem__) == 0
    assert head.shares[0] > 0.8


def test_what_has_a_negligible_weight_is_left_out_with_all_that_it_reads():
    values, y = task(n=120, signal=0.0)
    values[FEATURES] = F.one_hot(y, 3) + 0.1 * values[STAGE][:, :3]
    members = [EnsembleMember((RAW,)), EnsembleMember((FEATURES,)), EnsembleMember((STAGE,))]
    head = Ensemble(values, y, 3).head(members, EnsembleWeights(k=2))
    assert head.blocks == [FEATURES]
    assert head.shares == {0: 1.0}


def test_the_weights_are_those_of_what_the_gate_keeps():
    values, y = task()
    values[Block(2)] = values[FEATURES] + values[STAGE][:, :3]
    members = [*RIDGES, EnsembleMember((RAW, Block(2)))]
    for k in (1, 2):
        head = Ensemble(values, y, 3).head(members, EnsembleWeights(k=k))
        assert len(set(head.shares) - {-1}) <= k
    random = EnsembleWeights(k=1, kind="random")
    draws = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1, 2, 3, 4, 5)]
    shares = [Ensemble(values, y, 3).head(members, random, draw=draw).shares for draw in draws]
    assert shares[0] == shares[1]
    assert {path for share in shares for path in share} == {-1, 0, 1, 2}
    for share in shares:
        assert len(share) == 2


def test_a_choice_that_takes_more_words_gets_less_weight():
    values, y = task()

    def share(price):
        members = [EnsembleMember((RAW,)), EnsembleMember((RAW, FEATURES), price)]
        return Ensemble(values, y, 3).head(members, EnsembleWeights()).shares.get(0, 0.0)

    assert share(0.0) > share(5.0) > share(50.0) == 0.0


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 1000), st.floats(-100, 100))
def test_neither_the_scale_nor_the_shift_of_a_block_matters(scale, shift):
    values, y = task()
    moved = {**values, FEATURES: scale * (values[FEATURES] + shift)}
    gate = EnsembleWeights(kind="uniform")
    one, two = (Ensemble(v, y, 3).head(RIDGES[:2], gate)(v) for v in (values, moved))
    assert torch.allclose(one, two, atol=1e-2)


def test_one_rare_class_does_not_send_a_task_to_the_raw_input():
    values, y = task(signal=3.0)
    y[y == 2] = 0
    y[5] = 2  # the one example of its class
    head = Ensemble(values, y, 3).head([*RIDGES, MATCHED], EnsembleWeights())
    assert head.shares[0] > 0.5


def test_opinions_on_one_path_are_told_by_their_tasks_and_cost_one_pass():
    values, y = task(signal=0.4)
    other = Block(5, "log predictions")
    values[other] = values[LOG_PREDICTIONS] + 0.1
    apart = [*RIDGES[:2], EnsembleMember((other,), matched=True)]
    together = [*RIDGES[:2], EnsembleMember((other,), matched=True, route=0)]
    ensemble, gate = Ensemble(values, y, 3), EnsembleWeights(k=1)
    assert len({0, 5} & set(ensemble.head(apart, gate).shares)) == 1
    assert {0, 5} <= set(ensemble.head(together, gate).shares)


def test_a_path_through_a_symmetry_costs_a_pass_of_its_own():
    values, y = task(signal=0.4)
    turned = Block(0, symmetry=Symmetry(turns=1))
    values[turned] = values[FEATURES] + 0.1
    members = [*RIDGES[:2], EnsembleMember((RAW, turned), price=0.5)]
    for k, read in ((1, 1), (2, 2)):
        head = Ensemble(values, y, 3).head(members, EnsembleWeights(k=k))
        assert len({FEATURES, turned} & set(head.blocks)) == read


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("n", [40, 300])
def test_real_targets_are_answered_by_the_path_that_explains_them(outputs, n):
    """Weighed by nats, pooled as predictions, the same from fewer equations than rows or more."""
    draw = torch.Generator().manual_seed(5)
    z = torch.randn(n, 60, generator=draw)
    y = 3 * z[:, :outputs] + 100 + 0.1 * torch.randn(n, outputs, generator=draw)
    values = {RAW: torch.randn(n, 4, generator=draw), FEATURES: z[:, :5]}
    values[STAGE] = z if n > 60 else values[RAW]
    members = [EnsembleMember((RAW,)), EnsembleMember((FEATURES,)), EnsembleMember((STAGE,))]
    ensemble = Ensemble(values, y, outputs, objective=Regression(outputs))
    head = ensemble.head(members, EnsembleWeights(k=2))
    assert head.shares[0] > 0.9
    assert Regression(outputs).metrics(head(values), y)["r2"] > 0.98
    part = torch.randperm(n, generator=draw)[: n // 2]
    ensemble = Ensemble(values, y, outputs, objective=Regression(outputs))
    some = ensemble.head(members, EnsembleWeights(k=2), part)
    assert ensemble.head(members, EnsembleWeights(k=2)).shares == some.shares
