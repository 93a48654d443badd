"""The benchmark of start-up starts what it says, and fails where that fails."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks.start_up import ASKED, COMMANDS, starts


def test_every_command_runs():
    assert set(ASKED) < set(COMMANDS)
    for code in COMMANDS.values():
        starts(code)()


def test_a_command_that_fails_is_not_timed():
    with pytest.raises(subprocess.CalledProcessError):
        starts("import no_such_package")()
