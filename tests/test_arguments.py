"""Arguments against annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from cl_moe.arguments import checked
from cl_moe.errors import InputError


@checked({"n": (0, 9), "shape": (1, 99)}, free=("any_",))
def takes(
    n: int = 0,
    share: float = 0.5,
    word: str | None = None,
    flag: bool = False,
    kind: Literal["a", "b"] = "a",
    shape: Sequence[int] = (1,),
    words: str | Iterable[str] = (),
    table: Mapping[str, Any] | None = None,
    path: str | Path = "",
    head: type[Path] = Path,
    any_: int = 0,
) -> int:
    """A function of many kinds of parameters."""
    return n


@pytest.mark.parametrize(
    "given",
    [
        {"n": np.int64(3)},
        {"share": 1},
        {"share": np.float32(0.5)},
        {"word": "x", "kind": "b", "flag": True},
        {"shape": np.array([2, 3])},
        {"words": ["a"]},
        {"words": (word for word in "ab")},
        {"table": {}, "path": Path()},
        {"any_": "anything"},
    ],
)
def test_what_fits(given: dict[str, Any]) -> None:
    assert takes(**given) == given.get("n", 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n": True}, "n: True is not a whole number"),
        ({"n": 10}, "n: 10 is not within 0 to 9"),
        ({"n": 1.0}, "n: 1.0 is not a whole number"),
        ({"share": math.nan}, "share: nan is not a finite number"),
        ({"share": math.inf}, "share: inf is not a finite number"),
        ({"word": 1}, "word: 1 is not a text or None"),
        ({"flag": 1}, "flag: 1 is not true or false"),
        ({"kind": "c"}, "kind: 'c' is not 'a' or 'b'"),
        ({"kind": []}, "kind: [] is not 'a' or 'b'"),
        ({"shape": [0]}, "shape: [0] is not within 1 to 99"),
        ({"shape": "12"}, "shape: '12' is not a list (each a whole number)"),
        ({"words": [1]}, "words: [1] is not a text or a list (each a text)"),
        ({"table": []}, "table: [] is not a dict or None"),
        ({"path": 5}, "path: 5 is not a text or a Path"),
        ({"head": int}, "head: <class 'int'> is not a type"),
        ({"n": "x", "flag": 2}, "n: 'x' is not a whole number\nflag: 2 is not true or false"),
    ],
)
def test_what_does_not_fit(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        takes(**given)
    assert str(caught.value) == words


def test_python_reports_what_is_unknown() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        takes(m=1)  # type: ignore[call-arg]
