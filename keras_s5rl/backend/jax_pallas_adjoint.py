"""The gradient of the linear recurrence as Pallas kernels, in one pass over memory.

With g the upstream gradient, and m_t what reaches the state before step t,

    lam_t = g_t + m_{t+1},    m_t = 0 if cut_t else conj(decay_t) lam_t,    m_T = 0

and lam_t is the gradient for input t, m_0 that for the initial state, and conj(x_{t-1}) lam_t that
for decay t, zero where the step is cut or held. A program reads g and x and writes lam: 24 bytes a
complex number, 32 where time is cut into chunks and g is read twice, and 16 more to read a decay
that varies over time and write its gradient. For a constant decay each program leaves one sum.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from keras_s5rl.backend.jax_pallas import choose_plan, recurrence, summarize, with_copies
from keras_s5rl.backend.jax_pallas_program import (
    Plan,
    add,
    carry,
    conjugate,
    feature_lanes,
    launch,
    load,
    multiply,
    reader,
    store,
    take_through,
    walk_chunk,
)
from keras_s5rl.typing import Tensor


def adjoint(
    decay: Tensor,
    states: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None,
    holds: Tensor | None,
    reverse: bool,
    upstream: Tensor,
    interpret: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients for decay, inputs and initial state: one kernel, or two with chunks of time.

    Args:
        decay, initial_state, cuts, holds, reverse, interpret: As for `solve`.
        states: Float32 `(time, batch, planes, P)`, what `solve` returned.
        upstream: Float32 `(time, batch, planes, P)`, the gradient for the states.

    Returns:
        Three float32 tensors, in the shapes of decay, inputs and initial state.
    """
    if states.size == 0:
        return jnp.zeros_like(decay), upstream, jnp.zeros_like(initial_state)
    time, batch, planes, features = states.shape
    varying = decay.ndim == 4

    def run(
        decay: Tensor,
        states: Tensor,
        initial_state: Tensor,
        cuts: Tensor | None,
        holds: Tensor | None,
        upstream: Tensor,
        copies: int,
    ) -> Any:
        plan = choose_plan(time, batch * copies, features)
        operands = recurrence(decay, upstream, cuts, holds)
        if plan.chunks > 1:
            operands["summaries"] = summarize(operands, plan, not reverse, interpret, adjoint=True)
        operands |= {"states": states, "initial_state": initial_state}
        shapes = {
            "decay": states.shape if varying else (plan.chunks, batch, planes, features),
            "inputs": states.shape,
            "initial_state": initial_state.shape,
        }
        gradients = {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in shapes.items()}
        kernel = functools.partial(
            linear_recurrence_adjoint,
            plan=plan,
            features=features,
            reverse=not reverse,
            varying=varying,
        )
        gradients = launch(kernel, operands, gradients, plan, plan.chunks, interpret)
        if not varying:
            gradients["decay"] = jnp.sum(gradients["decay"], axis=(0, 1))
        return gradients["decay"], gradients["inputs"], gradients["initial_state"]

    return with_copies(run)(decay, states, initial_state, cuts, holds, upstream)


def linear_recurrence_adjoint(
    refs: dict[str, Any],
    gradients: dict[str, Any],
    *,
    plan: Plan,
    features: int,
    reverse: bool,
    varying: bool,
) -> None:
    """The kernel of `adjoint`; `reverse` is the direction it runs in."""
    lanes = feature_lanes(plan, features)
    time, planes, _ = refs["inputs"].shape
    initial_state = load(refs["initial_state"], lanes)
    read_step = reader(refs, lanes, reverse, conjugated=True)

    def read(position: Tensor, inside: Tensor) -> Any:
        step = read_step(position, inside)
        has_before = position + 1 < time
        before = step.index - 1 if reverse else step.index + 1
        states = load(refs["states"], lanes & has_before, before)
        states = [
            jnp.where(has_before, state, initial)
            for state, initial in zip(states, initial_state, strict=True)
        ]
        return step, states

    def advance(state: Any, step: Any) -> Any:
        (carried, total), (step, states) = state, step
        adjoint = add(carried, step.inputs)
        store(gradients["inputs"], adjoint, step.lanes, step.index)
        unused = step.hold if step.cut is None else step.hold | step.cut
        for_decay = [
            jnp.where(unused, 0.0, plane) for plane in multiply(conjugate(states), adjoint)
        ]
        if varying:
            store(gradients["decay"], for_decay, step.lanes, step.index)
        else:
            total = add(total, for_decay)
        return carry(step, adjoint), total

    zero = [jnp.zeros(plan.block, "float32")] * planes
    carried = zero
    if "summaries" in refs:
        carried = take_through(refs["summaries"], zero, lanes, plan)
    carried, total = walk_chunk(read, advance, (carried, [] if varying else zero), plan, time)
    chunk = pl.program_id(2)
    store(gradients["initial_state"], carried, lanes & (chunk == plan.chunks - 1))
    if not varying:
        store(gradients["decay"], total, lanes, chunk)
