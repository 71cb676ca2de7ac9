"""`dense`: no encoder but the dense layers of the policy, over the whole flat observation."""

from typing import Any

from keras_s5rl.models.encoders.registry import register_encoder


def _build(*, entries: Any, width: int, activation: str, dtype: str, seed: int) -> None:
    return None


register_encoder("dense", _build)
