"""Offloading of frozen experts to disk or to main memory."""

from __future__ import annotations

import copy
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cl_moe.storage import EXPERTS, naming, remove_leftovers, temporary_folder

__all__ = ("OffloadStore", "OffloadedExpert", "module_digest", "tensor_digest")


class OffloadedExpert(nn.Module):
    """Placeholder for an offloaded expert.

    Args:
        digest: :func:`module_digest` of the expert.
        kept: the concatenated bytes of its tensors, or the file that holds them.
        numbers: number of parameters of the expert.
        device: the device to which the expert is loaded; it follows the network.
    """

    def __init__(
        self, digest: bytes, kept: Tensor | Path, numbers: int, device: torch.device
    ) -> None:
        super().__init__()
        self.digest, self.numbers = digest, numbers
        self.kept = (kept,)  # in a tuple, else torch would take a tensor for the module's own
        self.register_buffer("place", torch.empty(0, device=device), persistent=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> OffloadedExpert:
        (kept,) = self.kept  # it is never changed
        return OffloadedExpert(self.digest, kept, self.numbers, self.device).train(self.training)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle: it holds the tensors, as their file is temporary."""
        (kept,) = self.kept
        return {**self.__dict__, "kept": (_read(kept),)}

    @property
    def device(self) -> torch.device:
        """The device to which the expert is loaded."""
        place: Any = self.place
        return place.device  # type: ignore[no-any-return]


class OffloadStore:
    """Offloads experts and loads them again, bit for bit the same.

    Tensors on a CPU are written to a temporary folder, which is removed with the last network that
    uses it; tensors on a GPU are copied to main memory. Copies of a network share the store: files
    are named by the hash of their content and are never changed. A pickled network holds all
    experts, which are in main memory until they are offloaded again. The module structure stays in
    memory, once for all experts of equal structure.

    >>> store = OffloadStore()
    >>> expert = nn.Linear(2, 3).requires_grad_(False)
    >>> offloaded = store.offload(expert)
    >>> back = store.load(offloaded)
    >>> back is not expert and bool(torch.equal(back.weight, expert.weight))
    True
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._shells: dict[bytes, nn.Module] = {}
        self._shell_of: dict[bytes, bytes] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> OffloadStore:
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle, without the folder, which belongs to this process."""
        return {**self.__dict__, "_folder": None}

    def offload(self, expert: nn.Module) -> OffloadedExpert:
        """Return the placeholder of an expert; existing references to the expert stay valid."""
        digest, shape = module_digest(expert), module_digest(expert, values=False)
        if shape not in self._shells:
            self._shells[shape] = copy.deepcopy(expert).to("meta")
        self._shell_of[digest] = shape
        tensors = [tensor for _, _, tensor in _slots(expert)]
        device = tensors[0].device if tensors else torch.device("cpu")
        data = torch.cat([_bytes(t) for t in tensors] or [torch.empty(0).byte()])
        kept = self._written(digest, data) if device.type == "cpu" else data
        return OffloadedExpert(digest, kept, sum(p.numel() for p in expert.parameters()), device)

    def load(self, offloaded: OffloadedExpert) -> nn.Module:
        """Return the offloaded expert, frozen, on the network's device."""
        expert = copy.deepcopy(self._shells[self._shell_of[offloaded.digest]])
        (kept,) = offloaded.kept
        data = _read(kept)
        start = 0
        for owner, name, empty in _slots(expert):
            size = empty.numel() * empty.element_size()
            value = data[start : start + size].clone().view(empty.dtype).view(empty.shape)
            value = value.to(offloaded.device)
            start += size
            if name in owner._parameters:
                owner._parameters[name] = nn.Parameter(value, requires_grad=False)
            else:
                owner._buffers[name] = value
        return expert

    def _written(self, digest: bytes, data: Tensor) -> Path:
        if self._folder is None:
            remove_leftovers(tempfile.gettempdir(), EXPERTS)
            self._folder = temporary_folder(EXPERTS)
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / f"{digest.hex()}.npy"
        if not path.exists():  # else the same expert was offloaded before
            with naming(path):
                np.save(path, data.numpy(), allow_pickle=False)
        return path


def _read(kept: Tensor | Path) -> Tensor:
    return kept if isinstance(kept, Tensor) else torch.from_numpy(np.load(kept, allow_pickle=False))


def module_digest(module: nn.Module, values: bool = True) -> bytes:
    """Return a hash of a module's tensors and settings.

    An :class:`OffloadedExpert` has the hash of its expert.

    Args:
        module: a module.
        values: whether to hash values, or types and shapes only.
    """
    if isinstance(module, OffloadedExpert):
        return module.digest
    found = blake2b(digest_size=32)
    for name, part in module.named_modules(remove_duplicate=False):
        found.update(repr((name, type(part).__qualname__, _settings(part))).encode())
        for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
            found.update(tensor_digest(tensor, values))
    return found.digest()


def tensor_digest(tensor: Tensor, values: bool = True) -> bytes:
    """Return a hash of a tensor's type, shape and, by default, values."""
    found = blake2b(repr((tensor.dtype, tuple(tensor.shape))).encode(), digest_size=32)
    if values:
        found.update(_bytes(tensor).numpy().data)
    return found.digest()


def _settings(module: nn.Module) -> dict[str, object]:
    """Return a module's attributes other than tensors and modules, such as sizes and strides."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training"
    }


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8)


def _slots(module: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """Yield owner, name and tensor of each parameter and buffer of a module."""
    for owner in module.modules():
        for held in (owner._parameters, owner._buffers):
            for name, tensor in list(held.items()):
                if tensor is not None:
                    yield owner, name, tensor
