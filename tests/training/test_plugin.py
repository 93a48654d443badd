"""The plugin inside strategies: growth, freezing, composition, and what must not move."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from avalanche.benchmarks import dataset_benchmark
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, EWCPlugin, LwFPlugin, ReplayPlugin
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from cl_moe.continual.growth.per_task import PerTask
from cl_moe.errors import InputError
from cl_moe.strategies.networks import build_moe
from cl_moe.strategies.task_aware import TaskAwareMoE
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.plugin import MoEPlugin, make_growth

TRAINING = TrainingSpec(epochs=2, batch_size=16, learning_rate=0.01, min_steps=0)
NETWORK = NetworkSpec(hidden=[12])


def task_of(name, n, seed, shift=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * n, 6, generator=g)
    y = (x[:, shift] * x[:, shift + 1] > 0).long()
    return Task(name, (x[:n], y[:n]), (x[n:], y[n:]), ("no", "yes"))


@pytest.fixture(scope="module")
def stream():
    tasks = [task_of("a", 96, 0), task_of("b", 96, 1, shift=2), task_of("c", 96, 2, shift=4)]
    return TaskStream(tasks)


def strategy_of(stream, **options):
    torch.manual_seed(0)
    options = {"network": NETWORK, "training": TRAINING, "growth": "per_task", **options}
    return TaskAwareMoE(shape=stream.shape, names=[t.name for t in stream], **options)


def snapshot(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def same(before, module):
    now = dict(module.named_parameters())
    return all(torch.equal(value, now[name]) for name, value in before.items())


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_old_experts_and_heads_do_not_move_by_a_bit(stream, optimizer):
    training = TRAINING.model_copy(
        update={
            "optimizer": optimizer,
            "weight_decay": 0.1,
            "momentum": 0.9 if optimizer == "sgd" else 0.0,
        }
    )
    strategy = strategy_of(stream, training=training)
    network = strategy.model.network
    first, second, _ = stream.to_benchmark().train_stream
    strategy.train(first, eval_streams=[])
    expert, head = network.moe_layers[0].pool["e0"], network.heads["0"]
    old = snapshot(expert), snapshot(head)
    strategy.train(second, eval_streams=[])
    assert same(old[0], expert)
    assert same(old[1], head)
    assert not same(snapshot(expert), network.moe_layers[0].pool["e1"])


def test_an_idle_expert_of_a_fixed_pool_and_its_moments_do_not_move_by_a_bit(stream):
    """It is in the optimizer, with momentum and weight decay, and gets no rows: no step at all."""
    training = TRAINING.model_copy(update={"optimizer": "adamw", "weight_decay": 0.1})
    strategy = strategy_of(
        stream, growth="fixed", gate="task", gate_options={"k": 2}, experts=8, training=training
    )
    pool, state = strategy.model.network.moe_layers[0].pool, strategy.optimizer.state
    first, second, _ = stream.to_benchmark().train_stream
    strategy.train(first, eval_streams=[])
    weights = {id_: snapshot(pool[id_]) for id_ in pool.ids}
    moments = {
        p: {k: v.clone() for k, v in state[p].items()} for p in pool.parameters() if p in state
    }
    called = set()
    for id_ in pool.ids:
        pool[id_].register_forward_hook(lambda *_, id_=id_: called.add(id_))
    strategy.train(second, eval_streams=[])
    idle = set(pool.ids) - called
    trained_once = [p for id_ in idle for p in pool[id_].parameters() if p in moments]
    assert called
    assert trained_once, "no expert that learned the first task was idle in the second"
    assert all(same(weights[id_], pool[id_]) for id_ in idle)
    assert not any(same(weights[id_], pool[id_]) for id_ in called)
    for p in trained_once:
        assert all(torch.equal(moments[p][k], state[p][k]) for k in moments[p])


def test_the_optimizer_holds_exactly_the_trainable_parameters_while_training(stream):
    seen = []

    class Recorder(SupervisedPlugin):
        def after_update(self, strategy, **kwargs):
            held = {id(p) for g in strategy.optimizer.param_groups for p in g["params"]}
            trainable = {id(p) for p in strategy.model.parameters() if p.requires_grad}
            known = {id(p) for p in strategy.optimizer.state}
            seen.append((held == trainable, known <= trainable))

    strategy = strategy_of(stream, plugins=[Recorder()])
    for experience in stream.to_benchmark().train_stream:
        strategy.train(experience, eval_streams=[])
    assert len(seen) == 36
    assert all(held and known for held, known in seen)


@pytest.mark.parametrize("gate", ["task", "multi_gate", "task_conditioned"])
def test_what_a_gate_holds_for_a_task_ends_with_it(stream, gate):
    strategy = strategy_of(stream, gate=gate, growth="fixed", experts=3)
    for experience in stream.to_benchmark().train_stream:
        strategy.train(experience, eval_streams=[])
    (layer,) = strategy.model.network.moe_layers
    held = {task: layer.gate.task_parameters(task) for task in range(3)}
    assert all(held.values())
    assert not any(p.requires_grad for parameters in held.values() for p in parameters)


def test_a_grown_expert_learns_in_the_experience_in_which_it_was_grown(stream):
    """Grown one hook later it would be missing from the optimizer."""
    strategy = strategy_of(stream)
    pool = strategy.model.network.moe_layers[0].pool
    first, second, _ = stream.to_benchmark().train_stream
    strategy.train(first, eval_streams=[])
    start = {
        f"0.{k}": v
        for k, v in strategy.model.network.moe_layers[0].make_next()[0].named_parameters()
    }
    strategy.train(second, eval_streams=[])
    assert strategy.events[1]["new_experts"] == [[0, "e1"]]
    assert not same({k: v.detach() for k, v in start.items()}, pool["e1"])


def test_measuring_the_usage_leaves_the_network_in_training_mode(stream):
    """Plugins after it measure what training depends on, such as importances."""
    modes = []

    class Recorder(SupervisedPlugin):
        def after_training_exp(self, strategy, **kwargs):
            modes.append(strategy.model.network.training)

    strategy = strategy_of(stream, plugins=[Recorder()])
    strategy.train(stream.to_benchmark().train_stream[0], eval_streams=[])
    assert strategy.events[0]["usage"]
    assert modes == [True]


def test_evaluation_changes_nothing(stream):
    strategy = strategy_of(stream, growth="reuse_or_grow")
    benchmark = stream.to_benchmark()
    strategy.train(benchmark.train_stream[0], eval_streams=[])
    before, rng = snapshot(strategy.model), torch.random.get_rng_state()
    network = strategy.model.network
    strategy.eval(benchmark.test_stream)
    assert same(before, strategy.model)
    assert torch.equal(rng, torch.random.get_rng_state())
    assert network.tasks == [0]
    assert len(network.moe_layers[0].pool) == 1
    assert len(strategy.events) == 1


def test_test_data_is_never_read_before_evaluation(stream):
    class Guarded(torch.utils.data.TensorDataset):
        reads = 0

        def __getitem__(self, index):
            Guarded.reads += 1
            return super().__getitem__(index)

    tasks = []
    for task in stream:
        x, y = task.tensors("test")
        tasks.append(Task(task.name, task.train, Guarded(torch.full_like(x, 1e6), y), task.classes))
    poisoned, clean = TaskStream(tasks), stream
    Guarded.reads = 0
    rows = []
    for which in (poisoned, clean):
        strategy = strategy_of(which, growth="reuse_or_grow")
        for experience in which.to_benchmark().train_stream:
            strategy.train(experience, eval_streams=[])
        rows.append((snapshot(strategy.model), [e["candidates"] for e in strategy.events]))
    assert Guarded.reads == 0
    assert rows[0][1] == rows[1][1]
    assert all(torch.equal(rows[0][0][k], rows[1][0][k]) for k in rows[1][0])


@pytest.mark.parametrize(
    "plugin",
    [
        lambda: EWCPlugin(ewc_lambda=1.0),
        lambda: ReplayPlugin(mem_size=20),
        lambda: LwFPlugin(alpha=1.0, temperature=2.0),
    ],
    ids=["ewc", "replay", "lwf"],
)
@pytest.mark.parametrize("growth", ["fixed", "per_task", "reuse_or_grow"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_it_composes_with_plugins_of_avalanche(stream, plugin, growth, order):
    moe, other = MoEPlugin(growth), plugin()
    model = build_moe(NETWORK, stream.shape, seed=0, gate="task", experts=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = Naive(
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=16,
            train_epochs=1,
            plugins=[other, moe] if order == "before" else [moe, other],
            evaluator=EvaluationPlugin(),
        )
        benchmark = stream.to_benchmark()
        for experience in benchmark.train_stream:
            strategy.train(experience, eval_streams=[])
    assert [event["task"] for event in moe.events] == [0, 1, 2]
    held = [p for g in strategy.optimizer.param_groups for p in g["params"]]
    assert len({id(p) for p in held}) == len(held)


def twice(n, **options):
    """Learn a task, then n of its rows as another; return the strategy and the first task."""
    first = task_of("a", 400, 0)
    x, y = first.tensors("train")
    again = Task("again", (x[:n], y[:n]), first.test, ("no", "yes"))
    training = TRAINING.model_copy(update={"epochs": 40})
    stream = TaskStream([first, again])
    strategy = strategy_of(
        stream,
        growth="reuse_or_grow",
        training=training,
        network=NetworkSpec(hidden=[32]),
        **options,
    )
    steps = []
    for experience in stream.to_benchmark().train_stream:
        strategy.train(experience, eval_streams=[])
        steps.append(strategy.clock.train_exp_iterations)
    return strategy, first, steps


def accuracies(strategy, task):
    """Accuracy on a task's test rows as task 0 and as task 1."""
    x, y = task.tensors("test")
    model = strategy.model.eval()
    with torch.no_grad():
        return [(model(x, label).argmax(1) == y).float().mean().item() for label in (0, 1)]


