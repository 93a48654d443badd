"""Numbers without measure, files that unpack to gigabytes, and too little memory."""

from __future__ import annotations

import gzip
import math
import subprocess
import sys
import time
import typing
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel

import cl_moe
from cl_moe import catalog, unpacking
from cl_moe.cli import main
from cl_moe.errors import InputError, enough_memory
from cl_moe.parameters import LARGEST, LARGEST_FLOAT
from cl_moe.runs.folder.files import read_json, read_table
from cl_moe.streams.generate import GenerateSpec, PhaseSpec
from cl_moe.streams.problems import read_table as read_spec
from cl_moe.streams.rows import read_rows
from cl_moe.streams.scenario import ScenarioSpec, read_toml
from cl_moe.streams.sources import _loading
from cl_moe.streams.sources._loading import load_once
from cl_moe.streams.sources._readers import read_idx
from cl_moe.streams.sources.base import Source
from cl_moe.streams.sources.csv import Csv
from cl_moe.streams.sources.glyphs import Glyphs
from cl_moe.streams.sources.images import Images
from cl_moe.streams.sources.npz import Npz
from cl_moe.streams.sources.synthetic import Synthetic
from cl_moe.streams.spec import NetworkSpec, ProbeSpec, StreamSpec, TaskSpec, TrainingSpec

NUMBERS = (2**62, -(2**62), 10**400, 10**5000, 1e300, -1e300, math.inf, -math.inf, math.nan)
TABLES: dict[str, type[BaseModel]] = {
    "network": NetworkSpec,
    "training": TrainingSpec,
    "stream": StreamSpec,
    "tasks[0]": TaskSpec,
    "probes[0]": ProbeSpec,
    "generate": GenerateSpec,
    "generate.phases[0]": PhaseSpec,
    "": ScenarioSpec,
}
REQUIRED: dict[str, dict[str, Any]] = {
    "tasks[0]": {"name": "a", "source": "s", "related_to": "b", "relatedness": 0.5},
    "probes[0]": {"name": "a", "source": "s", "related_to": "b", "relatedness": 0.5},
    "generate": {"sources": ["s"], "phases": [{"tasks": 1, "per_class": [1]}]},
    "generate.phases[0]": {"tasks": 1, "per_class": [1, 1, 1]},
    "": {"name": "n"},
}


def kinds(hint: Any) -> Iterator[type]:
    """Yield the plain types in an annotation."""
    inner = typing.get_args(hint)
    if not inner or typing.get_origin(hint) is typing.Literal:
        yield hint
    for one in inner:
        yield from kinds(one)


def numeric(hint: Any) -> bool:
    """Whether an annotation allows numbers."""
    return bool({int, float} & {*kinds(hint)})


def wrapped(hint: Any, number: float) -> list[Any]:
    """Return a number, alone and in a list, as far as an annotation allows it."""
    lists = "list" in str(hint) or "tuple" in str(hint) or "Sequence" in str(hint)
    alone = not lists or "|" in str(hint)
    return [number] * alone + [[number], [2, number], [2, 2, number]] * lists


SPEC_KEYS = [
    (place, key)
    for place, model in TABLES.items()
    for key, info in model.model_fields.items()
    if numeric(info.annotation)
]


def hints_of(part: Any) -> dict[str, Any]:
    """Return the annotations of a part's parameters."""
    hints = typing.get_type_hints(part.__init__ if isinstance(part, type) else part)
    return {key: hint for key, hint in hints.items() if key in catalog.parameters(part)}


PART_KEYS = [
    (kind, name, key)
    for kind in catalog.KINDS
    for name in catalog.names(kind)
    for key, hint in hints_of(catalog.resolve(kind, name)).items()
    if numeric(hint)
]


@pytest.mark.parametrize(("place", "key"), SPEC_KEYS)
def test_every_number_of_a_table_has_bounds(place: str, key: str) -> None:
    model = TABLES[place]
    for number in NUMBERS:
        for value in wrapped(model.model_fields[key].annotation, number):
            _, problems = read_spec(model, {**REQUIRED.get(place, {}), key: value}, place)
            assert problems, value
            assert key in problems[0] or "size" in problems[0] or "class" in problems[0]
            assert len(problems[0]) < 250


@pytest.mark.parametrize(("kind", "name", "key"), PART_KEYS)
def test_every_number_of_a_part_has_bounds(kind: str, name: str, key: str) -> None:
    part = catalog.resolve(kind, name)
    hint = hints_of(part)[key]
    for number in NUMBERS:
        for value in wrapped(hint, number):
            problems = catalog.check_parameters(part, {key: value}, "here")
            told = [p for p in problems if p.startswith(f"here.{key}: ") and "missing" not in p]
            assert len(told) == 1, (value, problems)
            assert len(told[0]) < 250


