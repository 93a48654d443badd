"""The penalty equals what the paper writes; the Fisher information is that of single samples."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from cl_moe.continual.regularizers.batch_ewc import BatchEWC
from cl_moe.continual.regularizers.ewc import EWC, fisher
from cl_moe.objectives.multilabel import Multilabel
from cl_moe.objectives.regression import Regression


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def log_likelihood_of(module):
    return lambda parameters, x_B: functional_call(module, parameters, (x_B,)).log_softmax(-1)


def rows(n: int, seed: int = 0):
    source = torch.Generator().manual_seed(seed)
    x_NX = torch.randn(n, 3, generator=source, dtype=torch.float64)
    return x_NX, torch.randint(0, 3, (n,), generator=source)


def slow_fisher(module, x_NX, y_N):
    total = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    for x, y in zip(x_NX, y_N, strict=True):
        module.zero_grad()
        module(x[None]).log_softmax(-1)[0, y].backward()
        for name, p in module.named_parameters():
            total[name] += p.grad**2
    return {name: value / len(x_NX) for name, value in total.items()}


@pytest.mark.parametrize("labels", ["true", "predicted"])
@pytest.mark.parametrize("vectorize", [True, False])
def test_fisher_equals_a_loop_over_single_samples(labels, vectorize):
    module, (x_NX, y_N) = network(), rows(7)
    found = fisher(
        dict(module.named_parameters()),
        log_likelihood_of(module),
        x_NX,
        y_N,
        labels=labels,
        vectorize=vectorize,
    )
    expected = slow_fisher(module, x_NX, y_N if labels == "true" else module(x_NX).argmax(-1))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_fisher_is_not_the_square_of_the_mean_gradient():
    """The trap of common implementations: on opposite gradients the mean's square is zero."""
    w = torch.zeros(1, 2, dtype=torch.float64)
    x_NX, y_N = torch.ones(2, 1, dtype=torch.float64), torch.tensor([0, 1])
    found = fisher(
        {"w": w}, lambda p, x_B: (x_B @ p["w"]).log_softmax(-1), x_NX, y_N, labels="true"
    )
    torch.testing.assert_close(found["w"], torch.full_like(w, 0.25))


def test_sampled_labels_estimate_the_expectation_over_the_models_own_answers():
    module, (x_NX, y_N) = network(), rows(5)
    parameters = dict(module.named_parameters())
    p_NC = module(x_NX).softmax(-1).detach()
    expected = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for n in range(5):
        for c in range(3):
            one = slow_fisher(module, x_NX[n : n + 1], torch.tensor([c]))
            for name, value in one.items():
                expected[name] += p_NC[n, c] * value / 5
    found = fisher(
        parameters,
        log_likelihood_of(module),
        x_NX.repeat(4000, 1),
        y_N.repeat(4000),
        generator=torch.Generator().manual_seed(1),
    )
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0.1, atol=2e-3)


def test_sampled_labels_do_not_depend_on_how_rows_are_batched():
    module, (x_NX, y_N) = network(), rows(9)
    one, many = (
        fisher(
            dict(module.named_parameters()),
            log_likelihood_of(module),
            x_NX,
            y_N,
            generator=torch.Generator().manual_seed(3),
            vectorize=vectorize,
        )
        for vectorize in (True, False)
    )
    for name, value in one.items():
        torch.testing.assert_close(value, many[name])


