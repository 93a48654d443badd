"""What the policy decides, what that costs, and what of a trial is kept."""

from __future__ import annotations

import copy
import json
import math
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from cl_moe.continual.candidates.budget import full_layers, least_important, users
from cl_moe.continual.candidates.trial import Trial, split_of
from cl_moe.continual.growth.fixed import FixedPool
from cl_moe.continual.growth.per_task import PerTask
from cl_moe.continual.growth.reuse_or_grow import ReuseOrGrow
from cl_moe.continual.usage import importance
from cl_moe.continual.view import TaskView
from cl_moe.errors import InputError
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.edits import apply, set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.masked import MaskedGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.classification import Classification
from cl_moe.state import State


def adam(parts):
    return torch.optim.Adam([p for part in parts.values() for p in part.parameters()], lr=1e-2)


def network_of(layers=1, gate=TaskGate, experts=1):
    shape, made = (8,), []
    for depth, factory in enumerate(cut(MLPExpert([24, 16]).stages(), layers)):
        made.append(MoELayer(factory, gate(math.prod(shape)), shape, experts=experts, seed=depth))
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


RETRAIN_MARGIN = "cl_moe.continual.growth.reuse_or_grow.RETRAIN_MARGIN"


@pytest.fixture
def to_the_end(monkeypatch):
    """Trials last as long as the task's training, and nothing is forecast."""
    monkeypatch.setattr(
        "cl_moe.continual.candidates.trial.forecast", lambda before, now, until: now[1]
    )
    monkeypatch.setattr("cl_moe.continual.candidates.trial.CHECKPOINTS", (1.0,))


@pytest.fixture(scope="module")
def trained():
    network = trained_network()
    assert accuracy(network, 0, *rings(500, 9)) > 0.85
    return network


@pytest.fixture(scope="module")
def two_layers():
    return trained_network(layers=2)


@pytest.fixture(scope="module")
def by_row():
    return trained_network(gate=MaskedGate)


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
def test_where_a_gate_routes_by_row_a_task_grows(by_row, n):
    decision = ReuseOrGrow().decide(related(n), by_row)
    assert decision.kind in ("copy", "fresh")
    assert (decision.evidence.candidates, decision.steps) == ((), 0)


def test_a_rich_task_grows_unless_it_recurs(trained):
    decision = ReuseOrGrow(grow_from=199).decide(unrelated(200, steps=9), trained)
    assert (decision.kind, decision.steps, decision.evidence.candidates) == ("fresh", 0, ())
    assert ReuseOrGrow(grow_from=200).decide(unrelated(200, steps=9), trained).steps > 0
    recurring = ReuseOrGrow(grow_from=199).decide(related(200), trained)
    assert recurring.kind == "ensemble"
    full = ReuseOrGrow(grow_from=199, max_experts=1).decide(unrelated(200, steps=9), trained)
    assert len(full.evidence.candidates) == 2, "experts in use are not given up for nothing"


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
        assert only.accuracy is None

    def test_a_task_of_more_rows_tries_a_path(self, trained):
        assert ReuseOrGrow(train_from=64).decide(unrelated(64), trained).steps > 0
        assert ReuseOrGrow(train_from=65).decide(unrelated(64), trained).steps == 0

    def test_a_path_that_wins_was_trained_for_half_of_the_tasks_steps(self, trained):
        decision = ReuseOrGrow().decide(unrelated(200), trained)
        assert decision.steps == decision.learned == 150

    def test_a_path_that_cannot_win_ends_early(self, trained):
        decision = ReuseOrGrow().decide(related(200), trained)
        assert decision.kind == "ensemble"
        assert (decision.steps, decision.learned) == (30, 0)  # two points of its curve, and lost

    @pytest.mark.parametrize(("seed", "kind"), [(2, "fresh"), (5, "copy")])
    def test_a_path_must_win_by_what_it_costs(self, trained, monkeypatch, seed, kind):
        asked, run = [], Trial.run
        monkeypatch.setattr(Trial, "run", lambda self, loss: asked.append(loss) or run(self, loss))
        view, network = unrelated(800, seed=seed), copy.deepcopy(trained)
        network.add_task(7, [["e0"]], network.new_head(7, 4))
        reused, grown = ReuseOrGrow(margin=0.1).decide(view, network).evidence.candidates
        price = 0.0 if kind == "fresh" else math.log(2) / len(split_of(view).held)  # two sources
        assert grown.kind == kind
        assert asked == pytest.approx([reused.loss - 0.1 - price])

    def test_what_it_wins_by_decides(self, trained, to_the_end):
        reused, grown = ReuseOrGrow().decide(unrelated(200), trained).evidence.candidates
        for margin, kind in ((-0.01, "fresh"), (0.01, "ensemble")):
            policy = ReuseOrGrow(margin=reused.loss - grown.loss + margin)
            assert policy.decide(unrelated(200), trained).kind == kind