def test_a_number_that_is_too_large_is_told_with_the_limit() -> None:
    data = {
        "name": "n",
        "methods": ["dense", {"name": "moe", "gate_options": {"balance": 1e300}}],
        "sources": {
            "a": {"type": "synthetic", "dim": 10**8},
            "b": {"type": "synthetic", "classes": 10**6},
            "c": {"type": "glyphs", "size": 10**5},
        },
        "tasks": [
            {"name": "t", "source": "a", "operators": [{"operator": "rotate", "degrees": 1e300}]}
        ],
        "stream": {"shape": [2**62]},
        "training": {"epochs": 10**12, "learning_rate": 1e300},
        "network": {"hidden": [10**7]},
    }
    with pytest.raises(InputError) as caught:
        ScenarioSpec.from_dict(data)
    said = caught.value.problems
    assert len(said) == 9
    for wanted in (
        "sources.a.dim: 100000000 is too large; give 1048576 or less",
        "sources.b.classes: 1000000 is too large; give 100000 or less",
        "sources.c.size: 100000 is too large; give 1024 or less",
        f"degrees: 1e+300 is too large; give {LARGEST_FLOAT} or less",
        f"stream.shape: [{2**62}] is too large; give a shape of {2**26} values or less",
        f"training.epochs: {10**12} is too large; give 1000000 or less",
        f"training.learning_rate: 1e+300 is too large; give {LARGEST} or less",
        "network.hidden: [10000000] is too large; give up to 1000 widths of 65536 or less",
        f"gate_options.balance: 1e+300 is too large; give {LARGEST_FLOAT} or less",
    ):
        assert any(wanted in problem for problem in said), (wanted, said)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Synthetic(dim=2**20, classes=10**5, train_per_class=10**7),
        lambda: Glyphs(classes=10**5, size=1024, train_per_class=10**6),
    ],
)
def test_sizes_that_are_too_large_together(make: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=f"give sizes that make {2**32} or less"):
        make()


