"""The task-aware mixture of experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cl_moe.errors import all_of
from cl_moe.strategies.methods.base import Method, MethodContext, require

__all__ = ("moe",)


def moe(
    context: MethodContext,
    *,
    gate: str = "task",
    growth: str = "reuse_or_grow",
    experts: int = 1,
    max_experts: int | None = None,
    gate_options: Mapping[str, Any] | None = None,
    growth_options: Mapping[str, Any] | None = None,
) -> Method:
    """A task-aware mixture that reuses experts in ensembles, copies them or grows new ones.

    Task-aware gating in the sense of Gupta et al. 2022. Each path, one expert per layer, has as
    many active parameters as the dense network.

    Args:
        context: the settings that all methods share.
        gate: name of the gate.
        growth: name of the growth policy.
        experts: initial number of experts per layer (a fixed pool has no others).
        max_experts: most experts in use per layer; at this number the policy retrains experts.
        gate_options: parameters of the gate.
        growth_options: parameters of the growth policy.
    """
    from cl_moe.continual.growth.base import make_growth
    from cl_moe.strategies.networks import MOST_EXPERTS, moe_network

    require(
        {
            f"experts: {experts} is too few; give 1 or more": experts >= 1,
            f"experts: {experts} is too many; give {MOST_EXPERTS} or less": experts <= MOST_EXPERTS,
        }
    )
    options = dict(growth_options or {})
    if max_experts is not None:
        options["max_experts"] = max_experts
    shape = tuple(context.stream.shape)
    policy, _ = all_of(
        lambda: make_growth(growth, options),
        lambda: moe_network(context.network, shape, context.seed, gate, gate_options, experts),
    )

    def strategy() -> Any:
        from cl_moe.strategies.task_aware import TaskAwareMoE

        return TaskAwareMoE(
            shape=shape,
            network=context.network,
            training=context.training,
            gate=gate,
            gate_options=gate_options,
            growth=policy,
            experts=experts,
            names=[task.name for task in (*context.stream, *context.stream.probes)],
            seed=context.seed,
            device=context.device,
        )

    return Method(strategy)
