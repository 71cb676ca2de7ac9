"""What layers around one linear recurrence share, and weights that are float32 always."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from keras_s5rl.layers.derived_weights import DerivingLayer
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.ops import check_implementation, linear_recurrence_time_major
from keras_s5rl.typing import Tensor


class LinearRecurrenceLayer(DerivingLayer, SequenceLayer):
    """A base of layers whose state is that of one `keras_s5rl.ops.linear_recurrence`.

    A subclass defines `build`, `run` and `state_shapes`, and says whether its state is complex: a
    pair of planes `(2, states)`, real and imaginary parts.

    Args:
        implementation: As for `keras_s5rl.ops.linear_recurrence`.
        **kwargs: Arguments of `SequenceLayer`.
    """

    is_complex: ClassVar[bool]

    def __init__(self, implementation: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_implementation(implementation)
        self.implementation = implementation

    @property
    def single_state(self) -> bool:
        return True

    def recur(
        self,
        decay: Tensor,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None,
        mask: Tensor | None,
        reverse: bool,
    ) -> tuple[Tensor, list[Tensor]]:
        """Runs the recurrence over a sequence.

        Args:
            decay: float32 tensor of the shape of a state, if it is complex, or with the axes
                `(time, batch)` in front.
            inputs: float32 tensor `(time, batch, ...)`, of each step like a state.
            states: List of one float32 tensor `(batch, ...)`, the state before the first step.
            resets, mask, reverse: As for `SequenceLayer.run`.

        Returns:
            The states of all steps, like `inputs`, and a list of the one after the last step.
        """
        history = linear_recurrence_time_major(
            self._as_planes(decay),
            self._as_planes(inputs),
            self._as_planes(states[0]),
            resets,
            mask,
            reverse,
            self.implementation,
        )
        history = ops.reshape(history, ops.shape(inputs))
        return history, [history[0 if reverse else -1]]

    def _as_planes(self, values: Tensor) -> Tensor:
        """A real state is one plane, in which all its numbers lie side by side."""
        if self.is_complex:
            return values
        (shape,) = self.state_shapes
        leading = ops.shape(values)[: len(values.shape) - len(shape)]
        return ops.reshape(values, (*leading, 1, math.prod(shape)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "implementation": self.implementation}


def add_float32_weight(layer: Any, name: str, shape: Sequence[int], initializer: Any) -> Any:
    """Adds a weight to a layer that no dtype policy rounds: decays close to 1 do not fit in a
    half-precision number."""
    return layer.add_weight(
        shape=shape, initializer=initializer, dtype="float32", autocast=False, name=name
    )
