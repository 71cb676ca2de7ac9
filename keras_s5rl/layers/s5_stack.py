"""A deep S5 network: encoder, blocks, and one last normalisation."""

import keras

from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.layers.row_normalization import RowNormalization
from keras_s5rl.layers.s5 import check_stateful
from keras_s5rl.layers.s5_block import S5_ARGUMENTS, S5Block, take_s5_arguments
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.ops import rowwise


@keras.saving.register_keras_serializable("keras_s5rl")
class S5Stack(SequenceLayer):
    """A dense encoder, blocks of `S5`, and a last layer normalisation where they are pre-normed.

    Time is the leading axis inside: a batch is transposed once on its way in and once on its way
    out.

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
        s5_arguments = take_s5_arguments(kwargs)
        super().__init__(seed=seed, **kwargs)
        for name, value in (("num_layers", num_layers), ("width", width)):
            if value < 1:
                raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value}")
        self.num_layers = num_layers
        self.width = width
        self.activation = activation
        self.norm = norm
        self.dropout = dropout
        encoder_seed, *block_seeds = derive_seeds(seed, 1 + num_layers)
        self.encoder = keras.layers.Dense(
            width,
            kernel_initializer=Orthogonal(seed=encoder_seed),
            dtype=self.dtype_policy,
            name="encoder",
        )
        self.blocks = [
            S5Block(
                activation,
                norm,
                dropout,
                **s5_arguments,
                seed=block_seed,
                dtype=self.dtype_policy,
                name=f"block_{index}",
            )
            for index, block_seed in enumerate(block_seeds)
        ]
        check_stateful(self.stateful, self.blocks[0].s5.bidirectional)
        self.last_norm = None
        if norm == "pre":
            self.last_norm = RowNormalization(
                epsilon=1e-5, dtype=self.dtype_policy, name="last_norm"
            )

    @property
    def state_shapes(self):
        return [shape for block in self.blocks for shape in block.state_shapes]

    def output_size(self, features):
        return self.width

    def build(
        self, inputs_shape, initial_state_shape=None, resets_shape=None, step_scale_shape=None
    ):
        self.encoder.build((None, inputs_shape[-1]))
        for block in self.blocks:
            block.build((None, None, self.width))
        if self.last_norm is not None:
            self.last_norm.build((None, self.width))
        self._create_states(inputs_shape[0])
        self.built = True

    def run(
        self, inputs, states, resets=None, mask=None, step_scale=None, reverse=False, training=None
    ):
        outputs = rowwise(self.encoder, inputs)
        count = len(states) // self.num_layers
        new_states = []
        for index, block in enumerate(self.blocks):
            outputs, block_states = block.run(
                outputs,
                states[index * count : (index + 1) * count],
                resets,
                mask,
                step_scale,
                reverse,
                training,
            )
            new_states += block_states
        if self.last_norm is not None:
            outputs = rowwise(self.last_norm, outputs)
        return outputs, new_states

    def _check_can_step(self):
        self.blocks[0]._check_can_step()

    def get_config(self):
        block_config = self.blocks[0].get_config()
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "width": self.width,
            "activation": self.activation,
            "norm": self.norm,
            "dropout": self.dropout,
            **{name: block_config[name] for name in S5_ARGUMENTS},
        }
