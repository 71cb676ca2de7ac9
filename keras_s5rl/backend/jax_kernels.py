"""The recurrence's loop and products as computations that XLA's CPU compiler does well."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

from keras_s5rl.backend.jax_derivatives import custom_derivatives
from keras_s5rl.typing import Structure, Tensor

# Smaller kernels gain less from a copy of their operands than it costs.
_WIDE_KERNEL = 128
# Attributes that XLA does not document. `KERAS_S5RL_XLA_HINTS=0` leaves them out.
_HINTS = os.environ.get("KERAS_S5RL_XLA_HINTS") != "0"


def scan_in_place(
    function: Callable[..., Any],
    carry: Structure,
    values: Structure,
    xs: Structure,
    fixed: Structure = (),
    reverse: bool = False,
    axis: int = 0,
) -> tuple[Structure, Structure]:
    """Runs `carry, values_t = function(carry, values_t, x_t, fixed)` along an axis of two
    structures.

    XLA writes the new values over the old where nobody needs those any more, so that nothing is
    laid out beside them, and on a CPU the whole loop is one kernel: several launches a step cost
    more than the arithmetic of a step.

    Args:
        function: Elementwise operations alone; nothing else can become part of the kernel. It
            closes over no tensor.
        carry: Structure of tensors `(batch, ...)`.
        values: Structure of tensors `(time, batch, ...)`, or with `axis=1` `(batch, time, ...)`,
            with at least one step.
        xs: Structure of such tensors, or an empty one.
        fixed: Structure of tensors that every step sees. Defaults to `()`.
        reverse: Whether to run from the last step to the first.
        axis: 0 or 1, which axis is time. The function sees tensors without it, and maybe of fewer
            rows of the batch.

    Returns:
        `carry, values`.
    """
    length = jax.tree.leaves(values)[0].shape[axis]

    def loop(
        carry: Structure,
        values: Structure,
        xs: Structure,
        fixed: Structure,
        at: Callable[..., Any],
        put: Callable[..., Any],
    ) -> tuple[Structure, Structure]:
        def body(
            index: Tensor, state: tuple[Tensor, Tensor, Tensor]
        ) -> tuple[Tensor, Tensor, Tensor]:
            carry, current, values = state
            step = length - 1 - index if reverse else index
            carry, current = function(carry, current, at(xs, step), fixed)
            values = put(values, current, step)
            # Read for the next step from what was just written: with a read beside the write XLA
            # would copy all values in every step.
            return carry, at(values, step - 1 if reverse else step + 1), values

        first = at(values, length - 1 if reverse else 0)
        carry, _, values = jax.lax.fori_loop(0, length, body, (carry, first, values))
        return carry, values

    def time_major(
        carry: Structure, values: Structure, xs: Structure, fixed: Structure
    ) -> tuple[Structure, Structure]:
        return loop(carry, values, xs, fixed, _at, _put)

    def batch_major(
        carry: Structure, values: Structure, xs: Structure, fixed: Structure
    ) -> tuple[Structure, Structure]:
        # One row after the other: rows lie far apart, and at powers of two they would push each
        # other out of the cache.
        def run_row(row: Tensor, state: Tensor) -> tuple[Structure, Structure]:
            def at(structure: Structure, step: Tensor) -> Tensor:
                return jax.tree.map(lambda x: _slice(x, (row, step), (1, 1))[:, 0], structure)

            def put(structure: Structure, update: Tensor, step: Tensor) -> Tensor:
                return jax.tree.map(
                    lambda x, y: _update(x, y[:, None], (row, step)), structure, update
                )

            carry, values = state
            of_row = jax.tree.map(lambda x: _slice(x, (row,), (1,)), carry)
            of_row, values = loop(of_row, values, xs, fixed, at, put)
            return jax.tree.map(lambda x, y: _update(x, y, (row,)), carry, of_row), values

        batch = jax.tree.leaves(values)[0].shape[0]
        return jax.lax.fori_loop(0, batch, run_row, (carry, values))

    return _as_one_kernel(batch_major if axis else time_major)(carry, values, xs, fixed)


def _at(structure: Structure, step: Tensor) -> Tensor:
    return jax.tree.map(lambda x: _slice(x, (step,), (1,))[0], structure)


def _put(structure: Structure, update: Tensor, step: Tensor) -> Tensor:
    return jax.tree.map(lambda x, y: _update(x, y[None], (step,)), structure, update)


def _slice(array: Tensor, starts: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """A piece of the leading axes."""
    rest = array.ndim - len(starts)
    sizes = (*sizes, *array.shape[len(starts) :])
    return jax.lax.dynamic_slice(array, (*starts, *[0] * rest), sizes)


def _update(array: Tensor, piece: Tensor, starts: Sequence[Tensor]) -> Tensor:
    """`array` with a piece of the leading axes written over."""
    return jax.lax.dynamic_update_slice(array, piece, (*starts, *[0] * (array.ndim - len(starts))))


def product(rows: Tensor, kernel: Tensor) -> Tensor:
    """The product of `rows (n, k)` with `kernel (k, m)`, computed in the dtype of the rows.

    It is accumulated and returned in float32, and so is the gradient for the kernel, whose values
    are rounded on their way in alone.
    """
    wide = min(kernel.shape) >= _WIDE_KERNEL
    if jax.default_backend() == "cpu" and (wide or rows.dtype != jnp.float32):
        # What the rows are made of is not computed a second time to transpose them.
        return _laid_out_product((jax.lax.optimization_barrier(rows), kernel))
    return jnp.matmul(rows, kernel.astype(rows.dtype), preferred_element_type=jnp.float32)


# XLA's CPU compiler has two libraries for products. The better one takes operands that lie row by
# row: it leaves to the other one the gradient for the kernel, whose left operand is transposed, and
# half-precision operands with any transpose near them, which it makes float32 then. A computation
# of its own has operands that do lie row by row, copied where they did not.


def _product(arguments: Tensor, constants: Tensor) -> Tensor:
    rows, kernel = arguments
    return _laid_out_dot(rows, kernel.astype(rows.dtype), 0)


def _product_tangent(
    arguments: Tensor, constants: Tensor, result: Tensor, tangents: Tensor
) -> Tensor:
    (rows, kernel), (rows_tangent, kernel_tangent) = arguments, tangents
    return product(rows_tangent, kernel) + product(rows, kernel_tangent)


def _product_gradient(
    arguments: Tensor, constants: Tensor, result: Tensor, upstream: Tensor
) -> tuple[Structure, Structure]:
    rows, kernel = arguments
    upstream = upstream.astype(rows.dtype)
    for_rows = _laid_out_dot(upstream, kernel.astype(rows.dtype), 1).astype(rows.dtype)
    return for_rows, _laid_out_dot(rows.T, upstream, 0).astype(kernel.dtype)


def _product_gradient_again(
    arguments: Tensor, constants: Tensor, result: Tensor, upstream: Tensor
) -> tuple[Structure, Structure]:
    """`_product_gradient` of products that can be differentiated."""
    rows, kernel = arguments
    for_rows = product(upstream.astype(rows.dtype), kernel.T).astype(rows.dtype)
    return for_rows, product(rows.T, upstream.astype(kernel.dtype))


_laid_out_product = custom_derivatives(
    _product, _product_tangent, _product_gradient, _product_gradient_again
)


def _laid_out_dot(left: Tensor, right: Tensor, axis: int) -> Tensor:
    """The product of `left (n, k)` with `right`, whose k is on `axis`, in float32."""

    def dot(left: Tensor, right: Tensor) -> Tensor:
        contracted = ((1,), (axis,)), ((), ())
        return jax.lax.dot_general(left, right, contracted, preferred_element_type=jnp.float32)

    return _as_computation(dot)(left, right)


def _as_one_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of elementwise operations and loops which XLA's CPU compiler makes one kernel.

    It is what XLA does by itself with the smallest loops.
    """
    if jax.default_backend() != "cpu":
        return function
    return _as_computation(function, xla_cpu_small_call="true")


def _as_computation(function: Callable[..., Any], **attributes: str) -> Callable[..., Any]:
    """The function as a computation that XLA calls and does not inline, with these attributes."""
    if not _HINTS:
        return function
    attributes = {"inlineable": "false", **attributes}

    @functools.wraps(function)
    def without_attributes(*arguments: Any) -> Any:
        with set_xla_metadata(**dict.fromkeys(attributes)):
            return function(*arguments)

    program = jax.jit(without_attributes)

    def call(*arguments: Any) -> Any:
        # Behind a barrier no operand is a constant: XLA aborts where it slices a large one
        # (BUILD_NOTES.md).
        arguments = jax.lax.optimization_barrier(arguments)
        with set_xla_metadata(**attributes):
            return program(*arguments)

    return call
