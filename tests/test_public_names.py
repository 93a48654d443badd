"""Every name that the package offers can be had."""

from __future__ import annotations

import pytest

import cl_moe


@pytest.mark.parametrize("name", cl_moe.__all__)
def test_it_is_there(name):
    assert getattr(cl_moe, name) is not None
