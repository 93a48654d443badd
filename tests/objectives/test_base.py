"""What every objective promises."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from cl_moe.errors import InputError
from cl_moe.objectives import SCORES
from cl_moe.objectives.base import Objective
from cl_moe.objectives.named import OBJECTIVES, make_objective

EVERY = [(name, outputs) for name in OBJECTIVES for outputs in (1, 3)]


def some(objective: Objective, n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs, and targets that are drawn from the distribution they stand for."""
    draw = torch.Generator().manual_seed(0)
    outputs = 2 * torch.randn(n, objective.n_outputs, generator=draw)
    noise = objective.noise(n, draw)
    return outputs, objective.sample(objective.normalised(outputs), noise)


@pytest.fixture(params=EVERY, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def objective(request: pytest.FixtureRequest) -> Objective:
    return make_objective(*request.param)


def test_is_a_plain_value(objective: Objective) -> None:
    again = make_objective(**json.loads(json.dumps(objective.state())))
    assert again == objective
    assert hash(again) == hash(objective)
    assert again in {copy.deepcopy(objective)}
    others = [make_objective(name, n) for name, n in EVERY]
    assert [other == objective for other in others].count(True) == 1


def test_needs_an_output(objective: Objective) -> None:
    with pytest.raises(InputError, match="; give 1 or more"):
        type(objective)(0)


def test_names_its_score_first_and_which_way_is_better(objective: Objective) -> None:
    metrics = objective.metrics(*some(objective))
    assert next(iter(metrics)) == objective.score == SCORES[objective.name]
    assert list(metrics)[-1] == "loss"
    assert set(metrics) == set(objective.higher_is_better)
    assert objective.higher_is_better[objective.score]
    assert set(metrics) & set(SCORES.values()) == {objective.score}


def test_the_mean_loss_is_that_of_the_rows(objective: Objective) -> None:
    outputs, y = some(objective)
    rows = objective.loss(outputs, y, "none")
    assert rows.shape == (len(y),)
    assert objective.loss(outputs, y).item() == pytest.approx(rows.mean().item(), rel=1e-5)
    assert objective.metrics(outputs, y)["loss"] == pytest.approx(rows.mean().item(), rel=1e-5)


def test_padding_changes_nothing(objective: Objective) -> None:
    outputs, y = some(objective)
    column = y[:, None] if y.ndim == 1 else y
    padded = torch.cat([column.float(), torch.zeros(len(y), 2)], 1)
    assert torch.equal(objective.targets(padded), objective.targets(y))
    assert objective.targets(padded).dtype == objective.targets(y).dtype
    assert torch.equal(objective.loss(outputs, padded), objective.loss(outputs, y))
    assert torch.equal(objective.encode(padded), objective.encode(y))
    assert torch.equal(objective.strata(padded), objective.strata(y))
    assert objective.metrics(outputs, padded) == objective.metrics(outputs, y)
    assert objective.calibrated_score(outputs, padded) == objective.calibrated_score(outputs, y)
    normalised = objective.normalised(outputs)
    assert torch.equal(objective.log_prob(normalised, padded), objective.log_prob(normalised, y))


def test_a_fit_of_encoded_targets_predicts_them(objective: Objective) -> None:
    _, y = some(objective)
    encoded = objective.encode(y)
    assert encoded.shape == (len(y), objective.n_outputs)
    assert encoded.dtype == torch.float64
    assert torch.equal(objective.predict(encoded.float()), objective.targets(y))
    assert not objective.target_problems(objective.predict(encoded.float()))


def test_calibration_takes_the_factor_with_the_least_loss(objective: Objective) -> None:
    _, y = some(objective)
    outputs = objective.encode(y) + 0.1 * torch.randn(
        len(y), objective.n_outputs, generator=torch.Generator().manual_seed(1)
    )
    found = objective.calibrate(outputs, y, [0.5, 1.0, 8.0])
    each = [objective.calibrate(outputs, y, [factor]).loss for factor in (0.5, 1.0, 8.0)]
    assert found.loss == pytest.approx(min(each))
    assert found.predicted.shape == outputs.shape
    worse = objective.calibrate(outputs.flip(0), y, [0.5, 1.0, 8.0])
    if objective.n_outputs > 1 or objective.name != "classification":
        assert worse.loss > found.loss


def test_a_constant_answer_has_the_loss_of_a_guess(objective: Objective) -> None:
    _, y = some(objective)
    share = objective.encode(y).mean(0)
    if objective.name == "classification":
        share = share.clamp_min(1e-9).log()
    if objective.name == "multilabel":
        share = ((1 + share) / (1 - share)).log()
    score, loss = objective.calibrated_score(share.expand(len(y), -1), y)
    assert loss == pytest.approx(objective.constant_loss(y), abs=1e-5)
    assert loss >= 0
    best = objective.calibrated_score(
        8 * objective.encode(y) if loss != 1 else objective.encode(y), y
    )
    assert best[0] >= score
    assert best[1] <= loss + 1e-6


def test_samples_are_as_likely_as_their_log_probability_says(objective: Objective) -> None:
    """The expected score of the log-likelihood is 0: its gradient averages out over samples."""
    draw = torch.Generator().manual_seed(2)
    outputs = torch.randn(1, objective.n_outputs, generator=draw).repeat(20_000, 1)
    outputs.requires_grad_(True)
    normalised = objective.normalised(outputs)
    y = objective.sample(normalised.detach(), objective.noise(len(outputs), draw))
    objective.log_prob(normalised, y).sum().backward()
    assert outputs.grad is not None
    assert outputs.grad.mean(0).abs().max() < 0.03


def test_outputs_are_counted_in_words() -> None:
    said = [make_objective(name, n).counted for name, n in EVERY]
    assert said == ["1 class", "3 classes", "1 output", "3 outputs", "1 label", "3 labels"]
