"""Images of every depth and colour space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cl_moe.errors import InputError
from cl_moe.streams.sources._pixels import eight_bits
from cl_moe.streams.sources.images import Images


def deep(value: float, dtype: Any) -> Image.Image:
    return Image.fromarray(np.full((4, 4), value, dtype=dtype))


@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize(
    ("dtype", "ending", "values", "expected"),
    [
        (np.uint16, "png", (8000, 40000), (31, 156)),
        (np.uint16, "tif", (8000, 40000), (31, 156)),
        (np.dtype(">u2"), "tif", (8000, 40000), (31, 156)),
        (np.float32, "tif", (0.2, 0.8), (51, 204)),
        (np.uint8, "png", (31, 156), (31, 156)),
    ],
)
def test_deep_images_keep_their_brightness(
    tmp_path: Path,
    grey: bool,
    dtype: Any,
    ending: str,
    values: tuple[float, float],
    expected: tuple[int, int],
) -> None:
    for name, value in zip(("dark", "light"), values, strict=True):
        (tmp_path / name).mkdir()
        for k in range(5):
            deep(value, dtype).save(tmp_path / name / f"{k}.{ending}")
    data = Images(str(tmp_path), grey=grey).load(seed=0, data_dir=None)
    assert data.train_x.shape == (8, 1 if grey else 3, 4, 4)
    assert [data.train_x[data.train_y == k].unique().tolist() for k in (0, 1)] == [
        [value] for value in expected
    ]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("wanted", ["L", "RGB"])
def test_other_modes_are_converted(mode: str, wanted: Any) -> None:
    image = Image.new("L", (2, 2), 255).convert("RGB").convert(mode.replace("PA", "P"))
    image = image.convert("PA") if mode == "PA" else image
    found = eight_bits(image, wanted)
    assert found.mode == wanted
    assert np.asarray(found).min() > 250


def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 200, 200, 200])
    image.save(tmp_path / "a.png", transparency=b"\x00\x80")
    with Image.open(tmp_path / "a.png") as found:
        assert np.asarray(eight_bits(found, "L")).tolist() == [[200, 200], [200, 200]]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (deep(70000, np.int32), "mode I with values from 70000 to 70000"),
        (deep(200.0, np.float32), "mode F with values from 200 to 200"),
        (deep(-0.5, np.float32), "mode F with values from -0.5 to -0.5"),
        (deep(float("nan"), np.float32), "mode F with values from nan"),
        (Image.new("LAB", (1, 1)), "mode LAB cannot become L; save it as RGB"),
    ],
)
def test_what_has_no_known_range_is_refused(image: Image.Image, words: str) -> None:
    with pytest.raises(InputError, match=words):
        eight_bits(image, "L")


def test_a_refused_file_is_named_and_the_others_counted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(3):
            deep(200.0, np.float32).save(tmp_path / name / f"{k}.tif")
    with pytest.raises(InputError) as caught:
        Images(str(tmp_path)).load(seed=0, data_dir=None)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{tmp_path / 'a' / '0.tif'}: mode F with values from 200 to 200")
    assert problem.endswith("(and 5 more like it)")