class TestWhatATrialLearned:
    """The winner goes on from where its trial left it."""

    @pytest.mark.parametrize(
        ("fixture", "view", "kind"),
        [
            ("trained", unrelated(200), "fresh"),
            ("trained", unrelated(800, seed=5), "copy"),
            ("two_layers", unrelated(200), "fresh"),
        ],
    )
    def test_is_what_the_task_begins_with(self, request, to_the_end, fixture, view, kind):
        network = request.getfixturevalue(fixture)
        policy = ReuseOrGrow()
        decision = policy.decide(view, network)
        assert decision.kind == kind
        assert decision.learned > 0
        assert decision.learned_seconds > 0
        gain = decision.evidence.candidates[1].gain
        path = policy._grown(network, {0: -1.0 if gain is None else gain})
        again = Trial(path, view, network, split_of(view))
        again.train(decision.learned)
        experts = [expert for (expert,) in decision.path]
        grown = nn.ModuleList([*experts, decision.head]).state_dict()
        expected = nn.ModuleList([*again.experts, again.head]).state_dict()
        assert grown.keys() == expected.keys()
        assert all(torch.equal(grown[name], expected[name]) for name in grown)

    def test_is_trainable_and_in_the_network(self, trained):
        view = unrelated(200)
        decision = ReuseOrGrow().decide(view, trained)
        modules = nn.ModuleList([decision.path[0][0], decision.head])
        assert all(p.requires_grad for p in modules.parameters())
        network = applied(copy.deepcopy(trained), decision)
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

    def test_is_not_carried_where_an_expert_in_use_is_retrained(self, trained, monkeypatch):
        monkeypatch.setattr(RETRAIN_MARGIN, -5.0)
        decision = ReuseOrGrow(max_experts=1).decide(unrelated(200), trained)
        assert decision.kind == "reassign"
        assert decision.path == (("e0",),)
        assert decision.retrain == ((0, "e0"),)
        assert decision.steps > decision.learned == decision.learned_seconds == 0

    def test_of_a_path_that_had_no_rival_there_is_nothing(self, trained):
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


def test_what_beats_the_raw_input_is_copied_and_else_the_start_is_fresh(trained):
    for gain, kind in ((0.01, "copy"), (0.0, "fresh"), (-0.2, "fresh")):
        assert ReuseOrGrow()._grown(trained, {0: gain}).kind == kind
        assert ReuseOrGrow(kinds=["copy"])._grown(trained, {0: gain}).kind == "copy"
        assert ReuseOrGrow(kinds=["fresh"])._grown(trained, {0: gain}).kind == "fresh"


@pytest.mark.parametrize("options", [{}, {"max_experts": 1}, {"grow_from": 10}])
def test_with_ensembles_only_no_path_is_tried(trained, options):
    decision = ReuseOrGrow(kinds=["ensemble"], **options).decide(unrelated(200), trained)
    assert (decision.kind, decision.steps) == ("ensemble", 0)


