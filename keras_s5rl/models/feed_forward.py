"""The memory of an agent without memory."""

import keras

from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivingLayer
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds


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

    def __init__(self, num_layers, width, activation="leaky_relu", seed=None, **kwargs):
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

    def build(self, inputs_shape, **unused_shapes):
        for layer in self.dense_layers:
            layer.build(inputs_shape)
            inputs_shape = (*inputs_shape[:-1], self.width)

    def call(self, inputs, initial_state=None, resets=None, mask=None, training=None, derived=None):
        for layer in self.dense_layers:
            inputs = layer(inputs, derived=derived)
        return inputs

    def step(self, inputs, reset, state, derived=None):
        return self(inputs, derived=derived), []

    def get_initial_state(self, batch_size):
        return []

    def compute_output_shape(self, inputs_shape, **unused_shapes):
        return (*inputs_shape[:-1], self.width)

    def get_config(self):
        return super().get_config() | {
            "num_layers": self.num_layers,
            "width": self.width,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }
