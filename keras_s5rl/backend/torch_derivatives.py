"""Functions whose derivatives are written out, on PyTorch: in both modes, any order, batched."""

from collections.abc import Callable
from typing import Any

import torch

from keras_s5rl.typing import Tensor


def custom_derivatives(
    function: Callable[..., Any],
    tangent: Callable[..., Any],
    gradient: Callable[..., Any],
    differentiable_gradient: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Returns a function of tensors whose derivatives are written out.

    Args:
        function: `(arguments, constants) -> result`, where `arguments` is a tuple of float tensors,
            `constants` a tuple of tensors that nothing is differentiated for, and the result one
            float tensor.
        tangent: `(arguments, constants, result, tangents) -> tangent of the result`, linear in
            `tangents`, a tuple like `arguments`.
        gradient: `(arguments, constants, result, upstream) -> gradients`, a tuple like `arguments`:
            the transpose of `tangent`.
        differentiable_gradient: `gradient` again, of operations that can be differentiated, for the
            gradient of a gradient; or `None` if `gradient` consists of such. Defaults to `None`.

    Returns:
        Function `(arguments, constants=()) -> result`.
    """
    written = function, tangent, gradient, differentiable_gradient or gradient

    def differentiable(arguments: Tensor, constants: Tensor = ()) -> Tensor:
        return _Written.apply(written, len(arguments), *arguments, *constants)

    return differentiable


class _Written(torch.autograd.Function):
    """A function of `num_arguments` tensors and of constants, with the functions written for it.

    Arguments and result are saved by torch itself: a closure over the result would keep the graph
    alive forever.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        written: tuple[Callable[..., Any], ...], num_arguments: int, *tensors: Tensor
    ) -> Tensor:
        return written[0](tensors[:num_arguments], tensors[num_arguments:])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.written, ctx.num_arguments, *tensors = inputs
        ctx.save_for_backward(*tensors, output)
        ctx.save_for_forward(*tensors, output)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        arguments, constants, result = _saved(ctx)
        _, _, gradient, differentiable_gradient = ctx.written
        if torch.is_grad_enabled():
            gradient = differentiable_gradient
        gradients = gradient(arguments, constants, result, upstream)
        return None, None, *gradients, *[None] * len(constants)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        arguments, constants, result = _saved(ctx)
        tangents = tuple(
            torch.zeros_like(argument) if tangent is None else tangent
            for argument, tangent in zip(arguments, tangents[2:], strict=False)
        )
        return ctx.written[1](arguments, constants, result, tangents)


def _saved(ctx: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
    *tensors, result = ctx.saved_tensors
    return tuple(tensors[: ctx.num_arguments]), tuple(tensors[ctx.num_arguments :]), result
