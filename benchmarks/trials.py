"""What is saved, and what is lost, where a trial without hope is given up."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.measuring import RESULTS, Page, spread
from cl_moe.continual.candidates import halving as _race
from cl_moe.continual.candidates.trial import Trial, Tried
from cl_moe.continual.growth import reuse_or_grow
from cl_moe.streams.scenario import load_scenario

__all__ = ("Watched", "summed", "watched", "without_end")

STUDIES = (
    "ablation_images",
    "ablation_text",
    "adding_unrelated_images",
    "adding_unrelated_text",
    "capacity",
    "low_resource_images",
    "low_resource_text",
    "related_unrelated",
    "relatedness_dial",
    "unseen_images",
)


@dataclass(frozen=True)
class Watched:
    """A trial that was trained to its end, whatever the rule said.

    Attributes:
        used: share of the task's steps that it had taken when the rule gave it up, or at its end.
        whole: that share at its end.
        given_up: whether the rule gave it up.
        lead: what it was ahead by at its end, in parts of a guess's loss; below zero where it lost.
    """

    used: float
    whole: float
    given_up: bool
    lead: float


@contextmanager
def without_end(found: list[Watched]) -> Iterator[None]:
    """Note in ``found`` what the rule says of each trial, and train it to its end all the same."""
    rule, race = _race.hopeless, _race.race

    def to_the_end(
        trials: Sequence[Trial],
        lap: int,
        until: int,
        to_beat: Sequence[float],
        guess: float,
        patient: bool,
    ) -> tuple[Trial, dict[int, Tried]]:
        given_up: list[int] = []

        def noted(curve: Sequence[_race.CurvePoint], *facts: Any) -> bool:
            if not given_up and rule(curve, *facts):
                given_up.append(curve[-1].steps)
            return False

        with patch.object(_race, "hopeless", noted):
            last, seen = race(trials, lap, until, to_beat, guess, patient)
        place = list(trials).index(last)
        steps = last.view.steps
        used = given_up[0] if given_up else until
        lead = (to_beat[place] - seen[place].loss) / guess
        found.append(Watched(used / steps, until / steps, used < until, lead))
        return last, seen

    with patch.object(reuse_or_grow, "race", to_the_end):
        yield


def watched(study: str, seeds: int) -> list[Watched]:
    """Learn a scenario's stream by the default mixture, and return all trials of its decisions."""
    from cl_moe.runs.randomness import isolated, seed_all
    from cl_moe.seeding import derive
    from cl_moe.strategies.task_aware import TaskAwareMoE

    spec = load_scenario(study)
    found: list[Watched] = []
    for seed in range(seeds):
        stream = spec.build_stream(seed)
        with isolated(1), without_end(found):
            strategy = TaskAwareMoE(
                shape=stream.shape, network=spec.network, training=spec.training, seed=seed
            )
            experiences = stream.to_benchmark().train_stream
            for position, task in enumerate(stream.tasks):  # probes come behind them
                seed_all(derive(seed, "task", task.name, position))
                strategy.train(experiences[position], eval_streams=[])
    return found


def summed(trials: Sequence[Watched]) -> str:
    """Return in a sentence how many trials would have won, and what giving up did to them.

    >>> summed([Watched(0.1, 0.5, True, -0.2), Watched(0.2, 0.5, True, 0.03)])
    'Of 2 trials 1 would have won; 1 of these was given up, ahead by 0.030 of a guess on average.'
    """
    won = [trial for trial in trials if trial.lead > 0]
    lost = [trial.lead for trial in won if trial.given_up]
    text = f"Of {len(trials)} trials {len(won)} would have won"
    if not lost:
        return f"{text}; none of these was given up."
    verb, mean = ("was" if len(lost) == 1 else "were"), sum(lost) / len(lost)
    return (
        f"{text}; {len(lost)} of these {verb} given up, ahead by {mean:.3f} of a guess on average."
    )


def main() -> None:
    """Measure, print and write ``results/benchmarks/trials.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", nargs="+", default=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    given = parser.parse_args()
    page = Page(
        "trials",
        "Trials that are given up",
        "The default mixture learns the streams of some scenarios with "
        f"{given.seeds} seeds; every trial that a race leaves is trained to its end, half of the "
        "task's steps, whatever the rule says of it. What is measured are losses on rows held out "
        "of the training data.",
        given.folder,
    )
    everything: list[Watched] = []
    for study in given.studies:
        trials = watched(study, given.seeds)
        everything += trials
        lost = [trial for trial in trials if trial.lead <= 0 or trial.given_up]
        if len(lost) > 1:  # one alone has no spread
            page.add(
                study,
                [
                    spread("steps of a lost trial", [t.used for t in lost], unit="of the task's"),
                    spread("to its end", [t.whole for t in lost], unit="of the task's"),
                ],
            )
        page.note(f"{study}: {summed(trials)}")
    page.note(f"In all: {summed(everything)}")
    page.write()


if __name__ == "__main__":
    main()
