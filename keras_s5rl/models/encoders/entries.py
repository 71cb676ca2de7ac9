"""`entries`: an encoder for each entry of the observation, convolutional for images."""

from typing import Any

from keras_s5rl.models.encoders.registry import register_encoder


def _build(*, entries: Any, width: int, activation: str, dtype: str, seed: int) -> Any:
    from keras_s5rl.models.entries_encoder import EntriesEncoder

    return EntriesEncoder(
        entries, width, activation=activation, seed=seed, dtype=dtype, name="entries"
    )


register_encoder("entries", _build)
