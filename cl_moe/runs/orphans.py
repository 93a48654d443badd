"""The end of a worker process whose driver has died."""

from __future__ import annotations

import os
import select
import threading

__all__ = ("end_with",)


def end_with(pipe: int) -> None:
    """End this process as soon as the other end of a pipe is closed, from a thread of its own.

    The driver holds the other end, and the system closes it when the driver ends, even by SIGKILL.
    Nothing is read from the pipe. Without this, a worker would train on until its run is over. What
    it leaves in temporary folders is removed by the next start.

    Args:
        pipe: the file descriptor to read from. On Windows, nothing is watched.
    """
    if not hasattr(select, "poll"):
        return
    threading.Thread(target=_watch, args=(pipe,), name="driver", daemon=True).start()


def _watch(pipe: int) -> None:
    poll = select.poll()
    poll.register(pipe, 0)  # no event but the hang-up, which is always reported
    while not any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll()):
        pass
    os._exit(1)
