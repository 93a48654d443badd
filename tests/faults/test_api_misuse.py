"""Misuse of the public functions and classes: a sentence, not a traceback from deep inside."""

from __future__ import annotations

import copy
import gc
import inspect
import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import cl_moe
from cl_moe import InputError, NetworkSpec, RaySpec, Task, TaskAwareMoE, TaskStream, TrainingSpec
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.offload import OffloadedExpert
from cl_moe.testing.learning import toy_stream

HOSTILE = (
    None, -1, 0, math.nan, math.inf, -1.5, 10**30, True, "x", "", b"x", [], {}, [None], (math.nan,),
    object(), np.zeros((0, 3)), torch.zeros(0), int, len,
)  # fmt: skip

X, Y = torch.rand(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 2
BUDGET = {"epochs": 1, "min_steps": 0}
SMALL = NetworkSpec(hidden=[4])


def task(name: str = "a") -> Task:
    return Task(name, (X, Y), (X, Y), ("p", "q"))


def stream() -> TaskStream:
    return TaskStream([task(), task("b")])


def model(**options: Any) -> Any:
    return cl_moe.build_moe(NetworkSpec(hidden=[4], **options), (6,), 0)


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))


def study(folder: Path) -> Any:
    return cl_moe.run(
        stream(), ["dense"], seeds=1, training=BUDGET, progress=False, out=folder, curves=False
    )


