"""The checks of a kind by name, and how they are run."""

from __future__ import annotations

import importlib
import inspect
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError
from cl_moe.testing.base import Check, NotApplicable, Result, Subject

__all__ = ("KINDS", "PartCheck", "check_part", "kind_of", "part_checks", "run_checks")

KINDS: Mapping[str, tuple[str, ...]] = types.MappingProxyType(
    {
        "method": (),
        "gate": ("cl_moe.moe.gates.base:Gate",),
        "head": ("cl_moe.moe.heads.base:Head",),
        "expert": ("cl_moe.moe.experts.base:ExpertFactory", "cl_moe.moe.experts.base:HostExpert"),
        "growth": ("cl_moe.continual.growth.base:GrowthPolicy",),
        "source": ("cl_moe.streams.sources.base:Source",),
        "operator": ("cl_moe.streams.operators.base:Operator",),
        "metric": ("cl_moe.analysis.metrics.base:Metric",),
        "figure": ("cl_moe.analysis.plots.base:FigureSpec",),
    }
)
"""The kinds of parts, and their base classes; methods are functions."""


@dataclass(frozen=True)
class PartCheck:
    """One check of a kind, to be called with a part.

    Attributes:
        name: its name.
        kind: the kind of part.
        function: the check.

    Raises:
        AssertionError: the part fails the check; a sentence says why.
        NotApplicable: the check does not apply.

    >>> from cl_moe.moe.gates.task import TaskGate
    >>> checks = dict(part_checks("gate"))
    >>> checks["inputs untouched"](TaskGate, {"k": 2})
    """

    name: str
    kind: str
    function: Check

    @property
    def __name__(self) -> str:
        return self.name.replace(" ", "_")

    def __call__(
        self,
        part: Any,
        parameters: Mapping[str, Any] | None = None,
        data_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Check a part constructed with ``parameters``; random states are restored."""
        from cl_moe.runs.randomness import isolated, seed_all

        folder = None if data_dir is None else Path(data_dir)
        with isolated(threads=1):
            seed_all(0)
            self.function(Subject(self.kind, part, dict(parameters or {}), folder))


def part_checks(kind: str) -> list[tuple[str, PartCheck]]:
    """Return (name, check) of every check of a kind, in their order.

    Args:
        kind: one of :data:`KINDS`.

    >>> part_checks("growth")[0][0]
    'constructs'
    """
    checks: tuple[Check, ...] = importlib.import_module(f"cl_moe.testing.{kind}").CHECKS
    names = [getattr(check, "__name__", "").replace("_", " ") for check in checks]
    return [(n, PartCheck(n, kind, check)) for n, check in zip(names, checks, strict=True)]


def run_checks(
    kind: str,
    part: Any,
    parameters: Mapping[str, Any] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Iterator[Result]:
    """Yield the result of each check of a kind; errors of the part are results, too.

    Args:
        kind: one of :data:`KINDS`.
        part: a class, a function, or a value (of metrics and figures).
        parameters: arguments of its constructor, besides those given by the checks.
        data_dir: folder of real data, for sources.
    """
    for name, check in part_checks(kind):
        result = _result(check, part, parameters, data_dir)
        yield result
        if name == "constructs" and result.outcome == "failed":
            return  # no other check can run


def _result(check: PartCheck, *given: Any) -> Result:
    try:
        check(*given)
    except NotApplicable as skipped:
        return Result(check.name, "not applicable", str(skipped))
    except AssertionError as error:
        return Result(check.name, "failed", str(error) or "an assertion in the part fails")
    except Exception as error:  # noqa: BLE001 - a third-party part may raise any error
        return Result(check.name, "failed", f"{type(error).__name__}: {error}")
    return Result(check.name, "passed")


def check_part(
    kind: str,
    part: Any,
    parameters: Mapping[str, Any] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> list[Result]:
    """Run all checks of its kind on a part.

    Args:
        kind: one of :data:`KINDS`.
        part: as for :func:`run_checks`.
        parameters: as there.
        data_dir: as there.

    Raises:
        AssertionError: with a line for each check that failed.
    """
    results = list(run_checks(kind, part, parameters, data_dir))
    failed = [f"{result.check}: {result.why}" for result in results if result.outcome == "failed"]
    if failed:
        raise AssertionError("\n".join(failed))
    return results


def kind_of(part: Any, name: str, wanted: str | None = None) -> str:
    """Return the kind of a part, by its base class; a function is a method.

    Args:
        part: a class, a function or a value.
        name: its name, for the error message.
        wanted: the kind that it must be of; a function can be an expert or a source, too.

    Raises:
        InputError: it has no known kind, or not the wanted one.

    >>> from cl_moe.moe.gates.task import TaskGate
    >>> kind_of(TaskGate, "mine:TaskGate")
    'gate'
    """
    found = [kind for kind in KINDS if _is_of(kind, part)]
    if wanted is None and found:
        return found[0]
    if wanted in found:
        return wanted
    bases = KINDS[wanted] if wanted else [base for bases in KINDS.values() for base in bases]
    raise InputError(
        f"'{name}' is not a {wanted or 'part of a known kind'}; give a subclass or an instance of "
        f"{', '.join(bases)}"
        if bases
        else f"'{name}' is not a method; give a function from a MethodContext to a Method"
    )


def _is_of(kind: str, part: Any) -> bool:
    if inspect.isfunction(part):
        return kind in ("method", "expert", "source")
    if not inspect.isclass(part):
        return any(isinstance(part, _load(base)) for base in KINDS[kind])
    if kind == "method":
        return any(base.__module__.startswith("avalanche.") for base in part.__mro__)
    return any(issubclass(part, _load(base)) for base in KINDS[kind])


def _load(reference: str) -> type:
    module, _, name = reference.partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found
