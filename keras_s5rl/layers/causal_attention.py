"""A transformer over a window of the past, with resets."""

from typing import Any, Unpack

import keras

from keras_s5rl.layers.attention_block import AttentionBlock
from keras_s5rl.layers.checks import check_positive_integers, check_seed
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.layers.sequence_stack import SequenceStack
from keras_s5rl.typing import LayerArguments


@keras.saving.register_keras_serializable("keras_s5rl")
class CausalAttention(SequenceStack):
    """A dense encoder, `num_layers` `AttentionBlock`s, and a last layer normalisation.

    It is the memory to which recurrences are compared: each block sees the last `context_length`
    steps of its episode, so that the stack reaches `num_layers * (context_length - 1)` steps back.

    Args:
        num_layers: Positive integer, the number of blocks.
        width: Positive integer, the features of every block.
        num_heads: Positive integer that divides `width`. Defaults to `4`.
        context_length: Positive integer, steps that a step sees in each block, itself among them.
            Defaults to `128`.
        dropout: Float in [0, 1), as for `AttentionBlock`. Defaults to `0.0`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: Flat list of three float32 tensors a block, as `AttentionBlock` has them, or
            `None` for empty caches.
        resets, mask, training: As for `AttentionBlock`.
        step_scale: Not for attention: anything but `None` raises.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, width)`, or `(batch, width)` with `return_sequences=False`; with
        `return_state` a tuple of it and the states.

    Raises:
        ValueError: If an argument is out of its range, or `step_scale` is given.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import CausalAttention
    >>> memory = CausalAttention(num_layers=2, width=8, context_length=4, return_state=True)
    >>> outputs, *states = memory(np.ones((2, 5, 3), "float32"))
    >>> tuple(outputs.shape), len(states)
    ((2, 5, 8), 6)
    >>> output, states = memory.step(np.ones((2, 3), "float32"), np.array([True, False]), states)
    >>> tuple(output.shape)
    (2, 8)

    Reference:
    - Vaswani et al., "Attention is all you need", 2017.
    - Parisotto et al., "Stabilizing transformers for reinforcement learning", 2020 (a cache of past
      steps as the memory of an agent).
    """

    def __init__(
        self,
        num_layers: int,
        width: int,
        num_heads: int = 4,
        context_length: int = 128,
        dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        check_positive_integers(num_layers=num_layers)
        check_seed(seed)
        _, *block_seeds = derive_seeds(seed, 1 + num_layers)
        blocks = [
            AttentionBlock(
                width,
                num_heads,
                context_length,
                dropout,
                seed=block_seed,
                dtype=kwargs.get("dtype"),
                name=f"block_{index}",
            )
            for index, block_seed in enumerate(block_seeds)
        ]
        super().__init__(
            blocks,
            width,
            normalize_output=True,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
            **kwargs,
        )
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.context_length = context_length
        self.dropout = dropout

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["layers"], config["normalize_output"]
        return {
            **config,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "context_length": self.context_length,
            "dropout": self.dropout,
        }
