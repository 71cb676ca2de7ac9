"""What a program of the Pallas kernels of the linear recurrence is made of.

A program sees all of time of one batch entry and one block of neighbouring features. Positions
count steps in the order in which they are run; the index of a step is its place in memory.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as pltriton

from keras_s5rl.typing import Tensor

WARP = 32  # threads


class Plan(NamedTuple):
    """How the work is cut up.

    Attributes:
        block: Neighbouring features of one program, a power of 2.
        tile: Steps that are loaded before the first of them is used.
        steps: Steps of a chunk of time, a multiple of `tile`.
        chunks: Chunks of time that run side by side; only the last may be shorter.
    """

    block: int
    tile: int
    steps: int
    chunks: int


class Step(NamedTuple):
    """One step of a recurrence, in registers.

    Attributes:
        index: Where it is in memory.
        lanes: Bool `(block,)`: the features that exist, none if the step does not.
        decay, inputs: Lists of planes, float32 `(block,)`.
        cut: Bool scalar, or `None` where nothing is ever cut.
        hold: Bool scalar.
    """

    index: jax.Array
    lanes: jax.Array
    decay: list[jax.Array]
    inputs: list[jax.Array]
    cut: jax.Array | None
    hold: jax.Array


def launch(
    kernel: Callable[..., Any],
    operands: Any,
    outputs: Any,
    plan: Plan,
    chunks: int,
    interpret: bool,
) -> Any:
    """Runs `kernel(refs, output_refs)` for each block of features, batch entry and chunk.

    Args:
        kernel: Function of two structures of references.
        operands: Dict of arrays, which may hold another one.
        outputs: Structure of `jax.ShapeDtypeStruct`.
        plan: A `Plan`.
        chunks: Programs along time.
        interpret: Whether JAX interprets the kernel, on any device.

    Returns:
        Arrays in the structure of `outputs`.
    """
    _, batch, _, features = operands["inputs"].shape

    def specs(arrays: Any) -> Any:
        return jax.tree.map(lambda array: _block_spec(array, plan.block), arrays)

    return pl.pallas_call(
        kernel,
        out_shape=outputs,
        grid=(pl.cdiv(features, plan.block), batch, chunks),
        in_specs=[specs(operands)],
        out_specs=specs(outputs),
        # Tiles are loaded ahead by hand: Triton pipelines only loops around matrix products.
        compiler_params=pltriton.CompilerParams(num_warps=max(1, plan.block // WARP), num_stages=1),
        interpret=interpret,
    )(operands)


def _block_spec(array: Tensor, block: int) -> Any:
    """All of an array but for one batch entry and one block of features."""
    if array.dtype == jnp.bool_:  # flags have no features
        return pl.BlockSpec((array.shape[0], None), lambda feature, entry, chunk: (0, entry))
    *time, planes, _ = array.shape
    if not time:
        return pl.BlockSpec((planes, block), lambda feature, entry, chunk: (0, feature))
    *time, _ = time
    return pl.BlockSpec(
        (*time, None, planes, block),
        lambda feature, entry, chunk: (*[0] * len(time), entry, 0, feature),
    )


def feature_lanes(plan: Plan, features: int) -> Tensor:
    """Which of the block's features exist: bool `(block,)`."""
    return pl.program_id(0) * plan.block + jnp.arange(plan.block) < features


def load(ref: Tensor, lanes: Tensor, *index: Any) -> list[Tensor]:
    """The planes at an index of the leading axes, as a list of `(block,)`; zero off the lanes."""
    return [
        pltriton.load(ref.at[(*index, np.int32(plane))], mask=lanes, other=0.0)
        for plane in range(ref.shape[-2])
    ]


def store(ref: Tensor, values: list[Tensor], lanes: Tensor, *index: Any) -> None:
    """Writes a list of planes at an index of the leading axes."""
    for plane, value in enumerate(values):
        pltriton.store(ref.at[(*index, np.int32(plane))], value, mask=lanes)