def test_numbers_of_thousands_of_digits_are_told(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f"seeds = {'9' * 5000}\n")
    with pytest.raises(InputError, match="not valid TOML"):
        read_toml(path)
    path.write_text(f"seeds = 0x{'f' * 5000}\n[[tasks]]\nname = 'a'\n")
    with pytest.raises(InputError, match="seeds: a number of more than 4300 digits is too large"):
        cl_moe.load_scenario(path)
    with pytest.raises(InputError, match=r"training.epochs: '9999"):
        cl_moe.load_scenario("digits_quick").with_overrides([f"training.epochs={'9' * 5000}"])


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of a megabyte."""
    monkeypatch.setenv("CL_MOE_MAX_GIB", f"{1 / 1024}")


def problem(action: Callable[[], object]) -> str:
    """Return the one sentence of an InputError."""
    with pytest.raises(InputError) as caught:
        action()
    (said,) = caught.value.problems
    return said


def loaded(source: Source) -> object:
    return load_once(source, seed=0, data_dir=None, place="sources.s")


@pytest.mark.usefixtures("little")
def test_an_archive_is_unpacked_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((2**18, 2), np.float32), y=np.arange(2**18) % 2)
    assert path.stat().st_size < 10**5
    wanted = f"{path}, array 'x': unpacks to 0.0 GiB, more than the limit of 0.000976562 GiB; if"
    assert problem(lambda: loaded(Npz(path=str(path)))).startswith(wanted)
    assert problem(lambda: read_rows(path, (2,))).startswith(wanted)
    monkeypatch.setenv("CL_MOE_MAX_GIB", "1")  # raises it
    assert loaded(Npz(path=str(path)))
    assert len(read_rows(path, (2,)).x) == 2**18


def test_the_limit_is_two_gibibytes_or_what_the_user_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CL_MOE_MAX_GIB", raising=False)
    assert unpacking.most_bytes() == 2 * 2**30
    for wrong in ("many", "0", "-1", "nan", "inf", "1e300"):
        monkeypatch.setenv("CL_MOE_MAX_GIB", wrong)
        assert "is not a number of GiB; give 2, 0.5 or 16" in problem(unpacking.most_bytes)


@pytest.mark.usefixtures("little")
def test_a_header_cannot_ask_for_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "lies.npz"
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 8), }"
    head = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117).encode() + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", head)
        archive.writestr("y.npy", head)
    wanted = f"array 'x': its header asks for {2**40 * 32} bytes, but it has 128; save it again"
    assert wanted in problem(lambda: loaded(Npz(path=str(path))))
    assert wanted in problem(lambda: read_rows(path, (8,)))


@pytest.mark.usefixtures("little")
def test_gzip_is_unpacked_to_the_limit(tmp_path: Path) -> None:
    for name, read in (
        ("rows.csv.gz", lambda path: read_table(path, [])),
        ("study.json.gz", read_json),
        ("train-images-idx3-ubyte.gz", read_idx),
    ):
        path = tmp_path / name
        path.write_bytes(gzip.compress(bytes(2**21)))
        assert f"{path}: unpacks to more than the limit" in problem(lambda: read(path))  # noqa: B023


def images(folder: Path, size: tuple[int, int], mode: str = "1", count: int = 2) -> Path:
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            Image.new(mode, size).save(folder / name / f"{k}.png")
    return folder


def test_images_are_bounded_as_pillow_bounds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("warned", (120, 100)), ("refused", (300, 300))):
        folder = images(tmp_path / name, size, count=1)
        with monkeypatch.context() as patched:
            patched.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
            with pytest.raises(InputError, match=r"a/0.png: has more pixels than Pillow's limit"):
                loaded(Images(path=str(folder)))
            with pytest.raises(InputError, match="more pixels than Pillow's limit of 10000"):
                read_rows(folder, (1, 8, 8))


@pytest.mark.usefixtures("little")
def test_a_folder_of_images_is_bounded_together(tmp_path: Path) -> None:
    folder = images(tmp_path / "many", (400, 400), count=3)
    said = problem(lambda: loaded(Images(path=str(folder))))
    assert f"{folder}: unpacks to 0.0 GiB, more than the limit" in said
    assert loaded(Images(path=str(folder), size=(8, 8)))


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.zeros(10**15),
        lambda: torch.zeros(2**62),
        lambda: np.zeros(10**16),
        lambda: np.zeros(2**62),
        lambda: torch.nn.Linear(10**9, 10**9),
        lambda: bytearray(10**17),
    ],
)
def test_too_little_memory_is_a_sentence(allocate: Callable[[], object]) -> None:
    def much() -> None:
        with enough_memory("here", "give less"):
            allocate()

    said = problem(much)
    assert said.startswith("here: there is not enough memory")
    assert said.endswith("; give less")


def test_other_errors_are_no_matter_of_memory() -> None:
    for error in (ValueError("no"), RuntimeError("no"), InputError("out of memory")):
        with pytest.raises(type(error), match=str(error)), enough_memory("here", "give less"):
            raise error


TOO_MUCH = """
seeds = 1
[sources.d]
type = "digits"
[[tasks]]
name = "a"
source = "d"
[network]
{network}
[training]
epochs = 1
min_steps = 0
[[methods]]
name = "moe"
{method}
"""


@pytest.mark.parametrize("command", ["check", "run", "estimate"])
def test_a_study_that_needs_too_much_memory_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    """Data, tasks, networks: each says so, and nothing is left behind."""
    from cl_moe.moe.experts.mlp import MLPExpert
    from cl_moe.streams.operators.noise import Noise
    from cl_moe.streams.sources.digits import Digits

    def much(*given: Any, **more: Any) -> Any:
        return torch.zeros(10**15)

    path = tmp_path / "s.toml"
    operator = 'operators = ["noise"]\n[network]'
    path.write_text(
        TOO_MUCH.format(network="", method="").replace("[network]", operator), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    network = "method 'dense'" if command == "estimate" else "network"
    cases = [(Digits, "load", "sources.d"), (MLPExpert, "stages", network)]
    if command != "estimate":  # which makes no task
        cases.append((Noise, "__call__", "task 'a'"))
    for owner, name, place in cases:
        with monkeypatch.context() as patched:
            patched.setattr(_loading, "_LOADED", OrderedDict())
            patched.setattr(owner, name, much)
            patched.setattr(sys, "argv", ["cl-moe", command, str(path)])
            patched.setattr(sys, "path", list(sys.path))
            with pytest.raises(SystemExit) as stopped:
                main()
        said = capsys.readouterr()
        assert stopped.value.code == 2
        assert f"error: {place}: there is not enough memory (" in said.err
        assert "Traceback" not in said.err
    assert not (tmp_path / "runs" / "s" / "study.json").exists()


def test_the_command_tells_of_memory_wherever_it_ends(tmp_path: Path) -> None:
    script = (
        "import sys, cl_moe.cli as cli\n"
        "def app(**_):\n    raise MemoryError('no room')\n"
        "cli.app = app\ncli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is not enough memory (no room); ")


@pytest.mark.parametrize("features", [(), ("c3",)])
def test_a_table_takes_time_with_its_cells_alone(tmp_path: Path, features: tuple[str, ...]) -> None:
    """Ten times the columns, as many cells: about the same time, not ten or a hundred times it."""

    def seconds(columns: int, rows: int) -> float:
        path = tmp_path / f"{columns}.csv"
        head = ",".join(["kind", *(f"c{k}" for k in range(columns))])
        line = ",".join(["1.5"] * columns)
        path.write_text("\n".join([head, *(f"{k % 2},{line}" for k in range(rows))]))
        start = time.perf_counter()
        for _ in range(2):
            Csv(path=str(path), label="kind", features=features).load(seed=0, data_dir=None)
            read_rows(path, (len(features) or columns,), "kind", features)
        return time.perf_counter() - start

    seconds(200, 200)
    assert seconds(20_000, 10) < 5 * seconds(500, 400) + 0.2