def test_a_task_with_an_ensemble_is_not_trained_and_is_accurate():
    strategy, task, steps = twice(40)
    event = strategy.events[1]
    assert event["kind"] == "ensemble", event["sentence"]
    assert event["sentence"] == "task 1 'again' is answered by an ensemble: 100 % task 0 'a'"
    assert (event["experts"], event["path"], event["steps"]) == (1, [], 0)
    assert event["usage"] == [{"e0": pytest.approx(1.0)}]
    assert steps == [1000, 0]
    head = strategy.model.network.heads["1"]
    assert not any(p.requires_grad for p in head.parameters())
    first, second = accuracies(strategy, task)
    assert first > 0.8
    assert second == pytest.approx(first, abs=0.02)


class Steps:
    """Counts the steps of every optimizer while it is open: of trials and of training alike."""

    def __enter__(self):
        self.count = 0
        self.hook = register_optimizer_step_post_hook(self.add)
        return self

    def add(self, *_):
        self.count += 1

    def __exit__(self, *_):
        self.hook.remove()


class TestWhatATrialLearnedIsNotTaughtAgain:
    @pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
    @pytest.mark.parametrize("epochs", [1, 2, 7])
    def test_a_task_takes_its_budget_and_not_an_epoch_more(
        self, stream, epochs, share, monkeypatch
    ):
        """Whether its steps were taken in a trial or after it, and those of losers on top."""
        monkeypatch.setattr("cl_moe.continual.candidates.trial.CHECKPOINTS", (share,))
        training = TRAINING.model_copy(update={"epochs": epochs})
        strategy = strategy_of(
            stream,
            growth="reuse_or_grow",
            growth_options={"margin": -5.0},
            training=training,
            network=NetworkSpec(hidden=[12, 8], layers=2),
        )
        for experience in stream.to_benchmark().train_stream:
            with Steps() as taken:
                strategy.train(experience, eval_streams=[])
            event = strategy.events[-1]
            lost = event["steps"] - event["learned"]
            assert epochs * 6 <= taken.count - lost < (epochs + 1) * 6
            assert taken.count == event["steps"] + strategy.clock.train_exp_iterations
            if event["task"]:
                assert event["learned"] == max(1, round(share * epochs * 6))
                assert 0 < event["seconds"] < 5

    def test_what_goes_on_is_what_was_tried(self, stream, monkeypatch):
        """With the whole budget spent in the trial, nothing moves after it."""
        seen = []

        class Recorder(SupervisedPlugin):
            def before_training_exp(self, strategy, **kwargs):
                if strategy.clock.train_exp_counter:
                    seen.append(snapshot(strategy.model))

        monkeypatch.setattr("cl_moe.continual.candidates.trial.CHECKPOINTS", (1.0,))
        options = {"margin": -5.0}
        strategy = strategy_of(
            stream, growth="reuse_or_grow", growth_options=options, plugins=[Recorder()]
        )
        first, second, _ = stream.to_benchmark().train_stream
        strategy.train(first, eval_streams=[])
        strategy.train(second, eval_streams=[])
        (before,) = seen
        assert strategy.events[1]["new_experts"] == [[0, "e1"]]
        assert same(before, strategy.model)
        fresh = strategy.model.network.moe_layers[0].make_next()
        assert not same(snapshot(fresh), strategy.model.network.moe_layers[0].pool["e1"])
        assert set(strategy.model.network.moe_layers[0].pool.frozen) == {"e0", "e1"}

    @pytest.mark.parametrize("beside", ["a task that begins anew", "a task that returns"])
    def test_a_task_in_the_same_experience_is_trained_all_the_same(self, stream, beside):
        class OneIsTried(PerTask):
            """Task 2 grows too, and has learned much already."""

            def decide(self, view, network):
                decision = super().decide(view, network)
                return replace(decision, learned=30 * (view.task == 2))

        first, second, third = (e.dataset for e in stream.to_benchmark().train_stream)
        other = first if beside == "a task that returns" else second
        together = dataset_benchmark([first, other.concat(third)], [first]).train_stream
        strategy = strategy_of(stream, growth=OneIsTried())
        strategy.train(together[0], eval_streams=[])
        strategy.train(together[1], eval_streams=[])
        assert strategy.clock.train_exp_iterations == 2 * 12


