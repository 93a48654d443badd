"""Wall and processor time of a part of a run, which may have been interrupted."""

from __future__ import annotations

import time
from collections.abc import Sequence

__all__ = ("Stopwatch",)


class Stopwatch:
    """Measures from its construction to :meth:`stop`, after the time of an earlier process.

    Attributes:
        seconds: wall time, in seconds.
        cpu_seconds: processor time, in seconds.

    >>> first, second = Stopwatch(), Stopwatch()
    >>> second.restore([60.0, 30.0])
    >>> second.stop()
    >>> second.seconds > 60, second.cpu_seconds > 30
    (True, True)
    """

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self._start, self._cpu_start = time.perf_counter(), time.process_time()

    def state(self) -> list[float]:
        """Return both times so far."""
        return [
            self.seconds + time.perf_counter() - self._start,
            self.cpu_seconds + time.process_time() - self._cpu_start,
        ]

    def restore(self, state: Sequence[float]) -> None:
        """Add the times of an earlier process."""
        self.seconds, self.cpu_seconds = state

    def stop(self) -> None:
        """Set the attributes."""
        self.seconds, self.cpu_seconds = self.state()
