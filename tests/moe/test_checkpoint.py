"""Saved mixtures: answers bit for bit, decisions as if never saved, damage named, old ones kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.training import Naive
from safetensors.torch import load_file, save_file
from torch import nn

import cl_moe
from cl_moe import MoEPlugin, NetworkSpec, TrainingSpec
from cl_moe.errors import InputError
from cl_moe.moe.checkpoint import load_tensors
from cl_moe.state import PLAIN, TENSORS
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.model import TaskModel

QUICK = TrainingSpec(epochs=2, min_steps=12, batch_size=16)


def toy_task(position: int) -> Task:
    """Return a task on one of two sets of blobs, so that some are related."""
    draw = torch.Generator().manual_seed(position % 2)
    centres = 1.5 * torch.randn(3, 8, generator=draw)
    draw.manual_seed(100 + position)

    def data(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.arange(size) % 3
        return centres[y] + 0.7 * torch.randn(size, 8, generator=draw), y

    return Task(f"task{position}", data(96), data(30), "abc")


@pytest.fixture(scope="module")
def experiences() -> list[Any]:
    return list(TaskStream([toy_task(k) for k in range(4)]).to_benchmark().train_stream)


X = toy_task(0).tensors("test")[0]


def learn(strategy: Any, experience: Any) -> None:
    torch.manual_seed(1)
    strategy.train(experience, eval_streams=[])
    strategy.model.eval()


def answers(model: Any) -> list[torch.Tensor]:
    model.eval()
    with torch.no_grad():
        return [model(X, task) for task in model.network.tasks]


def same(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def told(strategy: Any, last: int) -> list[dict[str, Any]]:
    """Return the last events, without what a clock says."""
    return [{k: v for k, v in e.items() if k != "seconds"} for e in strategy.events[-last:]]


PLAIN_STEPS = QUICK.model_copy(update={"optimizer": "sgd"})
"""Without moments, which are not saved and matter where parameters learn in every task."""


def aware(model: Any, **how: Any) -> Any:
    training = PLAIN_STEPS if how.get("growth") == "fixed" else QUICK
    return cl_moe.TaskAwareMoE(model=model, training=training, **how)


def goes_on(
    model: Any, experiences: list[Any], folder: Path, backbone: nn.Module | None = None, **how: Any
) -> Any:
    """Learn two tasks, save, load, and learn two more with both; return the loaded one's."""
    torch.manual_seed(0)
    one = aware(model, **how)
    for experience in experiences[:2]:
        learn(one, experience)
    one.model.save(folder)
    loaded = cl_moe.load(folder, backbone)
    assert same(answers(one.model), answers(loaded))
    two = aware(loaded, **how)
    for experience in experiences[2:]:
        learn(one, experience)
        learn(two, experience)
    assert told(one, 2) == told(two, 2)
    assert same(answers(one.model), answers(two.model))
    two.model.save(folder)
    assert same(answers(cl_moe.load(folder, backbone)), answers(two.model))
    return two


def built(experts: int = 1, gate: str = "task", **network: Any) -> Any:
    return cl_moe.build_moe(
        NetworkSpec(**{"hidden": [12, 10], "layers": 2, **network}), (8,), 0, gate, None, experts
    )


@pytest.mark.parametrize(
    ("make", "how"),
    [
        (lambda: built(encoder_hidden=[9], shared_expert=True), {}),
        (built, {"growth_options": {"shortlist": 1}}),
        (lambda: built(resident=1), {"growth_options": {"max_experts": 1, "protect": "ewc"}}),
        (built, {"growth": "mntdp"}),
        (built, {"growth": "per_task"}),
        (lambda: built(3, "token"), {"growth": "fixed"}),
        (lambda: built(3, "task"), {"growth": "fixed"}),
    ],
    ids=["reuse_or_grow", "shortlist", "ewc", "mntdp", "per_task", "fixed-token", "fixed-task"],
)
def test_a_loaded_mixture_decides_as_one_never_saved(
    make: Callable[[], Any], how: dict[str, Any], experiences: list[Any], tmp_path: Path
) -> None:
    goes_on(make(), experiences, tmp_path / "model", **how)


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10), nn.ReLU(),
        nn.Linear(10, 5),
    )  # fmt: skip


