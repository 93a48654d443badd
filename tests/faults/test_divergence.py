"""Training and evidence that diverge: the run is recorded as diverged, and no method fails."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

import cl_moe
from cl_moe import catalog
from cl_moe.analysis.divergence import diverged_methods
from cl_moe.analysis.document import report
from cl_moe.continual.candidates import trial as trials
from cl_moe.continual.evidence.ensemble import Ensemble, EnsembleMember
from cl_moe.continual.evidence.signatures import Shortlist, signature
from cl_moe.continual.evidence.weights import EnsembleWeights
from cl_moe.continual.growth.base import make_growth
from cl_moe.moe.blocks import RAW, Block
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

NO_CLASSES = ("lwf", "nearest_mean")  # methods that refuse tasks without classes
VARIANTS: dict[str, dict[str, Any]] = {
    "mntdp": {"growth": "mntdp"},
    "per_task": {"growth": "per_task"},
    "fixed": {"growth": "fixed"},
    "token": {"gate": "token"},
    "copies": {"growth_options": {"kinds": ["ensemble", "copy"], "train_from": 0}},
    "shortlist": {"growth_options": {"shortlist": 1, "train_from": 0}},
    "limit": {"growth_options": {"max_experts": 1, "train_from": 0}},
    "limit ewc": {"growth_options": {"max_experts": 1, "protect": "ewc", "train_from": 0}},
}
METHODS = [*({"name": name} for name in catalog.names("method")),
           *({"name": name, "type": "moe", **more} for name, more in VARIANTS.items())]  # fmt: skip


def stream(scale: float, objective: str, shape: tuple[int, ...], *, constant: bool) -> TaskStream:
    """Return two tasks whose inputs have a scale, and a probe."""
    draw, tasks = torch.Generator().manual_seed(0), []
    for k in range(3):
        x = torch.randn(60, *shape, generator=draw)
        first = x.flatten(1)[:, :1]
        y = (first[:, 0] > 0).long() if objective == "classification" else scale * first
        x = scale * (torch.ones_like(x) if constant else x)
        names = "ab" if objective == "classification" else ()
        parts = (x[:40], y[:40]), (x[40:], y[40:])
        tasks.append(Task(f"t{k}", *parts, names, objective=objective))
    return TaskStream(tasks[:2], probes=tasks[2:], name="diverging")


SGD = {"optimizer": "sgd", "learning_rate": 1e12}
ENCODER = {"hidden": [4], "encoder_hidden": [4]}
CASES: dict[str, dict[str, Any]] = {
    "rate 1e12": {"training": SGD, "network": ENCODER},
    "inputs 1e30": {"scale": 1e30},
    "rate 1e6": {"training": {"learning_rate": 1e6}},
    "inputs 3e37": {"scale": 3e37},
    "inputs 1e-30": {"scale": 1e-30},
    "inputs 0": {"scale": 0.0},
    "constant inputs": {"constant": True},
    "constant images": {"constant": True, "shape": (1, 8, 8), "network": {"kind": "conv"}},
    "targets 1e30": {"scale": 1e30, "objective": "regression"},
    "targets 1e-30": {"scale": 1e-30, "objective": "regression"},
    "rate 1e12, targets": {"training": SGD, "network": ENCODER, "objective": "regression"},
    "two layers": {"training": SGD, "network": {"hidden": [4, 4], "layers": 2}},
}
QUICK = "rate 1e12"


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if c == QUICK else pytest.mark.slow) for c in CASES]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_no_method_fails(case, tmp_path):
    given = CASES[case]
    objective = given.get("objective", "classification")
    study = cl_moe.run(
        stream(
            given.get("scale", 1.0),
            objective,
            given.get("shape", (4,)),
            constant=given.get("constant", False),
        ),
        [m for m in METHODS if objective == "classification" or m["name"] not in NO_CLASSES],
        seeds=1,
        network={"hidden": [4], "channels": [2], "feature_dim": 4, **given.get("network", {})},
        training={"epochs": 1, "min_steps": 6, **given.get("training", {})},
        progress=False,
    )
    rows = study.data.rows
    final = rows[(rows["metric"] == "loss") & (rows["after_task"] == 1)]
    assert final.groupby("method").size().to_dict() == dict.fromkeys(study.data.method_names, 2)
    assert report(study.data)
    assert study.table()
    assert case == QUICK or study.plot(tmp_path)
    if given.get("training") is SGD:
        assert "dense" in diverged_methods(study.data)


EXPLODING = """
import torch

from cl_moe.strategies.methods.base import sequential
from cl_moe.strategies.networks import dense_network


def exploding(context, /):
    network = dense_network(context)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(float("inf"))
    return sequential(context, network)
