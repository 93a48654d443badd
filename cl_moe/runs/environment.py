"""The environment of a run: versions and threads, without names of machines, people or paths."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl_moe.runs.plan import StudyPlan

__all__ = ("environment", "peak_memory", "version")

PACKAGES = ("torch", "numpy", "avalanche-lib", "scikit-learn")


def environment(plan: StudyPlan) -> dict[str, Any]:
    """Return versions, commit, platform, threads and device of this process, JSON-able."""
    return {
        "cl_moe": version(),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": plan.device,
        "threads": plan.threads,
    }


def peak_memory() -> float | None:
    """Return the peak main memory of this process, in MiB; None on Windows.

    It is of the process and not of one run: Python and torch are in it, it never falls, and runs
    that follow one another in a process share it; on Linux a process that another one starts
    begins with the peak of that one. So it is an upper bound of a run's memory. GPU memory is not
    included.

    >>> found = peak_memory()
    >>> found is None or found > 1
    True
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10  # bytes there, KiB here


def version() -> str:
    """Return cl_moe's version, or "unknown" where it runs without having been installed."""
    return _version("cl-moe") or "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _commit() -> str | None:
    """Return the commit of the checkout this runs from ("+" after it: changed since), or None."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--", "cl_moe") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
