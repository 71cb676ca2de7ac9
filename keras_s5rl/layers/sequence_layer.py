"""What every memory of the package shares: one call signature, resets, states, masks."""

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
from keras import ops

from keras_s5rl.layers.carried_states import CarriedStates
from keras_s5rl.layers.checks import (
    as_flags,
    as_float32,
    check_booleans,
    check_dtype,
    check_real,
    check_seed,
    check_shape,
    refuse_quantization,
    warn_of_rounded_states,
)
from keras_s5rl.layers.derived_weights import DerivedWeights, hand_on
from keras_s5rl.layers.held_outputs import hold_outputs
from keras_s5rl.typing import LayerArguments, Shape, Tensor


class SequenceLayer(CarriedStates):
    """Base class of the layers over time with resets. A subclass defines three things:

    - `state_shapes`: list with the shape of each state tensor, without the batch axis; known before
      `build`;
    - `output_size(features)`: features of the output, given those of the input;
    - `run(inputs, states, resets, mask, step_scale, reverse, training)`: the sequence, time-major.

    It agrees with `keras.layers.RNN` but for four things: it returns sequences by default; states
    are float32 under every dtype policy; `fit` and `predict` carry the states of a stateful layer
    on JAX too; and a mask comes through where other tensors are passed beside the inputs.

    Args:
        return_sequences: Whether to return all outputs, or the last one. Defaults to `True`.
        return_state: Whether to return the states after the last step too. Defaults to `False`.
        stateful: Whether a batch starts where the last one ended. Defaults to `False`.
        go_backwards: Whether to run from the last step to the first, and return the outputs in that
            order. Defaults to `False`.
        zero_output_for_mask: Whether a masked step gives zeros. Defaults to `False`.
        seed: Integer, or `None` for Keras' global seed, to draw weights from. Defaults to `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: Float32 tensor, or list of tensors, as `get_initial_state` gives it; `None`
            for that itself.
        resets: Bool tensor `(batch, time)` or `None`. True where the input is the first of a new
            episode: the state is cleared before the input is taken in.
        step_scale: Float tensor `(batch, time)` or `None`. Length of each step, in units of the
            trained step size.
        mask: Bool tensor `(batch, time)` or `None`. A step with `False` keeps the state and repeats
            the last output (zeros if there was none since the last reset).
        training: Whether dropout is on.
        inputs_mask: For Keras to fill in: where several tensors are given, it looks for the mask of
            `inputs` to go here. `mask` goes before it.
    """

    def __init__(
        self,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        # Autocast would round a float32 state to the compute dtype on its way in.
        super().__init__(autocast=False, **kwargs)
        check_dtype("dtype", self)
        check_booleans(
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
        )
        check_seed(seed)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.stateful = stateful
        self.go_backwards = go_backwards
        self.zero_output_for_mask = zero_output_for_mask
        self.seed = seed
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)

    @property
    def single_state(self) -> bool:
        """Whether the state is one tensor rather than a list."""
        return False

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
        """Runs over a sequence, time-major, without the handling of outputs at masked steps.

        For stacks of layers and for learners that store time-major: the layer must be built.

        Args:
            inputs: Tensor `(time, batch, features)`.
            states: List of float32 tensors `(batch, ...)`.
            resets: Bool tensor `(time, batch)` or `None`.
            mask: Bool tensor `(time, batch)` or `None`.
            step_scale: Float32 tensor `(time, batch)` or `None`.
            reverse: Whether time runs backwards.
            training: Whether dropout is on.

        Returns:
            `(outputs, states)`: tensor `(time, batch, units)`, in the order of `inputs`, and the
            list of states after the last step.
        """
        raise NotImplementedError(f"`run` is for {type(self).__name__} to define.")

    def run_last(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """`run` without a mask, for the output of the last step alone, `(batch, units)`.

        A layer whose read-out acts on each step by itself computes it for that step only.
        """
        outputs, states = self.run(
            inputs,
            states,
            resets=resets,
            step_scale=step_scale,
            reverse=reverse,
            training=training,
        )
        return outputs[0 if reverse else -1], states

    def step(
        self,
        inputs: Tensor,
        reset: Tensor | None,
        state: Any,
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, Any]:
        """Runs one step: the same as a sequence of length 1.

        Args:
            inputs: Tensor `(batch, features)`.
            reset: Bool tensor `(batch,)`, or `None` for no resets. True where the input is the
                first of a new episode.
            state: The state before the step, as `get_initial_state` gives it.
            derived: `DerivedWeights` of this layer or of a model that holds it, for many steps with
                the same weights; or `None`. Defaults to `None`.

        Returns:
            `(outputs, state)`: tensor `(batch, units)` and the state after the step, like `state`.
        """
        inputs = ops.convert_to_tensor(inputs)
        check_real("inputs", inputs)
        if self.input_spec.ndim == 3 and len(inputs.shape) != 2:
            raise ValueError(
                "`inputs` of `step` should have shape (batch, features), one step without a time "
                f"axis. Received: inputs.shape={tuple(inputs.shape)}"
            )
        if not self.built:
            self.build((None, None, *inputs.shape[1:]))
        self._check_can_step()
        if reset is not None:
            reset = as_flags("reset", reset)
            check_shape("reset", reset, "(batch,)", inputs.shape[:1])
            reset = reset[None]
        states = self._as_states(state, inputs.shape[0])
        inputs = ops.cast(inputs, self.compute_dtype)[None]
        outputs, states = self.run(inputs, states, reset, **hand_on(derived, self))
        return outputs[0], states[0] if self.single_state else states

    def get_initial_state(self, batch_size: int) -> Any:
        """The state before an episode: float32 zeros, one tensor or a flat list, batch first."""
        states = [ops.zeros((batch_size, *shape), dtype="float32") for shape in self.state_shapes]
        return states[0] if self.single_state else states

    def call(
        self,
        inputs: Tensor,
        initial_state: Tensor | None = None,
        resets: Tensor | None = None,
        step_scale: Tensor | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
        inputs_mask: Tensor | None = None,
    ) -> Any:
        mask = inputs_mask if mask is None else mask
        check_real("inputs", inputs)
        if self.stateful:
            self._check_batch_size(inputs.shape[0])
        if initial_state is not None:
            states = self._as_states(initial_state, inputs.shape[0])
        elif self.stateful:
            # Copies: torch assigns in place, and the gradient needs the state as it was.
            states = [ops.copy(ops.convert_to_tensor(variable)) for variable in self.states]
        else:
            states = self._as_states(self.get_initial_state(ops.shape(inputs)[0]))

        per_step = {}
        for name, values, convert in (
            ("resets", resets, as_flags),
            ("mask", mask, as_flags),
            ("step_scale", step_scale, as_float32),
        ):
            if values is not None:
                values = convert(name, values)
                check_shape(name, values, "(batch, time)", inputs.shape[:2])
                values = ops.transpose(values)
            per_step[name] = values
        inputs = ops.swapaxes(ops.cast(inputs, self.compute_dtype), 0, 1)
        outputs, states = self._run_sequence(inputs, states, training=training, **per_step)
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(state)
        return (outputs, *states) if self.return_state else outputs

    def _run_sequence(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None,
        mask: Tensor | None,
        step_scale: Tensor | None,
        training: bool | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """`run` over time-major inputs; the outputs as `call` returns them, and the last states."""
        backwards = self.go_backwards
        if inputs.shape[0] == 0:
            outputs = self._no_outputs(inputs)
            if not self.return_sequences:
                return ops.sum(outputs, axis=0), states
            return ops.swapaxes(outputs, 0, 1), states
        if mask is None and not self.return_sequences:
            return self.run_last(inputs, states, resets, step_scale, backwards, training)
        outputs, states = self.run(inputs, states, resets, mask, step_scale, backwards, training)
        if mask is not None and self.zero_output_for_mask:
            outputs = ops.where(mask[..., None], outputs, ops.zeros_like(outputs))
        elif mask is not None:
            outputs = hold_outputs(outputs, mask, resets, backwards)
        if not self.return_sequences:
            return outputs[0 if backwards else -1], states
        outputs = ops.flip(outputs, axis=0) if backwards else outputs
        return ops.swapaxes(outputs, 0, 1), states

    def _no_outputs(self, inputs: Tensor) -> Tensor:
        """The outputs `(time, batch, units)` where time or batch is 0, a function of `inputs`."""
        rows = ops.reshape(inputs, (*ops.shape(inputs)[:2], math.prod(inputs.shape[2:])))
        return ops.matmul(
            rows, ops.zeros((rows.shape[2], self.output_size(rows.shape[2])), inputs.dtype)
        )

    def _as_states(self, state: Any, batch_size: int | None = None) -> list[Tensor]:
        """The flat list of float32 tensors in a state, or in a list of states."""
        states = [ops.convert_to_tensor(value) for value in keras.tree.flatten(state)]
        self._check_states(states, batch_size)
        for value in states:
            check_real("initial_state", value)
        warn_of_rounded_states(self.name, states)
        return [ops.cast(value, "float32") for value in states]

    def _check_states(self, states: Sequence[Tensor], batch_size: int | None) -> None:
        shapes = self.state_shapes
        if len(states) != len(shapes):
            raise ValueError(
                f"`initial_state` of {type(self).__name__} should hold {len(shapes)} tensor(s), as "
                f"`get_initial_state` gives it. Received: {len(states)} tensor(s)"
            )
        for value, shape in zip(states, shapes, strict=True):
            expected = f"{('batch', *shape)}, as `get_initial_state` gives it"
            check_shape("initial_state", value, expected, (batch_size, *shape))

    def _check_can_step(self) -> None:
        """Raises where a layer cannot run step by step, nor be stateful."""

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Not implemented: raises an error that says so."""
        refuse_quantization(self, mode)

    def compute_output_shape(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> Any:
        batch_size, time, *_, features = inputs_shape
        units = self.output_size(features)
        outputs = (batch_size, time, units) if self.return_sequences else (batch_size, units)
        if not self.return_state:
            return outputs
        return outputs, *((batch_size, *shape) for shape in self.state_shapes)

    def compute_output_spec(
        self,
        inputs: Tensor,
        initial_state: Tensor | None = None,
        resets: Tensor | None = None,
        step_scale: Tensor | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
        inputs_mask: Tensor | None = None,
    ) -> Any:
        if initial_state is not None:
            self._check_states(keras.tree.flatten(initial_state), inputs.shape[0])
        for name, values in (("resets", resets), ("step_scale", step_scale), ("mask", mask)):
            if values is not None:
                check_shape(name, values, "(batch, time)", inputs.shape[:2])
        shapes = self.compute_output_shape(inputs.shape)
        if not self.return_state:
            return keras.KerasTensor(shapes, dtype=self.compute_dtype)
        outputs, *states = shapes
        return (
            keras.KerasTensor(outputs, dtype=self.compute_dtype),
            *(keras.KerasTensor(shape, dtype="float32") for shape in states),
        )

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Any:
        mask = mask if self.return_sequences else None
        return (mask, *(None for _ in self.state_shapes)) if self.return_state else mask

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "stateful": self.stateful,
            "go_backwards": self.go_backwards,
            "zero_output_for_mask": self.zero_output_for_mask,
            "seed": self.seed,
        }
