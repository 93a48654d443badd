"""Readers of image files as their publishers lay them out: uint8 images, int64 labels."""

from __future__ import annotations

import csv
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cl_moe.errors import InputError
from cl_moe.streams.sources._pixels import eight_bits
from cl_moe.streams.sources.base import SourceData
from cl_moe.unpacking import array, open_image, read_gzip

__all__ = (
    "find_idx",
    "read_cifar_sheets",
    "read_idx",
    "read_omniglot_archives",
    "read_omniglot_folders",
)


def find_idx(folder: Path, name: str) -> Path | None:
    """Return the path of an IDX file, unpacked or as ``.gz``, or None."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def read_idx(path: Path) -> Tensor:
    """Return the array of an IDX file (LeCun's format), also compressed as ``.gz``.

    Raises:
        InputError: the file is not IDX, not of bytes, or truncated.
    """
    try:
        content = read_gzip(path) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); download it again") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != 8:
        raise InputError(f"{path}: not an IDX file of bytes; download it again")
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start], dtype=">u4").astype(np.int64)
    if len(content) - start != int(shape.prod()):
        raise InputError(
            f"{path}: {len(content) - start} values, but its header says {int(shape.prod())}; "
            "download it again"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())


def read_cifar_sheets(folder: Path, *, coarse: bool) -> SourceData:
    """Return images from sheets of tiles described by an ``index.json``.

    Its ``sheets`` hold {file, split, label, n, cols}: tile k is at row k // cols, column
    k % cols; ``classes``, ``coarse_names`` and ``coarse_of_class`` name the labels.
    """
    path = folder / "index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    height, width = index["image"][:2]
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {"train": [], "test": []}
    for sheet in index["sheets"]:
        with open_image(folder / sheet["file"]) as image:
            pixels = torch.from_numpy(np.array(eight_bits(image, "RGB")))
        rows = pixels.shape[0] // height
        tiles = pixels.view(rows, height, sheet["cols"], width, 3).permute(0, 2, 4, 1, 3)
        label = index["coarse_of_class"][sheet["label"]] if coarse else sheet["label"]
        labels = torch.full((sheet["n"],), label, dtype=torch.int64)
        parts[sheet["split"]].append((tiles.flatten(0, 1)[: sheet["n"]], labels))
    stacked = [
        torch.cat(column) for s in ("train", "test") for column in zip(*parts[s], strict=True)
    ]
    names = index["coarse_names" if coarse else "classes"]
    return SourceData(stacked[0], stacked[1], stacked[2], stacked[3], tuple(names))


def read_omniglot_archives(folder: Path, alphabet: str | None) -> SourceData:
    """Return Omniglot (1, 105, 105), ink 255, from two npz archives and ``alphabets.tsv``.

    The last five of the 20 drawers of each character are the test set.
    """
    with (folder / "alphabets.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    known = [row["alphabet"] for row in rows]
    if alphabet is not None and alphabet not in known:
        raise InputError(f"alphabet: no '{alphabet}' in Omniglot; known: {', '.join(known)}")
    images, names = [], []
    for split, first in (("background", 1), ("evaluation", 965)):
        wanted = [r for r in rows if r["split"] == split and alphabet in (None, r["alphabet"])]
        if not wanted:
            continue
        path = folder / f"images_{split}.npz"
        with np.load(path, allow_pickle=False) as archive:
            paper = array(archive, "images", path)
        for row in wanted:
            low, high = int(row["first_id"]), int(row["last_id"])
            images.append(torch.from_numpy(~paper[low - first : high - first + 1]))
            names += [f"{row['alphabet']}/{k - low + 1:02d}" for k in range(low, high + 1)]
    ink = torch.cat(images).to(torch.uint8) * 255
    return split_drawers(ink, tuple(names))


def split_drawers(ink_KD: Tensor, names: tuple[str, ...]) -> SourceData:
    """Return images (K, 20, H, W), characters by drawers, with drawers 16 to 20 as test set."""
    label = torch.arange(len(ink_KD))
    train, test = ink_KD[:, :15], ink_KD[:, 15:]
    return SourceData(
        train.flatten(0, 1).unsqueeze(1),
        label.repeat_interleave(train.shape[1]),
        test.flatten(0, 1).unsqueeze(1),
        label.repeat_interleave(test.shape[1]),
        names,
    )


def read_omniglot_folders(folder: Path, alphabet: str | None) -> SourceData:
    """Return Omniglot from torchvision's folders of PNG files, in the form of the archives."""
    characters = sorted(folder.glob("images_*/*/character*"))
    known = sorted({path.parent.name for path in characters})
    characters = [path for path in characters if alphabet in (None, path.parent.name)]
    if not characters:
        raise InputError(f"alphabet: no '{alphabet}' in {folder}; known: {', '.join(known)}")
    stacks = []
    for character in characters:
        drawings = sorted(character.glob("*.png"))
        grey = [_grey(path) for path in drawings]
        stacks.append(torch.from_numpy(255 - np.stack(grey)))
    names = tuple(f"{p.parent.name}/{p.name.removeprefix('character')}" for p in characters)
    return split_drawers(torch.stack(stacks), names)


def _grey(path: Path) -> np.ndarray:
    with open_image(path) as image:
        return np.array(eight_bits(image, "L"))
