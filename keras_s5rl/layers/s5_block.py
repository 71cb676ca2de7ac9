"""S5 with what stands around it in a deep network."""

import inspect

import keras

from keras_s5rl.layers.checks import check_seed
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.layers.residual_block import ResidualBlock
from keras_s5rl.layers.s5 import S5
from keras_s5rl.layers.sequence_layer import SequenceLayer

# What is the layer's own; the rest, such as `return_sequences`, is for whatever stands around it.
S5_ARGUMENTS = tuple(
    name
    for name in inspect.signature(S5.__init__).parameters
    if name not in inspect.signature(SequenceLayer.__init__).parameters
)


def take_s5_arguments(kwargs):
    """Moves the arguments that are those of `S5` out of keyword arguments, into another dict."""
    return {name: kwargs.pop(name) for name in S5_ARGUMENTS if name in kwargs}


@keras.saving.register_keras_serializable("keras_s5rl")
class S5Block(ResidualBlock):
    """The `ResidualBlock` around `S5`: residual, normalisation, non-linearity, gate.

    Args:
        activation: `"full_glu"`, `"half_glu1"`, `"half_glu2"` or `"gelu"`, as `ResidualBlock` has
            them. Defaults to `"full_glu"`.
        norm: `None`, `"pre"` or `"post"`: where a layer normalisation stands. Defaults to `None`.
        dropout: Float in [0, 1), the rate after `gelu` and after the gate. Defaults to `0.0`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        **kwargs: Arguments of `S5` and of `keras.layers.Layer`.

    Call arguments, input shape and output shape are those of `S5`. The output of a masked step is
    that of the whole block.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5Block
    >>> block = S5Block(norm="pre", state_size=16)
    >>> tuple(block(np.ones((2, 5, 8), "float32")).shape)
    (2, 5, 8)

    Reference:
    - "Simplified state space layers for sequence modeling" (S5).
    """

    _layer_attribute = "s5"

    def __init__(self, activation="full_glu", norm=None, dropout=0.0, seed=None, **kwargs):
        check_seed(seed)
        layer = S5(
            **take_s5_arguments(kwargs),
            seed=derive_seeds(seed, 1)[0],
            dtype=kwargs.get("dtype"),
            name="s5",
        )
        super().__init__(layer, activation, norm, dropout, seed, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["layer"]
        s5_config = self.s5.get_config()
        return {**config, **{name: s5_config[name] for name in S5_ARGUMENTS}}
