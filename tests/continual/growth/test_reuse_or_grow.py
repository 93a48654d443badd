"""What the policy decides, what that costs, and what of a trial is kept."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cl_moe.continual.candidates.budget import full_layers, least_important, users
from cl_moe.continual.candidates.halving import race
from cl_moe.continual.candidates.heads import Heads
from cl_moe.continual.candidates.trial import Trial, Tried, split_of
from cl_moe.continual.evidence.sample import sample_of
from cl_moe.continual.growth.fixed import FixedPool
from cl_moe.continual.growth.per_task import PerTask
from cl_moe.continual.growth.reuse_or_grow import ReuseOrGrow
from cl_moe.continual.usage import importance
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.edits import apply, set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.classification import Classification
from cl_moe.state import State


def scored(logits, y):
    return Tried(*Classification(logits.shape[1]).calibrated_score(logits, y))


def adam(parts):
    return torch.optim.Adam([p for part in parts.values() for p in part.parameters()], lr=1e-2)


def network_of(layers=1, gate=EnsembleGate, experts=1):
    shape, made = (8,), []
    for depth, factory in enumerate(cut(MLPExpert([24, 16]).stages(), layers)):
        made.append(MoELayer(factory, gate(24), shape, experts=experts, seed=depth))
        shape = made[-1].out_shape
    return MoENetwork(Chain(made))


def rings(n, seed, shift=0):
    """A task that no linear map solves: the class is how many of two signs agree, per pair."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=g)
    a, b = x[:, shift] * x[:, shift + 1] > 0, x[:, shift + 2] * x[:, shift + 3] > 0
    return x, 2 * a.long() + b.long()


def view_of(task, x, y, steps=300):
    return TaskView(task, f"t{task}", x, y, 4, steps, 32, adam, seed=0)


def related(n, seed=1, task=1, steps=300):
    """The first task once more, with its classes renamed."""
    x, y = rings(n, seed)
    return view_of(task, x, (y + 1) % 4, steps)


def unrelated(n, seed=2, task=1, steps=300):
    """A task on other inputs."""
    return view_of(task, *rings(n, seed, shift=4), steps)


def applied(network, decision):
    """Take a decision's experts and head into a network, as the plugin does."""
    apply(network, decision.edits)
    return network


def learn(network, view, decision, steps=600):
    """Apply a decision and train what it leaves to train."""
    applied(network, decision)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-2)
    for _ in range(steps * decision.train):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(view.x, view.task), view.y).backward()
        optimizer.step()
    set_trainable(network, set())
    return network


def accuracy(network, task, x, y):
    with torch.no_grad():
        return (network(x, task).argmax(1) == y).float().mean().item()


def trained_network(**options):
    network = network_of(**options)
    view = view_of(0, *rings(800, 0))
    return learn(network, view, ReuseOrGrow().decide(view, network))


@pytest.fixture
def to_the_end(monkeypatch):
    """No trial is given up."""
    monkeypatch.setattr("cl_moe.continual.candidates.halving.hopeless", lambda *_: False)


@pytest.fixture(scope="module")
def trained():
    network = trained_network()
    assert accuracy(network, 0, *rings(500, 9)) > 0.85
    return network


@pytest.fixture(scope="module")
def two_layers():
    return trained_network(layers=2)


@pytest.fixture(scope="module")
def without_evidence():
    return trained_network(gate=TaskGate)


def test_the_first_task_takes_the_expert_that_waits(trained):
    assert trained.path(0) == (("e0",),)


@pytest.mark.parametrize("n", [60, 200])
def test_the_same_task_with_other_labels_is_answered_as_before(trained, n):
    view = related(n)
    decision = ReuseOrGrow().decide(view, trained)
    assert (decision.kind, decision.path, decision.train) == ("ensemble", (), False)
    assert decision.head.shares[0] > 0.99
    x, y = rings(400, 5)
    network = applied(copy.deepcopy(trained), decision)
    assert accuracy(network, 1, x, (y + 1) % 4) > accuracy(trained, 0, x, y) - 0.05


