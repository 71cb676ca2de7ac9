"""S5 with what stands around it in a deep network: residual, normalisation, non-linearity, gate."""

import keras
from keras import ops

from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.layers.row_normalization import RowNormalization
from keras_s5rl.layers.s5 import S5, check_stateful
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.ops import rowwise

S5_ARGUMENTS = (
    "state_size",
    "num_blocks",
    "discretization",
    "c_init",
    "dt_min",
    "dt_max",
    "conjugate_symmetry",
    "clip_eigenvalues",
    "bidirectional",
    "step_rescale",
    "implementation",
)
_ACTIVATIONS = ("full_glu", "half_glu1", "half_glu2", "gelu")
_NORMS = (None, "pre", "post")


def take_s5_arguments(kwargs):
    """Moves the arguments that are those of `S5` out of keyword arguments, into another dict."""
    return {name: kwargs.pop(name) for name in S5_ARGUMENTS if name in kwargs}


def check_block_arguments(activation, norm, dropout):
    """Raises a ValueError if a setting of a block is out of its range."""
    if activation not in _ACTIVATIONS:
        raise ValueError(
            f"`activation` should be one of {list(_ACTIVATIONS)}. "
            f"Received: activation={activation!r}"
        )
    if norm not in _NORMS:
        raise ValueError(f"`norm` should be one of {list(_NORMS)}. Received: norm={norm!r}")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` should be in [0, 1). Received: dropout={dropout}")


@keras.saving.register_keras_serializable("keras_s5rl")
class S5Block(SequenceLayer):
    """A residual block around `S5`.

        z = norm(u) if norm == "pre" else u
        y = S5(z)
        u + gate(y)         and the norm of that if norm == "post"

    | activation | gate(y), with g = gelu(y) |
    | --- | --- |
    | `"full_glu"` | `(W1 g + b1) * sigmoid(W2 g + b2)` |
    | `"half_glu1"` | `g * sigmoid(W g + b)` |
    | `"half_glu2"` | `y * sigmoid(W g + b)` |
    | `"gelu"` | `g` |

    Args:
        activation: One of the above. Defaults to `"full_glu"`.
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

    def __init__(self, activation="full_glu", norm=None, dropout=0.0, seed=None, **kwargs):
        s5_arguments = take_s5_arguments(kwargs)
        super().__init__(seed=seed, **kwargs)
        check_block_arguments(activation, norm, dropout)
        self.activation = activation
        self.norm = norm
        self.dropout = dropout
        s5_seed, gate_seed, dropout_seed = derive_seeds(seed, 3)
        self.s5 = S5(
            **s5_arguments,
            seed=s5_seed,
            dtype=self.dtype_policy,
            name="s5",
        )
        check_stateful(self.stateful, self.s5.bidirectional)
        self._gate_seed = gate_seed
        self.gate = self.layer_norm = self.dropout_layer = None
        if norm is not None:
            self.layer_norm = RowNormalization(epsilon=1e-5, dtype=self.dtype_policy, name="norm")
        if dropout > 0:
            self.dropout_layer = keras.layers.Dropout(
                dropout, seed=dropout_seed, dtype=self.dtype_policy, name="dropout"
            )

    @property
    def state_shapes(self):
        return self.s5.state_shapes

    @property
    def single_state(self):
        return self.s5.single_state

    def output_size(self, features):
        return features

    def build(
        self, inputs_shape, initial_state_shape=None, resets_shape=None, step_scale_shape=None
    ):
        features = inputs_shape[-1]
        self.s5.build((None, None, features))
        if self.layer_norm is not None:
            self.layer_norm.build((None, features))
        if self.activation != "gelu":
            self.gate = keras.layers.Dense(
                2 * features if self.activation == "full_glu" else features,
                kernel_initializer=Orthogonal(seed=self._gate_seed),
                dtype=self.dtype_policy,
                name="gate",
            )
            self.gate.build((None, features))
        self._create_states(inputs_shape[0])
        self.built = True

    def run(
        self, inputs, states, resets=None, mask=None, step_scale=None, reverse=False, training=None
    ):
        hidden = rowwise(self.layer_norm, inputs) if self.norm == "pre" else inputs
        hidden, states = self.s5.run(hidden, states, resets, mask, step_scale, reverse, training)
        outputs = inputs + rowwise(lambda rows: self._activate(rows, training), hidden)
        return rowwise(self.layer_norm, outputs) if self.norm == "post" else outputs, states

    def _activate(self, rows, training):
        hidden = self._drop(ops.gelu(rows), training)
        if self.activation == "gelu":
            return hidden
        gate = self.gate(hidden)
        if self.activation == "full_glu":  # both products at once
            value, gate = ops.split(gate, 2, axis=-1)
        else:
            value = hidden if self.activation == "half_glu1" else rows
        return self._drop(value * ops.sigmoid(gate), training)

    def _drop(self, rows, training):
        return rows if self.dropout_layer is None else self.dropout_layer(rows, training=training)

    def _check_can_step(self):
        self.s5._check_can_step()

    def get_config(self):
        s5_config = self.s5.get_config()
        return {
            **super().get_config(),
            "activation": self.activation,
            "norm": self.norm,
            "dropout": self.dropout,
            **{name: s5_config[name] for name in S5_ARGUMENTS},
        }
