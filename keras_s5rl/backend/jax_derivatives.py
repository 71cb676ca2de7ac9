"""Functions whose derivatives are written out, on JAX: in both modes, of every order, batched."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from keras_s5rl.typing import Tensor


def custom_derivatives(
    function: Callable[..., Any],
    tangent: Callable[..., Any],
    gradient: Callable[..., Any],
    differentiable_gradient: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Returns a function of tensors whose derivatives are written out.

    JAX's own `custom_vjp` has no forward mode, and its `linear_call` no derivative for what the map
    depends on: here both modes work in any order, and under `vmap`. Each function is one compiled
    program, kept from call to call.

    Args:
        function: `(arguments, constants) -> result`, where `arguments` is a tuple of float tensors,
            `constants` a tuple of tensors that nothing is differentiated for, and the result one
            float tensor.
        tangent: `(arguments, constants, result, tangents) -> tangent of the result`, linear in
            `tangents`, a tuple like `arguments`. JAX differentiates it where it needs more
            derivatives, so it calls the function that is returned here in place of `function`.
        gradient: `(arguments, constants, result, upstream) -> gradients`, a tuple like `arguments`:
            the transpose of `tangent`, and what reverse mode runs.
        differentiable_gradient: `gradient` again, of operations that can be differentiated, for the
            gradient of a gradient; or `None` if `gradient` consists of such. Defaults to `None`.

    Returns:
        Function `(arguments, constants=()) -> result`.
    """
    function = jax.jit(function)
    tangent_map = functools.cache(
        functools.partial(_tangent_map, tangent, gradient, differentiable_gradient or gradient)
    )

    @jax.custom_jvp
    def differentiable(arguments: Tensor, constants: Tensor) -> Tensor:
        return function(arguments, constants)

    @differentiable.defjvp
    def differentiate(primals: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        (arguments, constants), (directions, _) = primals, tangents
        result = differentiable(arguments, constants)
        known = (*arguments, *constants, result)
        (result_tangent,) = _linear_p.bind(
            *known, *directions, linear_map=tangent_map(len(arguments)), num_known=len(known)
        )
        return result, result_tangent

    return lambda arguments, constants=(): differentiable(tuple(arguments), tuple(constants))


def _tangent_map(
    tangent: Callable[..., Any],
    gradient: Callable[..., Any],
    differentiable_gradient: Callable[..., Any],
    num_arguments: int,
) -> "_LinearMap":
    """The map of `tangent`, whose transpose is that of `gradient`."""

    def known(values: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        *values, result = values
        return tuple(values[:num_arguments]), tuple(values[num_arguments:]), result

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(operands: Tensor, upstream: Tensor) -> Tensor:
            return list(function(*known(operands), *upstream))

        return jax.jit(call)

    run = jax.jit(lambda operands, directions: [tangent(*known(operands), tuple(directions))])
    forward = _LinearMap(run, run, lambda: backward)
    backward = _LinearMap(compiled(gradient), compiled(differentiable_gradient), lambda: forward)
    return forward


# `_linear_p` is a map that is linear in some of its operands, with its transpose written out: a
# primitive with a differentiation rule for the other operands too.


@dataclasses.dataclass(frozen=True, eq=False)
class _LinearMap:
    """A linear map as functions of flat lists.

    Attributes:
        run: `(known, values) -> results`, linear in `values`.
        differentiable: The same map, as JAX can differentiate it for `known`.
        transposed: Function without arguments that returns the transposed `_LinearMap`.
    """

    run: Callable[..., Any]
    differentiable: Callable[..., Any]
    transposed: Callable[[], "_LinearMap"]


_linear_p = Primitive("linear_call_with_derivatives")
_linear_p.multiple_results = True


@_linear_p.def_impl
def _run(*operands: Tensor, linear_map: _LinearMap, num_known: int) -> list[Tensor]:
    return linear_map.run(list(operands[:num_known]), list(operands[num_known:]))


@_linear_p.def_abstract_eval
def _abstract_results(*operands: Tensor, linear_map: _LinearMap, num_known: int) -> list[Tensor]:
    shapes = [jax.ShapeDtypeStruct(operand.shape, operand.dtype) for operand in operands]
    results = jax.eval_shape(linear_map.run, shapes[:num_known], shapes[num_known:])
    return [jax.core.ShapedArray(result.shape, result.dtype) for result in results]


mlir.register_lowering(_linear_p, mlir.lower_fun(_run, multiple_results=True))


def _differentiate(
    primals: Sequence[Tensor], tangents: Sequence[Tensor], linear_map: _LinearMap, num_known: int
) -> tuple[list[Tensor], list[Tensor]]:
    known, values = list(primals[:num_known]), list(primals[num_known:])
    bind = functools.partial(_linear_p.bind, linear_map=linear_map, num_known=num_known)
    results = bind(*known, *values)
    parts = []
    if not all(isinstance(tangent, ad.Zero) for tangent in tangents[num_known:]):
        parts.append(bind(*known, *_instantiated(tangents[num_known:])))
    varying = [i for i in range(num_known) if not isinstance(tangents[i], ad.Zero)]
    if varying:

        def of_varying(*varied: Tensor) -> Tensor:
            replaced = list(known)
            for i, value in zip(varying, varied, strict=True):
                replaced[i] = value
            return linear_map.differentiable(replaced, values)

        at, directions = [known[i] for i in varying], [tangents[i] for i in varying]
        parts.append(jax.jvp(of_varying, at, directions)[1])
    if not parts:
        return results, [ad.Zero.from_primal_value(result) for result in results]
    return results, [functools.reduce(jnp.add, column) for column in zip(*parts, strict=True)]


def _instantiated(tangents: Sequence[Tensor]) -> list[Tensor]:
    return [ad.instantiate_zeros(tangent) for tangent in tangents]


def _transpose(
    upstream: Sequence[Tensor], *operands: Tensor, linear_map: _LinearMap, num_known: int
) -> list[Tensor | None]:
    transposed = linear_map.transposed()
    upstream = _instantiated(upstream)
    results = _linear_p.bind(
        *operands[:num_known], *upstream, linear_map=transposed, num_known=num_known
    )
    return [None] * num_known + list(results)


def _batch(
    operands: Sequence[Tensor], axes: Sequence[int | None], linear_map: _LinearMap, num_known: int
) -> tuple[list[Tensor], list[int]]:
    """One more axis in front of all values and results, and wherever what is known has one."""
    size = next(
        operand.shape[axis]
        for operand, axis in zip(operands, axes, strict=True)
        if axis is not None
    )
    known, values = operands[:num_known], operands[num_known:]
    values = [
        jnp.broadcast_to(value, (size, *value.shape))
        if axis is None
        else jnp.moveaxis(value, axis, 0)
        for value, axis in zip(values, axes[num_known:], strict=True)
    ]
    results = _linear_p.bind(
        *known,
        *values,
        linear_map=_batched(linear_map, list(axes[:num_known])),
        num_known=num_known,
    )
    return results, [0] * len(results)


def _batched(linear_map: _LinearMap, known_axes: list[int | None]) -> _LinearMap:
    def batch(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda known, values: list(
            jax.vmap(lambda known, values: tuple(function(known, values)), (known_axes, 0))(
                known, values
            )
        )

    forward = _LinearMap(batch(linear_map.run), batch(linear_map.differentiable), lambda: backward)
    transposed = linear_map.transposed()
    backward = _LinearMap(batch(transposed.run), batch(transposed.differentiable), lambda: forward)
    return forward


ad.primitive_jvps[_linear_p] = _differentiate
ad.primitive_transposes[_linear_p] = _transpose
batching.primitive_batchers[_linear_p] = _batch