@pytest.mark.parametrize("n", [60, 200])
def test_without_the_evidence_gate_it_is_taken_over_and_nothing_is_averaged(without_evidence, n):
    view = related(n)
    policy = ReuseOrGrow()
    decision = policy.decide(view, without_evidence)
    assert (decision.kind, decision.evidence.source, decision.train) == ("matched", 0, False)
    assert decision.path == (("e0",),)
    assert "ensemble" not in {c.kind for c in decision.evidence.candidates}
    assert policy.matched_tasks == set(), "nothing is remembered before it is learned"
    x, y = rings(400, 5)
    network = applied(copy.deepcopy(without_evidence), decision)
    policy.learned(view, network, decision)
    assert policy.matched_tasks == {1}
    assert accuracy(network, 1, x, (y + 1) % 4) == accuracy(without_evidence, 0, x, y)


def test_a_task_too_large_to_average_is_taken_over_whole(trained):
    view = related(200)
    assert ReuseOrGrow(ensemble_up_to=200).decide(view, trained).kind == "ensemble"
    decision = ReuseOrGrow(ensemble_up_to=199).decide(view, trained)
    assert decision.kind == "matched"
    assert {c.kind for c in decision.evidence.candidates} == {"matched", "reuse", "copy"}


def test_a_linear_task_with_few_examples_is_answered_from_the_raw_input(trained):
    def linear(n, seed):
        x = torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))
        return x, 2 * (x[:, 4] > 0).long() + (x[:, 5] > 0).long()

    view = view_of(1, *linear(60, 3), steps=5)
    decision = ReuseOrGrow().decide(view, trained)
    assert decision.kind == "ensemble"
    network = applied(copy.deepcopy(trained), decision)
    assert accuracy(network, 1, *linear(400, 4)) > 0.6
    with torch.no_grad():
        values = network.blocks(view.x, decision.head.blocks)
        spread = {
            block: (values[block] @ weight.T).var(0).sum().item()
            for block, weight in zip(decision.head.blocks, decision.head.weights, strict=True)
        }
    assert spread[RAW] > sum(spread.values()) / 2


def test_an_unrelated_task_grows(trained):
    decision = ReuseOrGrow().decide(unrelated(200), trained)
    assert decision.kind == "fresh"
    assert isinstance(decision.path[0][0], nn.Module)


