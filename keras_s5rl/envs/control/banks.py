"""Banks: contexts that are the same whenever they are drawn, for scores that can be compared."""

import math
from typing import Any

import keras
from keras import ops

from keras_s5rl import random
from keras_s5rl.typing import Tensors

_SEED = int.from_bytes(b"bank", "big")  # no seed that a training run would count up to
_BLOCK = 64


def draw_bank(env: Any, number: int, num_envs: int) -> Tensors:
    """Draws the first contexts of a bank.

    They are drawn in blocks of 64 from keys of their own: a bank starts with the same contexts
    however many are asked for, and shares none with training.

    Args:
        env: An `Environment`.
        number: Integer, which of the banks.
        num_envs: Integer, number of contexts.

    Returns:
        Dict of tensors with leading axis `num_envs`, like those of `env.draw_initial`.
    """
    key = random.fold_in(random.key(_SEED), number)
    keys = [random.fold_in(key, block) for block in range(math.ceil(num_envs / _BLOCK))]
    blocks = [env.draw_initial(key, _BLOCK) for key in keys]
    return keras.tree.map_structure(lambda *parts: ops.concatenate(parts)[:num_envs], *blocks)
