"""Scenarios: a study described in a TOML file, checked before anything is run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.arguments import checked
from cl_moe.errors import InputError, did_you_mean
from cl_moe.references import Origin, reading, scenario_folder, strings
from cl_moe.streams.spec import (
    MethodSpec,
    NetworkSpec,
    OperatorSpec,
    ProbeSpec,
    SourceSpec,
    StreamSpec,
    TaskSpec,
    TrainingSpec,
)
from cl_moe.streams.tables import MOST_SEEDS, ScenarioTables

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

if TYPE_CHECKING:
    from cl_moe.streams.stream import TaskStream

__all__ = (
    "MOST_SEEDS",
    "MethodSpec",
    "NetworkSpec",
    "OperatorSpec",
    "ProbeSpec",
    "ScenarioSpec",
    "SourceSpec",
    "StreamSpec",
    "TaskSpec",
    "TrainingSpec",
    "load_scenario",
    "read_scenario",
    "read_toml",
    "shipped_scenarios",
)


class ScenarioSpec(ScenarioTables):
    """A study: sources, the tasks made from them, the network, the budget and the methods.

    Make one with :func:`load_scenario` or :meth:`from_dict`, which check it and name every problem.
    """

    @classmethod
    @checked()
    def from_dict(cls, data: Mapping[str, Any]) -> ScenarioSpec:
        """Return the checked scenario that ``data`` (the content of a TOML file) describes.

        Raises:
            InputError: with every problem, each with its place.

        >>> spec = ScenarioSpec.from_dict(
        ...     {
        ...         "name": "tiny",
        ...         "methods": [],
        ...         "sources": {"d": {"type": "digits"}},
        ...         "tasks": [{"name": "a", "source": "d"}],
        ...     }
        ... )
        >>> spec.tasks[0].source
        'd'
        >>> ScenarioSpec.from_dict(
        ...     {
        ...         "name": "tiny",
        ...         "methods": [],
        ...         "sources": {"d": {"type": "digits"}},
        ...         "tasks": [{"name": "a", "sorce": "d"}],
        ...     }
        ... )
        Traceback (most recent call last):
        ...
        cl_moe.errors.InputError: tasks[0].sorce: unknown key; did you mean 'source'?
        """
        from cl_moe.streams.checks import check

        spec, problems = check(cls, data)
        if problems:
            raise InputError(problems)
        assert spec is not None
        return spec

    def to_dict(self) -> dict[str, Any]:
        """Return plain, JSON-able values from which :meth:`from_dict` makes the same scenario."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @checked()
    def with_overrides(self, overrides: Iterable[str]) -> ScenarioSpec:
        """Return the scenario with ``key=value`` settings applied, checked again.

        Keys are dotted; items of lists are named by position or by their ``name``. Values are read
        as TOML, else as text. See :mod:`cl_moe.streams.overrides`. Code outside of installed
        packages is imported when it is run.

        >>> load_scenario("digits_quick").with_overrides(["training.epochs=1"]).training.epochs
        1
        """
        from cl_moe.streams.overrides import apply_overrides

        with reading(Origin(Path(self.name), allow_code=True, imports=False)):
            return self.from_dict(apply_overrides(self.to_dict(), overrides))

    @checked()
    def resolve(self, data_dir: Path | None = None) -> ScenarioSpec:
        """Return the scenario with each slot (``any_of``) replaced by the first available source.

        Raises:
            InputError: naming each source whose data are missing, and what to do.
        """
        from cl_moe.streams.building import resolve_sources

        return resolve_sources(self, data_dir)

    @checked()
    def build_stream(self, seed: int, data_dir: Path | None = None) -> TaskStream:
        """Return the tasks, with examples drawn for ``seed``.

        The draw for a task depends on the seed and the task's name alone: adding a task to a
        scenario does not change the others.

        >>> len(load_scenario("digits_quick").build_stream(seed=0)) > 1
        True
        """
        from cl_moe.streams.building import build_stream

        return build_stream(self, seed, data_dir)


def shipped_scenarios() -> dict[str, Path]:
    """Return the scenarios that come with the package: name to path.

    >>> "digits_quick" in shipped_scenarios()
    True
    """
    folder = scenario_folder()
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder else {}


@checked()
def load_scenario(path_or_name: str | Path, *, allow_code: bool = False) -> ScenarioSpec:
    """Return a checked scenario from a TOML file, or a shipped one by its name.

    Args:
        path_or_name: the file, or the name.
        allow_code: import any code that the file names, and log one line for each. By default the
            file may name installed parts, and code in its folder or in the current folder, which
            is imported when the scenario is run.

    Raises:
        InputError: no such file or name, not TOML, or with every problem found in it.

    >>> load_scenario("digits_quik")
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: no scenario file or name 'digits_quik'; did you mean 'digits_quick'?
    """
    return read_scenario(path_or_name, allow_code=allow_code, imports=allow_code)[0]


def read_scenario(
    path_or_name: str | Path,
    overrides: Iterable[str] = (),
    *,
    allow_code: bool = False,
    imports: bool = True,
) -> tuple[ScenarioSpec, list[str]]:
    """Return a checked scenario, and the references to code that is not an installed part.

    Args:
        path_or_name: as for :func:`load_scenario`.
        overrides: ``key=value`` settings of the user, who may name any code.
        allow_code: whether the file may name any code, too.
        imports: whether this code is imported, and checked; :mod:`cl_moe.references`.

    Raises:
        InputError: as :func:`load_scenario`.
    """
    from cl_moe.streams.overrides import apply_overrides

    path = Path(path_or_name)
    shipped = shipped_scenarios()
    if not path.is_file():
        name = str(path_or_name).replace("-", "_")
        if name not in shipped:
            raise InputError(
                f"no scenario file or name '{path_or_name}'; {did_you_mean(name, shipped)}"
            )
        path = shipped[name]
    given = {"name": path.stem, **read_toml(path)}
    origin = Origin(path, allow_code=allow_code, imports=imports)
    with reading(origin):
        spec = ScenarioSpec.from_dict(given)
    if overrides:
        plain = spec.to_dict()
        changed = apply_overrides(plain, overrides)
        own = frozenset({*strings(changed)} - {*strings(plain)})
        with reading(replace(origin, own=own)):
            spec = ScenarioSpec.from_dict(changed)
    return spec, origin.named


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds, unchecked.

    Raises:
        InputError: it is not TOML, with line and column.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also of numbers of more than 4300 digits
        raise InputError(f"{path}: not valid TOML ({error})") from error