@settings(deadline=None, max_examples=20)
@given(tasks=st.integers(1, 4), strength=st.floats(0.01, 100.0), seed=st.integers(0, 50))
def test_one_parabola_equals_the_sum_of_a_penalty_a_task(tasks, strength, seed):
    ewc, terms = EWC(strength, labels="true", samples=None), []
    for task in range(tasks):
        module, (x_NX, y_N) = network(seed + task), rows(4, seed + task)
        log_likelihood = log_likelihood_of(module)
        parameters = dict(module.named_parameters())
        ewc.consolidate(parameters, log_likelihood, x_NX, y_N)
        importance = fisher(parameters, log_likelihood, x_NX, y_N, labels="true")
        terms.append((importance, {n: p.detach().clone() for n, p in parameters.items()}))

    now = dict(network(seed + 1000).named_parameters())
    separate = sum(
        0.5 * strength * (importance[name] * (now[name] - star[name]) ** 2).sum()
        for importance, star in terms
        for name in now
    )
    together = ewc.penalty(now)
    torch.testing.assert_close(together, separate, rtol=1e-9, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad(together, now.values()),
        torch.autograd.grad(separate, now.values()),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_the_gradient_agrees_in_single_precision_too():
    ewc, terms = EWC(10.0, labels="true"), []
    for task in range(5):
        module, (x_NX, y_N) = network(task).float(), rows(6, task)
        parameters = dict(module.named_parameters())
        log_likelihood = log_likelihood_of(module)
        ewc.consolidate(parameters, log_likelihood, x_NX.float(), y_N)
        importance = fisher(parameters, log_likelihood, x_NX.float(), y_N, labels="true")
        terms.append((importance, {n: p.detach().clone() for n, p in parameters.items()}))
    now = dict(network(99).float().named_parameters())
    gradient = torch.autograd.grad(ewc.penalty(now), now.values())
    for name, found in zip(now, gradient, strict=True):
        expected = sum(10.0 * s[name] * (now[name].detach() - star[name]) for s, star in terms)
        assert (found - expected).abs().max() < 1e-6


def test_only_the_parameters_that_were_given_are_held():
    """One expert alone can be protected: the rest of the network is free of charge."""
    module, (x_NX, y_N) = network(), rows(4)
    chosen = {"0.weight": module[0].weight}
    ewc = EWC(1.0)
    assert ewc.penalty(chosen) == 0
    ewc.consolidate(chosen, log_likelihood_of(module), x_NX, y_N)
    assert set(ewc.importance) == {"0.weight"}
    with torch.no_grad():
        module[2].weight += 1.0
    everything = dict(module.named_parameters())
    assert ewc.penalty(everything) == 0
    with torch.no_grad():
        module[0].weight += 1.0
    assert ewc.penalty(everything) > 0


def test_a_sample_of_the_rows_is_drawn_from_the_seed():
    module, (x_NX, y_N) = network(), rows(30)

    def importance(seed: int):
        ewc = EWC(1.0, samples=5, seed=seed)
        ewc.consolidate(dict(module.named_parameters()), log_likelihood_of(module), x_NX, y_N)
        return ewc.importance["0.weight"]

    assert torch.equal(importance(1), importance(1))
    assert not torch.equal(importance(1), importance(2))


def test_one_expert_behind_a_gate_by_row_can_be_protected_one_row_at_a_time():
    from cl_moe.moe.backbones.chain import Chain
    from cl_moe.moe.experts.mlp import MLPExpert
    from cl_moe.moe.gates.token import TokenGate
    from cl_moe.moe.layer import MoELayer
    from cl_moe.moe.network import MoENetwork

    layer = MoELayer(MLPExpert([4]).stages()[0], TokenGate(3), (3,), experts=2)
    network = MoENetwork(Chain([layer]))
    network.add_task(0, [layer.pool.ids], network.new_head(0, n_outputs=3))
    chosen = {name: p for name, p in network.named_parameters() if ".experts.e1." in name}
    x_NX, y_N = rows(6)
    ewc = EWC(1.0, labels="true", vectorize=False)
    ewc.consolidate(
        chosen,
        lambda given, x_B: functional_call(network, given, (x_B, 0)).log_softmax(-1),
        x_NX.float(),
        y_N,
    )
    assert set(ewc.importance) == set(chosen)
    assert sum(float(value.sum()) for value in ewc.importance.values()) > 0


@pytest.mark.parametrize("vectorize", [True, False])
def test_of_regression_it_is_the_information_of_a_gaussian(vectorize):
    """Sampled, it nears the squared derivatives of the outputs, summed: their Gauss-Newton."""
    w = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    x_NX = torch.tensor([[2.0], [4.0]], dtype=torch.float64).repeat(2000, 1)
    found = fisher(
        {"w": w},
        lambda p, x_B: x_B @ p["w"],
        x_NX,
        torch.zeros(len(x_NX), 2),
        generator=torch.Generator().manual_seed(0),
        vectorize=vectorize,
        objective=Regression(2),
    )
    torch.testing.assert_close(found["w"], torch.full_like(w, 10.0), rtol=0.1, atol=0.0)


def test_of_labels_it_is_that_of_coins():
    w = torch.zeros(1, 2, dtype=torch.float64)
    x_NX, y_NC = (
        torch.full((4, 1), 2.0, dtype=torch.float64),
        torch.tensor([[1.0, 0.0]]).repeat(4, 1),
    )
    for labels in ("true", "sampled", "predicted"):
        found = fisher({"w": w}, lambda p, x_B: x_B @ p["w"], x_NX, y_NC, labels=labels,
                       objective=Multilabel(2))  # fmt: skip
        torch.testing.assert_close(found["w"], torch.ones_like(w))  # 2^2 / 4 a label


@pytest.mark.parametrize(
    "make", [lambda: EWC(2.0), lambda: BatchEWC(2.0, 3), lambda: BatchEWC(2.0, 3, decay=0.5)]
)
def test_a_restored_penalty_goes_on_as_the_one_that_was_saved(make):
    module, (x_NX, y_N) = network(), rows(8)
    theta = {name: p.detach().clone() for name, p in module.named_parameters()}
    moved = {name: p + 0.3 for name, p in theta.items()}
    ewc, again = make(), make()
    ewc.consolidate(theta, log_likelihood_of(module), x_NX, y_N)
    again.restore(ewc.state())
    assert float(ewc.penalty(moved)) > 0
    assert torch.equal(again.penalty(moved), ewc.penalty(moved))
    for regularizer in (ewc, again):
        regularizer.consolidate(moved, log_likelihood_of(module), x_NX, y_N)
    assert torch.equal(again.penalty(theta), ewc.penalty(theta))
