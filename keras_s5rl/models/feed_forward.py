"""The memory of an agent without memory."""

from typing import Any, Unpack

import keras

from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class FeedForward(DerivingLayer, keras.layers.Layer):
    """Dense layers behind the interface of a memory: no state, and resets change nothing.

    Args:
        num_layers: Positive integer, number of dense layers.
        width: Positive integer, units of each.
        activation: Activation after each. Defaults to `"leaky_relu"`.
        seed: Integer or `None`, from which the initial weights are drawn. Defaults to `None`.

    Call arguments:
        inputs: Tensor `(..., features)`.
        initial_state, resets, mask, training: Accepted as every memory does, and without effect.

    Output shape:
        `(..., width)`. There are no states.
    """

    def __init__(
        self,
        num_layers: int,
        width: int,
        activation: str = "leaky_relu",
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.width = width
        self.activation = keras.activations.get(activation)
        self.seed = seed
        self.dense_layers = [
            Dense(
                width,
                activation=self.activation,
                kernel_initializer=Orthogonal(2.0**0.5, seed=layer_seed),
                dtype=self.dtype_policy,
                name=f"dense_{i}",
            )
            for i, layer_seed in enumerate(derive_seeds(seed, num_layers))
        ]

    def build(self, inputs_shape: Shape, **unused_shapes: Any) -> None:
        for layer in self.dense_layers:
            layer.build(inputs_shape)
            inputs_shape = (*inputs_shape[:-1], self.width)

    def call(
        self,
        inputs: Tensor,
        initial_state: Any = None,
        resets: Tensor | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> Tensor:
        for layer in self.dense_layers:
            inputs = layer(inputs, derived=derived)
        return inputs

    def step(
        self,
        inputs: Tensor,
        reset: Tensor | None,
        state: Any,
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        return self(inputs, derived=derived), []

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        return []

    def compute_output_shape(self, inputs_shape: Shape, **unused_shapes: Any) -> Shape:
        return (*inputs_shape[:-1], self.width)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_layers": self.num_layers,
            "width": self.width,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }
