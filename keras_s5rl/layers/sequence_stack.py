"""Layers over time one after the other, as one layer."""

from collections.abc import Sequence
from typing import Any, Self, Unpack

import keras
from keras import ops

from keras_s5rl.layers.checks import check_booleans, check_features, check_positive_integers
from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer, hand_on
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.layers.inner_layer import check_inner_layer
from keras_s5rl.layers.row_normalization import RowNormalization
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.ops import rowwise
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class SequenceStack(DerivingLayer, SequenceLayer):
    """A dense encoder, or none, and layers over time, one after the other.

    Time is the leading axis inside: a batch is transposed once on its way in and once on its way
    out. Resets, mask and step scale reach every layer.

    Args:
        layers: List of `SequenceLayer`s, such as `ResidualBlock`s, with the default
            `return_sequences`, `return_state`, `stateful`, `go_backwards` and
            `zero_output_for_mask`: those of the stack count.
        width: Positive integer, the features that the encoder gives the first layer, or `None` for
            no encoder: the first layer takes the inputs as they are.
        normalize_output: Whether a layer normalisation comes last, as behind pre-normed blocks.
            Defaults to `False`.
        seed: Integer, or `None` for Keras' global seed; the initial weights of the encoder are
            drawn from it. Defaults to `None`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: Flat list of the states of the layers, in their order, as
            `get_initial_state` gives it; `None` for that itself.
        resets, step_scale, mask, training: As for `S5`.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, units)`, or `(batch, units)` with `return_sequences=False`, with the units of
        the last layer; with `return_state` a tuple of it and the states.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_s5rl.layers import S5, ResidualBlock, Resettable, SequenceStack
    >>> blocks = [ResidualBlock(S5(16)), ResidualBlock(Resettable(keras.layers.GRUCell(8)))]
    >>> stack = SequenceStack(blocks, width=8, return_state=True)
    >>> outputs, *states = stack(np.ones((2, 5, 3), "float32"))
    >>> tuple(outputs.shape), [tuple(state.shape) for state in states]
    ((2, 5, 8), [(2, 2, 8), (2, 8)])
    """

    def __init__(
        self,
        layers: Sequence[SequenceLayer],
        width: int | None,
        normalize_output: bool = False,
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
        if not isinstance(layers, list | tuple) or not layers:
            raise ValueError(
                f"`layers` should be a list of at least one layer. Received: layers={layers!r}"
            )
        for layer in layers:
            check_inner_layer("layers", layer)
        check_booleans(normalize_output=normalize_output)
        self.width = width
        self.normalize_output = normalize_output
        self.encoder = None
        if width is not None:
            check_positive_integers(width=width)
            (encoder_seed,) = derive_seeds(seed, 1)
            self.encoder = Dense(
                width,
                kernel_initializer=Orthogonal(seed=encoder_seed),
                dtype=self.dtype_policy,
                name="encoder",
            )
        self.blocks = list(layers)
        if self.stateful:
            self._check_can_step()
        self.last_norm = None
        if normalize_output:
            self.last_norm = RowNormalization(
                epsilon=1e-5, dtype=self.dtype_policy, name="last_norm"
            )

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [shape for block in self.blocks for shape in block.state_shapes]

    def get_initial_state(self, batch_size: int) -> Any:
        """The states of all layers before an episode: a flat list, batch first."""
        return keras.tree.flatten([block.get_initial_state(batch_size) for block in self.blocks])

    def output_size(self, features: int) -> int:
        features = features if self.width is None else self.width
        for block in self.blocks:
            features = block.output_size(features)
        return features

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        features = check_features(inputs_shape)
        if self.encoder is not None:
            self.encoder.build((None, features))
            features = self.encoder.units
        for block in self.blocks:
            if not block.built:  # a loaded one is
                block.build((None, None, features))
            features = block.output_size(features)
        if self.last_norm is not None:
            self.last_norm.build((None, features))
        self._create_states(inputs_shape[0])
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: inputs_shape[-1]})
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
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        return self._run(
            False,
            inputs,
            states,
            resets=resets,
            mask=mask,
            step_scale=step_scale,
            reverse=reverse,
            training=training,
            derived=derived,
        )

    def run_last(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        return self._run(
            True,
            inputs,
            states,
            resets=resets,
            step_scale=step_scale,
            reverse=reverse,
            training=training,
            derived=derived,
        )

    def _run(
        self,
        last_only: bool,
        inputs: Tensor,
        states: list[Tensor],
        derived: DerivedWeights | None,
        **arguments: Any,
    ) -> tuple[Tensor, list[Tensor]]:
        outputs, encoder = inputs, self.encoder
        if encoder is not None:
            outputs = rowwise(lambda rows: encoder(rows, derived=derived), inputs)
        states, new_states = list(states), []
        for index, block in enumerate(self.blocks):
            run = block.run_last if last_only and index == len(self.blocks) - 1 else block.run
            count = len(block.state_shapes)
            outputs, block_states = run(
                ops.cast(outputs, block.compute_dtype),
                states[:count],
                **arguments,
                **hand_on(derived, block),
            )
            del states[:count]
            new_states += block_states
        outputs = ops.cast(outputs, self.compute_dtype)
        if self.last_norm is not None:
            outputs = rowwise(self.last_norm, outputs)
        return outputs, new_states

    def _check_can_step(self) -> None:
        for block in self.blocks:
            block._check_can_step()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "layers": [keras.saving.serialize_keras_object(block) for block in self.blocks],
            "width": self.width,
            "normalize_output": self.normalize_output,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if "layers" in config:  # a subclass may make its own
            layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
            config = {**config, "layers": layers}
        return cls(**config)
