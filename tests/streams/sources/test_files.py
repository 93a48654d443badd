"""Data of one's own: tables, archives, folders, texts, functions."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cl_moe.errors import InputError
from cl_moe.streams.sources import _embeddings
from cl_moe.streams.sources._loading import load_once, make_source
from cl_moe.streams.sources.base import Source, SourceData
from cl_moe.streams.sources.csv import Csv
from cl_moe.streams.sources.digits import Digits
from cl_moe.streams.sources.function import Function
from cl_moe.streams.sources.images import Images
from cl_moe.streams.sources.npz import Npz
from cl_moe.streams.sources.text import Text
from cl_moe.streams.spec import SourceSpec

TABLE = "a,b,kind\n" + "".join(f"{k},{k * k},{'xyz'[k % 3]}\n" for k in range(30))


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def failing(source: Source, folder: Path | None = None) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_once(source, seed=0, data_dir=folder, place="sources.mine")
    return caught.value.problems


def test_digits_are_split_once_for_all() -> None:
    one, two = (Digits().load(seed=seed, data_dir=None) for seed in (0, 1))
    assert torch.equal(one.train_x, two.train_x)
    assert len(one.train_x) + len(one.test_x) == 1797
    assert one.problems("digits") == []
    assert float(one.train_x.max()) == 1.0


def test_a_table(tmp_path: Path) -> None:
    source = Csv(path=write(tmp_path / "t.csv", TABLE), label="kind", standardise=False)
    data = source.load(seed=0, data_dir=None)
    assert data.classes == ("x", "y", "z")
    assert data.problems("t") == []
    assert (len(data.train_x), len(data.test_x)) == (24, 6)
    assert torch.equal(data.train_x[:, 1], data.train_x[:, 0] ** 2)
    assert torch.equal(data.train_x[:, 0] % 3, data.train_y.float())
    scaled = Csv(path=source.path, label="kind").load(seed=0, data_dir=None)
    torch.testing.assert_close(scaled.train_x.mean(0), torch.zeros(2), atol=1e-5, rtol=0)


def test_a_table_with_a_test_file_and_chosen_columns(tmp_path: Path) -> None:
    write(tmp_path / "t.tsv", TABLE.replace(",", "\t"))
    write(tmp_path / "u.tsv", "kind\ta\tb\nz\t1\t2\n")
    source = Csv("t.tsv", "kind", features=("a",), test_path="u.tsv", standardise=False)
    assert source.available(tmp_path) is None
    data = source.load(seed=0, data_dir=tmp_path)
    assert data.test_x.tolist() == [[1.0]]
    assert data.test_y.tolist() == [2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TABLE.replace("kind", "knd", 1), "no column 'kind'; did you mean 'knd'?"),
        ("a,b,kind\n", "no row below the header"),
        ("a,b,kind\n1,q,x\n2,3,y\n", "row 2, column 'b': 'q' is not a finite number"),
        ("a,b,kind\n1,nan,x\n2,3,y\n", "row 2, column 'b': 'nan' is not a finite number"),
        ("a,b,kind\n1,2,\n2,3,y\n", "row 2, column 'kind': no label"),
        ("a,b,kind\n1,2\n2,3,y\n", "row 2: 2 values for 3 columns"),
        ("a,b,kind\n1,2,x\n2,3,x\n3,3,x\n", "1 class; a task needs two"),
    ],
)
def test_faults_of_a_table_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "t.csv", text)
    assert any(words in problem for problem in failing(Csv(path=path, label="kind")))


def test_all_faults_of_a_table_are_named_at_once_and_each_cause_once(tmp_path: Path) -> None:
    text = "a,b,kind\n" + "q,1,x\n" * 3 + "1,inf,y\n" + "1,2,\n" * 2 + "1\n" * 50
    path = write(tmp_path / "t.csv", text)
    assert failing(Csv(path=path, label="kind")) == [
        f"{path}, row 2, column 'a': 'q' is not a finite number; correct it, or leave the column "
        "out of features (and 2 more like it)",
        f"{path}, row 5, column 'b': 'inf' is not a finite number; correct it, or leave the column "
        "out of features",
        f"{path}, row 6, column 'kind': no label; give one (and 1 more like it)",
        f"{path}, row 8: 1 values for 3 columns; correct it (and 49 more like it)",
    ]


@pytest.mark.parametrize("value", ["7", "98.6", "101325.7", "1e9"])
def test_a_column_of_one_value_becomes_0(tmp_path: Path, value: str) -> None:
    rows = "".join(f"{k},{value},{'xy'[k % 2]}\n" for k in range(40))
    data = Csv(write(tmp_path / "t.csv", "a,b,kind\n" + rows), "kind").load(seed=0, data_dir=None)
    assert data.train_x[:, 1].unique().tolist() == data.test_x[:, 1].unique().tolist() == [0.0]


def test_a_column_far_from_0_keeps_its_digits(tmp_path: Path) -> None:
    rows = "".join(f"{1e9 + k / 100},{k},{'xy'[k % 2]}\n" for k in range(40))
    data = Csv(write(tmp_path / "t.csv", "a,b,kind\n" + rows), "kind").load(seed=0, data_dir=None)
    torch.testing.assert_close(data.train_x[:, 0], data.train_x[:, 1], atol=1e-4, rtol=0)
    assert data.train_x.dtype == data.test_x.dtype == torch.float32


def test_a_test_label_that_was_never_seen_is_named(tmp_path: Path) -> None:
    path, test = write(tmp_path / "t.csv", TABLE), write(tmp_path / "u.csv", "a,b,kind\n1,2,w\n")
    assert "label 'w' is not in the training file" in failing(Csv(path, "kind", test_path=test))[0]


def test_a_test_file_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE)
    turned = write(tmp_path / "u.csv", "b,extra,a,kind\n2,9,1,x\n")
    data = Csv(path, "kind", test_path=turned, standardise=False).load(seed=0, data_dir=None)
    assert data.test_x.tolist() == [[1.0, 2.0]]
    other = write(tmp_path / "v.csv", "a,c,kind\n1,2,x\n")
    assert failing(Csv(path, "kind", test_path=other)) == [
        f"{other}: no column 'b'; known: a, c, kind"
    ]


def test_columns_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        Csv("t.csv", "kind", features=("a", "a", "kind"), delimiter="ab")
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "delimiter",
        "features",
        "features",
    ]


def test_labels_may_be_any_text(tmp_path: Path) -> None:
    text = "a,kind\n" + "1,²\n" * 3 + "2,10\n" * 3 + "3,9\n" * 3
    assert Csv(write(tmp_path / "t.csv", text), "kind").load(seed=0, data_dir=None).classes == (
        "9",
        "10",
        "²",
    )


def archive(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_an_archive(tmp_path: Path) -> None:
    x, y = np.arange(40, dtype=np.float64).reshape(20, 2), np.arange(20) % 2 + 5
    data = Npz(archive(tmp_path / "a.npz", x=x, y=y)).load(seed=0, data_dir=None)
    assert data.classes == ("5", "6")
    assert data.problems("a") == []
    assert data.train_x.dtype == torch.float32
    assert torch.equal((data.train_x[:, 0] / 2) % 2, data.train_y.float())


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("i2", torch.int64), ("f8", torch.float32), ("f2", torch.float32), ("u1", torch.uint8)],
)
def test_types_of_an_archive(tmp_path: Path, dtype: str, expected: torch.dtype) -> None:
    x, y = np.arange(40).reshape(20, 2).astype(dtype), np.arange(20) % 2
    data = Npz(archive(tmp_path / "a.npz", x=x, y=y)).load(seed=0, data_dir=None)
    assert data.problems("a") == []
    assert data.train_x.dtype == expected
    assert data.train_x[0, 1] == data.train_x[0, 0] + 1


@pytest.mark.parametrize(
    "y", [np.arange(20) % 2 + 0.0, np.eye(2)[np.arange(20) % 2], (np.arange(20) % 2)[:, None] == 1]
)
def test_labels_of_an_archive(tmp_path: Path, y: np.ndarray) -> None:
    x = np.arange(20.0)[:, None] % 2
    data = Npz(archive(tmp_path / "a.npz", x=x, y=y)).load(seed=0, data_dir=None)
    assert data.classes == ("0", "1")
    assert torch.equal(data.train_x[:, 0], data.train_y.float())


@pytest.mark.parametrize("shape", [(8, 4, 4), (8, 1, 4, 4), (8, 4, 4, 1)])
def test_images_in_an_archive(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x, y = np.full(shape, 255, dtype=np.uint8), np.array(list("abababab"))
    path = archive(tmp_path / "a.npz", x=x, y=y, tx=x[:2], ty=y[:2])
    data = Npz(path, test_x="tx", test_y="ty").load(seed=0, data_dir=None)
    assert data.train_x.shape == (8, 1, 4, 4)
    assert data.train_x.dtype == torch.uint8
    assert data.test_y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((4, 2))}, "no array 'y'"),
        ({"x": np.zeros((4, 2)), "y": np.array([None, 1, 2, 3])}, "pickled objects"),
        ({"x": np.zeros((4, 2)), "y": np.zeros((4, 2), int)}, "array 'y': labels are not whole"),
        ({"x": np.zeros((4, 2)), "y": np.full(4, 0.5)}, "(sample 0 has 0.5)"),
        ({"x": np.zeros((4, 2)), "y": np.array(3)}, "labels are ndarray; give one per input"),
        ({"x": np.array(["a"] * 4), "y": np.arange(4)}, "is not a number"),
        ({"x": np.zeros((4, 2)), "y": np.arange(3)}, "4 inputs but 3 labels"),
        ({"x": np.full((4, 2), np.nan), "y": np.arange(4) % 2}, "holds NaN"),
    ],
)
def test_faults_of_an_archive_are_named(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    assert any(words in p for p in failing(Npz(archive(tmp_path / "a.npz", **arrays))))


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    assert "plain arrays" in failing(Npz(write(tmp_path / "a.npz", "no archive")))[0]
    assert "is not a file" in failing(Npz(str(tmp_path / "none.npz")))[0]


def pictures(folder: Path, classes: Sequence[str], n: int, size: tuple[int, int] = (6, 4)) -> None:
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for k in range(n):
            Image.new("RGB", size, (label * 50, k, 0)).save(folder / name / f"{k}.png")


def test_a_folder_of_images(tmp_path: Path) -> None:
    pictures(tmp_path / "all", ["cat", "dog"], 10)
    data = Images("all").load(seed=0, data_dir=tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.train_x.shape == (16, 3, 4, 6)
    assert (data.train_x[:, 0, 0, 0] // 50).tolist() == data.train_y.tolist()
    small = Images("all", size=(2, 2), grey=True).load(seed=0, data_dir=tmp_path)
    assert small.train_x.shape == (16, 1, 2, 2)


def test_folders_for_training_and_test(tmp_path: Path) -> None:
    pictures(tmp_path / "train", ["cat", "dog"], 3)
    pictures(tmp_path / "test", ["cat", "dog"], 2)
    data = Images(str(tmp_path)).load(seed=0, data_dir=None)
    assert (len(data.train_x), len(data.test_x)) == (6, 4)
    pictures(tmp_path / "test", ["emu"], 1)
    assert "class 'emu' is not in" in failing(Images(str(tmp_path) + "/."))[0]


def test_faults_of_a_folder_are_named_at_once(tmp_path: Path) -> None:
    pictures(tmp_path / "all", ["cat"], 2)
    Image.new("RGB", (3, 3)).save(tmp_path / "all" / "cat" / "x.png")
    write(tmp_path / "all" / "cat" / "y.png", "no image")
    (tmp_path / "all" / "dog").mkdir()
    found = failing(Images(str(tmp_path / "all")))
    assert len(found) == 3
    for word, problem in zip(("(3, 3)", "not a readable", "no image"), found, strict=True):
        assert word in problem
    (tmp_path / "empty").mkdir()
    assert "no subfolder" in failing(Images(str(tmp_path / "empty")))[0]
    assert "is not a folder" in failing(Images(str(tmp_path / "none")))[0]


class Encoder:
    """Stands in for the model, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.asked += 1
        return np.array([[len(t), t.count("a"), 1.0] for t in texts], dtype=np.float32)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Encoder:
    stand_in = Encoder()
    monkeypatch.setattr(_embeddings, "missing", lambda: None)
    monkeypatch.setattr(_embeddings, "_model_hash", lambda: "model")
    monkeypatch.setattr(_embeddings, "_encode", stand_in)
    monkeypatch.setattr(_embeddings, "cache_folder", lambda: tmp_path / "cache")
    return stand_in


