"""The benchmark of trials, at tiny size: that the rule is asked and not obeyed."""

from __future__ import annotations

from benchmarks.trials import Watched, summed, watched, without_end
from cl_moe.continual.candidates import halving as _race
from cl_moe.continual.growth import reuse_or_grow


def test_each_trial_goes_to_its_end_and_what_the_rule_said_is_noted() -> None:
    trials = watched("digits_quick", seeds=1)
    assert trials
    for trial in trials:
        assert 0 < trial.used <= trial.whole <= 0.51
        assert trial.given_up == (trial.used < trial.whole)
    assert any(trial.given_up for trial in trials)


def test_the_rule_is_itself_again_afterwards() -> None:
    before = (_race.hopeless, vars(reuse_or_grow)["race"])
    with without_end([]):
        assert vars(reuse_or_grow)["race"] is not before[1]
    assert (_race.hopeless, vars(reuse_or_grow)["race"]) == before


def test_winners_that_were_kept_are_no_loss() -> None:
    kept = [Watched(0.5, 0.5, False, 0.1), Watched(0.1, 0.5, True, -0.1)]
    assert summed(kept) == "Of 2 trials 1 would have won; none of these was given up."
