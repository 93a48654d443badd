"""Standard image data sets, in torchvision's layout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from cl_moe.errors import InputError, did_you_mean
from cl_moe.streams.sources import _readers
from cl_moe.streams.sources.base import Source, SourceData, data_folder

__all__ = ("Torchvision",)

_LOG = logging.getLogger(__name__)

_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_DIGITS = tuple("0123456789")
_IDX = {"MNIST": _DIGITS, "FashionMNIST": _CLOTHES, "KMNIST": _KANA}
_NAMES = (*_IDX, "EMNIST", "SVHN", "CIFAR10", "CIFAR100", "Omniglot")


@dataclass(frozen=True)
class Torchvision(Source):
    """MNIST, FashionMNIST, KMNIST, EMNIST, SVHN, CIFAR10, CIFAR100 or Omniglot, by ``dataset``.

    Files are looked for in the data folder (``--data-dir``, CL_MOE_DATA_DIR, else the user's
    cache), in torchvision's layout; those of the MNIST family may be compressed (``.gz``) in a
    read-only folder. Nothing is downloaded unless ``download = true``.

    Args:
        dataset: the name of the data set.
        download: download it with torchvision if it is missing; a warning is logged.
        split: the split of EMNIST.
        coarse: for CIFAR100, the 20 superclasses as labels.
        alphabet: for Omniglot, only the characters of this alphabet. Drawers 16 to 20 are the test
            set.

    >>> Torchvision(dataset="MNIST").dataset
    'MNIST'
    """

    dataset: str
    download: bool = False
    split: Literal["balanced", "letters", "digits", "mnist", "byclass", "bymerge"] = "balanced"
    coarse: bool = False
    alphabet: str | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.dataset not in _NAMES:
            problems.append(f"dataset: no '{self.dataset}'; {did_you_mean(self.dataset, _NAMES)}")
        only = {"coarse": "CIFAR100", "alphabet": "Omniglot"}
        problems += [
            f"{key}: only valid for dataset {name!r}; remove it for {self.dataset!r}"
            for key, name in only.items()
            if getattr(self, key) and self.dataset != name
        ]
        if problems:
            raise InputError(problems)

    def available(self, data_dir: Path | None) -> str | None:
        """Return None if the files exist or may be downloaded, else a message with their path."""
        root = data_folder(data_dir)
        if self.download or any(path.exists() for path in self._places(root)):
            return None
        return (
            f"{self.dataset} is not in {root} (looked for {self._places(root)[0]}); put it there, "
            "name another folder with --data-dir or CL_MOE_DATA_DIR, or set download = true"
        )

    def _places(self, root: Path) -> list[Path]:
        """Return the paths one of which must exist."""
        if self.dataset in ("SVHN", "CIFAR10"):
            return [
                root / {"SVHN": "train_32x32.mat", "CIFAR10": "cifar-10-batches-py"}[self.dataset]
            ]
        if self.dataset == "CIFAR100":
            return [root / "cifar-100-python", root / "cifar100" / "index.json"]
        if self.dataset == "Omniglot":
            return [root / "omniglot-py" / "images_background", root / "omniglot" / "alphabets.tsv"]
        name, folder = self._idx_name("train", "images"), root / self.dataset / "raw"
        return [folder / name, folder / f"{name}.gz"]

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return uint8 images (N, C, H, W), the publisher's training and test sets."""
        root = data_folder(data_dir)
        if not any(path.exists() for path in self._places(root)):
            self._fetch(root)
        if self.dataset == "CIFAR100" and self._places(root)[1].exists():
            return _readers.read_cifar_sheets(root / "cifar100", coarse=self.coarse)
        if self.dataset == "Omniglot":
            if self._places(root)[1].exists():
                return _readers.read_omniglot_archives(root / "omniglot", self.alphabet)
            return _readers.read_omniglot_folders(root / "omniglot-py", self.alphabet)
        if self.dataset in ("SVHN", "CIFAR10", "CIFAR100"):
            return self._colour(root)
        return self._idx(root / self.dataset / "raw")

    def _fetch(self, root: Path) -> None:
        _LOG.warning("downloading %s to %s", self.dataset, root)
        root.mkdir(parents=True, exist_ok=True)
        for options in self._options():
            self._torchvision(root, download=True, **options)

    def _options(self) -> list[dict[str, Any]]:
        """Return torchvision's arguments for the training and test sets."""
        if self.dataset == "SVHN":
            return [{"split": "train"}, {"split": "test"}]
        if self.dataset == "Omniglot":
            return [{"background": True}, {"background": False}]
        extra = {"split": self.split} if self.dataset == "EMNIST" else {}
        return [{"train": True, **extra}, {"train": False, **extra}]

    def _torchvision(self, root: Path, **options: Any) -> Any:
        from torchvision import datasets

        return getattr(datasets, self.dataset)(root, **options)

    def _idx_name(self, split: str, what: str) -> str:
        prefix = f"emnist-{self.split}-" if self.dataset == "EMNIST" else ""
        middle = "test" if prefix and split == "t10k" else split
        return f"{prefix}{middle}-{what}-idx{3 if what == 'images' else 1}-ubyte"

    def _idx(self, folder: Path) -> SourceData:
        tensors: list[Tensor] = []
        problems = []
        for split in ("train", "t10k"):
            for what in ("images", "labels"):
                name = self._idx_name(split, what)
                path = _readers.find_idx(folder, name)
                if path is None:
                    problems.append(f"{folder}: no {name} or {name}.gz; add it")
                else:
                    tensors.append(_readers.read_idx(path))
        if problems:
            raise InputError(problems)
        train_x, test_x = tensors[0].unsqueeze(1), tensors[2].unsqueeze(1)
        train_y, test_y = tensors[1].long(), tensors[3].long()
        if self.dataset == "EMNIST":  # its images are stored transposed
            train_x, test_x = train_x.transpose(2, 3), test_x.transpose(2, 3)
            low = int(train_y.min())  # "letters" counts from 1
            train_y, test_y = train_y - low, test_y - low
        classes = _IDX.get(self.dataset, tuple(str(k) for k in range(int(train_y.max()) + 1)))
        return SourceData(train_x.contiguous(), train_y, test_x.contiguous(), test_y, classes)

    def _colour(self, root: Path) -> SourceData:
        # torchvision unpickles CIFAR only after comparing the files with the published checksums.
        sets = [self._torchvision(root, **options) for options in self._options()]
        tensors = []
        for found in sets:
            x = torch.from_numpy(np.ascontiguousarray(found.data))
            tensors.append(x if self.dataset == "SVHN" else x.permute(0, 3, 1, 2).contiguous())
            y = found.labels if self.dataset == "SVHN" else found.targets
            tensors.append(torch.as_tensor(np.asarray(y), dtype=torch.int64))
        names = _DIGITS if self.dataset == "SVHN" else tuple(sets[0].classes)
        if self.coarse:
            raise InputError(
                "coarse: torchvision's files of CIFAR100 do not name the superclasses; "
                "give their classes by name, in the task's classes"
            )
        return SourceData(tensors[0], tensors[1], tensors[2], tensors[3], names)