Case = tuple[Callable[..., Any], dict[str, Any]]
STUDY: dict[str, Any] = {
    "seeds": 1, "jobs": None, "engine": "local", "out": None, "device": "cpu", "data_dir": None,
    "training": BUDGET, "network": {"hidden": [4]}, "threads": 1, "fresh": False, "progress": False,
    "allow_code": False,
}  # fmt: skip
CALLS: dict[str, Callable[[], Case]] = {
    "Task": lambda: (
        Task,
        {
            "name": "a", "train": (X, Y), "test": (X, Y), "classes": "pq", "group": None,
            "derived_from": None, "relation": None, "objective": "classification",
        },
    ),
    "Task.labels": lambda: (task().labels, {"split": "train"}),
    "Task.strata": lambda: (task().strata, {"split": "train"}),
    "Task.tensors": lambda: (task().tensors, {"split": "train"}),
    "Task.renamed": lambda: (task().renamed, {"name": "b"}),
    "TaskStream": lambda: (TaskStream, {"tasks": [task()], "name": "s", "probes": ()}),
    "TaskStream.validation_split": lambda: (
        stream().validation_split, {"fraction": 0.5, "seed": 0},
    ),
    "TaskStream.from_benchmark": lambda: (
        TaskStream.from_benchmark, {"scenario": stream().to_benchmark(), "name": None},
    ),
    "TrainingSpec": lambda: (TrainingSpec, dict.fromkeys(TrainingSpec.model_fields)),
    "NetworkSpec": lambda: (NetworkSpec, dict.fromkeys(NetworkSpec.model_fields)),
    "RaySpec": lambda: (RaySpec, {"address": None, "cpus": 1, "gpus": None, "memory": "1GiB"}),
    "ScenarioSpec.from_dict": lambda: (cl_moe.ScenarioSpec.from_dict, {"data": {}}),
    "ScenarioSpec.with_overrides": lambda: (
        cl_moe.load_scenario("digits_quick").with_overrides, {"overrides": ["seeds=1"]},
    ),
    "ScenarioSpec.resolve": lambda: (
        cl_moe.load_scenario("digits_quick").resolve, {"data_dir": None},
    ),
    "ScenarioSpec.build_stream": lambda: (
        cl_moe.load_scenario("digits_quick").build_stream, {"seed": 0, "data_dir": None},
    ),
    "load_scenario": lambda: (cl_moe.load_scenario, {"path_or_name": "demo", "allow_code": False}),
    "load_study": lambda: (cl_moe.load_study, {"path": "nowhere"}),
    "load": lambda: (cl_moe.load, {"path": "nowhere", "backbone": None, "allow_code": False}),
    "build_moe": lambda: (
        cl_moe.build_moe,
        {
            "spec": SMALL, "shape": (6,), "seed": 0, "gate": "task", "gate_options": None,
            "experts": 1,
        },
    ),
    "mixture": lambda: (
        cl_moe.mixture,
        {
            "backbone": network(), "slots": "2", "expert": "lora", "expert_options": None,
            "gate": "task", "gate_options": None, "head": "linear", "experts": 0,
            "train_base": False, "seed": 0,
        },
    ),
    "MoENetwork": lambda: (
        cl_moe.MoENetwork, {"backbone": model().network.backbone, "seed": 0, "head": LinearHead},
    ),
    "MoEPlugin": lambda: (cl_moe.MoEPlugin, {"growth": "per_task", "names": (), "seed": 0}),
    "TaskAwareMoE": lambda: (
        TaskAwareMoE,
        {
            "shape": (6,), "model": None, "network": None, "training": None, "gate": "task",
            "gate_options": None, "growth": "reuse_or_grow", "growth_options": None, "experts": 1,
            "names": (), "plugins": (), "seed": 0, "device": "cpu", "evaluator": None,
        },
    ),
    "TaskAwareMoE.train": lambda: (TaskAwareMoE(shape=(6,)).train, {"experiences": None}),
    "TaskModel": lambda: (model(), {"x": X, "task_labels": 0}),
    "run": lambda: (
        cl_moe.run,
        {
            "source": stream(), "methods": ["dense"], "baseline": None, "curves": False,
            "keep_models": False, "checkpoint_steps": None, **STUDY,
        },
    ),
    "transfer": lambda: (cl_moe.transfer, {"source": stream(), "methods": ["dense"], **STUDY}),
}  # fmt: skip
ELSEWHERE = {
    "InputError", "StudyError", "StudyInterrupted",  # are raised
    "Study",  # is returned; its methods are below
    "TensorBatches",  # a mixin without arguments
    "__version__",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Plans are checked; valid ones are not run here."""
    monkeypatch.chdir(tmp_path)


def test_the_table_is_whole() -> None:
    """Every public name, and every parameter of its functions."""
    named = {name.partition(".")[0] for name in CALLS} | ELSEWHERE
    assert set(cl_moe.__all__) <= named | {"TaskModel"}
    for name, make in CALLS.items():
        function, given = make()
        if name not in ("TrainingSpec", "NetworkSpec", "TaskModel", "TaskAwareMoE.train"):
            assert set(inspect.signature(function).parameters) == set(given), name


@pytest.mark.parametrize("name", CALLS)
def test_a_hostile_argument_is_refused_with_a_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cl_moe.runs.study.run_plan", lambda *given, **more: None)
    monkeypatch.setattr("cl_moe.runs.transfer.run_plan", lambda *given, **more: None)
    function, given = CALLS[name]()
    valid = {} if name in ("TrainingSpec", "NetworkSpec") else given
    refused = 0
    for key in given:
        for value in HOSTILE:
            refused += told(function, {**valid, key: value})
    assert refused >= 4


def told(function: Callable[..., Any], given: dict[str, Any]) -> bool:
    """Whether a call is refused with sentences; any other error is raised."""
    try:
        function(**given)
    except InputError as error:
        problems = error.problems
    else:
        return False
    assert all(re.search("[a-z]", problem) and len(problem) < 500 for problem in problems)
    return True


class Raising(Dataset[Any]):
    """A data set that fails at some rows."""

    targets = [0, 1] * 6

    def __init__(self, first: int, error: BaseException, length: Any = 12) -> None:
        self.first, self.error, self.length = first, error, length

    def __len__(self) -> int:
        if isinstance(self.length, BaseException):
            raise self.length
        return self.length  # type: ignore[no-any-return]

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        if row >= self.first:
            raise self.error
        return X[row], int(Y[row])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Raising(6, KeyError("gone")), "sample 6 cannot be read (KeyError: 'gone')"),
        (Raising(6, StopIteration()), "sample 6 cannot be read (StopIteration"),
        (Raising(0, RuntimeError("no")), "sample 0 cannot be read (RuntimeError: no)"),
        (Raising(0, IndexError(), 0), "no sample"),
        (Raising(12, IndexError(), 20), "sample 12 cannot be read (IndexError"),
        (Raising(12, IndexError(), OSError("lost")), "its length cannot be read (OSError: lost)"),
        (Raising(12, IndexError(), -3), "its length cannot be read (ValueError"),
        (Raising(12, IndexError(), None), "its length cannot be read (TypeError"),
        (None, "NoneType has no length"),
        (5, "int has no length"),
        ((X, Y[:5]), "12 inputs but 5 labels; give one label per input"),
        ((X, None), "one number; give inputs (N, ...) and labels (N,)"),
        ((X, Y, Y), "a tuple of 3; give a pair (inputs, labels)"),
        ((X[:0], Y[:0]), "no sample"),
        ((X * math.nan, Y), "sample 0 holds NaN or infinity"),
        ((X.to(torch.complex64), Y), "inputs are complex; give real numbers"),
        ((np.array([["a"] * 6] * 12), Y), "inputs are ndarray; give tensors or arrays of numbers"),
        ((np.array([object()] * 12), Y), "inputs are ndarray; give tensors or arrays of numbers"),
        ((X, Y + 5), "label"),
        ((X, Y.float() * math.nan), "label"),
        ({"x": X, "y": Y}, "task 'a', train data: a dict; give a pair (inputs, labels)"),
    ],
)
def test_data_that_cannot_be_used(data: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        Task("a", data, (X, Y), ("p", "q"))
    assert words in str(caught.value)
    assert "task 'a'" in str(caught.value)


def test_a_lazy_data_set_that_fails_in_training_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Raising(99, OSError("the disk is gone"))
    lazy = Task("lazy", data, (X, Y), ("p", "q"))
    data.first = 6  # it fails from now on
    with pytest.raises(InputError, match=r"task 'lazy', train data: sample \d+ cannot be read"):
        cl_moe.run(TaskStream([lazy]), ["dense"], seeds=1, training=BUDGET, progress=False)


@pytest.mark.parametrize(
    ("x", "labels", "words"),
    [
        (X.numpy(), 0, "x: a value of type ndarray is not a tensor of rows"),
        (X[0], 0, "x: a tensor of shape (6,)"),
        (None, 0, "x: a value of type NoneType"),
        (X, torch.zeros(5).long(), "task_labels: a tensor of shape (5,)"),
        (X, torch.zeros(0).long(), "task_labels: a tensor of shape (0,)"),
        (X, torch.zeros(12), "type torch.float32 for 12 rows; give one whole number per row"),
        (X, np.zeros(12, int), "task_labels: a value of type ndarray"),
        (X, "0", "task_labels: a value of type str; give a whole number"),
        (X, 7, "task 7: has not been learned"),
        (X, torch.full((12,), 7), "task 7: has not been learned"),
    ],
)
def test_rows_and_labels_that_a_model_cannot_answer(x: Any, labels: Any, words: str) -> None:
    mixture = model()
    mixture.network.add_task(0, [["e0"]], mixture.network.new_head(0, n_outputs=2))
    with pytest.raises(InputError, match=re.escape(words)):
        mixture(x, labels)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: TaskStream(None), "tasks: None is not a list (each a Task)"),
        (lambda: TaskStream([1]), "tasks: [1] is not a list (each a Task)"),
        (lambda: cl_moe.run(stream(), out=5), "out: 5 is not a text or a Path or None"),
        (lambda: cl_moe.run(stream(), jobs=0), "jobs: 0 is not within 1 to 10000"),
        (lambda: cl_moe.build_moe(SMALL, (6,), 0, experts=-1), "experts: -1 is not within 0 to"),
        (lambda: cl_moe.build_moe(SMALL, (), 0), "shape: is empty; give (features,) or"),
        (lambda: cl_moe.build_moe({}, (6,), 0), "spec: {} is not a NetworkSpec"),
        (lambda: TaskAwareMoE(shape=(6,), device="gpu"), "device: 'gpu' is not a torch device"),
        (lambda: TaskAwareMoE(model=network()), "is not a TaskModel or None"),
        (lambda: TaskAwareMoE(shape=(6,)).train(X.numpy()), "is not an experience; give those of"),
        (lambda: TrainingSpec(epochs=0), "epochs: 0 is too small; give 1 or more"),
        (lambda: TrainingSpec(epohcs=1), "epohcs: unknown key; did you mean 'epochs'?"),
        (lambda: task().labels("valid"), "split: 'valid' is neither 'train' nor 'test'"),
        (lambda: TaskStream.from_benchmark(None), "scenario: None is not a benchmark of Avalanche"),
    ],
)
def test_the_sentence_says_what_is_right(act: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        act()


@pytest.mark.parametrize("key", ["folder", "formats"])
def test_a_study_refuses_what_it_cannot_plot(key: str, tmp_path: Path) -> None:
    made = study(tmp_path / "s")
    for value in (5, object(), ["nonsense"], math.nan):
        with pytest.raises(InputError):
            made.plot(**{"folder": tmp_path / "f", "formats": ["png"], key: value})
    for arguments in ({"method": None}, {"method": "dense", "seed": "x"}):
        with pytest.raises(InputError):
            made.model(**arguments)


def learned(resident: int = 1) -> Any:
    """A model with a frozen expert per task, of which one is in memory."""
    spec = NetworkSpec(hidden=[8], resident=resident)
    made = TaskAwareMoE(
        shape=(6,), network=spec, growth="per_task", training=TrainingSpec(**BUDGET)
    )
    for experience in toy_stream().to_benchmark().train_stream:
        made.train(experience, eval_streams=[])
    layer = made.model.network.moe_layers[0]
    assert any(isinstance(part, OffloadedExpert) for part in layer.pool.experts.values())
    return made.model.eval()


@pytest.mark.parametrize("way", ["pickle", "torch", "deepcopy"])
def test_a_copy_of_a_network_with_offloaded_experts_holds_them(way: str) -> None:
    """Its files are removed with the network that wrote them."""
    original = learned()
    x = torch.rand(5, 6)
    wanted = [original(x, k) for k in range(3)]
    if way == "deepcopy":
        copied = copy.deepcopy(original)
    elif way == "pickle":
        copied = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own bytes
    else:
        buffer = io.BytesIO()
        torch.save(original, buffer)
        buffer.seek(0)
        copied = torch.load(buffer, weights_only=False)
    del original
    gc.collect()
    for _ in range(2):  # each use offloads the others again
        for k in range(3):
            assert torch.equal(copied(x, k), wanted[k])
    assert len(copied.network.moe_layers[0].pool.resident_ids) == 1
