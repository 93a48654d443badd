"""cl-moe predict: rows in, a table out; the same answers as those that the study measured."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cl_moe
from cl_moe.streams.sources.csv import Csv
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

IRIS = """
name = "iris"
seeds = 1
[sources.flowers]
type = "csv"
path = "iris.csv"
label = "species"
[[tasks]]
name = "all"
source = "flowers"
[[tasks]]
name = "some"
source = "flowers"
classes = ["virginica", "setosa"]
[network]
hidden = [12]
[training]
epochs = 20
[[methods]]
name = "dense"
[[methods]]
name = "moe"
"""


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CL_MOE_DATA_DIR", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a table that its source standardises, with its models."""
    from sklearn.datasets import load_iris

    found, folder = load_iris(), tmp_path_factory.mktemp("made")
    head = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
    with (folder / "iris.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for x, y in zip(found.data, found.target, strict=True):
            writer.writerow([*x, found.target_names[y]])
    (folder / "iris.toml").write_text(IRIS)
    with _inside(folder):
        cl_moe.run("iris.toml", out="study", keep_models=True, progress=False)
    return folder


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture
def iris(made: Path, here: Path) -> Path:
    """A copy of it, in the current folder."""
    shutil.copytree(made, here, dirs_exist_ok=True)
    return here


def test_a_run_says_where_its_models_are(iris: Path, call: Any) -> None:
    said = call("run", "iris.toml", "--keep-models", "--no-figures", "--quiet", "--out", "study")
    assert said.code == 0
    assert "models:  study/runs/METHOD/seed_N/model" in said.out


def test_rows_are_answered_as_the_study_measured(iris: Path, call: Any) -> None:
    """With its source's scale, in whatever order the columns are."""
    data = Csv(path="iris.csv", label="species", standardise=False).load(seed=0, data_dir=None)
    head = ["petal_width", "species", "sepal_length", "note", "sepal_width", "petal_length"]
    with (iris / "test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for x, y in zip(data.test_x.tolist(), data.test_y.tolist(), strict=True):
            writer.writerow([x[3], data.classes[y], x[0], "a note", x[1], x[2]])
    study = cl_moe.load_study("study")
    rows = study.rows[(study.rows["after_task"] == 1) & (study.rows["method"] == "moe")]
    wanted = rows[(rows["metric"] == "accuracy") & (rows["task"] == "all") & rows["epoch"].isna()]
    said = call(
        "predict", "study", "test.csv", "--method", "moe", "--task", "all", "--source", "flowers"
    )
    assert (said.code, said.err) == (0, "")
    assert f"accuracy: {100 * wanted['value'].item():.1f} %" in said.out
    assert "predictions: predictions.csv (30 rows)" in said.out
    found = table(iris / "predictions.csv")
    assert list(found[0]) == [
        "row", "task", "prediction", "probability",
        "probability_setosa", "probability_versicolor", "probability_virginica",
    ]  # fmt: skip
    assert [row["row"] for row in found] == [str(k) for k in range(30)]
    model = study.model("moe")
    scaled = Csv(path="iris.csv", label="species").load(seed=0, data_dir=None).test_x
    with torch.no_grad():
        p = model.eval()(scaled, 0).double().softmax(1)
    for row, values in zip(found, p.tolist(), strict=True):
        best = max(values)
        assert row["task"] == "all"
        assert row["prediction"] == data.classes[values.index(best)]
        assert float(row["probability"]) == pytest.approx(best, rel=1e-5)
        assert float(row["probability_setosa"]) == pytest.approx(values[0], rel=1e-4, abs=1e-9)


def test_columns_are_taken_as_they_are_unless_asked(iris: Path, call: Any) -> None:
    model = "study/runs/dense/seed_0/model"
    said = call("predict", model, "iris.csv", "--task", "some", "--label", "species")
    assert said.code == 2
    assert "label 'versicolor' is not a class of task 'some', whose classes are" in said.err
    assert not (iris / "predictions.csv").exists()
    words = ("predict", model, "iris.csv", "--task", "0", "--label", "species", "--out", "-")
    plain, scaled = call(*words), call(*words, "--source", "flowers")
    assert "note: columns are used unchanged; --source flowers standardises" in plain.err
    assert "note:" not in scaled.err
    assert plain.out != scaled.out
    assert plain.out.startswith("row,task,prediction,probability,probability_setosa")
    assert "accuracy: " in plain.err
    assert sorted(path.name for path in iris.iterdir()) == ["iris.csv", "iris.toml", "study"]


def change(text: str, line: int, old: str, new: str) -> str:
    lines = text.splitlines()
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new, 1)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            ["study", "iris.csv"],
            "study: is a study; name the method of the model with --method NAME",
        ),
        (["study", "iris.csv", "--method", "mo"], "no method 'mo'; did you mean 'moe'?"),
        (["study", "iris.csv", "--method", "moe", "--seed", "3"], "with seed 3; seeds: 0"),
        (["MODEL", "iris.csv", "--method", "moe"], "is not a study; remove the option"),
        (["MODEL", "iris.csv"], "--task: say which task the rows belong to; known: 0 'all', 1"),
        (["MODEL", "iris.csv", "--task", "x"], "knows no task 'x'; known: 0 'all', 1 'some'"),
        (["MODEL", "iris.csv", "--task", "7"], "knows no task '7'"),
        (["MODEL", "iris.csv", "--task", "all"], "5 columns of features, but the model takes row"),
        (["MODEL", "iris.csv", "--task", "all", "--label", "speces"], "did you mean 'species'?"),
        (["MODEL", "none.csv", "--task", "all"], "none.csv: no such file"),
        (["MODEL", "iris.toml", "--task", "all"], "iris.toml: neither .csv, .tsv or .npz"),
        (["MODEL", "nan.csv", "--task", "all", "--label", "species"], "nan.csv, line 3, column "),
        (["MODEL", "short.csv", "--task", "all"], "short.csv, line 2: 1 values for 4 columns"),
        (["MODEL", "empty.csv", "--task", "all"], "empty.csv: no row below the header"),
        (["MODEL", "bytes.csv", "--task", "all"], "bytes.csv: not UTF-8 text"),
        (["MODEL", "wide.npz", "--task", "all"], "rows of shape (5,), but the model takes (4,)"),
        (["MODEL", "nan.npz", "--task", "all"], "array 'x', row 1: holds NaN or infinity"),
        (["MODEL", "noy.npz", "--task", "all"], "array 'y': int64 of shape (3,)"),
        (["MODEL", "nox.npz", "--task", "all"], "no array 'x'; it has z"),
        (["MODEL", "text.npz", "--task", "all"], "text.npz: not an npz archive of plain arrays"),
        (["MODEL", "none", "--task", "all"], "none: no such file"),
        (["MODEL", "study", "--task", "all"], "study: no image"),
        (["MODEL", "iris.csv", "--task", "all", "--source", "f"], "it has none"),
        (["study", "iris.csv", "--method", "moe", "--task", "0", "--source", "flower"], "did you"),
        (["none", "iris.csv"], "none: no saved model"),
        (
            ["MODEL", "good.npz", "--task", "0", "--out", "no/where.csv"],
            "--out: no is not a folder",
        ),
    ],
)
def test_what_the_user_can_put_right(iris: Path, call: Any, words: list[str], wanted: str) -> None:
    text = (iris / "iris.csv").read_text()
    (iris / "nan.csv").write_text(change(text, 2, "3.0", "nan"))
    (iris / "short.csv").write_text("a,b,c,d\n1\n")
    (iris / "empty.csv").write_text("a,b,c,d\n")
    (iris / "bytes.csv").write_bytes(b"a,b,c,d\n\xff\xfe\n")
    np.savez(iris / "wide.npz", x=np.zeros((2, 5)))
    np.savez(iris / "nan.npz", x=np.array([[0, 0, 0, 0], [0, np.nan, 0, 0]]))
    np.savez(iris / "noy.npz", x=np.zeros((2, 4)), y=np.arange(3))
    np.savez(iris / "nox.npz", z=np.zeros(2))
    np.savez(iris / "good.npz", x=np.zeros((2, 4)))
    (iris / "text.npz").write_text("no archive")
    model = "study/runs/moe/seed_0/model"
    if wanted == "it has none":  # a study of another kind of source
        lines = (iris / "study/study.json").read_text().replace('"csv"', '"npz"')
        (iris / "study/study.json").write_text(lines)
    said = call("predict", *(model if word == "MODEL" else word for word in words))
    assert said.code == 2
    assert wanted in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert not (iris / "predictions.csv").exists()


