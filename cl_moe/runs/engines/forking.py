"""Worker processes as forks of one process that has imported what runs need.

An import of PyTorch and Avalanche takes longer than many a run, so it is done once, while the
driver checks the study, and not in each worker. The process,
``python -m cl_moe.runs.engines.forking``, only imports: it has one thread and computes nothing, so
that forks of it are safe. That holds on Linux, for runs of one thread on the CPU. Else, or if this
process has died, workers are started as processes of their own.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
from typing import IO

__all__ = ("ForkServer", "Forked", "available", "environment", "start_early")

_MESSAGE = 64  # bytes, at most; SOCK_SEQPACKET keeps messages apart
_READY = b"ready"


def available(device: str, threads: int) -> bool:
    """Tell whether workers for this device and this number of torch threads can be forked.

    >>> available("cuda", 1), available("cpu", 2)
    (False, False)
    """
    return sys.platform == "linux" and device == "cpu" and threads == 1


def environment(threads: int) -> dict[str, str]:
    """Return the variables of a process that runs jobs with this number of threads."""
    paths = [path or os.curdir for path in sys.path]
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}
    return {**os.environ, **own}


class ForkServer:
    """The process that is forked, as its driver sees it."""

    _early: ForkServer | None = None

    def __init__(self) -> None:
        self._forks, self._ready = 0, False
        self._codes: dict[int, int] = {}
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cl_moe.runs.engines.forking", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment(threads=1),
                start_new_session=True,
            )

    @classmethod
    def take(cls) -> ForkServer:
        """Return the process that was started early, or a new one."""
        early, cls._early = cls._early, None
        return early or cls()

    @property
    def alive(self) -> bool:
        """Whether it can be forked, now or when it has imported everything."""
        return self._process.poll() is None

    def fork(self, log: IO[bytes]) -> Forked:
        """Return a new worker; what it prints goes to ``log``. Nothing is waited for."""
        self._forks += 1
        stdin, to_worker = os.pipe()
        from_worker, stdout = os.pipe()
        with contextlib.suppress(OSError):  # it has ended: so has the worker, as its pipes say
            fds = [stdin, stdout, log.fileno()]
            socket.send_fds(self._socket, [b"fork %d" % self._forks], fds)
        os.close(stdin)
        os.close(stdout)
        return Forked(self, self._forks, to_worker, from_worker)

    def kill(self, number: int) -> None:
        """Kill a worker. Before the first one exists, this process ends instead."""
        while select.select([self._socket], [], [], 0)[0] and self._read():
            pass
        if not self._ready:
            self._process.kill()
        elif number not in self._codes:
            with contextlib.suppress(OSError):
                self._socket.send(b"kill %d" % number)

    def wait(self, number: int) -> int:
        """Return the exit code of a worker when it has ended; negative: the signal."""
        while number not in self._codes and self._read():
            pass
        return self._codes.get(number, -signal.SIGKILL)

    def close(self) -> None:
        """End the process, and workers that are left."""
        if not self._ready:
            self._process.kill()
        self._socket.close()
        self._process.wait()

    def _read(self) -> bool:
        """Read a message; return whether there was one."""
        try:
            message = self._socket.recv(_MESSAGE)
        except OSError:
            return False
        if message == _READY:
            self._ready = True
        elif message:
            number, code = map(int, message.split())
            self._codes[number] = code
        return bool(message)


class Forked:
    """A forked worker, with the attributes of a :class:`subprocess.Popen` that are used."""

    def __init__(self, server: ForkServer, number: int, to_worker: int, from_worker: int) -> None:
        self._server, self._number = server, number
        self.stdin = os.fdopen(to_worker, "wb")
        self.stdout = os.fdopen(from_worker, "rb")

    def kill(self) -> None:
        """Kill it."""
        self._server.kill(self._number)

    def wait(self) -> int:
        """Return its exit code when it has ended."""
        return self._server.wait(self._number)


def start_early() -> None:
    """Start the process before it is known what is to be run: the command imports meanwhile."""
    if ForkServer._early is None:
        ForkServer._early = ForkServer()
        atexit.register(_close_early)


def _close_early() -> None:
    if ForkServer._early is not None:
        ForkServer._early.close()


def main() -> None:
    """Import what runs need, then fork a worker at each request, until the driver ends."""
    from cl_moe.runs.worker import import_what_runs_need
    from cl_moe.runs.worker import main as work

    control = socket.socket(fileno=int(sys.argv[1]))
    import_what_runs_need()
    gc.collect()
    gc.freeze()  # what is imported stays in pages that all workers share
    if _is_worker(control):
        work()


def _is_worker(control: socket.socket) -> bool:
    """Serve the driver's requests; return True in each fork, False when the driver has ended."""
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the wakeup is written
    numbers: dict[int, int] = {}  # of living workers, by process id
    control.send(_READY)
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _report_ended(control, numbers)
        if control in ready:
            message, fds, _, _ = socket.recv_fds(control, _MESSAGE, 3)
            if not message:
                for pid in numbers:
                    os.kill(pid, signal.SIGKILL)
                return False
            request, number = message.split()
            if request == b"kill":
                for pid in [pid for pid, own in numbers.items() if own == int(number)]:
                    os.kill(pid, signal.SIGKILL)  # not reaped yet, so it is no other process
            elif pid := os.fork():
                numbers[pid] = int(number)
                for fd in fds:
                    os.close(fd)
            else:
                _become_worker(fds, [control, woken, waker])
                return True


def _report_ended(control: socket.socket, numbers: dict[int, int]) -> None:
    for pid in list(numbers):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            with contextlib.suppress(OSError):
                control.send(b"%d %d" % (numbers.pop(pid), code))


def _become_worker(fds: list[int], sockets: list[socket.socket]) -> None:
    """Give a fork a session, signals and standard streams of its own."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()  # Ctrl-C only reaches the driver, which stops its workers
    for stream, fd in enumerate(fds):
        os.dup2(fd, stream)
        os.close(fd)
    for each in sockets:
        each.close()


if __name__ == "__main__":
    main()
