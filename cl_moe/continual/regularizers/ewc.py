"""Elastic weight consolidation with the Fisher information of single samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from cl_moe.continual.regularizers.base import LogLikelihood, Parameters, Regularizer
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.seeding import generator
from cl_moe.state import State, part_of

__all__ = ("EWC", "fisher")

Labels = Literal["sampled", "predicted", "true"]

_FLOATS_AT_ONCE = 2**24
"""Single-sample gradients are held for so many numbers at a time (64 MiB in float32)."""


class EWC(Regularizer):
    r"""Elastic weight consolidation: a spring on every weight, as stiff as the weight mattered.

    Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks", eq. 3, with
    one term a finished task :math:`t` (Huszar 2018):

    .. math:: \frac{strength}{2} \sum_t \sum_i F_{t,i} (\theta_i - \theta^*_{t,i})^2

    :math:`F_t` is the diagonal of the Fisher information (:func:`fisher`). The sum over tasks of
    such parabolas is one parabola: only :math:`\sum_t F_t` and its weighted centre are kept, so
    time and memory do not grow with the number of tasks. The part of the sum that does not depend
    on the parameters is kept as one number, so that the value is the sum's value too.

    Args:
        strength: the factor before the sum. Hsu et al. 2018 leave out the 1/2: their coefficient
            c is a strength of 2 c.
        labels: which log-likelihood is differentiated, see :func:`fisher`.
        samples: the Fisher information is estimated on so many rows drawn from the task's training
            data (all, where None or where there are fewer).
        seed: seeds the draw of rows and of labels.
        vectorize: take many single-sample gradients at once with :func:`torch.vmap`; turn it off
            for networks whose flow depends on the values (a token gate), which are then asked one
            row at a time, with the same result.

    >>> theta = torch.zeros(1, requires_grad=True)
    >>> ewc = EWC(strength=2.0, labels="true")
    >>> coin = lambda p, x_B: torch.nn.functional.logsigmoid(torch.stack([-p["w"], p["w"]], -1))
    >>> ewc.consolidate({"w": theta}, coin, torch.zeros(3, 1), torch.tensor([0, 1, 1]))
    >>> ewc.penalty({"w": torch.tensor([2.0])})  # Fisher of a fair coin: 1/4
    tensor(1.)
    """

    def __init__(
        self,
        strength: float,
        *,
        labels: Labels = "sampled",
        samples: int | None = 1000,
        seed: int = 0,
        vectorize: bool = True,
    ) -> None:
        assert strength >= 0
        assert samples is None or samples > 0
        self.strength = strength
        self.labels: Labels = labels
        self.samples = samples
        self.vectorize = vectorize
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}
        self.constant = 0.0
        self._generator = generator(seed, "ewc")

    def penalty(self, parameters: Parameters) -> Tensor:
        """Return the penalty; its gradient is ``strength * sum_t F_t (theta - theta*_t)``."""
        total = next(iter(parameters.values())).new_zeros(()) + self.constant
        for name, parameter in parameters.items():
            if name in self.importance:
                deviation = parameter - self.anchor[name]
                total = total + (self.importance[name] * deviation * deviation).sum()
        return 0.5 * self.strength * total

    @torch.no_grad()
    def consolidate(
        self,
        parameters: Parameters,
        log_likelihood: LogLikelihood,
        x_NX: Tensor,
        y_N: Tensor,
        objective: Objective | None = None,
    ) -> None:
        """Add the parabola of the task that ends, see :class:`EWC`."""
        rows = torch.randperm(len(x_NX), generator=self._generator)[: self.samples].to(x_NX.device)
        new = fisher(
            parameters,
            log_likelihood,
            x_NX[rows],
            y_N[rows],
            labels=self.labels,
            generator=self._generator,
            vectorize=self.vectorize,
            objective=objective,
        )
        for name, parameter in parameters.items():
            self._add_parabola(name, new[name], parameter.detach())

    def state(self) -> State:
        """Return the parabola, and where the random numbers are."""
        held = {"importance": self.importance, "anchor": self.anchor}
        tensors = {f"{kind}.{n}": t.clone() for kind, of in held.items() for n, t in of.items()}
        own = {"generator": self._generator.get_state()}
        return State({"constant": self.constant}, {**tensors, **own})

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        self.constant = float(state.plain["constant"])
        self.importance = dict(part_of(state, "importance").tensors)
        self.anchor = dict(part_of(state, "anchor").tensors)
        self._generator.set_state(state.tensors["generator"])

    def _add_parabola(self, name: str, importance: Tensor, centre: Tensor) -> None:
        """Join ``importance * (theta - centre)^2`` to the parabola held for ``name``.

        The weighted mean is updated in the form that loses no digits where the two centres are
        close: a sum of F theta^2 minus its correction would.
        """
        if name not in self.importance:
            self.importance[name], self.anchor[name] = importance.clone(), centre.clone()
            return
        old, anchor = self.importance[name], self.anchor[name]
        total = old + importance
        share = torch.where(total > 0, importance / total, torch.zeros_like(total))
        deviation = centre - anchor
        self.constant += float((old * share * deviation * deviation).double().sum())
        self.importance[name] = total
        self.anchor[name] = anchor + share * deviation


@torch.no_grad()
def fisher(
    parameters: Parameters,
    log_likelihood: LogLikelihood,
    x_NX: Tensor,
    y_N: Tensor,
    *,
    labels: Labels = "sampled",
    generator: torch.Generator | None = None,
    vectorize: bool = True,
    objective: Objective | None = None,
) -> dict[str, Tensor]:
    r"""Return the diagonal Fisher information, by name, each in the shape of its parameter.

    .. math:: F_i = \frac1N \sum_n \left(\partial_{\theta_i} \log p(y_n | x_n; \theta)\right)^2

    The gradient is squared for every SAMPLE (squaring the mean over a batch, as often seen,
    shrinks it by up to the batch size). ``labels`` says which :math:`y_n`:

    - ``"sampled"``: drawn from the model, :math:`y_n \sim p(y | x_n)`: the Fisher information
      (Kirkpatrick et al. 2017; Martens 2014);
    - ``"predicted"``: the most likely class (Hsu et al. 2018);
    - ``"true"``: the given labels, the "empirical Fisher".

    Args:
        parameters: what to differentiate by.
        log_likelihood: gives log-probabilities [B, C] of rows [B, ...].
        x_NX: N rows.
        y_N: their labels; read only for ``labels="true"``.
        labels: see above.
        generator: draws labels (on the CPU: the same ones on every device).
        vectorize: many gradients at once, or one row at a time.
        objective: what outputs mean and how targets are drawn; None: classes. Of regression the
            density is Gaussian with variance 1, and its most likely target tells nothing.

    >>> line = lambda p, x_B: (x_B @ p["w"]).log_softmax(-1)
    >>> w, x = torch.zeros(1, 2), torch.tensor([[2.0], [4.0]])
    >>> fisher({"w": w}, line, x, torch.tensor([0, 1]), labels="true")["w"]  # mean (x / 2)^2
    tensor([[2.5000, 2.5000]])
    """
    detached = {name: parameter.detach() for name, parameter in parameters.items()}
    total = {name: torch.zeros_like(parameter) for name, parameter in detached.items()}
    size = sum(parameter.numel() for parameter in detached.values())
    chunk = max(1, _FLOATS_AT_ONCE // max(1, size)) if vectorize else 1

    aim = Classification(1) if objective is None else objective  # of any number of classes

    def of_one(given: Parameters, x_X: Tensor, y: Tensor) -> Tensor:
        return aim.log_prob(log_likelihood(given, x_X[None]), y[None])[0]

    gradient = torch.func.grad(of_one)
    noise_N = aim.noise(len(x_NX), generator).to(x_NX.device)
    for x_B, y_B, noise_B in _chunks(chunk, x_NX, aim.targets(y_N), noise_N):
        y_B = _targets(labels, aim, log_likelihood(detached, x_B), y_B, noise_B)
        if vectorize:
            found = torch.vmap(gradient, in_dims=(None, 0, 0))(detached, x_B, y_B)
        else:
            found = {n: g[None] for n, g in gradient(detached, x_B[0], y_B[0]).items()}
        for name, gradient_B in found.items():
            total[name] += gradient_B.square().sum(0)
    return {name: value / len(x_NX) for name, value in total.items()}


def _chunks(size: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    yield from zip(*(tensor.split(size) for tensor in tensors), strict=True)


def _targets(
    labels: Labels, objective: Objective, normalised_BC: Tensor, y_B: Tensor, noise_B: Tensor
) -> Tensor:
    """Return the targets asked for; a row's own numbers draw its target, however batched."""
    if labels == "true":
        return y_B
    if labels == "predicted":
        return objective.predict(normalised_BC)
    return objective.sample(normalised_BC, noise_B)
