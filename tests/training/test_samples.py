"""Samples come as tensors, whether the data are tensors or are read one by one."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.samples import samples


class Lazy(Dataset):
    """Makes each sample when it is asked for."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.full((2,), float(index)), index % 2


def test_lazy_data_give_the_same_tensors():
    x = torch.arange(6.0)[:, None].expand(6, 2).contiguous()
    y = torch.arange(6) % 2
    for data in ((x, y), Lazy()):
        stream = TaskStream([Task("lazy", data, data, "ab")] * 1)
        found = samples(stream.to_benchmark().train_stream[0].dataset)
        assert torch.equal(found[0], x)
        assert torch.equal(found[1], y)
        assert torch.equal(found[2], torch.zeros(6, dtype=torch.int64))
