"""The linear recurrence as Pallas kernels for NVIDIA GPUs, compiled by Triton.

    x_t = decay_t * (0 if cut_t else x_{t-1}) + u_t,    decay_t = 1 where hold_t

One program of a kernel walks along time for one batch entry and one block of neighbouring features,
with the state in registers: it reads u and writes x once, 16 bytes a complex number, and a constant
decay is read once a program. Where batch and features make too few programs to fill the device,
time is cut into chunks that run side by side, in two kernels. The first leaves a summary of each
chunk, the map from the state before it to the state after it:

    x -> product of the decays * (0 if any cut else x) + state reached from zero

In the second each program takes the initial state through the summaries of the chunks before its
own, and then writes its states. That reads u once more, 24 bytes, of which the L2 cache gives 8 if
u fits there; it also gives the summaries, at most 8 bytes for each number of u. The summaries are
themselves a recurrence, over chunks, and are read as one.

The gradient is in `jax_pallas_adjoint`, what both are made of in `jax_pallas_program`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as pltriton

from keras_s5rl.backend.jax_pallas_program import (
    WARP,
    Plan,
    Step,
    add,
    carry,
    feature_lanes,
    launch,
    load,
    reader,
    store,
    take_through,
    walk_chunk,
)
from keras_s5rl.typing import Tensor

_MULTIPROCESSORS = 132  # of an H100; an A100 has 108
_WARPS_PER_MULTIPROCESSOR = 8
_TILE = 8
_MAX_CHUNKS = 64


def choose_plan(time: int, batch: int, features: int) -> Plan:
    """Chooses how to cut up the work. Reasoned for an H100, not yet measured.

    Args:
        time, batch, features: Integers, the sizes of the inputs.

    Returns:
        A `Plan`.
    """
    # One feature a thread: a warp reads 128 neighbouring bytes of a plane, a whole cache line. Four
    # warps at most, or many would idle where the features are few more than a multiple.
    block = min(max(pl.next_power_of_2(features), WARP), 4 * WARP)
    # A warp with a tile of 8 complex steps on their way has 2 KiB in flight. Memory is busy with
    # about 18 KiB for each multiprocessor (3.35 TB/s times 0.7 us over 132), so with 8 warps.
    warps = batch * pl.cdiv(features, block) * (block // WARP)
    chunks = pl.cdiv(_MULTIPROCESSORS * _WARPS_PER_MULTIPROCESSOR, warps)
    # A program steps through the summaries before its chunk, and then through the chunk: more
    # chunks than a chunk has steps would cost more time than they save.
    chunks = max(1, min(chunks, math.isqrt(time), _MAX_CHUNKS))
    steps = pl.cdiv(pl.cdiv(time, chunks), _TILE) * _TILE
    return Plan(block, _TILE, steps, pl.cdiv(time, steps))


def solve(
    decay: Tensor,
    inputs: Tensor,
    initial_state: Tensor,
    cuts: Tensor | None = None,
    holds: Tensor | None = None,
    reverse: bool = False,
    interpret: bool = False,
) -> Tensor:
    """Solves the recurrence, time-major: one kernel, or two where time is cut into chunks.

    Args:
        decay: Float32 `(planes, P)`, or `(time, batch, planes, P)`; planes is 1 or 2.
        inputs: Float32 `(time, batch, planes, P)`.
        initial_state: Float32 `(batch, planes, P)`.
        cuts: Bool `(time, batch)` or `None`. Where true, the carried state is cleared first.
        holds: Bool `(time, batch)` or `None`. Where true, the decay of the step is 1.
        reverse: Whether to run from the last step to the first.
        interpret: Whether JAX interprets the kernels, on any device: for tests.

    Returns:
        All states, float32 `(time, batch, planes, P)`.
    """
    if inputs.size == 0:
        return inputs
    time, batch, _, features = inputs.shape

    def run(
        decay: Tensor,
        inputs: Tensor,
        initial_state: Tensor,
        cuts: Tensor | None,
        holds: Tensor | None,
        copies: int,
    ) -> Any:
        plan = choose_plan(time, batch * copies, features)
        operands = recurrence(decay, inputs, cuts, holds)
        if plan.chunks > 1:
            operands["summaries"] = summarize(operands, plan, reverse, interpret)
        operands["initial_state"] = initial_state
        kernel = functools.partial(
            linear_recurrence_states, plan=plan, features=features, reverse=reverse
        )
        states = jax.ShapeDtypeStruct(inputs.shape, "float32")
        return launch(kernel, operands, states, plan, plan.chunks, interpret)

    return with_copies(run)(decay, inputs, initial_state, cuts, holds)


def with_copies(function: Callable[..., Any]) -> Callable[..., Any]:
    """Calls `function(*arrays, copies)` with the number of copies that `jax.vmap` makes of it.

    Many seeds fill a device together: time need not be cut as for one of them. Of two `vmap`s, one
    in the other, only the inner one counts.
    """

    @jax.custom_batching.custom_vmap
    def run(*arrays: Any) -> Any:
        return function(*arrays, copies=1)

    @run.def_vmap
    def run_copies(copies: int, batched: Any, *arrays: Any) -> Any:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
        results = jax.vmap(functools.partial(function, copies=copies), axes)(*arrays)
        return results, jax.tree.map(lambda _: True, results)

    return run


def recurrence(
    decay: Tensor, inputs: Tensor, cuts: Tensor | None, holds: Tensor | None
) -> dict[str, Tensor]:
    """The arguments of a recurrence as a dict, without those that are `None`."""
    arrays = {"decay": decay, "inputs": inputs, "cuts": cuts, "holds": holds}
    return {name: array for name, array in arrays.items() if array is not None}


def summarize(
    operands: dict[str, Tensor], plan: Plan, reverse: bool, interpret: bool, adjoint: bool = False
) -> dict[str, Tensor]:
    """The maps of all chunks but the last, as one kernel.

    Args:
        operands: As from `recurrence`.
        plan: A `Plan`.
        reverse: Whether to run from the last step to the first.
        interpret: Whether JAX interprets the kernel.
        adjoint: Whether the recurrence is that of the gradient, which takes an input in before the
            product with the conjugate decay.

    Returns:
        Dict as from `recurrence`, of `plan.chunks - 1` steps.
    """
    _, batch, planes, features = operands["inputs"].shape
    earlier = plan.chunks - 1
    maps = jax.ShapeDtypeStruct((earlier, batch, planes, features), "float32")
    cuts = jax.ShapeDtypeStruct((earlier, batch), "bool") if "cuts" in operands else None
    kernel = functools.partial(
        linear_recurrence_summary, plan=plan, features=features, reverse=reverse, adjoint=adjoint
    )
    return launch(kernel, operands, recurrence(maps, maps, cuts, None), plan, earlier, interpret)


def linear_recurrence_states(
    refs: dict[str, Any], states: Tensor, *, plan: Plan, features: int, reverse: bool
) -> None:
    """The kernel of `solve`."""
    lanes = feature_lanes(plan, features)

    def advance(state: list[Tensor], step: Step) -> Any:
        state = add(carry(step, state), step.inputs)
        store(states, state, step.lanes, step.index)
        return state

    state = load(refs["initial_state"], lanes)
    if "summaries" in refs:
        state = take_through(refs["summaries"], state, lanes, plan)
    walk_chunk(reader(refs, lanes, reverse), advance, state, plan, states.shape[0])


def linear_recurrence_summary(
    refs: dict[str, Any],
    summaries: dict[str, Any],
    *,
    plan: Plan,
    features: int,
    reverse: bool,
    adjoint: bool,
) -> None:
    """The kernel of `summarize`."""
    lanes = feature_lanes(plan, features)
    time, planes, _ = refs["inputs"].shape
    zero = [jnp.zeros(plan.block, "float32")] * planes
    one = [jnp.ones(plan.block, "float32"), *zero[1:]]

    def advance(summary: Any, step: Step) -> Any:
        product, state, any_cut = summary
        product = carry(step, product)
        if adjoint:
            state = carry(step, add(state, step.inputs))
        else:
            state = add(carry(step, state), step.inputs)
        return product, state, any_cut if step.cut is None else any_cut | step.cut

    read = reader(refs, lanes, reverse, conjugated=adjoint)
    product, state, any_cut = walk_chunk(read, advance, (one, zero, jnp.bool_(False)), plan, time)
    chunk = pl.program_id(2)
    store(summaries["decay"], product, lanes, chunk)
    store(summaries["inputs"], state, lanes, chunk)
    if "cuts" in refs:  # the same in all blocks of features
        pltriton.store(summaries["cuts"].at[chunk], any_cut, mask=pl.program_id(0) == 0)
