"""What a run ran on: versions and threads; nothing that names a machine, a person or a path."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl_moe.runs.plan import StudyPlan

__all__ = ("environment", "version")

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
