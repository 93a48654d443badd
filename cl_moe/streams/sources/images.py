"""A folder of images, one subfolder per class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cl_moe.errors import InputError, one_per_cause
from cl_moe.streams.sources._pixels import eight_bits
from cl_moe.streams.sources.base import Source, SourceData, find_path, split_apart
from cl_moe.unpacking import most_bytes, open_image, too_large

__all__ = ("Images",)

WIDEST = 2**13
_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Images(Source):
    """A folder of images with one subfolder per class, or ``train`` and ``test`` folders of such.

    Images of 16 bits, and of floats from 0 to 1, are scaled to 8 bits.

    Args:
        path: the folder; a relative one is looked up in the data folder, then the current one.
        size: [height, width] all images are resized to; optional if all have the same size.
        grey: one channel instead of three.
        test_fraction: share of each class held out as test set if there is no ``test`` folder.

    >>> Images(path="cats-and-dogs", size=(32, 32)).size
    (32, 32)
    """

    path: str
    size: tuple[int, int] | None = None
    grey: bool = False
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        problems = []
        if self.size is not None and not 1 <= min(self.size) <= max(self.size) <= WIDEST:
            problems.append(
                f"size: {list(self.size)} is not [height, width], from 1 to {WIDEST} pixels"
            )
        if not 0 < self.test_fraction < 1:
            problems.append(f"test_fraction: {self.test_fraction} is not between 0 and 1")
        if problems:
            raise InputError(problems)

    def available(self, data_dir: Path | None) -> str | None:
        """Return None if the folder exists."""
        folder = find_path(self.path, data_dir)
        return None if folder.is_dir() else f"{folder} is not a folder; correct path"

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return uint8 images (N, C, H, W) and the subfolders' names as classes."""
        folder = find_path(self.path, data_dir)
        if (folder / "train").is_dir() and (folder / "test").is_dir():
            classes = self._classes(folder / "train")
            extra = set(self._classes(folder / "test")) - set(classes)
            if extra:
                raise InputError(
                    f"{folder / 'test'}: class '{min(extra)}' is not in {folder / 'train'}; "
                    "add training images or remove it"
                )
            train_x, train_y = self._read(folder / "train", classes)
            test_x, test_y = self._read(folder / "test", classes)
            return SourceData(train_x, train_y, test_x, test_y, classes)
        classes = self._classes(folder)
        x, y = self._read(folder, classes)
        train, test = split_apart(y, self.test_fraction)
        return SourceData(x[train], y[train], x[test], y[test], classes)

    def _classes(self, folder: Path) -> tuple[str, ...]:
        names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."))
        if not names:
            raise InputError(f"{folder}: no subfolder; create one per class, with its images")
        return names

    def _read(self, folder: Path, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        images, labels, found = list[Tensor](), list[int](), list[tuple[str, str]]()
        for label, name in enumerate(classes):
            inside = folder / name
            paths = sorted(p for p in inside.glob("*") if p.suffix.lower() in _ENDINGS)
            if not paths:
                ways = ", ".join(_ENDINGS)
                found.append(("none", f"{inside}: no image; add some ({ways}) or remove it"))
            for path in paths:
                image = self._image(path, found)
                if image is None:
                    continue
                if images and image.shape != images[0].shape:
                    sizes = [tuple(x.shape[1:]) for x in (image, images[0])]
                    found.append(
                        (
                            "size",
                            f"{path}: {sizes[0]} pixels where the first image has {sizes[1]}; "
                            "set size = [height, width]",
                        )
                    )
                    continue
                images.append(image)
                labels.append(label)
                if (size := image.numel() * len(images)) > most_bytes():
                    raise too_large(str(folder), size)
        if found:
            raise InputError(one_per_cause(found))
        return torch.stack(images), torch.tensor(labels, dtype=torch.int64)

    def _image(self, path: Path, found: list[tuple[str, str]]) -> Tensor | None:
        """Return an image (C, H, W), or None with the reason in ``found``."""
        from PIL import Image

        try:
            with open_image(path) as file:
                image = eight_bits(file, "L" if self.grey else "RGB")
        except OSError as error:
            found.append(("file", f"{path}: not a readable image ({error}); remove or replace it"))
            return None
        except InputError as error:
            found.append((str(error), f"{path}: {str(error).removeprefix(f'{path}: ')}"))
            return None
        if self.size is not None:
            image = image.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image))
        return pixels.unsqueeze(0) if self.grey else pixels.permute(2, 0, 1).contiguous()
