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
"""The kinds of parts that are checked, and what parts of each are: a method is a function."""


@dataclass(frozen=True)
class PartCheck:
    """One check of a kind, to be called with a part.

    Attributes:
        name: what it looks at.
        kind: of the part.
        look: what it does.

    Raises:
        AssertionError: the part is at fault; a sentence says why.
        NotApplicable: the check has nothing to say of it.

    >>> from cl_moe.moe.gates.task import TaskGate
    >>> checks = dict(part_checks("gate"))
    >>> checks["inputs untouched"](TaskGate, {"k": 2})
    """

    name: str
    kind: str
    look: Check

    @property
    def __name__(self) -> str:
        return self.name.replace(" ", "_")

    def __call__(
        self,
        part: Any,
        parameters: Mapping[str, Any] | None = None,
        data_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Look at a part made with ``parameters``; random states are left as they were."""
        from cl_moe.runs.randomness import isolated, seed_all

        folder = None if data_dir is None else Path(data_dir)
        with isolated(threads=1):
            seed_all(0)
            self.look(Subject(self.kind, part, dict(parameters or {}), folder))


def part_checks(kind: str) -> list[tuple[str, PartCheck]]:
    """Return (name, check) of every check of a kind, in the order in which they are to be read.

    Args:
        kind: one of :data:`KINDS`.

    >>> part_checks("growth")[0][0]
    'constructs'
    """
    checks: tuple[Check, ...] = importlib.import_module(f"cl_moe.testing.{kind}").CHECKS
    names = [getattr(look, "__name__", "").replace("_", " ") for look in checks]
    return [(n, PartCheck(n, kind, look)) for n, look in zip(names, checks, strict=True)]


def run_checks(
    kind: str,
    part: Any,
    parameters: Mapping[str, Any] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Iterator[Result]:
    """Yield what each check of a kind finds of a part; nothing that a part does ends it.

    Args:
        kind: one of :data:`KINDS`.
        part: a class, a function, or a value (of metrics and figures).
        parameters: of its constructor, beside those that the checks give it.
        data_dir: folder of real data, for sources.
    """
    for name, check in part_checks(kind):
        result = _result(check, part, parameters, data_dir)
        yield result
        if name == "constructs" and result.outcome == "failed":
            return  # nothing else can be looked at


def _result(check: PartCheck, *given: Any) -> Result:
    try:
        check(*given)
    except NotApplicable as skipped:
        return Result(check.name, "not applicable", str(skipped))
    except AssertionError as error:
        return Result(check.name, "failed", str(error) or "an assertion fails in it")
    except Exception as error:  # noqa: BLE001 - a part of the user's may raise anything
        return Result(check.name, "failed", f"{type(error).__name__}: {error}")
    return Result(check.name, "passed")


def check_part(
    kind: str,
    part: Any,
    parameters: Mapping[str, Any] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> list[Result]:
    """Hold a part to every check of its kind.

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
    """Return the kind of a part: whose subclass or value it is; a function is a method.

    Args:
        part: a class, a function or a value.
        name: what the user calls it, for the error.
        wanted: the kind that it must be of; a function can be an expert or a source, too.

    Raises:
        InputError: it is none of a kind, or not of the one wanted.

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
        f"'{name}' is no {wanted or 'part of a kind that is known'}; give a subclass or a value of "
        f"{', '.join(bases)}"
        if bases
        else f"'{name}' is no method; give a function from a MethodContext to a Method"
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
