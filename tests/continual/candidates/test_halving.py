"""Successive halving, on trials whose losses are written down beforehand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.continual.candidates.halving import CurvePoint, forecast, hopeless, race
from cl_moe.continual.candidates.trial import Tried


class Written:
    """A trial whose loss after so many steps is known; it notes when it is trained and judged."""

    def __init__(self, loss):
        self.loss, self.steps, self.judged_at = loss, 0, []

    def train(self, until):
        self.steps = max(self.steps, until)

    def judge(self):
        self.judged_at.append(self.steps)
        return Tried(0.5, self.loss(self.steps))


def flat(*losses):
    return [Written(lambda _, loss=loss: loss) for loss in losses]


def test_the_worse_half_drops_out_after_each_lap_and_the_last_one_goes_on():
    trials = flat(0.4, 0.1, 0.3, 0.2, 0.5)
    last, seen = race(trials, lap=10, until=100, to_beat=[math.inf] * len(trials))
    assert last is trials[1]
    assert [trial.steps for trial in trials] == [10, 100, 10, 20, 10]  # 5, then 2, then 1
    assert trials[1].judged_at == [10, 20, 26, 34, 45, 60, 80, 100]
    assert {i: tried.loss for i, tried in seen.items()} == {0: 0.4, 1: 0.1, 2: 0.3, 3: 0.2, 4: 0.5}


def test_one_that_learns_slowly_is_judged_by_where_it_is_and_what_it_showed_last_is_told():
    early = Written(lambda steps: 0.5 - 0.001 * steps)
    late = Written(lambda steps: 1.0 - 0.01 * steps)
    last, seen = race([late, early], lap=10, until=100, to_beat=[math.inf] * 2)
    assert last is early
    assert late.steps == 10
    assert seen[1].loss == pytest.approx(0.4)
    assert seen[0].loss == pytest.approx(0.9)


def test_the_last_one_is_looked_at_each_half_lap_then_each_third_more():
    (trial,) = flat(0.4)
    race([trial], lap=10, until=50, to_beat=[math.inf])
    assert trial.judged_at == [5, 10, 15, 20, 26, 34, 45, 50]


def test_it_is_given_up_where_there_is_no_hope():
    (trial,) = flat(0.41)
    last, seen = race([trial], lap=10, until=100, to_beat=[0.4])
    assert last is trial
    assert trial.judged_at == [5, 10, 15]  # the first two looks tell no pace
    assert seen[0].loss == 0.41


def test_one_that_learns_fast_enough_to_catch_up_is_not_given_up():
    trial = Written(lambda steps: steps**-0.2)
    race([trial], lap=10, until=100, to_beat=[100**-0.2 + 1e-6])  # just reached at the end
    assert trial.steps == 100


def curve_of(loss, *steps):
    return [CurvePoint(step, loss(step)) for step in steps]


@pytest.mark.parametrize(("slope", "given_up"), [(-0.09, True), (-0.11, False)])
def test_it_is_given_twice_the_pace_for_the_benefit_of_the_doubt(slope, given_up):
    to_beat = 30**slope * (10 / 3) ** (-0.2)  # 0.1 and twice that pace, from 30 to 100 steps
    curve = curve_of(lambda steps: steps**slope, 10, 20, 30)
    assert hopeless(curve, 100, to_beat) == given_up


def test_the_pace_is_that_since_a_third_of_the_steps_so_far():
    curve = curve_of(lambda steps: 1.0 if steps < 20 else 0.9, 10, 20, 30, 45, 60)
    for looks, given_up in ((3, False), (4, False), (5, True)):  # since 10, 10 and 20
        assert hopeless(curve[:looks], 100, 0.85) == given_up


def test_a_bad_look_after_a_good_one_does_not_end_it():
    trial = Written(lambda steps: 0.3 if steps == 10 else 0.9)
    race([trial], lap=10, until=100, to_beat=[0.31])
    assert trial.steps == 100


@pytest.mark.parametrize(("to_beat", "steps"), [(0.0, 5), (0.2, 100)])
def test_one_that_has_nothing_left_to_learn_goes_on_unless_that_is_not_enough(to_beat, steps):
    trial = Written(lambda steps: 0.0)
    race([trial], lap=10, until=100, to_beat=[to_beat])
    assert trial.steps == steps


@pytest.mark.parametrize(
    ("loss", "to_beat", "given_up"),
    [(0.95, 0.92, False), (0.89, 0.88, True), (0.95, 0.88, True), (0.95, 0.5, True)],
)
def test_a_plateau_is_waited_out_where_nothing_at_hand_is_better(loss, to_beat, given_up):
    (trial,) = flat(loss)
    race([trial], lap=10, until=100, to_beat=[to_beat], guess=1.0)
    assert trial.steps == (15 if given_up else 100)


def test_who_is_patient_waits_out_any_plateau_and_no_more():
    for loss, steps in ((0.95, 100), (0.89, 15)):
        (trial,) = flat(loss)
        race([trial], lap=10, until=100, to_beat=[0.5], guess=1.0, patient=True)
        assert trial.steps == steps


def test_each_candidate_has_its_own_loss_to_beat():
    worse, better = flat(0.5, 0.4)
    race([worse, better], lap=10, until=100, to_beat=[9.0, 0.3])
    assert better.steps == 34  # the first look beyond three laps
    worse, better = flat(0.5, 0.4)
    race([worse, better], lap=10, until=100, to_beat=[0.3, 9.0])
    assert better.steps == 100


@given(st.integers(1, 50), st.floats(0.01, 5), st.integers(51, 90), st.floats(0.01, 5))
def test_a_forecast_goes_on_the_way_it_went(s, loss, t, loss_now):
    ahead = forecast(CurvePoint(s, loss), CurvePoint(t, loss_now), until=100)
    assert ahead == pytest.approx(loss_now) or (ahead < loss_now) == (loss_now < loss)
    assert forecast(CurvePoint(s, loss), CurvePoint(t, loss_now), until=t) == loss_now


def test_a_lap_is_never_longer_than_the_race():
    trials = flat(0.2, 0.1, 0.3, 0.4)
    race(trials, lap=30, until=40, to_beat=[math.inf] * len(trials))
    assert [trial.steps for trial in trials] == [40, 40, 30, 30]


@given(
    st.lists(st.floats(0.1, 2), min_size=1, max_size=9, unique=True),
    st.integers(1, 30),
    st.integers(1, 60),
)
def test_the_best_wins_all_are_judged_and_none_is_trained_beyond_the_end(losses, lap, until):
    trials = flat(*losses)
    last, seen = race(trials, lap, until, to_beat=[math.inf] * len(trials))
    assert last.loss(0) == min(losses)
    assert last.steps == until
    assert set(seen) == set(range(len(losses)))
    assert all(trial.steps <= until for trial in trials)
    rounds = math.floor(math.log2(len(losses)))
    lost = sum(trial.steps for trial in trials if trial is not last)
    assert lost <= lap * sum(len(losses) // 2**r for r in range(rounds))