def test_texts_are_embedded_once(tmp_path: Path, encoder: Encoder) -> None:
    lines = "".join(f"{'ham' if k % 2 else 'spam'}\t{'a' * k} text\n" for k in range(1, 11))
    path = write(tmp_path / "t.tsv", lines)
    source = Text(path, columns=("label", "text"))
    one, two = (source.load(seed=0, data_dir=None) for _ in range(2))
    assert encoder.asked == 1
    assert torch.equal(one.train_x, two.train_x)
    assert one.classes == ("ham", "spam")
    assert torch.equal(one.train_x[:, 0] - 5, one.train_x[:, 1])
    write(tmp_path / "t.tsv", lines + "ham\tmore\n")
    source.load(seed=0, data_dir=None)
    assert encoder.asked == 2


def test_pairs_of_texts(tmp_path: Path, encoder: Encoder) -> None:
    table = "q,p,same\n" + '"a, a",bb,yes\naaa,b,no\n' * 3
    path = write(tmp_path / "t.csv", table)
    data = Text(path, text="q", text_b="p", label="same").load(seed=0, data_dir=None)
    assert data.train_x.shape[1] == 12
    u, v, gap, product = data.train_x[0].view(4, 3)
    assert torch.equal(gap, (u - v).abs())
    assert torch.equal(product, u * v)


