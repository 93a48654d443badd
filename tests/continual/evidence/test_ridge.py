from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cl_moe.continual.evidence.ridge import STRENGTHS, TEMPERATURES, fit_ridge, leave_one_out


def slow_loo_scores(x, y, classes, strength):
    """Fit n times without one example each, with the same absolute strength."""
    one_hot = F.one_hot(y, classes).double()
    scores = []
    for i in range(len(y)):
        rows = torch.arange(len(y)) != i
        xi, yi = x[rows], one_hot[rows]
        mean, target = xi.mean(0), yi.mean(0)
        gram = (xi - mean).T @ (xi - mean) + strength * torch.eye(x.shape[1])
        weight = torch.linalg.solve(gram, (xi - mean).T @ (yi - target))
        scores.append((x[i] - mean) @ weight + target)
    return torch.stack(scores)


@settings(deadline=None, max_examples=15)
@given(st.integers(6, 20), st.integers(1, 12), st.integers(0, 99))
def test_leave_one_out_equals_leaving_each_one_out(n, d, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    y = torch.arange(n) % 3
    answer = fit_ridge(x, y, 3)
    centred = x - x.mean(0)
    scale = centred.square().sum() / min(x.shape)
    exact = []
    for strength in STRENGTHS:
        scores = slow_loo_scores(x, y, 3, float(strength * scale))
        exact += [F.nll_loss(F.log_softmax(t * scores, 1), y).item() for t in TEMPERATURES]
    assert abs(answer.loo_loss - min(exact)) < 1e-4


@settings(deadline=None, max_examples=15)
@given(st.integers(6, 20), st.integers(1, 30), st.integers(0, 99))
def test_inner_products_alone_tell_what_refits_without_each_example_do(n, d, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    x, y = x - x.mean(0), torch.arange(n) % 3
    found = leave_one_out(x @ x.T, y, 3)
    scale = float(x.square().sum() / n)
    losses = {}
    for strength in STRENGTHS:
        scores = slow_loo_scores(x, y, 3, strength * scale)
        for t in TEMPERATURES:
            losses[strength, t] = F.nll_loss(F.log_softmax(t * scores, 1), y).item()
    assert abs(found.loss - min(losses.values())) < 1e-6
    assert any(abs(found.strength / scale / s - 1) < 1e-6 for s in STRENGTHS)
    assert found.temperature in TEMPERATURES
    exact = found.temperature * slow_loo_scores(x, y, 3, found.strength)
    assert torch.allclose(found.log_probs, exact.log_softmax(1), atol=1e-5)


def test_both_ways_to_leave_one_out_agree_and_classes_may_be_absent():
    g = torch.Generator().manual_seed(0)
    y = 3 * (torch.arange(40) % 2)
    x = torch.randn(40, 60, generator=g, dtype=torch.float64) + F.one_hot(y, 60)
    centred = x - x.mean(0)
    found, answer = leave_one_out(centred @ centred.T, y, 5), fit_ridge(x, y, 5)
    assert abs(found.loss - answer.loo_loss) < 1e-6
    assert torch.allclose(found.log_probs, answer.loo_log_probs.double(), atol=1e-5)


def test_the_answer_predicts_as_its_weights_say_and_ignores_scale():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    x = torch.randn(60, 5, generator=g) + 3 * F.one_hot(y, 5)
    answer, scaled = fit_ridge(x, y, 3), fit_ridge(100 * x, y, 3)
    logits = x @ answer.weight.T + answer.bias
    assert (logits.argmax(1) == y).float().mean() > 0.95
    assert torch.allclose(logits, 100 * x @ scaled.weight.T + scaled.bias, atol=1e-2)


def test_noise_gets_no_better_than_chance():
    g = torch.Generator().manual_seed(0)
    answer = fit_ridge(torch.randn(200, 50, generator=g), torch.arange(200) % 2, 2)
    assert answer.loo_loss > 0.68
