"""What operators keep, what they change, and how they are chained."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.operators.background import Background
from cl_moe.streams.operators.base import Operator, chain, make_operator
from cl_moe.streams.operators.invert import Invert
from cl_moe.streams.operators.noise import Noise
from cl_moe.streams.operators.per_class import PerClass
from cl_moe.streams.operators.permute_labels import PermuteLabels
from cl_moe.streams.operators.permute_pixels import PermutePixels
from cl_moe.streams.operators.repeat import Repeat
from cl_moe.streams.operators.rotate import Rotate
from cl_moe.streams.operators.standardize import Standardize
from cl_moe.streams.operators.subset import Subset
from cl_moe.streams.spec import OperatorSpec
from cl_moe.streams.task import Task

ALL: list[Operator] = [
    Background(), Invert(), Noise(0.2), PerClass(2), PermuteLabels(), PermuteLabels(shift=1),
    PermutePixels(), Repeat(), Rotate(90), Rotate(30), Standardize(), Subset(2), Subset(("c", 0)),
]  # fmt: skip


def images(n: int = 12, classes: int = 3, shape: tuple[int, ...] = (1, 4, 4)) -> Task:
    x = torch.rand(n, *shape, generator=generator(0, "images"))
    y = torch.arange(n) % classes
    return Task("t", (x, y), (x[:classes], y[:classes]), "abcdef"[:classes], group="rich")


@pytest.mark.parametrize("operator", ALL, ids=repr)
def test_shape_range_and_number_stay(operator: Operator) -> None:
    """What other operators may change; what all have in common is in tests/testing."""
    task = images()
    made = operator(task, seed=3)
    assert made.shape == task.shape
    x = made.tensors("train")[0]
    if not isinstance(operator, Standardize):
        assert 0 <= float(x.min()) <= float(x.max()) <= 1
    if not isinstance(operator, (PerClass, Subset)):
        assert (made.n_train, made.n_test) == (task.n_train, task.n_test)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), channels=st.integers(1, 3))
def test_permuted_pixels_come_back(seed: int, channels: int) -> None:
    task = images(shape=(channels, 3, 4))
    operator = PermutePixels()
    made = operator(task, seed).tensors("train")[0].flatten(2)
    order = operator.permutation(12, seed)
    restored = torch.empty_like(made)
    restored[:, :, order] = made
    assert torch.equal(restored, task.tensors("train")[0].flatten(2))


@settings(max_examples=25)
@given(classes=st.integers(2, 6), seed=st.integers(0, 1000), shift=st.none() | st.integers(1, 9))
def test_permuted_labels_come_back_and_names_go_with_them(
    classes: int, seed: int, shift: int | None
) -> None:
    if shift is not None and shift % classes == 0:
        shift += 1
    task = images(n=2 * classes, classes=classes)
    made = PermuteLabels(shift)(task, seed)
    old, new = task.labels("train").tolist(), made.labels("train").tolist()
    assert [made.classes[k] for k in new] == [task.classes[k] for k in old]
    assert old != new
    assert len(set(zip(old, new, strict=True))) == classes


def test_a_shift_is_that_of_ctrl() -> None:
    task = images()
    expected = (task.labels("test") + 1) % 3
    assert torch.equal(PermuteLabels(shift=1)(task).labels("test"), expected)


@given(turns=st.integers(-4, 8))
def test_quarter_turns_are_exact(turns: int) -> None:
    task = images()
    made = task
    for _ in range(4):
        made = Rotate(90 * turns)(made)
    assert torch.equal(made.tensors("train")[0], task.tensors("train")[0])


def test_small_turns_go_the_same_way_as_quarter_turns() -> None:
    x = torch.zeros(2, 1, 21, 21)
    x[:, 0, 10, 18] = 1.0  # right of the centre
    task = Task("dot", (x, [0, 1]), (x, [0, 1]), "ab")
    for degrees, row in ((90, 2), (80, 2), (45, 4)):  # counter-clockwise is up
        turned = Rotate(degrees)(task).tensors("train")[0][0, 0]
        assert abs(int(turned.argmax()) // 21 - row) <= 1


def test_standardized_inputs_have_the_training_inputs_scale() -> None:
    task = images()
    made = Standardize()(task)
    x, test_x = made.tensors("train")[0], made.tensors("test")[0]
    assert float(x.mean()) == pytest.approx(0, abs=1e-6)
    assert float(x.std(correction=0)) == pytest.approx(1)
    assert torch.equal(test_x, x[:3])  # the same images, changed by the same numbers
    same = torch.full((4, 2), 7.0)
    flat = Standardize()(Task("flat", (same, [0, 1, 0, 1]), (same, [0, 1, 0, 1]), "ab"))
    assert flat.tensors("test")[0].abs().max() == 0


def test_inverting_twice_changes_nothing() -> None:
    task = images()
    twice = Invert()(Invert()(task)).tensors("train")[0]
    torch.testing.assert_close(twice, task.tensors("train")[0])


def test_inverted_inputs_keep_their_range() -> None:
    x = torch.tensor([[-2.0, 3.0], [0.0, 1.0]])
    task = Task("vectors", (x, [0, 1]), (x, [0, 1]), "ab")
    assert Invert()(task).tensors("test")[0].tolist() == [[3.0, -2.0], [1.0, 0.0]]


def test_a_shift_by_all_classes_is_refused() -> None:
    with pytest.raises(InputError, match="task 't': shift 6 does not change 3 classes"):
        PermuteLabels(shift=6)(images())
    assert PermuteLabels(shift=10**20)(images()).n_classes == 3


def test_the_background_is_coloured_and_the_ink_stays() -> None:
    x = torch.zeros(2, 3, 2, 2)
    x[:, :, 0, 0] = 1.0
    task = Task("ink", (x, [0, 1]), (x, [0, 1]), "ab")
    made = Background((0.1, 0.5, 0.9))(task).tensors("train")[0][0]
    assert made[:, 0, 0].tolist() == [1.0, 1.0, 1.0]
    torch.testing.assert_close(made[:, 1, 1], torch.tensor([0.1, 0.5, 0.9]))


def test_training_and_test_images_change_alike_but_are_noised_apart() -> None:
    x = torch.full((2, 1, 2, 2), 0.5)
    task = Task("flat", (x, [0, 1]), (x, [0, 1]), "ab")
    for operator in (Background(), PermutePixels(), Invert()):
        made = operator(task, 1)
        assert torch.equal(made.tensors("train")[0], made.tensors("test")[0])
    made = Noise(0.1)(task, 1)
    assert not torch.equal(made.tensors("train")[0], made.tensors("test")[0])


def test_fewer_examples_are_a_part_of_more() -> None:
    task = images(n=30)
    few, more = (PerClass(n)(task, 5) for n in (2, 4))
    assert set(map(tuple, few.tensors("train")[0].flatten(1).tolist())) < set(
        map(tuple, more.tensors("train")[0].flatten(1).tolist())
    )
    assert few.n_test == task.n_test
    assert PerClass(2, test=1)(images(n=30)).n_test == 3


def test_a_key_gives_a_permutation_of_its_own() -> None:
    one, same, other = (
        PermutePixels(key=k).permutation(50, s) for k, s in ((1, 0), (1, 9), (2, 0))
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_chain_names_all_relations_once() -> None:
    task = images()
    made = chain(task, [Invert(), Rotate(90), Invert(), PerClass(1)], seed=2, name="new")
    assert made.name == "new"
    assert made.derived_from == "t"
    assert made.relation == "inverted input, rotated input, low resource"
    two = chain(task, [PermutePixels(), PermutePixels()], seed=2)
    once = PermutePixels()(task, 2)
    assert not torch.equal(two.tensors("train")[0], once.tensors("train")[0])


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("noise", {"strength": -1}, r"operators\[0\]\.strength: -1 is negative"),
        ("per_class", {"n": 0, "test": 0}, r"operators\[0\]\.n: 0 is too small"),
        ("per-class", {}, r"operators\[0\]\.n: missing"),
        (
            "background",
            {"colour": [2.0]},
            r"operators\[0\]\.colour: \[2\.0\] holds a value outside",
        ),
        ("permute_labels", {"shift": 0}, r"operators\[0\]\.shift: 0 changes nothing"),
        ("subset", {"classes": [1]}, r"operators\[0\]\.classes: \(1,\); give two or more"),
    ],
)
def test_wrong_parameters_are_named(name: str, parameters: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_operator(OperatorSpec(operator=name, parameters=parameters), "operators[0]")


@pytest.mark.parametrize("operator", [Rotate(90), Background()], ids=repr)
def test_vectors_are_no_images(operator: Operator) -> None:
    task = Task("v", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), "ab")
    with pytest.raises(InputError, match=r"task 'v': inputs of shape \(2,\) cannot be"):
        operator(task)


def test_colours_must_fit_the_channels() -> None:
    with pytest.raises(InputError, match="colour has 3 values for 1 channels"):
        Background((0.1, 0.2, 0.3))(images())


def test_unknown_classes_are_all_named() -> None:
    with pytest.raises(InputError) as caught:
        Subset(("x", 7))(images())
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_standardizing_far_from_0(offset: float) -> None:
    x = offset + torch.arange(12.0).view(12, 1)
    made = Standardize()(Task("t", (x, torch.arange(12) % 2), (x, torch.arange(12) % 2), "ab"))
    expected = (torch.arange(12.0) - 5.5) / torch.arange(12.0).std(correction=0)
    torch.testing.assert_close(made.tensors("test")[0].flatten(), expected)


@pytest.mark.parametrize("value", [0.0, 98.6, 101325.7, 1e9])
def test_standardizing_what_is_all_alike_gives_0(value: float) -> None:
    data = (torch.full((999, 3), value), torch.arange(999) % 2)
    made = Standardize()(Task("t", data, data, "ab"))
    assert made.tensors("train")[0].unique().tolist() == [0.0]


@pytest.mark.parametrize("operator", [Background(), Invert(), Noise(), Rotate(90), Standardize()])
def test_token_ids_cannot_be_changed_like_brightness(operator: Operator) -> None:
    data = (torch.ones(4, 3, dtype=torch.int64), [0, 1, 0, 1])
    with pytest.raises(InputError, match=r"task 't': token ids \(whole numbers\) cannot be"):
        operator(Task("t", data, data, "ab"))


def test_token_ids_may_be_reordered_and_drawn_from() -> None:
    data = (torch.arange(12).view(4, 3), [0, 1, 0, 1])
    for operator in (PermutePixels(), PerClass(1), PermuteLabels(), Repeat()):
        made = operator(Task("t", data, data, "ab"))
        assert made.dtype == torch.int64
