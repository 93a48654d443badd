"""Well-known data sets from files in their publishers' layouts, made up here."""

from __future__ import annotations

import csv
import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cl_moe.errors import InputError
from cl_moe.streams.sources._readers import read_idx
from cl_moe.streams.sources.torchvision import Torchvision


def idx(path: Path, array: np.ndarray, *, packed: bool) -> None:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = head + array.astype(np.uint8).tobytes()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def mnist_alike(folder: Path, prefix: str = "", *, packed: bool, low: int = 0) -> None:
    for split, n in (("train", 20), ("test" if prefix else "t10k", 10)):
        images = np.zeros((n, 28, 28))
        images[:, 0, 5] = np.arange(n)
        idx(folder / f"{prefix}{split}-images-idx3-ubyte", images, packed=packed)
        idx(folder / f"{prefix}{split}-labels-idx1-ubyte", np.arange(n) % 10 + low, packed=packed)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_the_mnist_family_is_read_packed_or_not(tmp_path: Path, name: str, packed: bool) -> None:
    mnist_alike(tmp_path / name / "raw", packed=packed)
    source = Torchvision(dataset=name)
    assert source.available(tmp_path) is None
    before = sorted(tmp_path.rglob("*"))
    data = source.load(seed=0, data_dir=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked beside the files
    assert data.problems(name) == []
    assert data.train_x.shape == (20, 1, 28, 28)
    assert data.train_x[:, 0, 0, 5].tolist() == list(range(20))
    assert len(data.classes) == 10


def test_emnist_is_set_upright_and_counted_from_zero(tmp_path: Path) -> None:
    mnist_alike(tmp_path / "EMNIST" / "raw", "emnist-letters-", packed=True, low=1)
    data = Torchvision(dataset="EMNIST", split="letters").load(seed=0, data_dir=tmp_path)
    assert data.train_x[7, 0, 5, 0] == 7
    assert data.train_y.unique().tolist() == list(range(10))


def test_broken_idx_files_are_named(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + b"abc")
    with pytest.raises(InputError, match="short: 3 values, but its header says 5"):
        read_idx(short)
    other = tmp_path / "other"
    other.write_bytes(b"hello world")
    with pytest.raises(InputError, match="other: not an IDX file"):
        read_idx(other)
    packed = tmp_path / "packed.gz"
    packed.write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"packed\.gz: cannot be read"):
        read_idx(packed)


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    mnist_alike(tmp_path / "MNIST" / "raw", packed=True)
    for path in (tmp_path / "MNIST" / "raw").glob("t10k*"):
        path.unlink()
    with pytest.raises(InputError) as caught:
        Torchvision(dataset="MNIST").load(seed=0, data_dir=tmp_path)
    assert len(caught.value.problems) == 2


