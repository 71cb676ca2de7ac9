"""Recurrences of gated cells, whose loop holds nothing but the product with the state."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_s5rl import backend
from keras_s5rl.ops.gates import Gates
from keras_s5rl.ops.product import product
from keras_s5rl.typing import Tensor


def gated_recurrence(
    gates: type[Gates],
    inputs: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    initial_state: Tensor,
    resets: Tensor | None = None,
    mask: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """Runs a gated cell over time, given what its input contributes to the gates.

        x_t = gates(inputs_t, h_{t-1} W + b, x_{t-1})

    where `h_{t-1}`, the output of the step before, is the first `units` entries of the state
    `x_{t-1}`. Resets, mask and `reverse` are those of `linear_recurrence`.

    The gradient is written out. Given all states, what the gates depend on is worked out for all
    steps together, and so are the gradients for the weights; the loop back takes one product a
    step, as the loop forth. Left to itself a backend would add up the gradient for the kernel in
    the loop, one narrow product a step.

    Args:
        gates: `GRUGates` or `LSTMGates`.
        inputs: Float32 tensor `(time, batch, gates * units)`.
        kernel: Float32 tensor `(units, gates * units)`.
        bias: Float32 tensor `(gates * units,)` or `None`.
        initial_state: Float32 tensor `(batch, entries)`.
        resets: Bool tensor `(time, batch)` or `None`.
        mask: Bool tensor `(time, batch)` or `None`.
        reverse: Whether time runs backwards.

    Returns:
        All states, float32 `(time, batch, entries)`.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.ops.gated_recurrence import gated_recurrence
    >>> from keras_s5rl.ops.gates import GRUGates
    >>> inputs, kernel = np.ones((5, 2, 12), "float32"), np.ones((4, 12), "float32")
    >>> states = gated_recurrence(GRUGates, inputs, kernel, None, np.zeros((2, 4), "float32"))
    >>> tuple(states.shape)
    (5, 2, 4)
    """
    if resets is not None and reverse:
        resets = ops.concatenate([resets[1:], ops.zeros_like(resets[:1])], axis=0)
    holds = None if mask is None else ops.logical_not(mask)
    arguments = [inputs, kernel, initial_state, *([] if bias is None else [bias])]
    arguments = [ops.convert_to_tensor(argument) for argument in arguments]
    flags = [flag for flag in (resets, holds) if flag is not None]
    solution = _solution(gates, reverse, resets is not None, holds is not None)
    if inputs.shape[0] == 1:  # nothing to gain, and automatic derivatives
        return solution.run(arguments, flags)
    return solution.differentiable(tuple(arguments), tuple(flags))


@functools.cache
def _solution(
    gates: type[Gates], reverse: bool, has_cuts: bool, has_holds: bool
) -> "_GatedRecurrence":
    """It is made once for each kind of recurrence, so that a backend compiles it once."""
    return _GatedRecurrence(gates, reverse, has_cuts, has_holds)


class _GatedRecurrence:
    """The recurrence with its derivatives, functions of `(inputs, kernel, initial_state[, bias])`
    and of the flags that there are."""

    def __init__(self, gates: type[Gates], reverse: bool, has_cuts: bool, has_holds: bool) -> None:
        self.gates = gates
        self.reverse = reverse
        self.names = [name for name, has in (("cut", has_cuts), ("hold", has_holds)) if has]
        self.differentiable = backend.custom_derivatives(self.run, self.tangent, self.gradient)

    def run(self, arguments: Sequence[Tensor], flags: Sequence[Tensor]) -> Tensor:
        inputs, kernel, initial_state, *bias = arguments

        def advance(state: Tensor, x: Any) -> tuple[Tensor, Tensor]:
            state = _select(x.get("cut"), 0.0, state)
            recurrent = _sum(ops.matmul(state[..., : kernel.shape[0]], kernel), bias)
            new = self.gates.step(x["inputs"], recurrent, state)
            new = _select(x.get("hold"), state, new)
            return new, new

        xs = {"inputs": inputs, **self._named(flags)}
        return backend.scan(advance, initial_state, xs, reverse=self.reverse)[1]

    def tangent(
        self,
        arguments: Sequence[Tensor],
        flags: Sequence[Tensor],
        states: Tensor,
        tangents: Sequence[Tensor],
    ) -> Tensor:
        _, kernel, *_ = arguments
        inputs_tangent, kernel_tangent, initial_tangent, *bias_tangent = tangents
        previous, factors = self._linearized(arguments, flags, states)
        added = _sum(product(previous[..., : kernel.shape[0]], kernel_tangent), bias_tangent)

        def advance(state: Tensor, x: Any) -> tuple[Tensor, Tensor]:
            state = _select(x.get("cut"), 0.0, state)
            recurrent = ops.matmul(state[..., : kernel.shape[0]], kernel) + x["added"]
            new = self.gates.pushed(x["factors"], x["inputs"], recurrent, state)
            new = _select(x.get("hold"), state, new)
            return new, new

        xs = {"inputs": inputs_tangent, "added": added, "factors": factors, **self._named(flags)}
        return backend.scan(advance, initial_tangent, xs, reverse=self.reverse)[1]

    def gradient(
        self,
        arguments: Sequence[Tensor],
        flags: Sequence[Tensor],
        states: Tensor,
        upstream: Tensor,
    ) -> tuple[Tensor, ...]:
        _, kernel, initial_state, *bias = arguments
        previous, factors = self._linearized(arguments, flags, states)
        units, entries = kernel.shape[0], initial_state.shape[-1]
        transposed = ops.transpose(kernel)

        def retreat(later: Tensor, x: Any) -> tuple[Tensor, Tensor]:
            adjoint = x["upstream"] + later
            _, recurrent, earlier = self.gates.pulled(x["factors"], adjoint)
            for_output = ops.matmul(recurrent, transposed)
            if entries > units:
                for_output = ops.pad(for_output, ((0, 0), (0, entries - units)))
            earlier = _select(x.get("hold"), adjoint, earlier + for_output)
            return _select(x.get("cut"), 0.0, earlier), adjoint

        xs = {"upstream": upstream, "factors": factors, **self._named(flags)}
        none = ops.zeros_like(initial_state)
        for_initial_state, adjoints = backend.scan(retreat, none, xs, reverse=not self.reverse)
        adjoints = _select(self._named(flags).get("hold"), 0.0, adjoints)
        for_inputs, for_recurrent, _ = self.gates.pulled(factors, adjoints)
        rows = ops.reshape(previous[..., :units], (-1, units))
        for_recurrent = ops.reshape(for_recurrent, (-1, kernel.shape[1]))
        for_kernel = product(ops.transpose(rows), for_recurrent)
        for_bias = [ops.sum(for_recurrent, axis=0)] if bias else []
        return for_inputs, for_kernel, for_initial_state, *for_bias

    def _linearized(
        self, arguments: Sequence[Tensor], flags: Sequence[Tensor], states: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The state that each step takes up, and the factors of its derivatives."""
        inputs, kernel, initial_state, *bias = arguments
        rest = states[1:] if self.reverse else states[:-1]
        pieces = [rest, initial_state[None]] if self.reverse else [initial_state[None], rest]
        previous = _select(self._named(flags).get("cut"), 0.0, ops.concatenate(pieces, axis=0))
        recurrent = _sum(product(previous[..., : kernel.shape[0]], kernel), bias)
        return previous, self.gates.linearized(inputs, recurrent, previous, states)

    def _named(self, flags: Sequence[Tensor]) -> dict[str, Tensor]:
        return dict(zip(self.names, flags, strict=True))


def _sum(values: Tensor, bias: Sequence[Tensor]) -> Tensor:
    return values + bias[0] if bias else values


def _select(flags: Tensor | None, chosen: Tensor | float, other: Tensor) -> Tensor:
    return other if flags is None else ops.where(flags[..., None], chosen, other)
