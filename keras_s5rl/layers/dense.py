"""A dense layer whose products are those of the package."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl.layers.checks import check_dtype, refuse_quantization
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer
from keras_s5rl.ops import product
from keras_s5rl.typing import Shape, Tensor

# Narrower products gain from being made one.
_WIDE = 128


@keras.saving.register_keras_serializable("keras_s5rl")
class Dense(DerivingLayer, keras.layers.Dense):
    """`keras.layers.Dense`, computed by `keras_s5rl.ops.product`.

        y = activation(x W + b)

    Under a mixed dtype policy the product alone is in half precision: sum, bias and activation are
    float32, and so are the gradients of the weights.

    Args:
        *args, **kwargs: Arguments of `keras.layers.Dense`.

    Input shape:
        `(..., features)`.

    Output shape:
        `(..., units)`.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers.dense import Dense
    >>> tuple(Dense(3)(np.ones((4, 2, 5), "float32")).shape)
    (4, 2, 3)
    """

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        # Never cast: `product` rounds the kernel itself, behind its gradient.
        return super().add_weight(*args, **{**kwargs, "autocast": False})

    def build(self, input_shape: Shape) -> None:  # named as in Keras, which gives it by name
        check_dtype("dtype", self)
        super().build(input_shape)

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Not implemented: raises an error that says so."""
        refuse_quantization(self, mode)

    def derive_weights(self) -> Tensor:
        """The kernel in the dtype that its product is computed in."""
        return ops.cast(self.kernel, self.compute_dtype)

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> Tensor:
        return self._outputs(inputs, self._kernel_of_product(derived), self.bias)

    def call_in_parts(
        self, inputs: Tensor, parts: int, derived: DerivedWeights | None = None
    ) -> list[Tensor]:
        """The outputs in equal parts.

        Wide parts are products of their own, which are as fast apart as together: together they
        would be taken apart here and put together in the gradient, each a pass over memory.

        Args:
            inputs: Tensor `(..., features)`.
            parts: Integer that divides `units`.
            derived: `DerivedWeights` of a model that holds the layer, or `None`. Defaults to
                `None`.

        Returns:
            List of `parts` tensors `(..., units / parts)`.
        """
        units = self.units // parts
        if min(units, self.kernel.shape[0]) < _WIDE:
            return ops.split(self(inputs, derived=derived), parts, axis=-1)
        kernel, bias = self._kernel_of_product(derived), self.bias
        columns = [slice(part * units, (part + 1) * units) for part in range(parts)]
        return [
            self._outputs(inputs, kernel[:, where], None if bias is None else bias[where])
            for where in columns
        ]

    def _outputs(self, inputs: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        outputs = product(inputs, kernel)
        if bias is not None:
            outputs = outputs + ops.cast(bias, "float32")
        if self.activation is not None:
            outputs = self.activation(outputs)
        return ops.cast(outputs, self.compute_dtype)

    def _kernel_of_product(self, derived: DerivedWeights | None) -> Tensor:
        return ops.convert_to_tensor(self.kernel) if derived is None else derived.of(self)


def run_side_by_side(
    layers: Sequence[Dense], inputs: Tensor, derived: DerivedWeights | None = None
) -> list[Tensor]:
    """The outputs of layers that read the same inputs, from one product: one wide product is faster
    than several narrow ones, forward and in its gradients.

    Args:
        layers: List of built `Dense` layers with bias, one activation and one dtype policy.
        inputs: Tensor `(..., features)`.
        derived: `DerivedWeights` of a model that holds the layers, or `None`. Defaults to `None`.

    Returns:
        List of tensors `(..., units)`, one for each layer.
    """
    kernel = ops.concatenate([layer._kernel_of_product(derived) for layer in layers], axis=1)
    bias = ops.concatenate([ops.cast(layer.bias, "float32") for layer in layers], axis=0)
    outputs = product(ops.cast(inputs, layers[0].compute_dtype), kernel)
    outputs = layers[0].activation(outputs + bias)
    outputs = ops.cast(outputs, layers[0].compute_dtype)
    ends = np.cumsum([layer.units for layer in layers])[:-1].tolist()
    return ops.split(outputs, ends, axis=-1)
