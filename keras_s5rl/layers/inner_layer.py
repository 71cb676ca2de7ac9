"""What a layer that stands inside another one may not have."""

from typing import Any

from keras_s5rl.layers.sequence_layer import SequenceLayer


def check_inner_layer(name: str, layer: Any) -> None:
    """Raises a ValueError if a layer cannot stand inside another one, which runs it."""
    if not isinstance(layer, SequenceLayer):
        raise ValueError(
            f"`{name}` takes a `SequenceLayer`, such as `S5`; wrap an RNN cell in `Resettable`. "
            f"Received: {name}={layer!r}"
        )
    for flag in ("return_state", "stateful", "go_backwards", "zero_output_for_mask"):
        if getattr(layer, flag):
            raise ValueError(
                f"`{flag}` belongs to the outermost layer: a layer inside another one cannot have "
                f"its own. Received: {name} with {flag}=True"
            )