def test_arrays_with_labels(here: Path, call: Any) -> None:
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(40) % 2
    x = torch.randn(40, 4, generator=draw) + 4 * y[:, None]
    stream = TaskStream([Task("one", (x, y), (x, y), ("left", "right"))], "blobs")
    study = cl_moe.run(stream, ["ridge"], seeds=1, out="s", keep_models=True, progress=False)
    np.savez("rows.npz", x=x.numpy(), y=y.numpy())
    said = call("predict", "s/runs/ridge/seed_0/model", "rows.npz")
    assert (said.code, said.err) == (0, "")
    assert "accuracy: 100.0 %" in said.out
    np.savez("rows.npz", x=x.numpy(), y=np.where(y.numpy() == 0, "right", "left"))
    assert "accuracy: 0.0 %" in call("predict", "s", "rows.npz", "--method", "ridge").out
    np.savez("rows.npz", x=x.numpy())
    said = call("predict", "s", "rows.npz", "--method", "ridge")
    assert "accuracy" not in said.out + said.err
    assert {row["prediction"] for row in table(here / "predictions.csv")} == {"left", "right"}
    study.model("ridge").save("elsewhere")
    assert call("predict", "elsewhere", "rows.npz").code == 0
    said = call("predict", "elsewhere", "rows.npz", "--source", "x")
    assert (said.code, "is not part of a study" in said.err) == (2, True)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_in_a_folder(here: Path, call: Any, channels: int) -> None:
    from PIL import Image

    def draw(place: Path, bright: bool, size: int) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((size, size, 3), 230 if bright else 20, dtype=np.uint8)
        pixels[0, 0] = place.stat().st_size % 7 if place.exists() else 100
        Image.fromarray(pixels).save(place)

    x = torch.rand(40, channels, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.2
    y = torch.arange(40) % 2
    x[y == 1] += 0.7
    stream = TaskStream([Task("light", (x, y), (x, y), ("dark", "bright"))], "light")
    words = {"network": {"kind": "conv", "channels": [3], "feature_dim": 4}}
    cl_moe.run(stream, ["dense"], seeds=1, out="s", keep_models=True, progress=False, **words)
    for k in range(3):
        draw(here / f"rows/dark/{k}.png", False, 6 + k)
        draw(here / f"rows/bright/{k}.png", True, 6 + k)
        draw(here / f"flat/{k}.png", True, 9)
    said = call("predict", "s", "rows", "--method", "dense")
    assert (said.code, said.err) == (0, "")
    assert "accuracy: 100.0 %" in said.out
    found = table(here / "predictions.csv")
    assert [row["file"] for row in found] == [
        *(f"bright/{k}.png" for k in range(3)), *(f"dark/{k}.png" for k in range(3))
    ]  # fmt: skip
    said = call("predict", "s", "flat", "--method", "dense", "--out", "flat.csv")
    assert "accuracy" not in said.out
    assert [row["prediction"] for row in table(here / "flat.csv")] == ["bright"] * 3
    (here / "flat/bad.png").write_text("no image")
    said = call("predict", "s", "flat", "--method", "dense", "--out", "bad.csv")
    assert said.code == 2
    assert "flat/bad.png: not a readable image" in said.err
    assert not (here / "bad.csv").exists()


def test_help_shows_examples(call: Any) -> None:
    said = call("predict", "--help")
    assert said.code == 0
    assert "cl-moe predict runs/digits_quick rows.csv --method moe --task low-digits" in said.out
