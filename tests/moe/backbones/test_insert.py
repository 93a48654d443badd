"""Experts in somebody else's network: what is found, what is frozen, what is refused."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

import cl_moe
from cl_moe import Task, TaskStream, TrainingSpec
from cl_moe.errors import InputError
from cl_moe.moe.backbones.insert import Insert
from cl_moe.moe.experts.adapter import AdapterExpert
from cl_moe.moe.experts.copy import CopyExpert
from cl_moe.moe.experts.lora import LoRAExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import Slot

DIM = 6
KINDS = {"lora": "body.0", "adapter": "body", "copy": "body", "mlp": "body.0"}


class Net(nn.Module):
    """A stem, a body with BatchNorm and dropout, and a classifier of its own."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(DIM, 12), nn.BatchNorm1d(12), nn.ReLU())
        self.body = nn.Sequential(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout())
        self.classifier = nn.Linear(12, outputs)

    def forward(self, x):
        return self.classifier(self.body(self.stem(x)))


class Tokens(nn.Module):
    """Token ids to logits, through a block that takes a mask and gives a tuple."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, h, mask, scale=1.0):
            return (h + scale * self.linear(h) * mask, "attention")

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.block = Tokens.Block()
        self.dead = nn.Linear(8, 8)

    def forward(self, ids):
        mask = (ids > 0).float().unsqueeze(-1)
        return self.block(self.embed(ids), mask, scale=0.5)[0]


def stream_of(tasks: int = 3, n: int = 64) -> TaskStream:
    draw = torch.Generator().manual_seed(0)

    def data(feature: int):
        y = torch.arange(n) % 2
        x = torch.randn(n, DIM, generator=draw)
        x[:, feature] += 2.0 * (2 * y - 1)
        return x, y

    return TaskStream([Task(f"t{t}", data(t), data(t), "ab") for t in range(tasks)])


def learned(model, growth: str, tasks: int = 3, between=lambda *_: None, steps: int = 20):
    training = TrainingSpec(epochs=2, min_steps=steps, batch_size=16, learning_rate=0.01)
    strategy = cl_moe.TaskAwareMoE(model=model, growth=growth, training=training)
    for position, experience in enumerate(stream_of(tasks).to_benchmark().train_stream):
        torch.manual_seed(position)
        strategy.train(experience, eval_streams=[])
        between(strategy, position)
    return strategy


def test_the_users_own_network_is_left_as_it_is():
    net = Net()
    before = copy.deepcopy(net.state_dict())
    model = cl_moe.mixture(net, slots="body", expert="copy", train_base=True)
    learned(model, "per_task", tasks=1)
    assert net.training
    assert all(p.requires_grad for p in net.parameters())
    assert not any(isinstance(module, Slot) for module in net.modules())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("growth", ["reuse_or_grow", "per_task", "mntdp"])
@pytest.mark.parametrize("expert", KINDS)
def test_earlier_tasks_answer_the_same_bit_for_bit(growth, expert):
    x = torch.randn(9, DIM)
    kept = []

    def note(strategy, position):
        strategy.model.eval()
        with torch.no_grad():
            kept.append([strategy.model(x, task) for task in range(position + 1)])

    model = cl_moe.mixture(Net(), slots=KINDS[expert], expert=expert, train_base=True)
    strategy = learned(model, growth, between=note)
    for earlier, later in itertools.pairwise(kept):
        assert all(map(torch.equal, earlier, later))
    assert {event["task"] for event in strategy.events} == {0, 1, 2}


def test_experts_learn_what_the_frozen_base_cannot_tell():
    model = cl_moe.mixture(Net(), slots="body", expert="copy")
    learned(model, "per_task", tasks=2, steps=100)
    x, y = stream_of()[1].tensors("test")
    model.eval()
    assert float((model(x, 1).argmax(1) == y).double().mean()) > 0.8


def test_a_base_that_is_not_trained_never_moves():
    model = cl_moe.mixture(Net(), slots="body.0", expert="lora")
    base = model.network.backbone.base["network"]
    model.network.backbone.prepare(torch.randn(2, DIM))
    before = copy.deepcopy(base.state_dict())
    learned(model, "per_task")
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())
    assert not any(p.requires_grad for p in base.parameters())


def test_the_first_task_trains_the_base_if_it_is_to_and_no_later_one_does():
    states = []
    model = cl_moe.mixture(Net(), slots="body.0", expert="lora", train_base=True)
    base = model.network.backbone.base["network"]
    learned(model, "per_task", between=lambda *_: states.append(copy.deepcopy(base.state_dict())))
    first, *later = states
    assert all(torch.equal(first[n], v) for state in later for n, v in state.items())


@pytest.mark.parametrize(("expert", "slot"), [("lora", "body.0"), ("adapter", "body")])
def test_experts_that_add_begin_as_the_host(expert, slot):
    model = cl_moe.mixture(Net(), slots=slot, expert=expert)
    backbone, x = model.network.backbone, torch.randn(5, DIM)
    backbone.prepare(x)
    (layer,) = backbone.slot_list
    layer.assign(0, [layer.add()])
    model.eval()
    with backbone.context.of(0):
        assert torch.allclose(backbone(x), backbone.raw(x), atol=1e-6)


def test_the_classifier_that_a_network_ends_in_is_left_out():
    net, x = Net(), torch.randn(4, DIM)
    backbone = Insert(net, "body", CopyExpert(), TaskGate)
    backbone.prepare(x)
    assert backbone.classifier == "classifier"
    assert backbone.feature_dim == 12
    net.eval()
    assert torch.allclose(backbone.raw(x), net.body(net.stem(x)))


def test_a_network_without_a_classifier_keeps_all_it_has():
    backbone = Insert(nn.Sequential(nn.Linear(DIM, 5), nn.ReLU()), "0", LoRAExpert(2), TaskGate)
    backbone.prepare(torch.randn(2, DIM))
    assert backbone.classifier is None
    assert backbone.feature_dim == 5


def test_token_ids_masks_and_tuples_pass_through_a_slot():
    ids = torch.randint(1, 20, (4, 7))
    for expert in (CopyExpert(), AdapterExpert(3)):
        net = Tokens()
        backbone = Insert(net, "block", expert, TaskGate)
        backbone.prepare(ids)
        (layer,) = backbone.slot_list
        layer.assign(0, [layer.add()])
        with backbone.context.of(0):
            assert torch.allclose(backbone(ids), net(ids).mean(1), atol=1e-6)


@pytest.mark.parametrize("expert", KINDS)
def test_a_task_can_be_taken_out_of_it(expert):
    model = cl_moe.mixture(Net(), slots=KINDS[expert], expert=expert)
    learned(model, "per_task", tasks=2)
    x = torch.randn(5, DIM)
    model.eval()
    for task in (0, 1):
        answer = model.for_task(task)
        assert torch.allclose(answer(x), model(x, task), atol=1e-6)
        assert not any(isinstance(module, Slot) for module in answer.modules())
        torch.export.export(answer, (x,))


def test_what_its_author_switched_off_is_not_trained_in_copies():
    net = Net()
    net.body[0].bias.requires_grad_(False)
    model = cl_moe.mixture(net, slots="body", expert="copy")
    learned(model, "per_task", tasks=2)
    for layer in model.network.moe_layers:
        for id_ in layer.pool.ids:
            assert torch.equal(layer.pool[id_][0].bias, net.body[0].bias)
            assert not torch.equal(layer.pool[id_][0].weight, net.body[0].weight)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"slots": "bdy"}, "slots: Net has no module 'bdy'"),
        ({"slots": ["body", "body.0"]}, "slots: 'body.0' lies within 'body'"),
        ({"slots": "body", "expert": "lorra"}, "no expert is called 'lorra'; did you mean 'lora'"),
        ({"slots": "body", "expert": "conv"}, "expert: 'conv' is not a valid expert"),
        ({"slots": "body", "expert_options": {"rnak": 2}}, "expert_options.rnak: no such param"),
        ({"slots": "body", "expert_options": {"rank": 0}}, "rank: 0 must be 1 or more"),
        ({"slots": "body", "gate": "taks"}, "no gate is called 'taks'"),
        ({"slots": "body", "head": "linera"}, "no head is called 'linera'"),
    ],
)
def test_what_does_not_fit_is_said_at_once(options, said):
    with pytest.raises(InputError, match=said):
        cl_moe.mixture(Net(), **options)


def test_what_only_a_pass_tells_is_said_when_the_first_task_comes():
    def first_pass(net, x, **options):
        cl_moe.mixture(net, **options).network.backbone.prepare(x)

    x, ids = torch.randn(2, DIM), torch.randint(1, 20, (2, 7))
    with pytest.raises(InputError, match="fails for rows of shape \\(6,\\)"):
        first_pass(nn.Sequential(nn.Linear(5, 2)), x, slots="0", expert="copy")
    with pytest.raises(InputError, match="'dead' is never called"):
        first_pass(Tokens(), ids, slots="dead", expert="lora")

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(DIM, 2)

        def forward(self, x):
            return {"logits": self.one(x)}

    with pytest.raises(InputError, match="Two returns a dict; give a module that returns one"):
        first_pass(Two(), x, slots="one", expert="lora")


def test_hosts_that_cannot_have_such_experts_are_named():
    model = cl_moe.mixture(Net(), slots="body", expert="lora")
    model.network.backbone.prepare(torch.randn(2, DIM))
    with pytest.raises(InputError, match="slot 'body': it is a Sequential, and LoRA changes"):
        model.network.moe_layers[0].make_next()
    frozen = Net().requires_grad_(False)
    model = cl_moe.mixture(frozen, slots="body", expert="copy")
    model.network.backbone.prepare(torch.randn(2, DIM))
    with pytest.raises(InputError, match="none of its parameters takes gradients"):
        model.network.moe_layers[0].make_next()


def test_heads_of_the_other_kinds_learn_and_are_read_back(tmp_path):
    net = Net()
    for head in ("cosine", "shared"):
        model = cl_moe.mixture(net, slots="body", expert="copy", head=head)
        learned(model, "per_task", tasks=2, steps=100)
        model.eval()
        x, y = stream_of()[0].tensors("test")
        assert float((model(x, 0).argmax(1) == y).double().mean()) > 0.7
        model.save(tmp_path / head)
        again = cl_moe.load(tmp_path / head, backbone=net).eval()
        assert all(torch.equal(again(x, task), model(x, task)) for task in (0, 1))


@pytest.mark.parametrize("growth", ["reuse_or_grow", "per_task"])
@pytest.mark.parametrize("expert", KINDS)
def test_it_is_read_back_to_the_bit_and_goes_on_as_if_never_saved(tmp_path, growth, expert):
    net = Net()
    model = cl_moe.mixture(net, slots=KINDS[expert], expert=expert, train_base=True)
    learned(model, growth, tasks=2)
    model.save(tmp_path / "model")
    again = cl_moe.load(tmp_path / "model", backbone=Net())
    x = torch.randn(5, DIM)
    after = []
    for one in (model, again):
        strategy = cl_moe.TaskAwareMoE(
            model=one, growth=growth, training=TrainingSpec(epochs=1, min_steps=10)
        )
        third = list(stream_of().to_benchmark().train_stream)[2]
        torch.manual_seed(0)
        strategy.train(third, eval_streams=[])
        one.eval()
        (event,) = strategy.events
        after.append(([one(x, task) for task in range(3)], {**event, "seconds": 0.0}))
    (answers, event), (again_answers, again_event) = after
    assert all(map(torch.equal, answers, again_answers))
    assert event == again_event


def test_a_network_of_their_own_is_refused_to_experts_that_need_a_host():
    with pytest.raises(InputError, match="experts 'lora' need a host network"):
        cl_moe.build_moe(cl_moe.NetworkSpec(kind="lora"), shape=(4,), seed=0)


@pytest.mark.parametrize("growth", ["reuse_or_grow", "per_task"])
def test_the_plugin_grows_them_in_a_strategy_of_avalanche(growth):
    from avalanche.training import Naive
    from avalanche.training.plugins import EvaluationPlugin

    model = cl_moe.mixture(Net(), slots="body.0", expert="lora", train_base=True)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        train_epochs=3,
        plugins=[cl_moe.MoEPlugin(growth)],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    benchmark, kept = stream_of().to_benchmark(), []
    x = torch.randn(5, DIM)
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
        model.eval()
        kept.append([model(x, task) for task in model.network.tasks])
    assert [len(answers) for answers in kept] == [1, 2, 3]
    for earlier, later in itertools.pairwise(kept):
        assert all(map(torch.equal, earlier, later))