class TestBudget:
    def test_a_waiting_expert_is_room(self):
        network = network_of()
        assert full_layers(network, 1) == []
        network.add_task(0, [["e0"]], network.new_head(0, 4))
        assert full_layers(network, 1) == [0]
        assert full_layers(network, None) == []

    def test_a_full_pool_is_never_grown(self, trained, to_the_end):
        decision = ReuseOrGrow(max_experts=1).decide(unrelated(400, steps=600), trained)
        assert {c.kind for c in decision.evidence.candidates} == {"ensemble", "reassign"}
        assert decision.kind == "reassign"
        assert decision.retrain == ((0, "e0"),)
        assert decision.path == (("e0",),)

    def test_retraining_an_expert_in_use_has_to_be_worth_it(self, trained, to_the_end, monkeypatch):
        view = unrelated(400, steps=600)
        left, retrained = ReuseOrGrow(max_experts=1).decide(view, trained).evidence.candidates
        won = left.loss - retrained.loss
        for margin, kind in ((won - 0.01, "reassign"), (won + 0.01, "ensemble")):
            monkeypatch.setattr(RETRAIN_MARGIN, margin)
            assert ReuseOrGrow(max_experts=1).decide(view, trained).kind == kind

    def test_it_has_to_be_worth_it_for_each_task_that_is_hit(
        self, trained, to_the_end, monkeypatch
    ):
        network, view = copy.deepcopy(trained), unrelated(400, steps=600)
        left, retrained = ReuseOrGrow(max_experts=1).decide(view, network).evidence.candidates
        monkeypatch.setattr(RETRAIN_MARGIN, 0.6 * (left.loss - retrained.loss))
        policy = ReuseOrGrow(max_experts=1)
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
        policy.importance = task_importance
        path = policy._grown(network, {0: 0.0, 1: 0.0, 2: 0.0})
        assert (path.kind, path.source, path.starts) == ("reassign", 1, ("retrain",))

    def test_a_task_is_worth_what_it_has_above_chance(self, trained):
        policy = ReuseOrGrow(max_experts=2)
        view = related(200)
        decision = policy.decide(view, trained)
        policy.learned(view, applied(copy.deepcopy(trained), decision), decision)
        accuracy_held_out = decision.evidence.candidates[0].accuracy
        assert policy.importance == {1: pytest.approx(accuracy_held_out - 0.25)}
        assert policy.importance[1] > 0.3


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
    @pytest.mark.parametrize("kind", ["ensemble", "copy", "fresh"])
    def test_only_those_asked_for_are_considered(self, trained, kind):
        decision = ReuseOrGrow(kinds=[kind]).decide(related(80, steps=5), trained)
        assert decision.kind == kind
        assert {c.kind for c in decision.evidence.candidates} <= {kind}

    def test_where_there_is_nothing_to_reuse_a_task_grows(self, trained, by_row):
        only = ReuseOrGrow(kinds=["ensemble"])
        assert only.decide(related(80), by_row).kind == "fresh"
        full = ReuseOrGrow(kinds=["copy"], max_experts=1)
        assert full.decide(related(80, steps=5), trained).kind == "reassign"


