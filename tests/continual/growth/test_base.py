"""What every growth policy must define."""

from __future__ import annotations

import pytest

from cl_moe.continual.growth.base import GrowthPolicy, make_growth
from cl_moe.errors import InputError

WITHOUT_DECISION = """
from cl_moe.continual.growth.base import GrowthPolicy


class Idle(GrowthPolicy):
    pass
"""


def test_a_policy_that_decides_nothing_is_refused(tmp_path):
    (tmp_path / "parts.py").write_text(WITHOUT_DECISION)
    with pytest.raises(InputError, match="decide"):
        make_growth(f"{tmp_path}/parts.py:Idle")
    with pytest.raises(TypeError, match="decide"):
        GrowthPolicy()  # type: ignore[abstract]