@pytest.mark.parametrize("protect", ["distillation", "ewc", "none"])
def test_reassigning_keeps_the_budget_and_logs_what_was_lost(protect):
    hard = TaskStream([task_of("a", 300, 0), task_of("b", 300, 1, shift=2)])
    strategy = strategy_of(
        hard,
        growth="reuse_or_grow",
        growth_options={"max_experts": 1, "protect": protect, "kinds": ["copy"]},
        training=TRAINING.model_copy(update={"epochs": 15}),
    )
    for experience in hard.to_benchmark().train_stream:
        strategy.train(experience, eval_streams=[])
    event = strategy.events[1]
    assert event["kind"] == "reassign"
    assert [event["source"] for event in strategy.events] == [None, "a"]
    assert event["retrained"] == [[0, "e0"]]
    assert event["experts"] == 1
    assert 0 <= event["agreement"]["a"] <= 1
    assert strategy.model.network.moe_layers[0].pool.frozen == ["e0"]


@pytest.mark.parametrize(("kind", "strong"), [("distillation", 5.0), ("ewc", 1000.0)])
def test_protection_keeps_more_of_the_old_task_than_none(kind, strong):
    hard = TaskStream([task_of("a", 300, 0), task_of("b", 300, 1, shift=2)])
    kept = {}
    for protect, strength in ((kind, strong), ("none", 0.0)):
        strategy = strategy_of(
            hard,
            growth="reuse_or_grow",
            growth_options={
                "max_experts": 1,
                "protect": protect,
                "protect_strength": strength,
                "kinds": ["copy"],
            },
            training=TRAINING.model_copy(update={"epochs": 40}),
            network=NetworkSpec(hidden=[16]),
        )
        for experience in hard.to_benchmark().train_stream:
            strategy.train(experience, eval_streams=[])
        x, y = hard[0].tensors("test")
        with torch.no_grad():
            kept[protect] = (strategy.model.eval()(x, 0).argmax(1) == y).float().mean().item()
    assert kept[kind] > kept["none"] + 0.05