class TestWhatItCosts:
    @pytest.mark.parametrize("options", [{}, {"max_experts": 1}, {"max_experts": 3}])
    @pytest.mark.parametrize("view", [related(60), unrelated(63)], ids=["related", "unrelated"])
    def test_a_small_task_takes_no_step(self, trained, view, options):
        decision = ReuseOrGrow(**options).decide(view, trained)
        assert (decision.kind, decision.steps, decision.learned) == ("ensemble", 0, 0)
        (only,) = decision.evidence.candidates
        scored = "max_experts" in options  # a budget asks what each task is worth
        assert (only.accuracy is not None) == scored

    def test_a_task_of_more_examples_trains_candidates(self, trained):
        assert ReuseOrGrow(train_from=64).decide(unrelated(64), trained).steps > 0
        assert ReuseOrGrow(train_from=65).decide(unrelated(64), trained).steps == 0

    def test_a_trial_takes_its_share_of_the_tasks_steps(self, trained):
        for share in (0.5, 0.2, 1.0):
            decision = ReuseOrGrow(trial_share=share).decide(unrelated(200), trained)
            assert decision.steps == decision.learned == 300 * share

    def test_a_trial_must_win_by_what_it_costs(self, trained, monkeypatch):
        asked = []

        def spied(trials, lap, until, to_beat, *facts, **options):
            asked.append(to_beat)
            return race(trials, lap, until, to_beat, *facts, **options)

        monkeypatch.setattr("cl_moe.continual.growth.reuse_or_grow.race", spied)
        average, _ = ReuseOrGrow(margin=0.1).decide(unrelated(200), trained).evidence.candidates
        assert asked.pop() == pytest.approx([average.loss - 0.1])
        taken, *_ = (
            ReuseOrGrow(margin=0.1).decide(related(2049, steps=20), trained).evidence.candidates
        )
        assert taken.kind == "matched"  # it has named one of 4! matchings, for 409 rows held out
        assert asked.pop() == pytest.approx([taken.loss + math.log(24) / 409 - 0.1], abs=1e-4)

    @pytest.mark.parametrize(("n", "patient"), [(2048, False), (2049, True)])
    def test_a_task_too_large_to_average_is_patient_with_its_trial(
        self, trained, monkeypatch, n, patient
    ):
        asked = []

        def spied(*given, **options):
            asked.append(options)
            return race(*given, **options)

        monkeypatch.setattr("cl_moe.continual.growth.reuse_or_grow.race", spied)
        ReuseOrGrow().decide(unrelated(n, steps=20), trained)
        assert asked == [{"patient": patient}]

    def test_a_hopeless_trial_is_cut_short(self, trained):
        decision = ReuseOrGrow().decide(related(200), trained)
        assert decision.kind == "ensemble"
        assert (decision.steps, decision.learned) == (21, 0)  # three looks, and lost

    def test_those_that_drop_out_take_a_lap(self, two_layers):
        policy = ReuseOrGrow(kinds=["branch", "copy"])
        decision = policy.decide(related(800), two_layers)
        assert [c.kind for c in decision.evidence.candidates] == ["branch", "copy"]
        assert [c.dropped for c in decision.evidence.candidates] == [False, True]
        assert decision.steps == 150 + 15
        assert (
            decision.evidence.candidates[decision.evidence.chosen].kind == decision.kind == "branch"
        )
        assert decision.learned == 150


def plans_of(policy, view, network, gains=None):
    """Return what a policy would try, given the gain of each path."""
    sample = sample_of(view, network, split_of(view).fit)
    return policy._plans(view, network, gains or policy.ranking.gains(sample, [0]), sample, set())


class TestWhatATrialLearned:
    """The winner goes on from where its trial left it."""

    @pytest.mark.parametrize(
        ("fixture", "view", "kind"),
        [
            ("trained", unrelated(200), "fresh"),
            ("trained", unrelated(800, seed=5), "copy"),
            ("two_layers", related(800), "branch"),
            ("without_evidence", unrelated(200), "fresh"),
        ],
    )
    def test_is_what_the_task_begins_with(self, request, to_the_end, fixture, view, kind):
        network = request.getfixturevalue(fixture)
        policy = ReuseOrGrow()
        decision = policy.decide(view, network)
        assert decision.kind == kind
        assert decision.learned > 0
        assert decision.learned_seconds > 0
        plans = plans_of(policy, view, network)
        plan = plans[decision.evidence.chosen]
        with torch.no_grad():
            heads = Heads(view, network, network.blocks(view.x, plan.blocks))
        again = Trial(plan, view, network, split_of(view), heads)
        again.train(decision.learned)
        experts = [expert for (expert,) in decision.path]
        assert experts[: plan.kept] == [e for (e,) in network.path(0)[: plan.kept]]
        grown = nn.ModuleList([*experts[plan.kept :], decision.head]).state_dict()
        expected = nn.ModuleList([*again.top.parts, again.top.head]).state_dict()
        assert grown.keys() == expected.keys()
        assert all(torch.equal(grown[name], expected[name]) for name in grown)

    def test_is_what_was_judged_and_learns_on(self, trained):
        view = unrelated(200)
        decision = ReuseOrGrow().decide(view, trained)
        modules = nn.ModuleList([decision.path[0][0], decision.head])
        assert all(p.requires_grad for p in modules.parameters())
        network = applied(copy.deepcopy(trained), decision)
        held = split_of(view).held
        with torch.no_grad():
            shown = scored(network(view.x[held], 1), view.y[held])
        own = decision.evidence.candidates[decision.evidence.chosen]
        assert (own.accuracy, own.loss) == (shown.accuracy, shown.loss)
        assert accuracy(network, 1, *rings(400, 7, shift=4)) > 0.45  # chance is 0.25

    def test_is_not_carried_into_an_expert_that_waits(self):
        network = trained_network(experts=2)
        before = copy.deepcopy(network.moe_layers[0].pool["e1"].state_dict())
        policy = ReuseOrGrow(kinds=["ensemble", "fresh"], margin=-5.0)
        decision = policy.decide(unrelated(200), network)
        assert (decision.kind, decision.path) == ("fresh", (("e1",),))
        assert decision.steps > decision.learned == 0
        assert torch.equal(decision.head.weight, network.new_head(1, 4).weight)
        after = network.moe_layers[0].pool["e1"].state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)

    def test_is_not_carried_where_an_expert_in_use_is_retrained(self, trained):
        policy = ReuseOrGrow(max_experts=1, reassign_margin=-5.0)
        decision = policy.decide(unrelated(200), trained)
        assert decision.kind == "reassign"
        assert decision.path == (("e0",),)
        assert decision.retrain == ((0, "e0"),)
        assert decision.steps > decision.learned == decision.learned_seconds == 0

    def test_of_a_candidate_that_had_no_rival_there_is_nothing(self, trained):
        decision = ReuseOrGrow(kinds=["copy"]).decide(unrelated(200), trained)
        assert (decision.kind, decision.steps, decision.learned) == ("copy", 0, 0)
        start = trained.moe_layers[0].pool["e0"]
        assert torch.equal(decision.path[0][0][0][0].weight, start[0][0].weight)


