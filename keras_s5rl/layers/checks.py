"""What the arguments of layers over time are checked for."""

import math
import numbers
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
from keras import ops

from keras_s5rl.typing import Array, Shape, Tensor

_DTYPES = ("float32", "bfloat16", "float16")


def check_positive_integers(**values: Any) -> None:
    """Raises a ValueError if one of these arguments is not a positive integer."""
    for name, value in values.items():
        integer = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)
        if not integer or value < 1:
            raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value!r}")


def check_booleans(**values: Any) -> None:
    """Raises a ValueError if one of these arguments is not `True` or `False`."""
    for name, value in values.items():
        if not isinstance(value, numbers.Integral | np.bool_) or value not in (0, 1):
            raise ValueError(f"`{name}` should be True or False. Received: {name}={value!r}")


def check_number(name: str, value: Any, expected: str, holds: Callable[[Any], bool]) -> None:
    """Raises a ValueError if an argument is not a finite number for which `holds(value)`."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not number or not math.isfinite(value) or not holds(value):
        raise ValueError(f"`{name}` should be {expected}. Received: {name}={value!r}")


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raises a ValueError if an argument is none of these."""
    if value not in list(choices):
        raise ValueError(f"`{name}` should be one of {list(choices)}. Received: {name}={value!r}")


def check_dropout(dropout: Any) -> None:
    """Raises a ValueError if this is not a rate of dropout."""
    check_number("dropout", dropout, "in [0, 1)", lambda rate: 0 <= rate < 1)


def check_seed(seed: Any) -> None:
    """Raises a ValueError if initial weights cannot be drawn from this seed."""
    integer = isinstance(seed, numbers.Integral) and not isinstance(seed, bool | np.bool_)
    if seed is not None and (not integer or seed < 0):
        raise ValueError(f"`seed` should be an integer from 0, or None. Received: seed={seed!r}")


def check_dtype(name: str, layer: Any) -> None:
    """Raises a ValueError if a layer's dtype policy is not one that the package computes in.

    Args:
        name: String, the argument to name.
        layer: Layer.
    """
    dtype = keras.backend.standardize_dtype(layer.compute_dtype)
    if dtype not in _DTYPES or layer.quantization_mode is not None:
        raise ValueError(
            f"`{name}` should be 'float32', 'mixed_bfloat16', 'mixed_float16', 'bfloat16' or "
            "'float16': states and recurrences are float32 whatever the policy, so that float64 "
            "would be lost on the way, and no product here is quantized. Pass `dtype='float32'` "
            "where `keras.config.floatx()` is another. "
            f"Received: {name}={layer.dtype_policy.name!r}"
        )


def check_features(inputs_shape: Shape) -> int:
    """Returns the features of inputs of this shape; raises a ValueError if they are not known."""
    if inputs_shape[-1] is None:
        raise ValueError(
            "`inputs` should have a static number of features, on the last axis: the weights have "
            f"that size. Received: inputs.shape={tuple(inputs_shape)}"
        )
    return inputs_shape[-1]


def check_real(name: str, values: Tensor) -> None:
    """Raises a ValueError if a tensor does not hold real numbers."""
    dtype = keras.backend.standardize_dtype(values.dtype)
    if "complex" in dtype or dtype == "string":
        raise ValueError(f"`{name}` should hold real numbers. Received: {name}.dtype={dtype}")


def as_flags(name: str, values: Tensor) -> Tensor:
    """The bool tensor of flags given as bools or as numbers 0 and 1.

    Where the numbers can be read, outside of compiled programs, others raise a ValueError.
    """
    values = ops.convert_to_tensor(values)
    if keras.backend.standardize_dtype(values.dtype) != "bool":
        numbers = _read(values)
        if numbers is not None and not np.isin(numbers, (0, 1)).all():
            wrong = numbers[~np.isin(numbers, (0, 1))][0]
            raise ValueError(
                f"`{name}` should hold bools, or numbers that are 0 or 1. "
                f"Received: {name} with an entry {wrong}"
            )
    return ops.cast(values, "bool")


def as_float32(name: str, values: Tensor) -> Tensor:
    """The float32 tensor of these numbers; raises a ValueError if they are not real."""
    values = ops.convert_to_tensor(values)
    check_real(name, values)
    return ops.cast(values, "float32")


def _read(values: Tensor) -> Array | None:
    """The numbers in a tensor, or `None` in a program that is being compiled."""
    try:
        return np.asarray(ops.convert_to_numpy(values))
    except (TypeError, AttributeError, NotImplementedError, RuntimeError):
        return None


def check_shape(name: str, values: Tensor, expected: str, sizes: Sequence[int | None]) -> None:
    """Raises a ValueError if a static size of a tensor is not the one in `sizes`.

    Args:
        name: String, the argument.
        values: Tensor or `KerasTensor`.
        expected: String, the shape in words.
        sizes: Sequence of integers, or `None` where any size will do.
    """
    shape = tuple(values.shape)
    if len(shape) != len(sizes) or any(
        None not in pair and pair[0] != pair[1] for pair in zip(shape, sizes, strict=True)
    ):
        raise ValueError(
            f"`{name}` should have shape {expected}, here {tuple(sizes)}. "
            f"Received: {name}.shape={shape}"
        )


def refuse_step_scale(layer: Any, step_scale: Tensor | None) -> None:
    """Raises a ValueError if a layer in discrete time is given step sizes."""
    if step_scale is not None:
        raise ValueError(
            f"`step_scale` is for layers in continuous time, such as `S5`; {type(layer).__name__} "
            "has no step size. Leave it out. "
            f"Received: step_scale of shape {tuple(step_scale.shape)}"
        )


def refuse_quantization(layer: Any, mode: Any) -> NoReturn:
    """Raises a NotImplementedError, which `model.quantize` turns into a warning."""
    raise NotImplementedError(
        f"`quantize` does not reach {type(layer).__name__} of keras_s5rl: layer {layer.name!r} "
        "stays as it is. Its products are computed in the dtype of its policy; "
        f"`dtype='mixed_bfloat16'` is the small one. Received: mode={mode!r}"
    )


def warn_of_rounded_states(layer_name: str, states: Sequence[Tensor]) -> None:
    """Warns where states of a layer are in half precision: something around it has rounded them."""
    dtypes = {keras.backend.standardize_dtype(value.dtype) for value in states}
    for dtype in dtypes & {"float16", "bfloat16"}:
        warnings.warn(
            f"`initial_state` of layer {layer_name!r} should be float32: an enclosing model or "
            "wrapper has rounded it, as Keras' autocast does with the arguments of subclassed "
            "models and of `Bidirectional`. Pass `autocast=False` to that model's "
            "`super().__init__`, or to `Bidirectional`. "
            f"Received: initial_state.dtype={dtype}",
            stacklevel=4,
        )
