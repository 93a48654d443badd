"""Objectives by name."""

from __future__ import annotations

import pytest

from cl_moe.errors import InputError
from cl_moe.objectives import SCORES
from cl_moe.objectives.named import OBJECTIVES, make_objective


def test_every_objective_has_the_score_that_others_know_it_by() -> None:
    assert {name: kind.score for name, kind in OBJECTIVES.items()} == dict(SCORES)
    assert {name: kind.name for name, kind in OBJECTIVES.items()} == {n: n for n in OBJECTIVES}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="objective: no 'regresion'; did you mean 'regression'"):
        make_objective("regresion", 1)
