"""What layers make of their weights alone: once for a loop of steps, and not in each step."""

from typing import Any

from keras_s5rl.typing import Structure


class DerivingLayer:
    """A mixin for layers that make something of their weights before they use them, or that hold
    such layers.

    Their calls (`run`, `run_last`, and `call` of what is no `SequenceLayer`) have an argument
    `derived`, `DerivedWeights` or `None`, from which they take what `derive_weights` returned.
    """

    def derive_weights(self) -> Structure:
        """Returns what the layer makes of its weights, a structure of tensors, or `None`."""
        return None


class DerivedWeights:
    """What all layers of a model make of their weights, worked out once.

    For a loop over `step` in which the weights stay as they are: `step` takes it as the argument
    `derived` and hands it on. XLA does not always move such work out of a loop by itself: under
    `mixed_bfloat16` it did not.

    Args:
        model: Built Keras model or layer.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5Stack
    >>> from keras_s5rl.layers.derived_weights import DerivedWeights
    >>> memory = S5Stack(num_layers=1, width=8, state_size=8)
    >>> memory.build((None, None, 3))
    >>> derived, state = DerivedWeights(memory), memory.get_initial_state(2)
    >>> for _ in range(3):
    ...     outputs, state = memory.step(np.ones((2, 3), "float32"), None, state, derived)
    """

    def __init__(self, model: Any) -> None:
        self._of_layer = {
            layer: layer.derive_weights()
            for layer in model._flatten_layers()
            if isinstance(layer, DerivingLayer)
        }

    def of(self, layer: DerivingLayer) -> Structure:
        """Returns what a layer of the model derived."""
        return self._of_layer[layer]


def hand_on(derived: DerivedWeights | None, layer: Any) -> dict[str, Any]:
    """Returns the keyword arguments with which `derived` reaches a layer, if it takes it."""
    if derived is None or not isinstance(layer, DerivingLayer):
        return {}
    return {"derived": derived}
