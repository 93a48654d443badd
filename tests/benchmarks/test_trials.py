"""The benchmark of trials, at tiny size: each is trained to its end beside the decision."""

from __future__ import annotations

from benchmarks.trials import Finished, finished, summary, to_the_end
from cl_moe.continual.candidates.trial import CHECKPOINTS, Trial


def test_a_twin_is_trained_to_its_end_and_the_decision_is_as_it_was() -> None:
    trials = finished("digits_quick", seeds=1)
    assert trials
    for trial in trials:
        assert 0 < trial.used <= CHECKPOINTS[-1] + 0.01
        assert trial.wrong == (trial.chosen != (trial.lead > 0))


def test_the_trial_is_itself_again_afterwards() -> None:
    before = Trial.run
    with to_the_end([]):
        assert Trial.run is not before
    assert Trial.run is before


def test_paths_that_were_chosen_and_lose_are_told_apart_from_those_that_win_unchosen() -> None:
    trials = [Finished(0.2, True, -0.1), Finished(0.1, False, 0.3), Finished(0.1, False, -1.0)]
    assert summary(trials) == (
        "3 trials, 1 path wins at the end; 1 of these not chosen (0.300 nats ahead on "
        "average); 1 other chosen (0.100 nats behind on average)."
    )