@pytest.mark.parametrize(
    "how",
    [
        {"slots": ["0", "3"], "expert": "lora"},
        {"slots": ["0", "3"], "expert": "lora", "train_base": True},
        {"slots": "3", "expert": "copy"},
        {"slots": "2", "expert": "adapter", "head": "cosine"},
        {"slots": "3", "expert": "mlp", "gate": "task", "experts": 2},
    ],
    ids=["lora", "lora-train-base", "copy", "adapter", "mlp"],
)
def test_a_mixture_in_ones_own_backbone_comes_back(
    how: dict[str, Any], experiences: list[Any], tmp_path: Path
) -> None:
    base = network()
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    goes_on(cl_moe.mixture(base, **how), experiences, tmp_path / "model", backbone=network())
    assert all(torch.equal(t, before[name]) for name, t in base.state_dict().items())
    other = network()
    with torch.no_grad():
        other[0].weight.add_(1.0)  # what it holds is replaced
    one = cl_moe.load(tmp_path / "model", backbone=network())
    assert same(answers(one), answers(cl_moe.load(tmp_path / "model", backbone=other)))


def test_inside_a_plain_strategy(experiences: list[Any], tmp_path: Path) -> None:
    def naive(model: Any) -> Any:
        return Naive(
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=16,
            train_epochs=2,
            eval_mb_size=64,
            plugins=[MoEPlugin(names=["first", "second"])],
        )

    one = naive(built())
    for experience in experiences[:2]:
        learn(one, experience)
    one.model.save(tmp_path / "model")
    loaded = cl_moe.load(tmp_path / "model")
    assert loaded.tasks_info == {0: {"name": "first"}, 1: {"name": "second"}}
    assert same(answers(one.model), answers(loaded))
    two = naive(loaded)
    for strategy in (one, two):
        learn(strategy, experiences[2])
    assert same(answers(one.model), answers(two.model))


def test_another_policy_cannot_read_what_one_remembers(
    experiences: list[Any], tmp_path: Path
) -> None:
    strategy = aware(built())
    learn(strategy, experiences[0])
    strategy.model.save(tmp_path / "model")
    other = aware(cl_moe.load(tmp_path / "model"), growth="mntdp")
    with pytest.raises(InputError, match=r"was saved with growth '\S*:ReuseOrGrow' but"):
        other.train(experiences[1], eval_streams=[])


# --- damage ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(experiences: list[Any]) -> Any:
    strategy = aware(built())
    learn(strategy, experiences[0])
    return strategy.model


@pytest.fixture
def saved(learned: Any, tmp_path: Path) -> Path:
    learned.save(tmp_path / "model")
    return tmp_path / "model"