@pytest.mark.parametrize("view", [related(60), unrelated(80), related(200)])
def test_deciding_changes_nothing(two_layers, view):
    network = two_layers
    before = {name: p.clone() for name, p in network.state_dict().items() if torch.is_tensor(p)}
    state = torch.random.get_rng_state()
    flags = [p.requires_grad for p in network.parameters()]
    ReuseOrGrow().decide(view, network)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert flags == [p.requires_grad for p in network.parameters()]
    assert torch.equal(state, torch.random.get_rng_state())
    assert network.tasks == [0]
    assert all(layer.pool.ids == ["e0"] for layer in network.moe_layers)


def test_the_same_view_gives_the_same_decision(trained):
    one, two = (ReuseOrGrow().decide(unrelated(80), trained) for _ in range(2))
    assert one.evidence == two.evidence
    assert one.kind == two.kind
    state = two.head.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in one.head.state_dict().items())


def test_layers_may_be_shared_below_and_new_above(two_layers):
    plans = plans_of(ReuseOrGrow(), unrelated(80), two_layers, {0: 0.1})
    assert {plan.kind: plan.starts for plan in plans} == {
        "ensemble": (),
        "branch": ("keep", "copy"),
        "copy": ("copy", "copy"),
    }


def test_what_beats_the_raw_input_is_copied_and_else_the_start_is_fresh(trained):
    for gain, kind in ((0.01, "copy"), (0.0, "fresh"), (-0.2, "fresh")):
        plans = plans_of(ReuseOrGrow(), unrelated(80), trained, {0: gain})
        assert [plan.kind for plan in plans] == ["ensemble", kind]


