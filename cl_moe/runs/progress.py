"""Progress displays: a live display, or occasional lines."""

from __future__ import annotations

import abc
import time
from types import TracebackType
from typing import TYPE_CHECKING

from cl_moe.escape import line
from cl_moe.runs.formatting import counted, duration
from cl_moe.runs.plan import Job, Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

__all__ = ("Display", "LiveDisplay", "PlainDisplay", "SilentDisplay", "open_display")


class Display(abc.ABC):
    """Shows a study's progress, in the driver; a context manager."""

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    @abc.abstractmethod
    def begin(self, study: str, runs: int) -> None:
        """``runs`` runs of ``study`` are to come."""

    @abc.abstractmethod
    def tell(self, progress: Progress) -> None:
        """Report the progress of a run."""

    @abc.abstractmethod
    def ended(self, job: Job, text: str) -> None:
        """Report the end of a run, with a message ``text``."""

    @abc.abstractmethod
    def note(self, text: str) -> None:
        """Show a note to the user."""


def open_display(progress: bool) -> Display:
    """Return a live display on a terminal, lines elsewhere (a file, a notebook), or a silent one.

    All of them write to standard error, so that standard output holds only results.
    """
    if not progress:
        return SilentDisplay()
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if console.is_terminal and not console.is_jupyter:
        return LiveDisplay(console)
    console = Console(stderr=True, highlight=False, soft_wrap=True, force_jupyter=False)
    return PlainDisplay(console)


class SilentDisplay(Display):
    """Shows nothing."""

    def begin(self, study: str, runs: int) -> None:
        """Say nothing."""

    def tell(self, progress: Progress) -> None:
        """Say nothing."""

    def ended(self, job: Job, text: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


class PlainDisplay(Display):
    """A line at the end of each run, and every ``seconds`` one on the runs under way."""

    def __init__(self, console: Console, seconds: float = 20.0) -> None:
        self._console, self._seconds = console, seconds
        self._clock = _Clock(0)
        self._last = time.monotonic()

    def begin(self, study: str, runs: int) -> None:
        """Say what is to come."""
        self._clock = _Clock(runs)
        self.note(f"{study}: {counted(runs, 'run')} to do")

    def tell(self, progress: Progress) -> None:
        """Say where the run is, if nothing has been said for a while."""
        self._clock.reached(progress)
        if time.monotonic() - self._last >= self._seconds:
            self.note(f"  {describe(progress)}; {self._clock.left()}")

    def ended(self, job: Job, text: str) -> None:
        """Say how a run ended."""
        self._clock.ended(job)
        clock = self._clock
        self.note(f"[{clock.done}/{clock.runs}] {job.label}: {text}; {clock.left()}")

    def note(self, text: str) -> None:
        """Print a line."""
        self._last = time.monotonic()
        _print(self._console, text)


class LiveDisplay(Display):
    """A bar for the study, and one for every run under way."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            transient=True,
        )
        self._clock = _Clock(0)
        self._study: TaskID | None = None
        self._runs: dict[str, TaskID] = {}

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, study: str, runs: int) -> None:
        """Show the study's bar."""
        self._clock = _Clock(runs)
        self._study = self._bars.add_task(line(study), total=runs, text=f"0/{runs} runs")

    def tell(self, progress: Progress) -> None:
        """Move the bars of the run and the study."""
        self._clock.reached(progress)
        if progress.run not in self._runs:
            self._runs[progress.run] = self._bars.add_task(line(progress.run), total=1.0, text="")
        text = line(describe(progress).removeprefix(f"{progress.run}: "))
        self._bars.update(self._runs[progress.run], completed=progress.fraction, text=text)
        self._move()

    def ended(self, job: Job, text: str) -> None:
        """Say how a run ended, above the bars, and take its bar away."""
        self._clock.ended(job)
        if job.label in self._runs:
            self._bars.remove_task(self._runs.pop(job.label))
        self._move()
        self.note(f"{job.label}: {text}")

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        _print(self._bars.console, text)

    def _move(self) -> None:
        if self._study is not None:
            clock = self._clock
            text = f"{clock.done}/{clock.runs} runs, {clock.left()}"
            self._bars.update(self._study, completed=clock.work(), text=text)


def _print(console: Console, text: str) -> None:
    """Print a line as it is, without markup."""
    from rich.text import Text

    console.print(Text(line(text)))


class _Clock:
    """Estimates the time left from the share of the work that is done."""

    def __init__(self, runs: int) -> None:
        self.runs, self.done = runs, 0
        self._under_way: dict[str, float] = {}
        self._start = time.monotonic()

    def reached(self, progress: Progress) -> None:
        self._under_way[progress.run] = progress.fraction

    def ended(self, job: Job) -> None:
        self.done += 1
        self._under_way.pop(job.label, None)

    def work(self) -> float:
        return self.done + sum(self._under_way.values())

    def left(self) -> str:
        spent, work = time.monotonic() - self._start, self.work()
        if self.done >= self.runs:
            return f"{duration(spent)} in all"
        if work <= 0:
            return "time left not known yet"
        return f"about {duration(spent * max(self.runs - work, 0) / work)} left"


def describe(progress: Progress) -> str:
    """Return a line on where a run is.

    >>> describe(Progress("moe, seed 0", 2, 10, "kmnist", epoch=3, epochs=5, accuracy=0.871))
    'moe, seed 0: task 3/10 kmnist, epoch 3/5, accuracy 87.1'
    """
    text = f"{progress.run}: task {progress.task + 1}/{progress.tasks} {progress.name}"
    text += f", epoch {progress.epoch}/{progress.epochs}"
    value = progress.accuracy
    return text if value is None else f"{text}, {progress.score} {100 * value:.1f}"
