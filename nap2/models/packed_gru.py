"""The recurrence of a GRU over packed rows, with the gradients of a whole pass computed at once.

Rows lie as in `torch.nn.utils.rnn.PackedSequence`: all first steps, all second steps, … of sequences sorted by falling
length. `nn.GRU` on a CPU records a dozen operations a step for autograd and multiplies the recurrent weight's gradient
step by step; here a pass is one node, and that gradient is one product. The input projections come from outside, so
that sequences with a common beginning can share them (`prefix_sharing.py`).
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def packed_gru(projected: Tensor, weight: Tensor, bias: Tensor, batch_sizes: list[int], *, reverse: bool) -> Tensor:
    """One direction of one layer, from zero states.

    Args:
        projected: `[N, 3 * H]`, `W_ih x + b_ih` of each row, in the gates' order of `nn.GRU` (reset, update, new).
        weight: `[3 * H, H]`, `weight_hh` of `nn.GRU`.
        bias: `[3 * H]`, `bias_hh`.
        batch_sizes: sequences that have a first, second, … step; never rising; their sum is N.
        reverse: run from each sequence's own last step to its first.

    Returns:
        `[N, H]`, the state after each row.
    """
    arguments = (projected, weight, bias, batch_sizes, reverse)
    states: Tensor = _PackedGru.apply(*arguments)  # type: ignore[no-untyped-call]  # torch's own
    return states


class _PackedGru(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight: Tensor, bias: Tensor, batch_sizes: list[int], reverse: bool
    ) -> Tensor:
        rows, hidden = len(projected), weight.shape[1]
        gates = projected[:, : 2 * hidden] + bias[: 2 * hidden]  # [N, 2 * H], reset and update
        to_gates, to_new, new_bias = weight[: 2 * hidden].t(), weight[2 * hidden :].t(), bias[2 * hidden :]
        new, recurrent, states = (projected.new_empty(rows, hidden) for _ in range(3))
        state = projected.new_zeros(0, hidden)
        for gates_t, projected_t, new_t, recurrent_t, states_t in _steps(
            batch_sizes, reverse, gates, projected[:, 2 * hidden :], new, recurrent, states
        ):
            state = _resized(state, len(states_t))
            reset, update = torch.addmm(gates_t, state, to_gates, out=gates_t).sigmoid_().chunk(2, 1)
            torch.addmm(new_bias, state, to_new, out=recurrent_t)
            torch.addcmul(projected_t, reset, recurrent_t, out=new_t).tanh_()
            state = torch.lerp(new_t, state, update, out=states_t)
        ctx.save_for_backward(weight, states, gates, new, recurrent)
        ctx.batch_sizes, ctx.reverse = batch_sizes, reverse
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, states, gates, new, recurrent = ctx.saved_tensors
        reset, update = gates.chunk(2, 1)
        previous = _previous(states, ctx.batch_sizes, ctx.reverse)
        # All that does not depend on the state's gradient is computed for all steps at once.
        to_new = (1 - update) * (1 - new * new)
        factors = torch.stack(
            [to_new * recurrent * reset * (1 - reset), (previous - new) * update * (1 - update), to_new * reset], 1
        )  # [N, 3, H]: gradient of what the recurrent product adds to each gate, per gradient of the state
        total, products = torch.empty_like(states), torch.empty_like(factors)
        carried = gradient.new_zeros(0, states.shape[1])
        steps = _steps(ctx.batch_sizes, not ctx.reverse, gradient, update, factors, total, products)
        for gradient_t, update_t, factors_t, total_t, products_t in steps:
            torch.add(gradient_t, _resized(carried, len(total_t)), out=total_t)
            torch.mul(factors_t, total_t[:, None], out=products_t)
            carried = torch.addmm(total_t * update_t, products_t.flatten(1), weight)
        flat = products.flatten(1)
        projected_gradient = torch.cat([products[:, :2].flatten(1), total * to_new], 1)
        return projected_gradient, flat.t() @ previous, flat.sum(0), None, None


def _steps(batch_sizes: list[int], reverse: bool, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """The rows of each step of each tensor, in the order of time or against it."""
    steps = list(zip(*(torch.split(tensor, batch_sizes) for tensor in tensors), strict=True))
    return steps[::-1] if reverse else steps


def _resized(state: Tensor, size: int) -> Tensor:
    """Sequences that end are dropped; those that begin (against the order of time) get a state of zeros."""
    if len(state) >= size:
        return state[:size]
    return torch.cat([state, state.new_zeros(size - len(state), state.shape[1])])


def _previous(states: Tensor, batch_sizes: list[int], reverse: bool) -> Tensor:
    """The state before each row."""
    previous = torch.zeros_like(states)
    steps = _steps(batch_sizes, reverse, states, previous)
    for (states_t, _), (_, previous_t) in pairwise(steps):
        kept = min(len(states_t), len(previous_t))
        previous_t[:kept] = states_t[:kept]
    return previous
