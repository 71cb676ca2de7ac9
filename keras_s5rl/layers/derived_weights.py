"""What layers make of their weights alone: once for a loop of steps, and not in each step."""

import contextlib
from collections.abc import Iterator
from typing import Any

from keras_s5rl.typing import Structure


class DerivedWeights:
    """A mixin for layers that make something of their weights before they use them.

    A subclass defines `derive_weights` and reads `held_weights`: what that returned within
    `hold_derived_weights`, elsewhere `None`.
    """

    held_weights: Structure = None

    def derive_weights(self) -> Structure:
        """Returns what the layer makes of its weights, a structure of tensors."""
        raise NotImplementedError(f"`{type(self).__name__}` should define `derive_weights`.")


@contextlib.contextmanager
def hold_derived_weights(model: Any) -> Iterator[None]:
    """Within it the layers of a model derive nothing from their weights: it was done at the start.

    For a loop over `step` in which the weights stay as they are. XLA does not always move such work
    out of a loop by itself: under `mixed_bfloat16` it did not.

    Args:
        model: Built `keras.Model`.
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, DerivedWeights)]
    try:
        for layer in layers:
            vars(layer)["held_weights"] = layer.derive_weights()  # past Keras, which would track it
        yield
    finally:
        for layer in layers:
            vars(layer).pop("held_weights", None)