def test_a_label_that_returns_learns_on_with_its_own_expert(stream):
    strategy = strategy_of(stream)
    first, second, _ = stream.to_benchmark().train_stream
    for experience in (first, second, first):
        strategy.train(experience, eval_streams=[])
    assert [event["kind"] for event in strategy.events] == ["fresh", "fresh", "return"]
    assert len(strategy.model.network.moe_layers[0].pool) == 2
    returned = strategy.events[2]
    decided = ("new_experts", "retrained", "candidates", "steps", "learned", "seconds")
    assert not any(returned[key] for key in decided), "nothing was decided"
    assert (returned["source"], returned["path"], returned["experts"]) == ("a", [["e0"]], 2)


def test_encoder_and_shared_expert_learn_with_the_first_task_alone(stream):
    strategy = strategy_of(
        stream, network=NetworkSpec(hidden=[8], encoder_hidden=[10], shared_expert=True)
    )
    network = strategy.model.network
    first, second, _ = stream.to_benchmark().train_stream
    start = snapshot(network.backbone.encoder)
    strategy.train(first, eval_streams=[])
    assert not same(start, network.backbone.encoder)
    old = snapshot(network.backbone.encoder), snapshot(network.moe_layers[0].shared)
    strategy.train(second, eval_streams=[])
    assert same(old[0], network.backbone.encoder)
    assert same(old[1], network.moe_layers[0].shared)


