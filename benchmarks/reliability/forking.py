"""Child processes that are forked from one which has imported everything.

A process is forked while it has one thread, so that parts which do so run in a process of their
own, see :func:`apart`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ("apart", "ended", "forked")


def apart(module: str, *words: str) -> dict[str, Any]:
    """Run a module as a script, and return the JSON object that it prints last.

    What it wrote to standard error is written again.

    Raises:
        RuntimeError: it failed; with the end of what it wrote to standard error.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    if done.returncode:
        raise RuntimeError(f"{module}: exit code {done.returncode}: {done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def forked(act: Callable[[], int]) -> int:
    """Call a function in a child process, which exits with what it returns; return its number.

    The child exits with 1 after an exception, and prints it.
    """
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        code = act()
    except BaseException:  # noqa: BLE001 - the child must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(process: int, seconds: float | None = None) -> int | None:
    """Return the exit code of a child; None if it still runs after this number of seconds."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() >= end:
            return None
        time.sleep(0.002)
