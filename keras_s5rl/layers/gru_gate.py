"""A gate in place of a residual sum."""

from typing import Any

import keras
from keras import ops

from keras_s5rl.layers.checks import check_positive_integers, check_seed
from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.typing import Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class GRUGate(keras.layers.Layer):
    """The gate of a GRU, which lets a part of a network in by degrees.

        r, z = sigmoid(W_r y + U_r x), sigmoid(W_z y + U_z x - b)
        gate(x, y) = (1 - z) * x + z * tanh(W_g y + U_g (r * x))

    With a positive b it starts near `x`, as if the part that made `y` of it were not there.

    Args:
        width: Positive integer, the features of x and y.
        bias: Float, the initial b. Defaults to `2.0`.
        seed: Integer, or `None` for Keras' global seed; the initial weights are drawn from it.
            Defaults to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: x, a tensor `(..., width)`.
        outputs: y, a tensor `(..., width)`.
        derived: `DerivedWeights` of a model that holds the layer, or `None`.

    Output shape:
        `(..., width)`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers.gru_gate import GRUGate
    >>> gate = GRUGate(3, bias=30.0, seed=0)
    >>> x, y = np.ones((1, 3), "float32"), np.full((1, 3), 5.0, "float32")
    >>> bool((abs(gate(x, y) - x) < 1e-3).all())
    True

    Reference:
    - Parisotto et al., "Stabilizing transformers for reinforcement learning", 2020 (section 3.2).
    """

    def __init__(
        self, width: int, bias: float = 2.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_positive_integers(width=width)
        check_seed(seed)
        self.width = width
        self.initial_bias = bias
        self.seed = seed

        def dense(name: str, parts: int, seed: int) -> Dense:
            return Dense(
                parts * width,
                use_bias=False,
                # The gain keeps the variance: rows of a wide orthogonal matrix have length 1.
                kernel_initializer=Orthogonal(parts**0.5, seed=seed),
                dtype=self.dtype_policy,
                name=name,
            )

        seeds = derive_seeds(seed, 3)
        self.of_outputs = dense("of_outputs", 3, seeds[0])  # W_r, W_z, W_g
        self.of_inputs = dense("of_inputs", 2, seeds[1])  # U_r, U_z
        self.of_reset_inputs = dense("of_reset_inputs", 1, seeds[2])  # U_g

    def build(self, inputs_shape: Shape, outputs_shape: Shape | None = None) -> None:
        for layer in (self.of_outputs, self.of_inputs, self.of_reset_inputs):
            layer.build((None, self.width))
        self.bias = self.add_weight(
            shape=(self.width,),
            initializer=keras.initializers.Constant(self.initial_bias),
            dtype="float32",
            autocast=False,
            name="bias",
        )
        self.built = True

    def call(
        self, inputs: Tensor, outputs: Tensor, derived: DerivedWeights | None = None
    ) -> Tensor:
        def parts(layer: Dense, values: Tensor, count: int) -> list[Tensor]:
            products = ops.cast(layer(values, derived=derived), "float32")
            return ops.split(products, count, axis=-1)

        y_r, y_z, y_g = parts(self.of_outputs, outputs, 3)
        x_r, x_z = parts(self.of_inputs, inputs, 2)
        x = ops.cast(inputs, "float32")
        r, z = ops.sigmoid(y_r + x_r), ops.sigmoid(y_z + x_z - self.bias)
        (x_g,) = parts(self.of_reset_inputs, ops.cast(r * x, self.compute_dtype), 1)
        return ops.cast((1 - z) * x + z * ops.tanh(y_g + x_g), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "width": self.width, "bias": self.initial_bias, "seed": self.seed}
