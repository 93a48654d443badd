from __future__ import annotations

import io

import pytest
from rich.console import Console

from cl_moe.runs.plan import Job, MethodPlan, Progress
from cl_moe.runs.progress import Display, LiveDisplay, PlainDisplay, SilentDisplay, open_display

JOB = Job(MethodPlan("moe", "moe"), seed=1)
HALF = Progress(JOB.label, task=1, tasks=4, name="mnist", epoch=2, epochs=4, accuracy=0.9)


def play(display: Display) -> None:
    with display:
        display.begin("study", 2)
        display.tell(HALF)
        display.note("a note with [brackets]")
        display.ended(JOB, "average accuracy 90.0")


def test_lines_where_there_is_no_terminal() -> None:
    text = io.StringIO()
    play(PlainDisplay(Console(file=text), seconds=0.0))
    lines = text.getvalue().splitlines()
    assert lines[0] == "study: 2 runs to do"
    assert lines[1].startswith("  moe, seed 1: task 2/4 mnist, epoch 2/4, accuracy 90.0; about")
    assert lines[2] == "a note with [brackets]"
    assert lines[3].startswith("[1/2] moe, seed 1: average accuracy 90.0; about")


def test_the_last_line_says_how_long_it_took() -> None:
    text = io.StringIO()
    display = PlainDisplay(Console(file=text))
    display.begin("study", 1)
    display.ended(JOB, "average accuracy 90.0")
    assert text.getvalue().endswith(" s in all\n")


def test_lines_come_only_now_and_then() -> None:
    text = io.StringIO()
    display = PlainDisplay(Console(file=text), seconds=1e9)
    display.begin("study", 2)
    for _ in range(5):
        display.tell(HALF)
    assert len(text.getvalue().splitlines()) == 1


def test_bars_on_a_terminal() -> None:
    text = io.StringIO()
    console = Console(
        file=text, force_terminal=True, width=150, height=20, color_system=None, highlight=False
    )
    display = LiveDisplay(console)
    with display:
        display.begin("study", 2)
        display.tell(HALF)
        display._bars.refresh()
        shown = text.getvalue()
        display.ended(JOB, "average accuracy 90.0")
    assert "task 2/4 mnist, epoch 2/4, accuracy 90.0" in shown
    assert "0/2 runs" in shown
    assert "moe, seed 1: average accuracy 90.0" in text.getvalue()


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    play(SilentDisplay())
    assert isinstance(open_display(False), SilentDisplay)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    display = open_display(True)
    assert isinstance(display, PlainDisplay)
    play(display)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "study: 2 runs to do" in captured.err


def test_the_share_of_a_run_that_is_done() -> None:
    assert HALF.fraction == pytest.approx(0.375)
    assert Progress("r", 3, 4, "n", epoch=9, epochs=4).fraction == 1.0
    assert Progress("r", 0, 0, "n", epoch=0, epochs=0).fraction == 1.0
