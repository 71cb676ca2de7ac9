"""A layer over time with what stands around it in a deep network."""

from typing import Any, Self, Unpack

import keras
from keras import ops

from keras_s5rl.layers.checks import check_choice, check_dropout, check_features
from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.layers.inner_layer import check_inner_layer
from keras_s5rl.layers.row_normalization import RowNormalization
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.ops import rowwise
from keras_s5rl.typing import LayerArguments, Shape, Tensor

_ACTIVATIONS = ("full_glu", "half_glu1", "half_glu2", "gelu")
_NORMS = (None, "pre", "post")


@keras.saving.register_keras_serializable("keras_s5rl")
class ResidualBlock(SequenceLayer):
    """A residual block around any layer over time: normalisation, non-linearity, gate.

        z = norm(u) if norm == "pre" else u
        y = layer(z)
        u + gate(y)         and the norm of that if norm == "post"

    | activation | gate(y), with g = gelu(y) |
    | --- | --- |
    | `"full_glu"` | `(W1 g + b1) * sigmoid(W2 g + b2)` |
    | `"half_glu1"` | `g * sigmoid(W g + b)` |
    | `"half_glu2"` | `y * sigmoid(W g + b)` |
    | `"gelu"` | `g` |

    It is the block of the S5 authors, for every recurrence.

    Args:
        layer: `SequenceLayer` with as many output features as input features, such as `S5(64)`,
            with the default `return_sequences`, `return_state`, `stateful`, `go_backwards` and
            `zero_output_for_mask`: those of the block count.
        activation: One of the above. Defaults to `"full_glu"`.
        norm: `None`, `"pre"` or `"post"`: where a layer normalisation stands. Defaults to `None`.
        dropout: Float in [0, 1), the rate after `gelu` and after the gate. Defaults to `0.0`.
        seed: Integer, or `None` for Keras' global seed; the initial weights of the gate are drawn
            from it. Defaults to `None`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: As for `layer`.
        resets, step_scale, mask, training: As for `S5`. The output of a masked step is that of the
            whole block.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, features)`, or `(batch, features)` with `return_sequences=False`; with
        `return_state` a tuple of it and the states.

    Raises:
        ValueError: If an argument is out of its range, or `layer` changes the number of features.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_s5rl.layers import ResidualBlock, Resettable
    >>> block = ResidualBlock(Resettable(keras.layers.GRUCell(8)), norm="pre")
    >>> tuple(block(np.ones((2, 5, 8), "float32")).shape)
    (2, 5, 8)

    Reference:
    - "Simplified state space layers for sequence modeling" (S5).
    """

    # The attribute that holds the layer: its name in files of weights.
    _layer_attribute = "layer"

    def __init__(
        self,
        layer: Any,
        activation: str = "full_glu",
        norm: str | None = None,
        dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
            seed=seed,
            **kwargs,
        )
        check_inner_layer("layer", layer)
        check_choice("activation", activation, _ACTIVATIONS)
        check_choice("norm", norm, _NORMS)
        check_dropout(dropout)
        self.activation = activation
        self.norm = norm
        self.dropout = dropout
        setattr(self, self._layer_attribute, layer)
        if self.stateful:
            self._check_can_step()
        _, self._gate_seed, dropout_seed = derive_seeds(seed, 3)
        self.gate: Any = None
        self.layer_norm: Any = None
        self.dropout_layer: Any = None
        if norm is not None:
            self.layer_norm = RowNormalization(epsilon=1e-5, dtype=self.dtype_policy, name="norm")
        if dropout > 0:
            self.dropout_layer = keras.layers.Dropout(
                dropout, seed=dropout_seed, dtype=self.dtype_policy, name="dropout"
            )

    def _inner(self) -> Any:
        return getattr(self, self._layer_attribute)

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return self._inner().state_shapes

    @property
    def single_state(self) -> bool:
        return self._inner().single_state

    def get_initial_state(self, batch_size: int) -> Any:
        """The state of the layer inside before an episode."""
        return self._inner().get_initial_state(batch_size)

    def output_size(self, features: int) -> int:
        return features

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        features = check_features(inputs_shape)
        layer = self._inner()
        if layer.output_size(features) != features:
            raise ValueError(
                "`layer` of a residual block should have as many output features as the block has "
                f"input features, {features}: its output is added to the input. "
                f"Received: layer with {layer.output_size(features)} output features"
            )
        if not layer.built:  # a loaded one is
            layer.build((None, None, features))
        if self.layer_norm is not None:
            self.layer_norm.build((None, features))
        if self.activation != "gelu":
            self.gate = Dense(
                2 * features if self.activation == "full_glu" else features,
                kernel_initializer=Orthogonal(seed=self._gate_seed),
                dtype=self.dtype_policy,
                name="gate",
            )
            self.gate.build((None, features))
        self._create_states(inputs_shape[0])
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})
        self.built = True

    def run(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        mask: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        hidden, states = self._inner().run(
            self._enter(inputs), states, resets, mask, step_scale, reverse, training
        )
        return self._leave(inputs, hidden, training), states

    def run_last(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        hidden, states = self._inner().run_last(
            self._enter(inputs), states, resets, step_scale, reverse, training
        )
        return self._leave(inputs[0 if reverse else -1], hidden, training), states

    def _enter(self, inputs: Tensor) -> Tensor:
        hidden = rowwise(self.layer_norm, inputs) if self.norm == "pre" else inputs
        return ops.cast(hidden, self._inner().compute_dtype)

    def _leave(self, inputs: Tensor, hidden: Tensor, training: bool | None) -> Tensor:
        hidden = ops.cast(hidden, self.compute_dtype)
        outputs = inputs + rowwise(lambda rows: self._activate(rows, training), hidden)
        return rowwise(self.layer_norm, outputs) if self.norm == "post" else outputs

    def _activate(self, rows: Tensor, training: bool | None) -> Tensor:
        hidden = self._drop(ops.gelu(rows), training)
        if self.activation == "gelu":
            return hidden
        if self.activation == "full_glu":
            value, gate = self.gate.call_in_parts(hidden, 2)
        else:
            value = hidden if self.activation == "half_glu1" else rows
            gate = self.gate(hidden)
        return self._drop(value * ops.sigmoid(gate), training)

    def _drop(self, rows: Tensor, training: bool | None) -> Tensor:
        return rows if self.dropout_layer is None else self.dropout_layer(rows, training=training)

    def _check_can_step(self) -> None:
        self._inner()._check_can_step()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self._inner()),
            "activation": self.activation,
            "norm": self.norm,
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if "layer" in config:  # a subclass may make its own
            config = {**config, "layer": keras.saving.deserialize_keras_object(config["layer"])}
        return cls(**config)