class TestBudget:
    def test_a_waiting_expert_is_room(self):
        network = network_of()
        assert full_layers(network, 1) == []
        network.add_task(0, [["e0"]], network.new_head(0, 4))
        assert full_layers(network, 1) == [0]
        assert full_layers(network, None) == []

    def test_a_full_pool_is_never_grown(self, trained):
        decision = ReuseOrGrow(max_experts=1).decide(unrelated(400, steps=600), trained)
        assert {c.kind for c in decision.evidence.candidates} == {"ensemble", "reassign"}
        assert decision.kind == "reassign"
        assert decision.retrain == ((0, "e0"),)
        assert decision.path == (("e0",),)

    def test_retraining_an_expert_in_use_has_to_be_worth_it(self, trained, to_the_end):
        view = unrelated(400, steps=600)
        left, retrained = ReuseOrGrow(max_experts=1).decide(view, trained).evidence.candidates
        won = left.loss - retrained.loss
        for margin, kind in ((won - 0.01, "reassign"), (won + 0.01, "ensemble")):
            policy = ReuseOrGrow(max_experts=1, reassign_margin=margin)
            assert policy.decide(view, trained).kind == kind

    def test_it_has_to_be_worth_it_for_each_task_that_is_hit(self, trained, to_the_end):
        network, view = copy.deepcopy(trained), unrelated(400, steps=600)
        left, retrained = ReuseOrGrow(max_experts=1).decide(view, network).evidence.candidates
        policy = ReuseOrGrow(max_experts=1, reassign_margin=0.6 * (left.loss - retrained.loss))
        assert policy.decide(view, network).kind == "reassign"
        weights = {RAW: torch.zeros(4, 8), Block(0): torch.zeros(4, 16)}
        half = EnsembleHead(weights, torch.zeros(4), {-1: 0.5, 0: 0.5})
        network.add_task(7, [], half)  # half a user more: 0.9 of what is won
        assert users(0, [0], network) == pytest.approx(1.5)
        assert policy.decide(view, network).kind == "reassign"
        network.add_task(8, [["e0"]], network.new_head(8, 4))
        assert users(0, [0], network) == pytest.approx(2.5)
        assert users(0, [], network) == 0
        assert policy.decide(view, network).kind == "ensemble"

    def test_the_expert_that_matters_least_among_the_related_is_given_up(self):
        network = network_of()
        for task in range(3):
            view = view_of(task, *rings(10, 0))
            applied(network, PerTask().decide(view, network))
        network.add_task(3, [["e0"]], network.new_head(3, 4))
        task_importance = {0: 0.7, 1: 0.2, 2: 0.7, 3: 0.7}
        assert importance(network, task_importance)[0, "e0"] == pytest.approx(1.4)
        assert least_important([2, 1, 0], [0], network, task_importance) == 1
        policy = ReuseOrGrow(max_experts=3)
        policy.task_importance = task_importance
        plans = plans_of(policy, view_of(4, *rings(80, 7)), network, {0: 0.0, 1: 0.0, 2: 0.0})
        (plan,) = [p for p in plans if p.kind == "reassign"]
        assert (plan.source, plan.starts) == (1, ("retrain",))

    def test_a_task_is_worth_what_it_has_above_chance(self, trained):
        policy = ReuseOrGrow(max_experts=2)
        view = related(60)
        decision = policy.decide(view, trained)
        policy.learned(view, applied(copy.deepcopy(trained), decision), decision)
        assert policy.task_importance == {
            1: pytest.approx(decision.evidence.candidates[0].accuracy - 0.25)
        }
        assert policy.task_importance[1] > 0.3


def test_per_task_grows_each_time_and_fixed_never():
    network = network_of()
    view = view_of(0, *rings(20, 0))
    first = PerTask().decide(view, network)
    assert first.path == (("e0",),)
    learn(network, view, first, steps=1)
    second = PerTask().decide(replace(view, task=1), network)
    assert isinstance(second.path[0][0], nn.Module)
    assert FixedPool().decide(view, network).path == (("e0",),)