def test_the_last_column_may_hold_the_delimiter(tmp_path: Path, encoder: Encoder) -> None:
    path = write(tmp_path / "t.all", "0 a b c\n1 d e\n" * 3)
    data = Text(path, columns=("label", "text"), delimiter=" ").load(seed=0, data_dir=None)
    assert sorted(set(data.train_x[:, 0].tolist())) == [3.0, 5.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tb\nx\ty\n", "no column 'text'"),
        ("text\tlabel\n", "no example"),
        ("text\tlabel\nx\n", "line 2: 1 columns for 2"),
        ("text\tlabel\n \ty\n", "line 2: an empty text or label"),
    ],
)
def test_faults_of_texts_are_named(tmp_path: Path, encoder: Encoder, text: str, words: str) -> None:
    assert any(words in p for p in failing(Text(write(tmp_path / "t.tsv", text))))
    assert encoder.asked == 0


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reason = Text(write(tmp_path / "t.tsv", "x")).available(None)
    assert reason is not None
    assert "cl-moe[text]" in reason


USERS = """
import numpy as np
def blobs(n: int = 6, *, seed=0, far: float = 1.0):
    y = np.arange(n) % 2
    x = far * y[:, None] + np.random.default_rng(seed).normal(size=(n, 3))
    return x, y, x, y, ["left", "right"]
def broken():
    return 3
def raising():
    raise KeyError("boom")
def words():
    return "a", "b", "c", "d"
def one_number():
    return 1, 2, 3, 4
def half():
    return np.zeros((2, 2)), np.array([0, 0.5]), np.zeros((1, 2)), np.array([0])
def huge():
    return np.zeros((2, 2)), np.array([0, 10**12]), np.zeros((1, 2)), np.array([0])
def nothing():
    return np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2)), np.zeros(0)
def narrow():
    return np.zeros((2, 0)), np.array([0, 1]), np.zeros((1, 0)), np.array([0])
def twins():
    return np.zeros((2, 2)), np.array([0, 1]), np.zeros((1, 2)), np.array([0]), ["a", "a"]
def named():
    y = np.array(["dog", "cat"])
    return np.array([[1], [2]], dtype=np.int32), y, np.zeros((1, 1), np.int32), y[:1]
def gaps():
    return np.zeros((4, 2)), np.array([0, 2, 0, 2]), np.zeros((1, 2)), np.array([0])
"""


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write(tmp_path / "users_data.py", USERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_data", raising=False)
    return "users_data"


def test_a_function_of_ones_own(users: str) -> None:
    spec = SourceSpec.model_validate({"type": f"{users}:blobs", "n": 8})
    source = make_source(spec, "sources.mine")
    assert source == Function(f"{users}:blobs", {"n": 8})
    one, two = (load_once(source, seed=seed, data_dir=None, place="m") for seed in (0, 1))
    assert one.classes == ("left", "right")
    assert len(one.train_x) == 8
    assert not torch.equal(one.train_x, two.train_x)


def test_a_function_may_give_names_and_token_ids(users: str) -> None:
    data = load_once(Function(f"{users}:named"), seed=0, data_dir=None, place="m")
    assert data.classes == ("cat", "dog")
    assert (data.train_y.tolist(), data.test_y.tolist()) == ([1, 0], [1])
    assert data.train_x.dtype == torch.int64


def test_faults_of_functions_are_named(users: str) -> None:
    assert "returned int; return SourceData" in failing(Function(f"{users}:broken"))[0]
    assert "class '1' has no training example" in failing(Function(f"{users}:gaps"))[0]
    for name, words in {
        "raising": "cannot be loaded (KeyError: 'boom')",
        "words": "words: inputs are str; give tensors or arrays of numbers",
        "one_number": "one_number: labels are int; give one per input",
        "half": "labels are not whole numbers",
        "huge": "label 1000000000000 for 2 classes",
        "nothing": "no example",
        "narrow": "inputs of shape (0,)",
        "twins": "two classes have the same name",
    }.items():
        assert words in failing(Function(f"{users}:{name}"))[0]
    spec = SourceSpec.model_validate({"type": f"{users}:blobs", "m": 8})
    with pytest.raises(InputError, match=r"sources\.mine\.m: no such parameter"):
        make_source(spec, "sources.mine")


def test_a_source_is_loaded_once(users: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    load = Digits.load

    def counted(self: Digits, *, seed: int, data_dir: Path | None) -> Any:
        calls.append(seed)
        return load(self, seed=seed, data_dir=data_dir)

    monkeypatch.setattr(Digits, "load", counted)
    folder = Path("a-folder-no-other-test-names")
    one, two = (load_once(Digits(), seed=s, data_dir=folder, place="d") for s in (0, 1))
    assert one is two
    assert calls == [0]


RATED = "a,b,first,second\n" + "".join(f"{k},{k * k % 7},{k / 2 - 3},{k % 2}\n" for k in range(30))


def test_a_table_of_real_targets(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", RATED)
    one = Csv(path=path, label="first", features=("a",), objective="regression", standardise=False)
    data = load_once(one, seed=0, data_dir=None, place="mine")
    assert (data.objective, data.classes, data.classifies) == ("regression", ("first",), False)
    assert (len(data.train_x), len(data.test_x)) == (24, 6)
    assert torch.equal(data.train_y, data.train_x / 2 - 3)
    two = Csv(path=path, label=("first", "second"), objective="regression")
    data = load_once(two, seed=0, data_dir=None, place="mine")
    assert data.classes == ("first", "second")
    assert data.train_x.shape[1] == 2
    assert data.train_y.mean() > 1  # as they are given
    other = write(tmp_path / "other.csv", "second,first,b,a\n1,9,2,5\n0,8,3,4\n")
    apart = Csv(path=path, label=("first", "second"), test_path=other, objective="regression")
    assert load_once(apart, seed=0, data_dir=None, place="mine").test_y.tolist() == [[9, 1], [8, 0]]


def test_a_table_of_several_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "x,red,blue\n" + "1,0,1\n2,1,1\n3,0,0\n4,1,0\n" * 5)
    source = Csv(path=path, label=("red", "blue"), objective="multilabel", test_fraction=0.5)
    data = load_once(source, seed=0, data_dir=None, place="mine")
    assert data.classes == ("red", "blue")
    assert set(data.train_y.flatten().tolist()) == {0.0, 1.0}


def test_what_is_wrong_with_targets_in_a_table(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        RATED.replace("-3.0,0", "high,0")
        .replace("\n2,4,-2.0", "\n2,4,nan")
        .replace("\n9,", "\nq,"),
    )
    mine = Csv(path=path, label="first", objective="regression")
    assert failing(mine) == [
        f"{path}, row 2, column 'first': 'high' is not a finite number; correct it "
        "(and 1 more like it)",
        f"{path}, row 11, column 'a': 'q' is not a finite number; correct it, or leave the column "
        "out of features",
    ]
    path = write(tmp_path / "u.csv", RATED)
    assert failing(Csv(path=path, label="first", objective="multilabel"))[0].startswith(
        "sources.mine, train: sample 0 has target"
    )
    absent = Csv(path=path, label=("first", "thrid"), objective="regression")
    assert "no column 'thrid'" in failing(absent)[0]
    with pytest.raises(InputError, match="are several columns; give one, or objective"):
        Csv(path=path, label=("first", "second"))
    with pytest.raises(InputError, match="give one column or more, each once"):
        Csv(path=path, label=("first", "first"), objective="regression")
    spec = SourceSpec(type="csv", parameters={"path": path, "label": "a", "objective": "regresion"})
    with pytest.raises(InputError, match="objective: 'regresion' is not one of 'classification'"):
        make_source(spec, "sources.mine")


def test_arrays_of_real_targets(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.linspace(-1, 1, 20)
    np.savez(tmp_path / "a.npz", x=x, y=y, both=np.stack([y, y**2], 1), tags=np.eye(20, 3) > 0)
    one = Npz(path=str(tmp_path / "a.npz"), objective="regression")
    data = load_once(one, seed=0, data_dir=None, place="mine")
    assert (data.classes, len(data.test_y)) == (("y",), 4)
    both = Npz(path=one.path, y="both", test_x="x", test_y="both", objective="regression")
    data = load_once(both, seed=0, data_dir=None, place="mine")
    assert (data.classes, len(data.test_y)) == (("both0", "both1"), 20)
    tags = Npz(path=one.path, y="tags", test_x="x", test_y="tags", objective="multilabel")
    assert load_once(tags, seed=0, data_dir=None, place="mine").train_y.sum() == 3


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a"] * 20, "array 'y': targets are not numbers (sample 0 has "),
        (np.zeros((20, 3, 1)), "array 'y': targets are torch.float64 of shape (20, 3, 1)"),
        (
            np.full(20, np.nan),
            "array 'y': sample 0 has a target NaN or infinity; clean or remove it",
        ),
        (np.ones(20) * 1j, "array 'y': targets are complex; give real numbers"),
        (np.ones(19), "20 inputs but 19 targets; give as many"),
    ],
)
def test_faults_of_targets_of_an_archive_are_named(tmp_path: Path, y: Any, words: str) -> None:
    path = archive(tmp_path / "b.npz", x=np.eye(20), y=np.array(y))
    (problem,) = failing(Npz(path=path, objective="regression"))
    assert words in problem


@pytest.mark.parametrize("dtype", [">f4", "<f8", "f2", "i2", "?"])
def test_types_of_targets_of_an_archive(tmp_path: Path, dtype: str) -> None:
    y = (np.arange(20) % 2).astype(dtype)
    data = Npz(archive(tmp_path / "a.npz", x=np.eye(20), y=y), objective="regression")
    rows = data.load(seed=0, data_dir=None)
    assert rows.train_y.dtype == torch.float32
    assert torch.equal(rows.train_y[:, 0], rows.train_x.argmax(1) % 2.0)
    assert rows.problems("a") == []


def test_a_function_says_what_is_learned() -> None:
    x, y = torch.rand(6, 2), torch.rand(6, 1)
    data = SourceData(x, y, x, y, ("value",), "regression")
    assert data.problems("mine") == []
    wrong = SourceData(x, y, x, y, ("value",), "regresion").problems("mine")
    assert wrong == ["mine: objective: no 'regresion'; did you mean 'regression'?"]
