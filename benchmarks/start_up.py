"""What importing cl_moe and asking for help cost, against starting Python: ``make bench``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from benchmarks.measuring import Page, quotient, side_by_side, spread

__all__ = ("ASKED", "COMMANDS", "starts")

COMMANDS = {
    "python -c pass": "pass",
    "import cl_moe": "import cl_moe",
    "cl-moe --help": (
        "import sys; sys.argv = ['cl-moe', '--help']; from cl_moe.cli import main; main()"
    ),
}
"""What a fresh interpreter runs. The last is what the installed command does."""

ASKED = {"import cl_moe": 0.3, "cl-moe --help": 0.5}
"""Seconds, at most, on a warm disk."""


def starts(code: str) -> Callable[[], object]:
    """Return what starts an interpreter, lets it run ``code`` and waits for its end."""

    def start() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)

    return start


def main() -> None:
    """Take the figures and write the page."""
    about = (
        "Seconds from starting a fresh interpreter to its end, on a warm disk, and the same over "
        "an interpreter that does nothing. `tests/test_rules.py` holds what is loaded by name."
    )
    page = Page("start_up", "Start-up", about)
    times = side_by_side({name: starts(code) for name, code in COMMANDS.items()}, rounds=25)
    none, *others = COMMANDS
    seconds = [spread(name, times[name], ASKED.get(name), "s") for name in COMMANDS]
    page.add("Seconds", seconds)
    page.add("Quotients", [quotient(f"{n} / {none}", times[n], times[none]) for n in others])
    page.write()


if __name__ == "__main__":
    main()