class TestKinds:
    @pytest.mark.parametrize("kind", ["matched", "ensemble", "reuse", "copy", "fresh"])
    def test_only_those_asked_for_are_considered(self, trained, kind):
        decision = ReuseOrGrow(kinds=[kind]).decide(related(60, steps=5), trained)
        assert {c.kind for c in decision.evidence.candidates} == {kind}
        assert decision.kind == kind

    def test_where_there_may_be_no_copy_a_fresh_start_is_considered(self, trained):
        policy = ReuseOrGrow(kinds=["matched", "fresh"])
        plans = plans_of(policy, related(60), trained, {0: 0.1})
        assert [plan.kind for plan in plans] == ["matched", "fresh"]
        plans = plans_of(ReuseOrGrow(kinds=["branch", "fresh"]), related(60), trained, {0: 0.1})
        assert [plan.kind for plan in plans] == ["fresh"]

    def test_where_there_may_be_no_fresh_start_what_is_worse_is_copied(self, trained):
        plans = plans_of(ReuseOrGrow(kinds=["reuse", "copy"]), related(60), trained, {0: -0.1})
        assert [plan.kind for plan in plans] == ["reuse", "copy"]

    def test_where_none_is_to_be_had_the_task_grows(self, trained):
        view = related(60, steps=5)
        branch = ReuseOrGrow(kinds=["branch"])  # with one layer there is nothing to branch from
        assert branch.decide(view, trained).kind == "fresh"
        full = ReuseOrGrow(kinds=["copy"], max_experts=1)
        assert full.decide(view, trained).kind == "reassign"


@pytest.mark.parametrize(
    ("reads", "parts"),
    [
        ([], set()),
        (["features"], {"features"}),
        (["predictions"], {"predictions"}),
        (["stages"], {0}),
        (["matched"], {"log predictions"}),
    ],
)
def test_an_average_reads_no_more_than_it_is_asked_to(trained, reads, parts):
    view = related(60)
    decision = ReuseOrGrow(reads=reads).decide(view, trained)
    assert decision.kind == "ensemble"
    assert {block.part for block in decision.head.blocks if block != RAW} == parts
    x, y = rings(400, 5)
    network = applied(copy.deepcopy(trained), decision)
    shown = accuracy(network, 1, x, (y + 1) % 4)
    assert (shown > 0.4) == bool(parts)  # from the raw input no better than chance: 0.25


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match=r"kinds: \['cpy'\]"):
        ReuseOrGrow(kinds=["cpy"])
    with pytest.raises(ValueError, match=r"reads: \['stage'\]"):
        ReuseOrGrow(reads=["stage"])
    with pytest.raises(ValueError, match="max_experts: 0"):
        ReuseOrGrow(max_experts=0)
    with pytest.raises(ValueError, match="trial_share"):
        ReuseOrGrow(trial_share=0.0)


def unrelated_lone():
    """Four rows, of a class each, that the first task answers alike."""
    x, y = rings(400, 1)
    alike = (y == 2).nonzero().flatten()[:4]
    return x[alike], torch.arange(4)


