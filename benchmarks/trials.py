"""How often a trial of new experts decides wrongly, and how many steps a lost trial takes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.measuring import RESULTS, Page, spread
from cl_moe.continual.candidates.trial import Score, Trial
from cl_moe.streams.scenario import load_scenario

__all__ = ("Finished", "finished", "summary", "to_the_end")

STUDIES = (
    "ablation_images",
    "ablation_text",
    "capacity",
    "ctrl_minus",
    "ctrl_plastic",
    "low_resource_images",
    "low_resource_text",
    "related_unrelated",
    "relatedness_dial",
)


@dataclass(frozen=True)
class Finished:
    """A trial that was trained to the task's last step, whatever the forecast predicted.

    Attributes:
        used: share of the task's steps that the trial took before the forecast decided.
        chosen: whether the forecast beat the ensemble.
        lead: nats by which the path trained to its end beats the ensemble; negative where it loses.
    """

    used: float
    chosen: bool
    lead: float

    @property
    def wrong(self) -> bool:
        """Whether the decision differs from that by the losses at the last step."""
        return self.chosen != (self.lead > 0)


@contextmanager
def to_the_end(found: list[Finished]) -> Iterator[None]:
    """Train a copy of each trial to its end, and record the result in ``found``."""
    run = Trial.run

    def noted(trial: Trial, to_beat: float) -> Score:
        twin = deepcopy(trial)
        score = run(trial, to_beat)
        steps = trial.view.steps
        twin.train(steps)
        end = min(twin.score().loss, twin.readout().loss)
        if math.isfinite(end):
            found.append(Finished(trial.steps / steps, score.loss < to_beat, to_beat - end))
        return score

    with patch.object(Trial, "run", noted):
        yield


def finished(study: str, seeds: int) -> list[Finished]:
    """Learn a scenario's stream by the default mixture, and return all trials of its decisions."""
    from cl_moe.runs.randomness import isolated, seed_all
    from cl_moe.seeding import derive
    from cl_moe.strategies.task_aware import TaskAwareMoE

    spec = load_scenario(study)
    found: list[Finished] = []
    for seed in range(seeds):
        stream = spec.build_stream(seed)
        with isolated(1), to_the_end(found):
            strategy = TaskAwareMoE(
                shape=stream.shape, network=spec.network, training=spec.training, seed=seed
            )
            experiences = stream.to_benchmark().train_stream
            for position, task in enumerate(stream.tasks):  # probes come after them
                seed_all(derive(seed, "task", task.name, position))
                strategy.train(experiences[position], eval_streams=[])
    return found


def summary(trials: Sequence[Finished]) -> str:
    """Return in a sentence how many decisions were wrong, and by how much.

    >>> summary([Finished(0.1, False, -0.2), Finished(0.2, False, 0.03), Finished(0.2, True, 0.4)])
    '3 trials, 2 paths win at the end; 1 of these not chosen (0.030 nats ahead on average).'
    """
    won = [trial.lead for trial in trials if trial.lead > 0]
    missed = [trial.lead for trial in trials if trial.wrong and trial.lead > 0]
    chosen = [-trial.lead for trial in trials if trial.wrong and trial.lead <= 0]
    text = (
        f"{len(trials)} trials, {len(won)} path{'s win' if len(won) != 1 else ' wins'} at the end"
    )
    parts = []
    for leads, what in ((missed, "of these not chosen"), (chosen, "other chosen")):
        if leads:
            side = "ahead" if leads is missed else "behind"
            mean = sum(leads) / len(leads)
            parts.append(f"{len(leads)} {what} ({mean:.3f} nats {side} on average)")
    return "; ".join([text, *parts]) + "."


def main() -> None:
    """Measure, print and write ``results/benchmarks/trials.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", nargs="+", default=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    given = parser.parse_args()
    page = Page(
        "trials",
        "Decisions by a trial",
        "The default mixture learns the streams of some scenarios with "
        f"{given.seeds} seeds; a copy of every trial of new experts is trained to the task's last "
        "step, whatever the forecast predicts. Losses are on rows held out of the training data.",
        given.folder,
    )
    everything: list[Finished] = []
    for study in given.studies:
        trials = finished(study, given.seeds)
        everything += trials
        lost = [trial.used for trial in trials if not trial.chosen]
        if len(lost) > 1:  # a single value has no spread
            page.add(study, [spread("steps of a lost trial", lost, unit="of the task's")])
        page.note(f"{study}: {summary(trials)}")
    page.note(f"In all: {summary(everything)}")
    page.write()


if __name__ == "__main__":
    main()
