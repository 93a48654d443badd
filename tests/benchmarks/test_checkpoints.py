"""The benchmark of checkpoints measures a run that was killed and continued."""

from __future__ import annotations

import pytest

from benchmarks.checkpoints import Killed, plan_of, run, seconds_after_a_kill


def test_a_killed_run_is_continued_and_not_repeated(tmp_path):
    with pytest.raises(Killed):
        run(plan_of("dense", 3), tmp_path, stop=2)
    assert list(tmp_path.glob("checkpoints/dense-seed_0/checkpoint-*.json"))
    whole, again = seconds_after_a_kill(plan_of("dense", 6), share=0.5)
    assert min(whole, again) > 0
