"""The block of the gated transformer-XL (GTrXL), with resets."""

from typing import Any, Unpack

import keras
from keras import ops

from keras_s5rl.layers.attention_block import AttentionBlock
from keras_s5rl.layers.checks import check_number, check_seed
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.gru_gate import GRUGate
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class GatedAttentionBlock(AttentionBlock):
    """`AttentionBlock` with a gate in place of each residual sum, as in GTrXL.

        z_t = gate_1(u_t, relu(W_o attention(norm(u))_t))
        y_t = gate_2(z_t, relu(W_2 gelu(W_1 norm(z_t) + b_1) + b_2))

    The gates, `keras_s5rl.layers.gru_gate.GRUGate`, are nearly shut at first, so that what follows
    learns from its input alone before it learns to use the past. Everything else is as in
    `AttentionBlock`; in particular, the window slides and positions are rotary, where the paper has
    segments and relative encodings.

    Args:
        width, num_heads, context_length, dropout: As for `AttentionBlock`.
        gate_bias: Float, how far the gates are shut at first. Defaults to `2.0`, the paper's value.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments, input shape and output shape are those of `AttentionBlock`.

    Raises:
        ValueError: If an argument is out of its range, or `step_scale` is given.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import GatedAttentionBlock
    >>> block = GatedAttentionBlock(8, num_heads=2, context_length=4, return_state=True)
    >>> outputs, keys, values, valid = block(np.ones((2, 5, 8), "float32"))
    >>> tuple(outputs.shape), tuple(keys.shape), tuple(valid.shape)
    ((2, 5, 8), (2, 3, 8), (2, 3))

    Reference:
    - Parisotto et al., "Stabilizing transformers for reinforcement learning", 2020.
    """

    def __init__(
        self,
        width: int,
        num_heads: int = 4,
        context_length: int = 128,
        dropout: float = 0.0,
        gate_bias: float = 2.0,
        seed: int | None = None,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        check_seed(seed)
        block_seed, *gate_seeds = derive_seeds(seed, 3)
        super().__init__(
            width,
            num_heads,
            context_length,
            dropout,
            seed=block_seed,
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
            **kwargs,
        )
        check_number("gate_bias", gate_bias, "a finite number", lambda value: True)
        self.seed = seed
        self.gate_bias = gate_bias
        self.attention_gate, self.feed_forward_gate = (
            GRUGate(width, gate_bias, seed=gate_seed, dtype=self.dtype_policy, name=f"{part}_gate")
            for part, gate_seed in zip(("attention", "feed_forward"), gate_seeds, strict=True)
        )

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        super().build(inputs_shape)
        for gate in (self.attention_gate, self.feed_forward_gate):
            gate.build((None, self.width))

    def join(
        self, part: str, inputs: Tensor, outputs: Tensor, derived: DerivedWeights | None
    ) -> Tensor:
        """What a gate lets through of a part of the block, as in `AttentionBlock`."""
        gate = self.attention_gate if part == "attention" else self.feed_forward_gate
        return gate(inputs, ops.relu(outputs), derived=derived)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gate_bias": self.gate_bias}
