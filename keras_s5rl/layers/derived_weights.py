"""What layers make of their weights alone: once for a loop of steps, and not in each step."""

import contextlib


class DerivedWeights:
    """A mixin for layers that make something of their weights before they use them.

    A subclass defines `derive_weights()`, which returns a structure of tensors, and reads
    `held_weights`: that structure within `hold_derived_weights`, elsewhere `None`.
    """

    held_weights = None


@contextlib.contextmanager
def hold_derived_weights(model):
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
