"""`LeakyCell`: a cell of Keras whose state decays at a fixed rate."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="my_lab")
class LeakyCell(keras.layers.Layer):
    """`state = (1 - leak) * state + leak * tanh(W x)`, which is also the output.

    Args:
        units: Positive integer.
        leak: Number from 0 to 1.
        seed: Integer or `None`, from which `W` is drawn.
    """

    def __init__(self, units: int, leak: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units
        self.leak = leak
        self.seed = seed
        initializer = keras.initializers.GlorotUniform(seed)
        self.dense = keras.layers.Dense(
            units, "tanh", kernel_initializer=initializer, dtype=self.dtype_policy
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.dense.build(input_shape)

    def call(
        self, inputs: Any, states: list[Any], training: bool | None = None
    ) -> tuple[Any, list[Any]]:
        state = (1 - self.leak) * states[0] + self.leak * self.dense(inputs)
        return state, [state]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "leak": self.leak, "seed": self.seed}
