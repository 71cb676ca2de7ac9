"""A deep S5 network: encoder, blocks, and one last normalisation."""

import keras

from keras_s5rl.layers.checks import check_positive_integers, check_seed
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.layers.s5_block import S5_ARGUMENTS, S5Block, take_s5_arguments
from keras_s5rl.layers.sequence_stack import SequenceStack


@keras.saving.register_keras_serializable("keras_s5rl")
class S5Stack(SequenceStack):
    """A dense encoder, blocks of `S5`, and a last layer normalisation where they are pre-normed.

    It is the `SequenceStack` of `num_layers` `S5Block`s.

    Args:
        num_layers: Positive integer, the number of blocks.
        width: Positive integer, the features of every block.
        activation: As for `S5Block`. Defaults to `"full_glu"`.
        norm: As for `S5Block`. Defaults to `None`.
        dropout: As for `S5Block`. Defaults to `0.0`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        **kwargs: Arguments of `S5` and of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: List of `num_layers` float32 tensors `(batch, 2, P)` (twice as many when
            bidirectional), or `None` for zeros.
        resets, step_scale, mask, training: As for `S5`.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, width)`, or `(batch, width)` with `return_sequences=False`; with
        `return_state` a tuple of it and the states.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5Stack
    >>> stack = S5Stack(num_layers=2, width=8, state_size=16, return_state=True)
    >>> outputs, *states = stack(np.ones((2, 5, 3), "float32"))
    >>> tuple(outputs.shape), len(states)
    ((2, 5, 8), 2)
    >>> output, states = stack.step(np.ones((2, 3), "float32"), np.array([True, False]), states)
    >>> tuple(output.shape)
    (2, 8)

    Reference:
    - "Structured state space models for in-context reinforcement learning" (there four layers
      of width 256).
    """

    def __init__(
        self,
        num_layers,
        width,
        activation="full_glu",
        norm=None,
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        check_positive_integers(num_layers=num_layers, width=width)
        check_seed(seed)
        s5_arguments = take_s5_arguments(kwargs)
        _, *block_seeds = derive_seeds(seed, 1 + num_layers)
        blocks = [
            S5Block(
                activation,
                norm,
                dropout,
                **s5_arguments,
                seed=block_seed,
                dtype=kwargs.get("dtype"),
                name=f"block_{index}",
            )
            for index, block_seed in enumerate(block_seeds)
        ]
        super().__init__(blocks, width, normalize_output=norm == "pre", seed=seed, **kwargs)
        self.num_layers = num_layers
        self.activation = activation
        self.norm = norm
        self.dropout = dropout

    def get_config(self):
        config = super().get_config()
        del config["layers"], config["normalize_output"]
        block_config = self.blocks[0].get_config()
        return {
            **config,
            "num_layers": self.num_layers,
            "activation": self.activation,
            "norm": self.norm,
            "dropout": self.dropout,
            **{name: block_config[name] for name in S5_ARGUMENTS},
        }