@pytest.mark.parametrize(
    ("reads", "parts"),
    [
        ([], set()),
        (["features"], {"features"}),
        (["stages"], {0}),
        (["matched"], {"log predictions"}),
    ],
)
def test_an_ensemble_reads_no_more_than_it_is_asked_to(trained, reads, parts):
    view = related(60)
    decision = ReuseOrGrow(reads=reads).decide(view, trained)
    assert decision.kind == "ensemble"
    assert {block.part for block in decision.head.blocks if block != RAW} == parts
    x, y = rings(400, 5)
    network = applied(copy.deepcopy(trained), decision)
    shown = accuracy(network, 1, x, (y + 1) % 4)
    assert (shown > 0.4) == bool(parts)  # from the raw input no better than chance: 0.25


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"kinds": ["cpy"], "reads": ["stage"]}, [r"kinds: \['cpy'\]", r"reads: \['stage'\]"]),
        ({"kinds": []}, ["kinds: no candidate is named"]),
        ({"paths": 0, "k": 0, "max_experts": 0}, ["paths: 0 is", "k: 0 is", "max_experts: 0 is"]),
        ({"symmetries": -1, "shortlist": 0}, ["shortlist: 0 is", "symmetries: -1 is"]),
        ({"train_from": -1, "grow_from": -2}, ["train_from: -1 is", "grow_from: -2 is"]),
        ({"protect_strength": -0.5}, ["protect_strength: -0.5 is too small; give 0 or more"]),
    ],
)
def test_bad_options_are_refused_all_at_once(options, problems):
    with pytest.raises(InputError) as refused:
        ReuseOrGrow(**options)
    assert len(refused.value.problems) == len(problems)
    for problem, expected in zip(refused.value.problems, problems, strict=True):
        assert re.match(expected, problem)


def test_a_shortlist_is_not_restored_from_a_policy_without_one():
    with pytest.raises(InputError, match=r"growth_options\.shortlist: the saved policy has none"):
        ReuseOrGrow(shortlist=2).restore(ReuseOrGrow().state())


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

    @pytest.mark.parametrize("per_class", [1, 2])
    def test_regressions_are_weighed_where_a_row_can_be_left_out(self, trained, per_class):
        x, y = rings(400, 1)
        rows = torch.cat([(y == label).nonzero().flatten()[:per_class] for label in range(4)])
        view = view_of(1, x[rows], y[rows])
        decision = ReuseOrGrow(reads=["features"]).decide(view, trained)
        assert (Block(0) in decision.head.blocks) == (per_class == 2)

    def test_earlier_answers_that_pay_for_their_matching_are_pooled(self, trained):
        x, y = rings(400, 1)
        lone = torch.stack([(y == label).nonzero()[0, 0] for label in range(4)])
        decision = ReuseOrGrow().decide(view_of(1, x[lone], (y[lone] + 1) % 4), trained)
        assert Block(0, "log predictions") in decision.head.blocks
        network = applied(copy.deepcopy(trained), decision)
        assert accuracy(network, 1, x, (y + 1) % 4) > 0.85
        other = ReuseOrGrow().decide(view_of(1, *unrelated_lone()), trained)
        assert Block(0, "log predictions") not in other.head.blocks


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
    network, policy = network_of(), ReuseOrGrow(shortlist=2, max_experts=3)
    views = [view_of(0, *rings(400, 0)), related(300), related(60, task=2), unrelated(40, task=3)]
    for view in views:
        decision = policy.decide(view, network)
        learn(network, view, decision, steps=100)
        policy.learned(view, network, decision)
    assert policy.importance
    state = policy.state()
    stored = State(json.loads(json.dumps(state.plain)), state.tensors)
    again = ReuseOrGrow(shortlist=2, max_experts=3)
    again.restore(stored)
    assert again.importance == policy.importance
    for view in (related(80, task=4), unrelated(90, task=4)):
        one, two = policy.decide(view, network), again.decide(view, network)
        assert one.evidence == two.evidence
        assert one.head.sources == two.head.sources
        assert len(policy.near.of(view, network)) == 2
        assert policy.near.of(view, network) == again.near.of(view, network)
    fresh = ReuseOrGrow()
    assert PerTask().state() == State()
    fresh.restore(ReuseOrGrow().state())
    assert (fresh.importance, fresh.state()) == ({}, ReuseOrGrow().state())


def test_a_decision_that_is_not_taken_in_leaves_the_policy_as_it_was(trained):
    policy = ReuseOrGrow(max_experts=2)
    before = policy.state()
    for view in (related(60), unrelated(200)):
        policy.decide(view, trained)
    assert policy.state().plain == before.plain
    assert policy.state().tensors.keys() == before.tensors.keys() == set()