def test_the_balance_loss_reaches_the_gradient(stream):
    gates = []
    for balance in (0.0, 10.0):
        strategy = strategy_of(
            stream,
            gate="token",
            growth="fixed",
            experts=3,
            gate_options={"balance": balance},
        )
        strategy.train(stream.to_benchmark().train_stream[0], eval_streams=[])
        gates.append(snapshot(strategy.model.network.moe_layers[0].gate))
    assert any(not torch.equal(gates[0][k], gates[1][k]) for k in gates[0])


def test_every_hook_is_one_that_avalanche_calls():
    hooks = {n for n in vars(MoEPlugin) if n.startswith(("before_", "after_"))}
    assert hooks
    assert all(hasattr(SupervisedPlugin, hook) for hook in hooks)


def test_errors_say_what_is_wrong(stream):
    with pytest.raises(InputError, match=r"growth_options\.max_expert: .* 'max_experts'"):
        make_growth("reuse_or_grow", {"max_expert": 3})
    with pytest.raises(InputError, match="max_experts: 0 is too small; give 1 or more"):
        make_growth("reuse_or_grow", {"max_experts": 0})
    with pytest.raises(InputError, match=r"gate_options\.kk"):
        build_moe(NETWORK, (6,), 0, gate_options={"kk": 2})
    with pytest.raises(InputError, match="layers: 3 cannot be cut"):
        build_moe(NetworkSpec(hidden=[8], layers=3), (6,), 0)
    model = nn.Linear(6, 2)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        plugins=[MoEPlugin()],
        evaluator=EvaluationPlugin(),
    )
    with pytest.raises(InputError, match="the strategy's model is a Linear"):
        strategy.train(stream.to_benchmark().train_stream[0], eval_streams=[])


def test_mntdp_shares_prefixes_and_pays_for_every_candidate(stream):
    network = NetworkSpec(hidden=[12, 8], layers=2)
    again = TaskStream([*stream, task_of("a again", 96, 0)])
    strategy = strategy_of(again, growth="mntdp", network=network)
    for experience in again.to_benchmark().train_stream:
        known = list(strategy.model.network.parameters())
        values = [p.detach().clone() for p in known]
        strategy.train(experience, eval_streams=[])
        if strategy.events[-1]["task"]:
            assert all(torch.equal(p, value) for p, value in zip(known, values, strict=True))
    budget = 2 * 6  # epochs of 96 rows in batches of 16
    assert [event["steps"] for event in strategy.events] == [0, *[3 * budget] * 3]
    assert strategy.clock.train_iterations == 4 * budget
    for event in strategy.events[1:]:
        assert {c["kind"] for c in event["candidates"]} == {"reuse", "branch", "fresh"}
