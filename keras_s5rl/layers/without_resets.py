"""A layer over time that ignores resets, for ablations."""

from typing import Any, Self, Unpack

import keras

from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer, hand_on
from keras_s5rl.layers.inner_layer import check_inner_layer
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class WithoutResets(DerivingLayer, SequenceLayer):
    """Runs a layer over time and ignores the resets: its state goes on from episode to episode.

    It is for ablations, to measure what resets are worth. It has the call signature of `S5`, and
    everything but `resets` means what it means there.

    Args:
        layer: `SequenceLayer`, such as `S5(64)` or `S5Stack(2, 64)`, with the default
            `return_sequences`, `return_state`, `stateful`, `go_backwards` and
            `zero_output_for_mask`: those of this layer count.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs, initial_state, step_scale, mask, training: As for `layer`.
        resets: Checked as for `S5`, and not used.

    Input shape:
        That of `layer`.

    Output shape:
        That of `layer`.

    Raises:
        ValueError: If `layer` is no `SequenceLayer`, or one with arguments of its own.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5, WithoutResets
    >>> layer = WithoutResets(S5(state_size=8, seed=0))
    >>> inputs = np.ones((1, 5, 4), "float32")
    >>> resets = np.array([[False, False, True, False, False]])
    >>> bool((layer(inputs, resets=resets) == layer(inputs)).all())
    True

    Reference:
    - "Structured state space models for in-context reinforcement learning" (which compares S5 with
      and without resets).
    """

    def __init__(
        self,
        layer: SequenceLayer,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        seed: int | None = None,
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
        self.layer = layer
        if self.stateful:
            self._check_can_step()

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return self.layer.state_shapes

    @property
    def single_state(self) -> bool:
        return self.layer.single_state

    def get_initial_state(self, batch_size: int) -> Any:
        """The state before the first step, as the layer inside has it."""
        return self.layer.get_initial_state(batch_size)

    def output_size(self, features: int) -> int:
        return self.layer.output_size(features)

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        if not self.layer.built:  # a loaded one is
            self.layer.build((None, *inputs_shape[1:]))
        self._create_states(inputs_shape[0])
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
        return self.layer.run(
            inputs,
            states,
            None,
            mask,
            step_scale,
            reverse,
            training,
            **hand_on(derived, self.layer),
        )

    def _run_sequence(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None,
        mask: Tensor | None,
        step_scale: Tensor | None,
        training: bool | None,
    ) -> tuple[Tensor, list[Tensor]]:
        # What a masked step repeats is not forgotten at a reset either.
        return super()._run_sequence(inputs, states, None, mask, step_scale, training)

    def _check_can_step(self) -> None:
        self.layer._check_can_step()

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["seed"]  # the layer inside has its own
        return {**config, "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})