def redigested(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write other tensors under a digest that fits them."""
    from cl_moe.storage import file_digest

    save_file(tensors, folder / TENSORS)
    rewrite(folder, lambda plain: plain.update(digest=file_digest(folder / TENSORS)))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    plain = json.loads((folder / PLAIN).read_text())
    change(plain)
    (folder / PLAIN).write_text(json.dumps(plain))


def without_head(folder: Path) -> None:
    tensors = load_file(folder / TENSORS)
    redigested(folder, {k: t for k, t in tensors.items() if ".head.0." not in k})


def without_an_expert(folder: Path) -> None:
    tensors = load_file(folder / TENSORS)
    redigested(folder, {k: t for k, t in tensors.items() if ".expert.layer1.e0" not in k})


def wider(folder: Path) -> None:
    tensors = load_file(folder / TENSORS)
    redigested(
        folder,
        {k: torch.cat([t, t]) if ".expert.layer0.e0" in k else t for k, t in tensors.items()},
    )


def one_more(folder: Path) -> None:
    tensors = load_file(folder / TENSORS)
    redigested(folder, {**tensors, "network.expert.layer0.e0.extra": torch.zeros(2)})


def cut_short(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])


def flipped(folder: Path) -> None:
    content = bytearray((folder / TENSORS).read_bytes())
    content[-1] ^= 1
    (folder / TENSORS).write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (lambda f: (f / PLAIN).unlink(), "no saved model"),
        (lambda f: (f / TENSORS).unlink(), "model.safetensors: cannot be read"),
        (lambda f: cut_short(f, PLAIN), "model.json: is damaged"),
        (lambda f: cut_short(f, TENSORS), "model.safetensors: does not match its digest"),
        (flipped, "model.safetensors: does not match its digest"),
        (without_head, "model: is damaged"),
        (without_an_expert, r"expert\.layer1\.e0\S* is missing"),
        (wider, r"has shape \(24, 8\), not \(12, 8\)"),
        (one_more, r"expert\.layer0\.e0\.extra is unknown"),
        (lambda f: rewrite(f, lambda p: p.update(schema=9)), "schema is 9, and this version reads"),
        (lambda f: (f / PLAIN).write_text("[]"), "schema is None"),
        (lambda f: (f / PLAIN).write_bytes(b"\xff\xfe"), "model.json: is damaged"),
        (lambda f: rewrite(f, lambda p: p.pop("origin")), "has no description of the model"),
        (lambda f: rewrite(f, lambda p: p.pop("network")), "is damaged, or of another version"),
        (lambda f: rewrite(f, lambda p: p.pop("memory")), None),
        (lambda f: rewrite(f, lambda p: p["origin"].update(kind="x")), "kind 'x' is unknown"),
        (lambda f: rewrite(f, lambda p: p["origin"].pop("shape")), "is damaged, or of another"),
        (lambda f: rewrite(f, lambda p: p["origin"].update(shape=[3])), "does not fit"),
        (lambda f: rewrite(f, lambda p: p["network"]["slots"].pop("layer1")), "its slots are"),
        (lambda f: rewrite(f, lambda p: p["network"].update(slots=3)), "is damaged, or of"),
        (lambda f: rewrite(f, lambda p: p["network"]["heads"][0].update(kind="none")), "head"),
    ],
)
def test_damage_is_named(saved: Path, damage: Callable[[Path], object], wanted: str | None) -> None:
    damage(saved)
    if wanted is None:  # what a policy remembered is not needed to answer
        assert cl_moe.load(saved).network.tasks == [0]
        return
    with pytest.raises(InputError, match=wanted):
        cl_moe.load(saved)


def test_another_backbone_is_refused(experiences: list[Any], tmp_path: Path) -> None:
    strategy = aware(cl_moe.mixture(network(), slots="3"))
    learn(strategy, experiences[0])
    strategy.model.save(tmp_path / "model")
    with pytest.raises(InputError, match="experts in a Sequential; pass a network"):
        cl_moe.load(tmp_path / "model")
    wide = nn.Sequential(nn.Linear(8, 13), nn.BatchNorm1d(13), nn.ReLU(), nn.Linear(13, 10))
    with pytest.raises(InputError, match=r"does not fit this network: .* has shape"):
        cl_moe.load(tmp_path / "model", backbone=wide)
    with pytest.raises(InputError, match="has no module '3'"):
        cl_moe.load(tmp_path / "model", backbone=nn.Sequential(nn.Linear(8, 12)))


def test_a_folder_that_is_something_else_is_left_alone(learned: Any, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("notes", "file"):
        with pytest.raises(InputError, match="is not a saved model; give another name"):
            learned.save(tmp_path / name)
        with pytest.raises(InputError, match="no saved model"):
            cl_moe.load(tmp_path / name)
    assert (tmp_path / "notes/mine.txt").read_text() == "mine"
    with pytest.raises(InputError, match="no saved model"):
        cl_moe.load(tmp_path / "none")
    with pytest.raises(InputError, match="its construction is unknown"):
        TaskModel(learned.network).save(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "notes"]


@pytest.mark.parametrize("broken", ["safetensors.torch.save_file", "cl_moe.state.json.dumps"])
def test_an_interrupted_save_leaves_the_old_model(
    learned: Any, saved: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(broken, stop)
    with pytest.raises(KeyboardInterrupt):
        learned.save(saved)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
    assert same(answers(cl_moe.load(saved)), answers(learned))


def test_tensors_are_laid_out_as_they_were_saved():
    module = torch.nn.Linear(3, 2)
    weight = torch.randn(3, 2).T  # a product depends on the layout
    load_tensors(module, {"part.weight": weight, "part.bias": torch.zeros(2)}, "part")
    assert torch.equal(module.weight, weight)
    assert module.weight.stride() == weight.stride()
