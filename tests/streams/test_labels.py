"""Labels in all their forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from cl_moe.errors import InputError
from cl_moe.streams.labels import class_numbers, plain_labels, stored_labels

FORMS: dict[str, Any] = {
    "list": lambda y: y.tolist(),
    "int64": lambda y: y,
    "int16": lambda y: y.to(torch.int16),
    "bytes": lambda y: y.to(torch.uint8),
    "whole floats": lambda y: y.double(),
    "numpy": lambda y: y.numpy(),
    "numpy floats": lambda y: y.numpy().astype(np.float32),
    "a column": lambda y: y[:, None],
    "lists of one": lambda y: y[:, None].tolist(),
    "tensors": lambda y: list(y),
    "tensors of one": lambda y: list(y[:, None]),
    "one-hot": F.one_hot,
    "one-hot floats": lambda y: F.one_hot(y).float(),
    "one-hot rows": lambda y: F.one_hot(y).tolist(),
    "names": lambda y: ["abc"[k] for k in y],
    "names in numpy": lambda y: np.array(["abc"[k] for k in y]),
    "a column of names": lambda y: np.array([["abc"[k]] for k in y]),
    "names as bytes": lambda y: np.array(["abc"[k] for k in y], dtype="S"),
    "digits": lambda y: [str(int(k)) for k in y],
}


@pytest.mark.parametrize("form", FORMS)
@given(rest=st.lists(st.integers(0, 2), max_size=6))
def test_every_form_gives_the_same_numbers(form: str, rest: list[int]) -> None:
    y = torch.tensor([2, 0, 1, *rest])
    found = class_numbers(FORMS[form](y), classes=("a", "b", "c"))
    assert found.dtype == torch.int64
    assert torch.equal(found, y)


def test_booleans_are_0_and_1() -> None:
    assert class_numbers(np.array([True, False]), classes="ab").tolist() == [1, 0]


def test_a_text_is_a_name_first_and_a_number_only_where_no_name_is_one() -> None:
    assert class_numbers(["3", "5"], classes=("5", "3")).tolist() == [1, 0]
    with pytest.raises(InputError, match="label '0' of sample 0 is not a class; known: 3, 5"):
        class_numbers(["0", "1"], classes=("5", "3"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 0.2, 1.7], r"not whole numbers, .*\(sample 1 has 0.2\); give 0 to 1 \(and 1 more"),
        (torch.tensor([0.0, float("nan")]), "sample 1 has nan"),
        ([[0.3, 0.7], [1, 0]], r"sample 0 has \[0.3"),
        ([[1, 1], [1, 0]], r"sample 0 has \[1, 1\]"),
        ([[1, 0, 0]], r"sample 0 has \[1, 0, 0\]"),  # one-hot, of another width
        ([None, 1], "sample 0 has None"),
        ([{}, 1], r"sample 0 has \{\}"),
        ([1j, 1], "sample 0 has"),
        (
            ["a", "x", "y"],
            r"label 'x' of sample 1 is not a class; known: a, b \(and 1 more like it",
        ),
        ([0, 2, 3, -1], r"label 2 for 2 classes; labels are 0 to 1 \(and 2 more like it\)"),
        (torch.tensor(3), "labels are Tensor; give one per input"),
        ("ab", "labels are str; give one per input"),
    ],
)
def test_what_is_no_label_is_named_once(values: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        class_numbers(values, classes=("a", "b"))
    assert len(caught.value.problems) == 1


def test_samples_are_called_by_their_own_numbers() -> None:
    with pytest.raises(InputError, match=r"sample 40 has 0\.5"):
        plain_labels([1, 0.5], rows=[30, 40])


def test_stored_labels_of_parts_are_read_through() -> None:
    whole = TensorDataset(torch.zeros(4, 1), torch.tensor([3, 1, 2, 0]))
    assert list(stored_labels(ConcatDataset([Subset(whole, [2, 0]), whole]))) == [2, 3, 3, 1, 2, 0]
    assert stored_labels([(0, 1)]) is None
    assert stored_labels(ConcatDataset([whole, Subset([(0, 1)], [0])])) is None  # type: ignore[arg-type]
