"""Any Keras RNN cell over time, with resets."""

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.layers.checks import refuse_step_scale
from keras_s5rl.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable("keras_s5rl")
class Resettable(SequenceLayer):
    """Runs a Keras RNN cell over a sequence, and clears its states where an episode begins.

    It is to `keras.layers.RNN` what `S5` is to a state-space layer without resets, with the call
    signature of `S5`. A reset puts the states back to what the cell's `get_initial_state` gives,
    before the input is taken in. The cell computes in float32 under every dtype policy, so that its
    states are not rounded from step to step (a mixed policy of the cell is replaced).

    Args:
        cell: RNN cell, such as `keras.layers.GRUCell(64)`, or a list of cells, stacked.
        **kwargs: `return_sequences`, `return_state`, `stateful`, `go_backwards`,
            `zero_output_for_mask`, as for `S5`, and arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: Flat list of the cells' state tensors, float32, batch first, or `None` for
            their initial states.
        resets, mask, training: As for `S5`.
        step_scale: Not for cells: anything but `None` raises.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, units)`, or `(batch, units)` with `return_sequences=False`; with
        `return_state` a tuple of it and the states.

    Raises:
        ValueError: If `step_scale` is given.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_s5rl.layers import Resettable
    >>> layer = Resettable(keras.layers.LSTMCell(4), return_state=True)
    >>> resets = np.array([[False, False, True]])
    >>> outputs, hidden, carry = layer(np.ones((1, 3, 2), "float32"), resets=resets)
    >>> tuple(outputs.shape), tuple(carry.shape)
    ((1, 3, 4), (1, 4))
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        if isinstance(cell, list | tuple):
            cell = keras.layers.StackedRNNCells(list(cell), dtype="float32")
        self.cell = cell
        for layer in self._cells():
            if keras.backend.standardize_dtype(layer.compute_dtype) in ("float16", "bfloat16"):
                layer.dtype_policy = "float32"

    @property
    def state_shapes(self):
        return [(size,) for size in keras.tree.flatten(self.cell.state_size)]

    def output_size(self, features):
        return keras.tree.flatten(getattr(self.cell, "output_size", None) or self.cell.state_size)[
            0
        ]

    def get_initial_state(self, batch_size):
        """The cells' states before an episode: a flat list of float32 tensors, batch first."""
        return [
            ops.cast(state, "float32")
            for state in keras.tree.flatten(self.cell.get_initial_state(batch_size=batch_size))
        ]

    def build(
        self, inputs_shape, initial_state_shape=None, resets_shape=None, step_scale_shape=None
    ):
        if not self.cell.built:
            self.cell.build((inputs_shape[0], inputs_shape[-1]))
        self._create_states(inputs_shape[0])
        self.built = True

    def run(
        self, inputs, states, resets=None, mask=None, step_scale=None, reverse=False, training=None
    ):
        refuse_step_scale(self, step_scale)
        inputs = ops.cast(inputs, "float32")
        fresh = self.get_initial_state(ops.shape(inputs)[1])
        steps = {"inputs": inputs}
        if resets is not None:
            if reverse:
                resets = ops.concatenate([resets[1:], ops.zeros_like(resets[:1])], axis=0)
            steps["cut"] = resets
        if mask is not None:
            steps["valid"] = mask

        def advance(states, step):
            if resets is not None:
                states = _select(step["cut"], fresh, states)
            outputs, new_states = self._call_cell(step["inputs"], states, training)
            if mask is not None:
                new_states = _select(step["valid"], new_states, states)
            return new_states, outputs

        dropping = [
            cell for cell in self._cells() if training and hasattr(cell, "get_dropout_mask")
        ]
        if (
            dropping
        ):  # a cell draws its masks in its first call; inside the loop they could not be kept
            self._call_cell(inputs[0], states, training)
        if inputs.shape[0] == 1:
            states, outputs = advance(states, {name: values[0] for name, values in steps.items()})
            outputs = outputs[None]
        else:
            states, outputs = backend.scan(advance, list(states), steps, reverse=reverse)
        for cell in dropping:
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        return ops.cast(outputs, self.compute_dtype), states

    def _cells(self):
        return [self.cell, *getattr(self.cell, "cells", ())]

    def _call_cell(self, inputs, states, training):
        structure = self.cell.state_size
        states = (
            keras.tree.pack_sequence_as(structure, states)
            if keras.tree.is_nested(structure)
            else states
        )
        kwargs = {"training": training} if self.cell._call_has_training_arg else {}
        outputs, states = self.cell(inputs, states, **kwargs)
        return outputs, [ops.cast(state, "float32") for state in keras.tree.flatten(states)]

    def get_config(self):
        config = super().get_config()
        del config["seed"]  # the cell has its own initializers
        return {**config, "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})


def _select(condition, chosen, other):
    """Chooses between two lists of tensors by a bool tensor `(batch,)`."""
    return [
        ops.where(ops.reshape(condition, (-1, *(1,) * (len(a.shape) - 1))), a, b)
        for a, b in zip(chosen, other, strict=True)
    ]
