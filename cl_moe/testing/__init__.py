"""Checks that every part must pass, built-in and third-party.

Every kind of part has a list of checks. ``check_part`` runs those of a part and raises an
AssertionError if one fails; with pytest each check is one test::

    @pytest.mark.parametrize(("name", "check"), part_checks("gate"))
    def test_my_gate(name, check):
        check(MyGate, {"k": 2})

On the command line: ``cl-moe check package.module:Class``. A check that does not apply to a
part (devices, on a machine without one) is skipped, with the reason.

>>> from cl_moe.moe.gates.task import TaskGate
>>> results = check_part("gate", TaskGate)
>>> print(results[0])
passed          constructs
"""

from __future__ import annotations

from cl_moe.testing.base import NotApplicable, Result
from cl_moe.testing.running import KINDS, PartCheck, check_part, kind_of, part_checks, run_checks

__all__ = (
    "KINDS", "NotApplicable", "PartCheck", "Result", "check_part", "kind_of", "part_checks",
    "run_checks",
)  # fmt: skip