class TestSingleExamples:
    """With one example a class nothing can be held out."""

    @pytest.mark.parametrize("n", [40, 80])
    def test_the_raw_input_answers_alone(self, trained, n):
        x = torch.randn(n, 8, generator=torch.Generator().manual_seed(0))
        plain = view_of(1, x, torch.arange(n))
        view = replace(plain, n_classes=n, objective=Classification(n))
        decision = ReuseOrGrow().decide(view, trained)
        assert decision.kind == "ensemble"
        assert decision.head.shares == {-1: 1.0}
        assert all(c.accuracy is None for c in decision.evidence.candidates)
        assert decision.steps == 0

    @pytest.mark.parametrize(("per_class", "scored"), [(1, False), (2, True)])
    def test_regressions_are_not_judged_by_what_says_nothing(self, trained, per_class, scored):
        x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
        view = view_of(1, x, torch.arange(20) // per_class)
        sample = sample_of(view, trained, split_of(view).fit)
        found = ReuseOrGrow().ranking.choose_features(view.y, sample, {0: 0.1}, [0], ("features",))
        assert found.scored == scored
        assert list(found.parts) == (["features"] if scored else [])

    def test_earlier_answers_that_pay_for_their_matching_are_pooled(self, trained):
        x, y = rings(400, 1)
        lone = torch.stack([(y == label).nonzero()[0, 0] for label in range(4)])
        decision = ReuseOrGrow().decide(view_of(1, x[lone], (y[lone] + 1) % 4), trained)
        assert Block(0, "log predictions") in decision.head.blocks
        network = applied(copy.deepcopy(trained), decision)
        assert accuracy(network, 1, x, (y + 1) % 4) > 0.85
        other = ReuseOrGrow().decide(view_of(1, *unrelated_lone()), trained)
        assert Block(0, "log predictions") not in other.head.blocks

    def test_no_untested_answers_are_taken_over(self, without_evidence):
        x, y = rings(60, 1)
        lone = [(y == label).nonzero()[0] for label in (1, 2, 3)]
        rows = torch.cat([(y == 0).nonzero().flatten(), *lone])
        decision = ReuseOrGrow().decide(view_of(1, x[rows], y[rows]), without_evidence)
        assert "matched" in {c.kind for c in decision.evidence.candidates}
        assert decision.kind == "reuse"
        assert all(c.accuracy is None for c in decision.evidence.candidates)


def six_tasks():
    """A network of six tasks, each with a path of its own."""
    network = network_of(experts=0)
    for task in range(6):
        (layer,) = network.moe_layers
        id_ = layer.add(layer.make(str(task)))
        network.add_task(task, [[id_]], network.new_head(task, 4))
    return network


def test_no_more_tasks_are_looked_at_than_are_on_the_shortlist():
    network, policy = six_tasks(), ReuseOrGrow(shortlist=2)
    for task in range(6):
        policy.near.add(task, *rings(40, task, shift=task % 4))
    seen = set()
    (layer,) = network.moe_layers
    for task in range(6):
        (id_,) = network.path(task)[0]
        for module in (*layer.pool[id_].modules(), network.heads[str(task)]):
            module.register_forward_hook(lambda *_, task=task: seen.add(task))
    view = view_of(6, *rings(40, 9, shift=1))
    decision = policy.decide(view, network)
    near = policy.near.to(view.x, view.y, range(6))
    assert len(near) == 2
    assert seen == set(near), "by their experts and heads, each of which is run"
    assert set(decision.head.shares) - {-1} <= set(near)


def test_a_list_that_is_long_enough_is_the_full_search():
    network, view = six_tasks(), view_of(6, *rings(40, 9, shift=1))
    decided = []
    for shortlist in (6, 1000):
        policy = ReuseOrGrow(shortlist=shortlist)
        decision = policy.decide(view, network)
        decided.append((decision.kind, decision.evidence.candidates, decision.head.shares))
    assert decided[0] == decided[1]


def test_what_it_remembers_can_be_given_to_another_as_json_and_tensors():
    network, policy = network_of(), ReuseOrGrow(shortlist=2, max_experts=3, ensemble_up_to=100)
    views = [view_of(0, *rings(400, 0)), related(300), related(60, task=2), unrelated(40, task=3)]
    for view in views:
        decision = policy.decide(view, network)
        learn(network, view, decision, steps=100)
        policy.learned(view, network, decision)
    assert policy.task_importance
    assert policy.matched_tasks
    state = policy.state()
    stored = State(json.loads(json.dumps(state.plain)), state.tensors)
    again = ReuseOrGrow(shortlist=2, max_experts=3, ensemble_up_to=100)
    again.restore(stored)
    assert (again.task_importance, again.matched_tasks) == (
        policy.task_importance,
        policy.matched_tasks,
    )
    for view in (related(80, task=4), unrelated(90, task=4)):
        one, two = policy.decide(view, network), again.decide(view, network)
        assert one.evidence == two.evidence
        assert one.head.sources == two.head.sources
        assert len(policy.near.of(view, network)) == 2
        assert policy.near.of(view, network) == again.near.of(view, network)
    fresh = ReuseOrGrow()
    assert PerTask().state() == State()
    fresh.restore(ReuseOrGrow().state())
    assert (fresh.task_importance, fresh.matched_tasks) == ({}, set())


def test_a_decision_that_is_not_taken_in_leaves_the_policy_as_it_was(trained):
    policy = ReuseOrGrow(max_experts=2)
    before = policy.state()
    for view in (related(60), unrelated(200)):
        policy.decide(view, trained)
    assert policy.state().plain == before.plain
    assert policy.state().tensors.keys() == before.tensors.keys() == set()
