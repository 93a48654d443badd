"""Checkpoints: written once, checked when read, the last good one is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cl_moe.runs.checkpoints.checkpoint import Checkpoints
from cl_moe.state import State

IDENTITY = {"method": "dense", "seed": 0}


def state(step: int) -> State:
    """Return a state with a frozen tensor and one that each step changes."""
    tensors = {"frozen": torch.arange(1000.0), "trained": torch.full((3,), float(step))}
    return State({"step": step, "loss": float("nan")}, tensors)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoints = Checkpoints(tmp_path / "run", IDENTITY)
    for step in range(1, 5):
        checkpoints.save(step, state(step), [("row", {"value": step})])
    checkpoints.flush()
    return tmp_path / "run"


def loaded(folder: Path, identity: dict[str, object] = IDENTITY) -> Checkpoints:
    return Checkpoints(folder, identity)


def test_the_last_checkpoint_is_read_with_its_log(folder):
    saved = loaded(folder).load()
    assert (saved.stage, saved.state.plain["step"]) == (4, 4)
    assert torch.equal(saved.state.tensors["trained"], torch.full((3,), 4.0))
    assert [item["value"] for _, item in saved.log] == [1, 2, 3, 4]


def test_two_checkpoints_are_kept_and_an_unchanged_tensor_is_written_once(folder):
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-3.json",
        "checkpoint-4.json",
    ]
    sizes = {path.name: path.stat().st_size for path in folder.glob("tensors-*")}
    assert sizes.keys() == {
        "tensors-1.safetensors",
        "tensors-3.safetensors",
        "tensors-4.safetensors",
    }
    assert sizes["tensors-1.safetensors"] > 4000 > sizes["tensors-4.safetensors"]


@pytest.mark.parametrize("name", ["checkpoint-4.json", "tensors-4.safetensors", "log.jsonl"])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "remove"])
def test_a_damaged_checkpoint_is_not_read_but_the_one_before(folder, name, harm):
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) - 3] ^= 1
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes({"flip": content, "cut": content[:-2], "empty": b""}[harm])
    saved = loaded(folder).load()
    if name == "log.jsonl" and harm in ("empty", "remove"):
        assert saved is None
    else:
        assert saved.stage == 3
        assert [item["value"] for _, item in saved.log] == [1, 2, 3]


@pytest.mark.parametrize("path", ["checkpoint-3.json", "checkpoint-4.json"])
def test_any_flipped_byte_of_a_description_is_noticed(folder, path):
    other = {"checkpoint-3.json": 4, "checkpoint-4.json": 3}[path]
    content = (folder / path).read_bytes()
    for place in range(0, len(content), 97):
        changed = bytearray(content)
        changed[place] ^= 4
        (folder / path).write_bytes(changed)
        copied = {p.name: p.read_bytes() for p in folder.iterdir()}
        assert loaded(folder).load().stage == other
        for name, kept in copied.items():
            (folder / name).write_bytes(kept)


def test_another_run_is_not_continued(folder):
    assert loaded(folder, {"method": "dense", "seed": 1}).load() is None
    assert not folder.exists()


def test_a_continued_run_keeps_what_is_needed_and_removes_the_rest(folder):
    (folder / "tensors-9.safetensors").write_bytes(b"cut off by a kill")
    (folder / ".checkpoint-5.json.x").write_bytes(b"aside")
    again = loaded(folder)
    again.load()
    again.save(5, state(5), [("row", {"value": 5})])
    again.save(6, state(6))
    again.flush()
    assert {path.name for path in folder.iterdir()} == {
        "checkpoint-5.json", "checkpoint-6.json", "log.jsonl", "tensors-1.safetensors",
        "tensors-5.safetensors", "tensors-6.safetensors",
    }  # fmt: skip
    saved = loaded(folder).load()
    assert (saved.stage, len(saved.log)) == (6, 5)
    assert torch.equal(saved.state.tensors["frozen"], torch.arange(1000.0))


def test_within_a_stage_the_state_before_it_is_kept(folder):
    again = loaded(folder)
    again.load()
    for step in (10, 11, 12):
        again.save_within(State({"step": step}, {"trained": torch.full((3,), float(step))}))
    again.flush()
    saved = loaded(folder).load()
    assert (saved.stage, saved.state.plain["step"], saved.within.plain["step"]) == (4, 4, 12)
    assert torch.equal(saved.state.tensors["trained"], torch.full((3,), 4.0))


def test_other_memory_orders_are_kept(tmp_path):
    weight = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    checkpoints = Checkpoints(tmp_path / "run", IDENTITY)
    checkpoints.save(1, State({}, {"w": weight}))
    checkpoints.flush()
    again = Checkpoints(tmp_path / "run", IDENTITY).load().state.tensors["w"]
    assert again.stride() == weight.stride()
    assert torch.equal(again, weight)


def test_a_full_disk_is_noticed_at_the_next_checkpoint(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cl_moe.runs.checkpoints.checkpoint.replace_file", full)
    checkpoints = Checkpoints(tmp_path / "run", IDENTITY)
    checkpoints.save(1, state(1))
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(2, state(2))


def test_checkpoints_keep_to_their_share_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.process_time", lambda: now[0])
    checkpoints = Checkpoints(tmp_path / "run", IDENTITY, share=0.02)
    assert checkpoints.due()
    now[0] += 0.5  # of preparing the state
    checkpoints.save(1, state(1))
    now[0] += 24.9
    assert not checkpoints.due()
    now[0] += 0.2
    assert checkpoints.due()


def test_no_pickle_is_written(folder):
    for path in folder.glob("*.json*"):
        lines = path.read_text().splitlines()[path.suffix == ".json" :]
        for line in lines:
            json.loads(line)