def sheets(folder: Path) -> None:
    """Two classes, three training tiles and one test tile each, two tiles a row."""
    entries: list[dict[str, Any]] = []
    for label in range(2):
        for split, n in (("train", 3), ("test", 1)):
            sheet = np.zeros((64, 64, 3), dtype=np.uint8)
            for k in range(n):
                row, column = divmod(k, 2)
                sheet[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] = 10 * label + k
            name = f"{split}-{label}.png"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sheet).save(folder / name)
            entries.append({"file": name, "split": split, "label": label, "n": n, "cols": 2})
    index = {
        "image": [32, 32, 3],
        "sheets": entries,
        "classes": ["apple", "bear"],
        "coarse_names": ["animal", "fruit"],
        "coarse_of_class": [1, 0],
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def test_sheets_of_cifar100(tmp_path: Path) -> None:
    sheets(tmp_path / "cifar100")
    source = Torchvision(dataset="CIFAR100")
    assert source.available(tmp_path) is None
    data = source.load(seed=0, data_dir=tmp_path)
    assert data.train_x.shape == (6, 3, 32, 32)
    assert data.train_x[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12]
    assert data.train_y.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test_y.tolist() == [0, 1]
    coarse = Torchvision(dataset="CIFAR100", coarse=True).load(seed=0, data_dir=tmp_path)
    assert coarse.classes == ("animal", "fruit")
    assert coarse.train_y.tolist() == [1, 1, 1, 0, 0, 0]


def test_archives_of_omniglot(tmp_path: Path) -> None:
    folder = tmp_path / "omniglot"
    folder.mkdir()
    with (folder / "alphabets.tsv").open("w", newline="", encoding="utf-8") as file:
        rows = [("background", 1, 2, "Greek"), ("evaluation", 965, 966, "Tengwar")]
        writer = csv.writer(file, delimiter="\t")
        writer.writerows([("split", "first_id", "last_id", "alphabet"), *rows])
    for split in ("background", "evaluation"):
        paper = np.ones((2, 20, 5, 5), dtype=bool)
        paper[1, :, 0, 0] = False
        np.savez(folder / f"images_{split}.npz", images=paper)
    data = Torchvision(dataset="Omniglot").load(seed=0, data_dir=tmp_path)
    assert data.classes == ("Greek/01", "Greek/02", "Tengwar/01", "Tengwar/02")
    assert (len(data.train_x), len(data.test_x)) == (60, 20)
    assert data.train_x[:, 0, 0, 0].tolist() == ([0] * 15 + [255] * 15) * 2
    one = Torchvision(dataset="Omniglot", alphabet="Tengwar").load(seed=0, data_dir=tmp_path)
    assert one.classes == ("Tengwar/01", "Tengwar/02")
    with pytest.raises(InputError, match="no 'Latin' in Omniglot; known: Greek, Tengwar"):
        Torchvision(dataset="Omniglot", alphabet="Latin").load(seed=0, data_dir=tmp_path)


def test_folders_of_omniglot(tmp_path: Path) -> None:
    for character in (1, 2):
        inside = tmp_path / "omniglot-py" / "images_background" / "Greek" / f"character0{character}"
        inside.mkdir(parents=True)
        for drawer in range(20):
            image = np.full((6, 6), 255, dtype=np.uint8)
            image[0, 0] = 0
            Image.fromarray(image).save(inside / f"{drawer:02d}.png")
    data = Torchvision(dataset="Omniglot").load(seed=0, data_dir=tmp_path)
    assert data.classes == ("Greek/01", "Greek/02")
    assert torch.equal(data.train_y.bincount(), torch.tensor([15, 15]))
    assert data.train_x[0, 0, 0].tolist() == [255, 0, 0, 0, 0, 0]


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(InputError) as caught:
        Torchvision(dataset="CIFAR", coarse=True, alphabet="Greek")
    assert len(caught.value.problems) == 3
    assert "did you mean 'CIFAR10'" in caught.value.problems[0]


def test_nothing_is_fetched_unasked(tmp_path: Path) -> None:
    for name in ("MNIST", "EMNIST", "SVHN", "CIFAR10", "CIFAR100", "Omniglot"):
        reason = Torchvision(dataset=name).available(tmp_path)
        assert reason is not None
        assert str(tmp_path) in reason
        assert Torchvision(dataset=name, download=True).available(tmp_path) is None


def test_a_download_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[dict[str, Any]] = []

    def fetch(self: Torchvision, root: Path, **options: Any) -> None:
        assert "downloading MNIST" in caplog.text
        asked.append(options)
        mnist_alike(root / "MNIST" / "raw", packed=False)

    monkeypatch.setattr(Torchvision, "_torchvision", fetch)
    data = Torchvision(dataset="MNIST", download=True).load(seed=0, data_dir=tmp_path)
    assert len(data.train_x) == 20
    assert [options["train"] for options in asked] == [True, False]


@pytest.mark.data
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_the_real_thing(data_dir: Path, name: str) -> None:
    source = Torchvision(dataset=name)
    if (reason := source.available(data_dir)) is not None:
        pytest.skip(reason)
    data = source.load(seed=0, data_dir=data_dir)
    assert data.problems(name) == []
    assert (len(data.train_x), len(data.test_x)) == (60_000, 10_000)