"""


def test_a_diverged_run_leaves_the_others_as_they_are(tmp_path):
    """The rows of a method do not depend on one that diverged before it."""
    (tmp_path / "parts.py").write_text(EXPLODING)
    tasks = stream(1.0, "classification", (4,), constant=False)
    more = {"seeds": 1, "network": {"hidden": [4]}, "training": {"epochs": 1, "min_steps": 6},
            "progress": False}  # fmt: skip
    bad = {"name": "bad", "type": f"{tmp_path}/parts.py:exploding"}
    alone, beside = cl_moe.run(tasks, ["moe"], **more), cl_moe.run(tasks, [bad, "moe"], **more)
    both = beside.data.rows[beside.data.rows["method"] == "moe"].reset_index(drop=True)
    assert "bad" in diverged_methods(beside.data)
    assert both.equals(alone.data.rows)


# --- the parts -----------------------------------------------------------------------------------


def test_evidence_that_is_not_finite_loses():
    x, y = torch.randn(60, 3), torch.arange(60) % 2
    members = [EnsembleMember((RAW,)), EnsembleMember((Block(0),)), EnsembleMember((Block(1),))]
    for bad in (math.nan, math.inf, -math.inf):
        values = {RAW: x, Block(0): torch.full((60, 2), bad), Block(1): x + 3.0 * y[:, None]}
        losses = Ensemble(values, y, 2).losses(members)
        assert list(losses) == [members[0], members[2]]
        head = Ensemble(values, y, 2).head(members, EnsembleWeights())
        assert max(head.shares, key=head.shares.__getitem__) == 1


def test_nothing_finite_gives_the_raw_input_an_infinite_loss():
    values = {RAW: torch.full((60, 2), math.nan), Block(0): torch.full((60, 2), math.nan)}
    members = [EnsembleMember((RAW,)), EnsembleMember((Block(0),))]
    found = Ensemble(values, torch.arange(60) % 2, 2).losses(members)
    assert found == {members[0]: math.inf}


def test_a_signature_that_is_not_finite_is_near_to_none():
    near, draw = Shortlist(most=1), torch.Generator().manual_seed(0)
    x, y = torch.rand(40, 3, generator=draw), torch.arange(40) % 2
    near.add(0, 1e30 * x, y)
    near.add(1, x + 5, y)
    near.add(2, x, y)
    assert near.to(x + 0.1, y, among=[0, 1, 2]) == [2]
    assert len(near.to(1e30 * x, y, among=[0, 1, 2])) == 1
    assert not torch.cat(signature(1e30 * x, y)).isfinite().all()
    assert torch.cat(signature(torch.ones(40, 3), y)).isfinite().all()


def _scored(monkeypatch, losses: list[float], accuracy: float = 1.0) -> None:
    """Give the trials of a decision these losses, in turn."""
    given = itertools.cycle(losses)

    def score(self: trials.Trial) -> trials.Score:
        return trials.Score(accuracy, next(given))

    monkeypatch.setattr(trials.Trial, "score", score)
    monkeypatch.setattr(trials.Trial, "readout", score)
    monkeypatch.setattr(trials.Trial, "train", lambda self, until: None)


def _view_and_network(value: float = 1.0):
    from tests.continual.growth import test_diverged as parts

    return parts.view_of(200), parts.network_of(parts.TaskGate, value)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_mntdp_keeps_the_finite_candidate_or_grows(monkeypatch, bad):
    view, network = _view_and_network()
    _scored(monkeypatch, [bad, 0.5])
    assert make_growth("mntdp").decide(view, network).kind == "fresh"
    _scored(monkeypatch, [0.5, bad])
    assert make_growth("mntdp").decide(view, network).kind == "reuse"
    _scored(monkeypatch, [bad, bad])
    assert make_growth("mntdp").decide(view, network).kind == "fresh"


@pytest.mark.parametrize("objective", ["classification", "regression"])
def test_mntdp_ranks_a_diverged_path_last(objective):
    view, network = _view_and_network(math.nan)
    if objective == "regression":
        from cl_moe.objectives.regression import Regression

        view = dataclasses.replace(view, y=view.x[:, :1], objective=Regression(1))
    policy = make_growth("mntdp")
    rows = torch.arange(len(view.y))
    assert policy._score(view, network, 0, rows[:100], rows[100:]) == -math.inf


def test_nothing_finite_grows_fresh_experts(monkeypatch):
    from cl_moe.continual.candidates.ensemble import EnsembleCandidate

    view, network = _view_and_network()
    _scored(monkeypatch, [math.inf])
    reused = trials.Score(0.5, math.nan)
    monkeypatch.setattr(EnsembleCandidate, "score", lambda self, split: reused)
    assert make_growth("reuse_or_grow").decide(view, network).kind == "fresh"
    monkeypatch.setattr(EnsembleCandidate, "score", lambda s, p: trials.Score(0.9, 0.3))
    assert make_growth("reuse_or_grow").decide(view, network).kind == "ensemble"


def test_copies_of_diverged_paths_are_not_grown():
    view, network = _view_and_network(math.nan)
    policy = make_growth("reuse_or_grow", {"kinds": ["copy"], "grow_from": 0})
    assert policy.decide(view, network).kind == "fresh"


def test_a_system_that_rounding_made_indefinite_is_solved():
    from cl_moe.continual.evidence.ensemble import _cholesky

    system = torch.diag(torch.tensor([1.0, -1e-6, 1e-9], dtype=torch.float64))
    factor = _cholesky(system.clone(), 1e-12)
    assert np.isfinite(factor.numpy()).all()
    exact = torch.eye(3, dtype=torch.float64)
    assert torch.equal(_cholesky(exact.clone(), 3.0), 2 * exact)
