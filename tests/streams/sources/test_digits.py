"""The digits are scikit-learn's own, read with or without it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cl_moe.streams.sources import digits
from cl_moe.streams.sources.digits import Digits


@pytest.mark.parametrize("name", ["digits.csv.gz", "moved.csv.gz"])
def test_they_are_scikit_learns_bit_for_bit(monkeypatch, name):
    monkeypatch.setattr(digits, "FILE", digits.FILE.with_name(name))
    bunch, table = load_digits(), digits._table()
    assert np.array_equal(table[:, :-1], bunch.data)
    assert np.array_equal(table[:, -1], bunch.target)


def test_every_digit_is_in_both_parts():
    data = Digits().load(seed=0, data_dir=None)
    assert len(data.train_y) + len(data.test_y) == 1797
    for y in (data.train_y, data.test_y):
        assert torch.equal(y.unique(), torch.arange(10))


def test_scikit_learn_is_not_imported_for_them():
    code = (
        "import sys; from cl_moe.streams.sources.digits import Digits; "
        "Digits().load(seed=0, data_dir=None); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