def reader(
    refs: dict[str, Any], lanes: Tensor, reverse: bool = False, conjugated: bool = False
) -> Callable[..., Any]:
    """Returns the function `(position, inside) -> Step` that reads a recurrence.

    A step that is not inside is one that holds the state and takes nothing in.

    Args:
        refs: Dict of references, `"decay"` and `"inputs"`, with `"cuts"` and `"holds"` or without.
        lanes: As from `feature_lanes`.
        reverse: Whether position 0 is the last step.
        conjugated: Whether the decay is conjugated.
    """

    def load_decay(lanes: Tensor, *index: Any) -> list[Tensor]:
        decay = load(refs["decay"], lanes, *index)
        return conjugate(decay) if conjugated else decay

    varying = len(refs["decay"].shape) == 3
    constant = None if varying else load_decay(lanes)

    def read(position: Tensor, inside: Tensor) -> Step:
        index = refs["inputs"].shape[0] - 1 - position if reverse else position
        here = lanes & inside
        cut, hold = None, ~inside
        if "cuts" in refs:
            cut = pltriton.load(refs["cuts"].at[index], mask=inside, other=False)
        if "holds" in refs:
            hold = hold | pltriton.load(refs["holds"].at[index], mask=inside, other=False)
        decay = load_decay(here, index) if constant is None else constant
        return Step(index, here, decay, load(refs["inputs"], here, index), cut, hold)

    return read


def walk(
    read: Callable[..., Any],
    advance: Callable[..., Any],
    state: Any,
    start: Tensor,
    stop: Tensor,
    tiles: Tensor,
    tile: int,
) -> Any:
    """Advances a state over the positions from `start` on.

    All loads of a tile come before its first store, and wait for none of its states: the latency of
    memory is met once a tile, not once a step.

    Args:
        read: Function `(position, inside)` to a step.
        advance: Function `(state, step)` to a state.
        state: Structure of arrays.
        start: First position.
        stop: Positions from here on are not inside.
        tiles: How many tiles to advance.
        tile: Steps of a tile.

    Returns:
        The last state.
    """

    def advance_tile(number: Tensor, state: Any) -> Any:
        first = start + number * tile
        positions = [first + offset for offset in range(tile)]
        for step in [read(position, position < stop) for position in positions]:
            state = advance(state, step)
        return state

    return jax.lax.fori_loop(0, tiles, advance_tile, state)


def walk_chunk(
    read: Callable[..., Any], advance: Callable[..., Any], state: Any, plan: Plan, time: int
) -> Any:
    """Advances a state over the program's chunk of time."""
    start = pl.program_id(2) * plan.steps
    return walk(read, advance, state, start, time, plan.steps // plan.tile, plan.tile)


def take_through(
    summaries: dict[str, Any], state: list[Tensor], lanes: Tensor, plan: Plan
) -> list[Tensor]:
    """The state after the chunks before the program's own.

    Args:
        summaries: References to what `summarize` returns.
        state: List of planes, before the first chunk.
        lanes: As from `feature_lanes`.
        plan: A `Plan`.

    Returns:
        List of planes.
    """
    chunk = pl.program_id(2)

    def advance(state: list[Tensor], step: Step) -> list[Tensor]:
        return add(carry(step, state), step.inputs)

    tiles = pl.cdiv(chunk, plan.tile)
    return walk(reader(summaries, lanes), advance, state, 0, chunk, tiles, plan.tile)


def carry(step: Step, state: list[Tensor]) -> list[Tensor]:
    """`decay * state`; the state itself where held, zero where cut, by selection."""
    carried = multiply(step.decay, state)
    carried = [jnp.where(step.hold, old, new) for old, new in zip(state, carried, strict=True)]
    if step.cut is not None:
        carried = [jnp.where(step.cut, 0.0, plane) for plane in carried]
    return carried


def multiply(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
    """The product of two numbers given as lists of planes, `[real]` or `[real, imaginary]`."""
    if len(left) == 1:
        return [left[0] * right[0]]
    (left_re, left_im), (right_re, right_im) = left, right
    return [left_re * right_re - left_im * right_im, left_re * right_im + left_im * right_re]


def add(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
    """The sum of two numbers given as lists of planes."""
    return [a + b for a, b in zip(left, right, strict=True)]


def conjugate(planes: list[Tensor]) -> list[Tensor]:
    """The conjugate of a number given as a list of planes."""
    return [planes[0], *(-plane for plane in planes[1:])]
