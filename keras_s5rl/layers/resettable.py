"""Any Keras RNN cell over time, with resets."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Self, Unpack

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.layers.checks import check_dtype, check_features, refuse_step_scale
from keras_s5rl.layers.loop_steps import resets_in_reverse, select_states
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class Resettable(SequenceLayer):
    """Runs a Keras RNN cell over a sequence, and clears its states where an episode begins.

    It is to `keras.layers.RNN` what `S5` is to a state-space layer without resets, with the call
    signature of `S5`. A reset puts the states back to what the cell's `get_initial_state` gives,
    before the input is taken in. The cell computes in float32 under every dtype policy, so that its
    states are not rounded from step to step; the cell itself keeps its policy.

    Args:
        cell: RNN cell, such as `keras.layers.GRUCell(64)`, or a list of cells, stacked: whatever
            `keras.layers.RNN` takes.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        seed: Not used: the cells draw their weights. Defaults to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

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
        ValueError: If `cell` is not an RNN cell, or `step_scale` is given.

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

    _layout: Any = None

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        seed: int | None = None,
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
        if isinstance(cell, list | tuple):
            _check_cells(cell)
            cell = keras.layers.StackedRNNCells(list(cell), dtype="float32")
        _check_cells([cell])
        self.cell = cell
        self.input_spec = keras.layers.InputSpec(min_ndim=3)  # a cell may read arrays

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return self._state_layout()[1]

    def output_size(self, features: int) -> int:
        size = getattr(self.cell, "output_size", None)
        if size is None:
            size = self.cell.state_size
            size = size[0] if isinstance(size, list | tuple) else size
        if not isinstance(size, int):
            raise ValueError(
                "`cell` should have an integer `output_size`, as for `keras.layers.RNN`. "
                f"Received: cell={self.cell!r} with output size {size!r}"
            )
        return size

    def get_initial_state(self, batch_size: int) -> Any:
        """The cells' states before an episode: a flat list of float32 tensors, batch first."""
        with _in_float32(self.cell):
            states = keras.tree.flatten(self._initial_states(batch_size))
        return [ops.cast(state, "float32") for state in states]

    def _initial_states(self, batch_size: Any) -> list[Any]:
        """The states as the cell takes them, made as `keras.layers.RNN` makes them."""
        if hasattr(self.cell, "get_initial_state"):
            states = self.cell.get_initial_state(batch_size=batch_size)
            return list(states) if isinstance(states, list | tuple) else [states]
        sizes = self.cell.state_size
        sizes = sizes if isinstance(sizes, list | tuple) else [sizes]
        return [ops.zeros((batch_size, size), dtype="float32") for size in sizes]

    def _state_layout(self) -> tuple[Any, list[tuple[int, ...]]]:
        """The structure of the states that the cell takes, and their shapes as a flat list."""
        if self._layout is None:
            states = self._initial_states(1)
            shapes = [tuple(state.shape[1:]) for state in keras.tree.flatten(states)]
            layout = keras.tree.map_structure(lambda state: 0, states), shapes
            self.__dict__["_layout"] = layout  # past Keras, which would wrap it
        return self._layout

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        check_features(inputs_shape)
        if isinstance(self.cell, keras.Layer) and not self.cell.built:
            self.cell.build((inputs_shape[0], *inputs_shape[2:]))
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
    ) -> tuple[Tensor, list[Tensor]]:
        refuse_step_scale(self, step_scale)
        if 0 in inputs.shape[:2]:  # Keras' LSTM cannot on TensorFlow
            return self._no_outputs(inputs), states
        with _in_float32(self.cell):
            inputs = ops.cast(inputs, "float32")
            outputs, states = self._run(inputs, states, resets, mask, reverse, training)
        return ops.cast(outputs, self.compute_dtype), states

    def _run(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None,
        mask: Tensor | None,
        reverse: bool,
        training: bool | None,
    ) -> tuple[Tensor, list[Tensor]]:
        steps = {"inputs": inputs}
        if resets is not None:
            fresh = self.get_initial_state(ops.shape(inputs)[1])
            if reverse:
                resets = resets_in_reverse(resets)
            steps["cut"] = resets
        if mask is not None:
            steps["valid"] = mask

        # Under JAX what changes in a loop goes through it: the seeds of dropout inside the cell.
        seeds = _seeds(self.cell) if training else []

        def advance(carry: Any, step: Any) -> Any:
            states, values = carry
            for seed, value in zip(seeds, values, strict=True):
                seed.assign(value)
            if resets is not None:
                states = select_states(step["cut"], fresh, states)
            outputs, new_states = self._call_cell(step["inputs"], states, training)
            if mask is not None:
                new_states = select_states(step["valid"], new_states, states)
            return (new_states, [ops.convert_to_tensor(seed) for seed in seeds]), outputs

        dropping = [
            cell
            for cell in _with_inner(self.cell)
            if training and hasattr(cell, "get_dropout_mask")
        ]
        if dropping:
            # A cell draws its masks in its first call; inside the loop they could not be kept.
            self._call_cell(inputs[0], states, training)
        carry = list(states), [ops.convert_to_tensor(seed) for seed in seeds]
        if inputs.shape[0] == 1:
            carry, outputs = advance(carry, {name: values[0] for name, values in steps.items()})
            outputs = outputs[None]
        else:
            carry, outputs = backend.scan(advance, carry, steps, reverse=reverse)
        states, values = carry
        for seed, value in zip(seeds, values, strict=True):
            seed.assign(value)
        for cell in dropping:
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        return outputs, states

    def _call_cell(
        self, inputs: Tensor, states: Any, training: bool | None
    ) -> tuple[Tensor, list[Tensor]]:
        takes_training = getattr(self.cell, "_call_has_training_arg", False)
        kwargs = {"training": training} if takes_training else {}
        states = keras.tree.pack_sequence_as(self._state_layout()[0], states)
        outputs, states = self.cell(inputs, states, **kwargs)
        return outputs, [ops.cast(state, "float32") for state in keras.tree.flatten(states)]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["seed"]  # the cell has its own initializers
        return {**config, "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})


def _check_cells(cells: Sequence[Any]) -> None:
    for cell in cells:
        missing = [name for name in ("call", "state_size") if not hasattr(cell, name)]
        if missing:
            raise ValueError(
                "`cell` should be an RNN cell, such as `keras.layers.GRUCell(64)`, or a list of "
                f"them: a layer with `call(inputs, states)` and `state_size`. "
                f"Received: cell={cell!r} without {missing[0]}"
            )
        for layer in _with_inner(cell):
            if isinstance(layer, keras.Layer):
                check_dtype("dtype of cell", layer)


def _with_inner(cell: Any) -> list[Any]:
    """A cell and the layers inside it."""
    return list(cell._flatten_layers()) if isinstance(cell, keras.Layer) else [cell]


def _seeds(cell: Any) -> list[Any]:
    """The states of the seed generators in a cell: its variables that are no weights."""
    weights = {id(weight) for weight in getattr(cell, "weights", ())}
    return [state for state in getattr(cell, "variables", ()) if id(state) not in weights]


@contextlib.contextmanager
def _in_float32(cell: Any) -> Iterator[None]:
    """Within it a cell computes in float32; its policy, which others may use, stays its own."""
    halves = {
        layer: layer._dtype_policy
        for layer in _with_inner(cell)
        if getattr(layer, "compute_dtype", None) in ("float16", "bfloat16")
    }
    try:
        for layer in halves:
            variable_dtype = layer.variable_dtype
            layer._dtype_policy = keras.DTypePolicy("float32")
            # So that Keras casts the weights of a cell that is in half precision throughout.
            layer._dtype_policy._variable_dtype = variable_dtype
        yield
    finally:
        for layer, policy in halves.items():
            layer._dtype_policy = policy
