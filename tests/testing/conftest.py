"""How a broken part is shown to be caught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cl_moe.testing import part_checks

SHARED = {"constructs", "docstring", "example", "defaults", "readable", "devices"}
"""Checks of all kinds, which are tested in test_common."""

Broken = Mapping[str, tuple[Any, str]]


@pytest.fixture
def catches() -> Callable[[str, Broken, str], None]:
    """Return what requires that a check catches its broken part, and that none has no such part."""

    def require(kind: str, broken: Broken, name: str) -> None:
        checks = dict(part_checks(kind))
        assert set(checks) - SHARED == {word.partition(" /")[0] for word in broken}
        part, words = broken[name]
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what a part raises is a finding
            checks[name.partition(" /")[0]](part)
        assert words in str(caught.value)

    return require
