"""Which small faults in the code its tests notice: mutation testing, sampled.

A mutant is a module with one change by an operator of Cosmic Ray: another operator or number, a
negated condition, a loop that is not entered. It is killed if a doctest of it or a mirrored test
fails, or takes three times as long as without the change. Mutants are drawn evenly over the files
of a group, at random places, not in annotations. All runs on a copy of the tree.

Cosmic Ray is no dependency of cl_moe; install it separately, for instance beside the environment::

    pip install --target cosmic cosmic-ray==8.7.0
    PYTHONPATH=.:cosmic python -m benchmarks.mutation --group metrics --mutants 60 --seed 0
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

__all__ = ("GROUPS", "behaviour", "changed", "mirrored", "mutants_of", "outcome", "sample")
ROOT = Path(__file__).parents[1]
PARTS = ("cl_moe", "tests", "scenarios", "pyproject.toml")
GROUPS = {
    "metrics": ("analysis/metrics", "analysis/scores.py", "analysis/stats.py"),
    "growth": ("continual/growth", "continual/candidates/budget.py",
               "continual/evidence/ridge.py", "continual/evidence/weights.py"),
    "checkpoints": ("runs/checkpoints", "training/resume.py"),
    "plugin": ("training/plugin.py",),
}  # fmt: skip
"""Modules and folders of modules of cl_moe; their tests have the same place in tests, except:"""
TESTS = {"budget.py": "continual/growth", "resume.py": "runs/checkpoints", "plugin.py": "training"}
SELECTED = {"checkpoints": "not every_ or agem or limited or dense-adamw"}
"""A selection where all tests take minutes: of those of every method, a few methods."""


def behaviour(code: str) -> str:
    """Return the syntax of a module without its annotations.

    >>> behaviour("def f(x: int | None) -> int: ...") == behaviour("def f(x): ...")
    True
    """
    for node in ast.walk(tree := ast.parse(code)):
        for name in {"annotation", "returns"} & {*node._fields}:
            setattr(node, name, None)
    return ast.dump(tree)


def mutants_of(source: str, draw: random.Random) -> Iterator[tuple[str, str]]:
    """Yield the operator and the code of a mutant at each place of a module, in random order."""
    try:
        from cosmic_ray.ast import ast_nodes, get_ast
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator, operator_names
    except ImportError as error:
        raise SystemExit(f"{error}; install cosmic-ray as benchmarks/mutation.py says") from error
    places: dict[object, list[tuple[str, int]]] = {}
    for name in sorted(n for n in operator_names() if not get_operator(n).arguments()):
        positions = get_operator(name)().mutation_positions
        found = [place for node in ast_nodes(get_ast(source)) for place in positions(node)]
        for occurrence, place in enumerate(found):
            places.setdefault(place, []).append((name, occurrence))
    for place in draw.sample(sorted(places, key=repr), len(places)):
        name, occurrence = draw.choice(places[place])
        code = str(mutate_code(source, get_operator(name)(), occurrence))
        try:
            if behaviour(code) != behaviour(source):
                yield name.removeprefix("core/"), code
        except SyntaxError:
            continue


def sample(group: str, seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield (file, operator, code): a mutant of each file, then another of each, and so on."""
    left = {}
    for part in GROUPS[group]:
        for path in sorted((ROOT / "cl_moe" / part).glob("*.py")) or [ROOT / "cl_moe" / part]:
            name = path.relative_to(ROOT).as_posix()
            left[name] = mutants_of(path.read_text("utf-8"), random.Random(f"{seed} {name}"))
    while left:
        drawn = [(name, next(mutants, None)) for name, mutants in left.items()]
        left = {name: left[name] for name, mutant in drawn if mutant is not None}
        yield from ((name, *mutant) for name, mutant in drawn if mutant is not None)


def changed(old: str, new: str) -> str:
    """Return the changed lines, after the number of the first of them."""
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm=""))[2:]
    return "\n  ".join([lines[0].split()[1].strip("-").split(",")[0], *lines[1:]])


def mirrored(group: str, file: str) -> list[str]:
    """Return what to run for a module: its doctests, its own test, the others of its folder."""
    path = Path(file.removeprefix("cl_moe/"))
    own = ROOT / "tests" / path.with_name(f"test_{path.name}")
    alone = path.as_posix() in GROUPS[group] and path.name not in TESTS
    found = () if alone else (ROOT / "tests" / TESTS.get(path.name, path.parent)).glob("test_*.py")
    tests = [test for test in [own, *sorted({*found} - {own})] if test.is_file()]
    return [file, *(str(test.relative_to(ROOT)) for test in tests), "-k", SELECTED.get(group, "")]


def outcome(copy: Path, tests: Sequence[str], limit: float | None = None) -> str:
    """Run tests in a copy of the tree; return ``survived``, ``killed`` or, by time, ``timeout``."""
    words = [sys.executable, "-m", "pytest", "-xq", "-pno:cacheprovider", "-m", "not slow", *tests]
    env = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "CL_MOE_FAST": "1"}
    try:
        ended = subprocess.run(words, cwd=copy, env=env, timeout=limit, capture_output=True)
    except subprocess.TimeoutExpired:
        return "timeout"
    return "killed" if ended.returncode else "survived"


def main(words: Sequence[str] | None = None) -> None:
    """Run the tests of a group on its mutants; print each one with its outcome, and the counts."""
    reader = argparse.ArgumentParser(prog="benchmarks.mutation", description="Mutation testing.")
    reader.add_argument("--group", choices=list(GROUPS), required=True)
    for option, default in (("--mutants", 60), ("--seed", 0)):
        reader.add_argument(option, type=int, default=default)
    given = reader.parse_args(words)
    count, limits = Counter[str](), dict[frozenset[str], float]()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in PARTS:
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, copy / part)
        for file, operator, code in islice(sample(given.group, given.seed), given.mutants):
            source, tests = (ROOT / file).read_text("utf-8"), mirrored(given.group, file)
            own, start = frozenset(tests[1:]), time.perf_counter()
            if own not in limits:
                assert outcome(copy, tests) == "survived", f"without a change, {tests} fail"
                limits[own] = 3 * (time.perf_counter() - start)
            (copy / file).write_text(code, "utf-8")
            found = outcome(copy, tests, limits[own])
            (copy / file).write_text(source, "utf-8")
            count[found] += 1
            print(f"{found}: {operator} {file}:{changed(source, code)}", flush=True)
    print(f"{given.group}: {sum(count.values())} mutants, {dict(count)}")


if __name__ == "__main__":
    main()
