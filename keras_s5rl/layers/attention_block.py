"""A transformer block over a window of the past, with resets."""

from typing import Any, Unpack

import keras
from keras import ops

from keras_s5rl.layers.checks import check_dropout, check_positive_integers, refuse_step_scale
from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.layers.loop_steps import resets_in_reverse
from keras_s5rl.layers.row_normalization import RowNormalization
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.layers.windowed_attention import windowed_attention
from keras_s5rl.ops import rowwise
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class AttentionBlock(DerivingLayer, SequenceLayer):
    """A pre-norm transformer block in which each step sees a window of its episode.

        z_t = u_t + W_o attention(norm(u))_t        y_t = z_t + W_2 gelu(W_1 norm(z_t) + b_1) + b_2

    A step attends to itself and to the `context_length - 1` steps before it, never beyond the last
    reset. Positions are rotary: only distances count, in steps that are not masked, so that a
    stream may be cut anywhere. The state is the cache of keys and values of the past steps: a step
    costs the same however long the stream is. State, softmax and normalisation are float32 under
    every dtype policy.

    Args:
        width: Positive integer, features of input and output.
        num_heads: Positive integer that divides `width`. Defaults to `4`.
        context_length: Positive integer, steps that a step sees, itself among them. Defaults to
            `128`.
        dropout: Float in [0, 1), the rate on attention weights and after `gelu`. Defaults to `0.0`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, width)`.
        initial_state: List of float32 tensors, newest step last: keys and values `(batch,
            context_length - 1, width)`, and `(batch, context_length - 1)`, positive where there was
            such a step; `None` for an empty cache.
        resets, training: As for `S5`.
        mask: As for `S5`; a masked step is not counted in the window.
        step_scale: Not for attention: anything but `None` raises.

    Input shape:
        `(batch, time, width)`.

    Output shape:
        `(batch, time, width)`, or `(batch, width)` with `return_sequences=False`; with
        `return_state` a tuple of it and the states.

    Raises:
        ValueError: If an argument is out of its range, or `step_scale` is given.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import AttentionBlock
    >>> block = AttentionBlock(8, num_heads=2, context_length=4, return_state=True)
    >>> outputs, keys, values, valid = block(np.ones((2, 5, 8), "float32"))
    >>> tuple(outputs.shape), tuple(keys.shape), tuple(valid.shape)
    ((2, 5, 8), (2, 3, 8), (2, 3))

    Reference:
    - Vaswani et al., "Attention is all you need", 2017.
    - Xiong et al., "On layer normalization in the transformer architecture", 2020 (pre-norm).
    - Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """

    def __init__(
        self,
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
        super().__init__(
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
            seed=seed,
            **kwargs,
        )
        check_positive_integers(width=width, num_heads=num_heads, context_length=context_length)
        if width % num_heads:
            raise ValueError(
                "`num_heads` should divide `width`: each head has an equal share of the features. "
                f"Received: num_heads={num_heads}, width={width}"
            )
        check_dropout(dropout)
        self.width = width
        self.num_heads = num_heads
        self.context_length = context_length
        self.dropout = dropout
        seeds = iter(derive_seeds(seed, 6))

        def dense(name: str, units: int, gain: float = 1.0, activation: Any = None) -> Dense:
            return Dense(
                units,
                activation=activation,
                kernel_initializer=Orthogonal(gain, seed=next(seeds)),
                dtype=self.dtype_policy,
                name=name,
            )

        def norm(name: str) -> RowNormalization:
            return RowNormalization(epsilon=1e-5, dtype=self.dtype_policy, name=name)

        # These gains keep the variance: rows of a wide orthogonal matrix have length 1.
        self.attention_norm = norm("attention_norm")
        self.query_key_value = dense("query_key_value", 3 * width, 3.0**0.5)
        self.attention_output = dense("attention_output", width)
        self.feed_forward_norm = norm("feed_forward_norm")
        self.feed_forward_hidden = dense("feed_forward_hidden", 4 * width, 2.0, ops.gelu)
        self.feed_forward_output = dense("feed_forward_output", width)
        self.weight_dropout = self.hidden_dropout = None
        if dropout > 0:
            self.weight_dropout, self.hidden_dropout = (
                keras.layers.Dropout(dropout, seed=next(seeds), dtype=dtype, name=name)
                for name, dtype in (
                    ("weight_dropout", "float32"),
                    ("hidden_dropout", self.dtype_policy),
                )
            )

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        past = self.context_length - 1
        return [(past, self.width), (past, self.width), (past,)]

    def output_size(self, features: int) -> int:
        return self.width

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        if inputs_shape[-1] != self.width:
            raise ValueError(
                f"`inputs` of an attention block should have `width` features, {self.width}: its "
                f"output is added to them. Received: inputs.shape={tuple(inputs_shape)}"
            )
        for layer in (
            self.attention_norm,
            self.query_key_value,
            self.attention_output,
            self.feed_forward_norm,
            self.feed_forward_hidden,
        ):
            layer.build((None, self.width))
        self.feed_forward_output.build((None, 4 * self.width))
        self._create_states(inputs_shape[0])
        self.built = True

    def run(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        mask: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        refuse_step_scale(self, step_scale)
        if 0 in inputs.shape[:2]:
            return inputs, states
        if reverse and resets is not None:
            resets = resets_in_reverse(resets)
        inputs, resets, mask = (_batch_major(x, reverse) for x in (inputs, resets, mask))
        episodes = ops.zeros(ops.shape(inputs)[:2], dtype="int32")
        if resets is not None:
            episodes = ops.cumsum(ops.cast(resets, "int32"), axis=1)
        last_episode = episodes[:, -1:]
        num_valid = None
        if mask is not None:  # valid steps come first, so that distances are differences of indices
            place, order, num_valid = _valid_first(mask)
            inputs = ops.take_along_axis(inputs, order[..., None], axis=1)
            episodes = ops.take_along_axis(episodes, order, axis=1)

        projected = rowwise(lambda rows: self._project(rows, derived), inputs)
        query, *new = ops.split(projected, 3, axis=-1)
        new = [ops.cast(steps, "float32") for steps in new]
        new.append(ops.ones(ops.shape(episodes), dtype="float32"))
        keys, values, valid = (
            ops.concatenate(pair, axis=1) for pair in zip(states, new, strict=True)
        )
        cached = ops.where(states[2] > 0, 0, -1)  # of the episode before the first reset, or empty
        episodes = ops.concatenate([ops.cast(cached, "int32"), episodes], axis=1)
        attended = windowed_attention(
            self._split_heads(query),
            self._split_heads(keys),
            self._split_heads(values),
            episodes,
            self.context_length,
            drop=lambda weights: _drop(self.weight_dropout, weights, training),
        )
        attended = ops.reshape(attended, ops.shape(inputs))
        attended = rowwise(lambda rows: self.attention_output(rows, derived=derived), attended)
        outputs = self.join("attention", inputs, attended, derived)
        added = rowwise(lambda rows: self._feed_forward(rows, training, derived), outputs)
        outputs = self.join("feed_forward", outputs, added, derived)
        if mask is not None:
            outputs = ops.take_along_axis(outputs, place[..., None], axis=1)
        outputs = ops.swapaxes(outputs, 0, 1)
        kept = ops.equal(episodes, last_episode)
        states = [self._newest(steps, kept, num_valid) for steps in (keys, values, valid)]
        return ops.flip(outputs, axis=0) if reverse else outputs, states

    def join(
        self, part: str, inputs: Tensor, outputs: Tensor, derived: DerivedWeights | None
    ) -> Tensor:
        """What comes out of a part of the block, given what goes in and what the part makes of it:
        their sum.

        Args:
            part: `"attention"` or `"feed_forward"`.
            inputs: Tensor `(batch, time, width)`.
            outputs: Tensor `(batch, time, width)`.
            derived: As for `step`.
        """
        return inputs + outputs

    def _project(self, rows: Tensor, derived: DerivedWeights | None) -> Tensor:
        return self.query_key_value(self.attention_norm(rows), derived=derived)

    def _feed_forward(
        self, rows: Tensor, training: bool | None, derived: DerivedWeights | None
    ) -> Tensor:
        hidden = self.feed_forward_hidden(self.feed_forward_norm(rows), derived=derived)
        hidden = _drop(self.hidden_dropout, hidden, training)
        return self.feed_forward_output(hidden, derived=derived)

    def _split_heads(self, steps: Tensor) -> Tensor:
        size = self.width // self.num_heads
        return ops.reshape(steps, (*ops.shape(steps)[:2], self.num_heads, size))

    def _newest(self, steps: Tensor, kept: Tensor, num_valid: Tensor) -> Tensor:
        """The state that cached and new steps leave behind: zeros for those of earlier episodes."""
        past, features = self.context_length - 1, steps.shape[2:]
        kept = ops.reshape(kept, (*ops.shape(kept), *(1 for _ in features)))
        steps = ops.where(kept, steps, 0.0)
        if num_valid is None:
            newest = steps[:, ops.shape(steps)[1] - past :]
        else:
            index = num_valid + ops.arange(past, dtype="int32")
            index = ops.reshape(index, (*ops.shape(index), *(1 for _ in features)))
            newest = ops.take_along_axis(steps, index, axis=1)
        return ops.reshape(newest, (ops.shape(steps)[0], past, *features))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "num_heads": self.num_heads,
            "context_length": self.context_length,
            "dropout": self.dropout,
        }


def _drop(dropout: Any, values: Tensor, training: bool | None) -> Tensor:
    return values if dropout is None else dropout(values, training=training)


def _batch_major(steps: Tensor | None, reverse: bool) -> Tensor | None:
    if steps is None:
        return None
    return ops.swapaxes(ops.flip(steps, axis=0) if reverse else steps, 0, 1)


def _valid_first(mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The order of the steps in which the valid ones come first.

    Args:
        mask: Bool tensor `(batch, time)`.

    Returns:
        `(place, order, num_valid)`, int32: where each step goes `(batch, time)`, which step goes to
        each place `(batch, time)`, and how many are valid `(batch, 1)`.
    """
    valid = ops.cumsum(ops.cast(mask, "int32"), axis=1)
    num_valid = valid[:, -1:]
    time = ops.arange(ops.shape(mask)[1], dtype="int32")
    place = ops.where(mask, valid - 1, num_valid + time - valid)
    return place, ops.argsort(place, axis=1), num_valid
