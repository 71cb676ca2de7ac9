"""What every memory of the package shares: one call signature, resets, states, masks."""

import keras
from keras import ops

from keras_s5rl import backend


class SequenceLayer(keras.layers.Layer):
    """Base class of the layers over time with resets. A subclass defines three things:

    - `state_shapes`: list with the shape of each state tensor, without the batch axis; known before
      `build`;
    - `output_size(features)`: features of the output, given those of the input;
    - `run(inputs, states, resets, mask, step_scale, reverse, training)`: the sequence, time-major.

    Args:
        return_sequences: Whether to return the outputs of all steps or of the last one. Defaults to
            `True`.
        return_state: Whether to return the states after the last step too. Defaults to `False`.
        stateful: Whether a batch starts from the states in which the last one ended. Defaults to
            `False`.
        go_backwards: Whether to run from the last step to the first, and return the outputs in that
            order. Defaults to `False`.
        zero_output_for_mask: Whether a masked step gives zeros rather than the last output again.
            Defaults to `False`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
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
    """

    def __init__(
        self,
        return_sequences=True,
        return_state=False,
        stateful=False,
        go_backwards=False,
        zero_output_for_mask=False,
        seed=None,
        **kwargs,
    ):
        # Autocast would round a float32 state to the compute dtype on its way in.
        super().__init__(autocast=False, **kwargs)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.stateful = stateful
        self.go_backwards = go_backwards
        self.zero_output_for_mask = zero_output_for_mask
        self.seed = seed
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.states = None

    @property
    def single_state(self):
        """Whether the state is one tensor rather than a list."""
        return False

    def run(
        self, inputs, states, resets=None, mask=None, step_scale=None, reverse=False, training=None
    ):
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

    def step(self, inputs, reset, state):
        """Runs one step: the same as a sequence of length 1.

        Args:
            inputs: Tensor `(batch, features)`.
            reset: Bool tensor `(batch,)`, or `None` for no resets. True where the input is the
                first of a new episode.
            state: The state before the step, as `get_initial_state` gives it.

        Returns:
            `(outputs, state)`: tensor `(batch, units)` and the state after the step, like `state`.
        """
        inputs = ops.convert_to_tensor(inputs)
        if not self.built:
            self.build((None, None, inputs.shape[-1]))
        self._check_can_step()
        outputs, states = self.run(
            ops.cast(inputs, self.compute_dtype)[None],
            self._as_states(state),
            None if reset is None else ops.cast(ops.convert_to_tensor(reset), "bool")[None],
        )
        return outputs[0], states[0] if self.single_state else states

    def get_initial_state(self, batch_size):
        """The state before an episode: float32 zeros, one tensor or a flat list, batch first."""
        states = [ops.zeros((batch_size, *shape), dtype="float32") for shape in self.state_shapes]
        return states[0] if self.single_state else states

    def reset_state(self):
        """Clears the states that a stateful layer carries from batch to batch."""
        if self.states is not None:
            for variable, value in zip(
                self.states,
                self._as_states(self.get_initial_state(self.states[0].shape[0])),
                strict=True,
            ):
                variable.assign(value)

    def call(
        self,
        inputs,
        initial_state=None,
        resets=None,
        step_scale=None,
        mask=None,
        training=None,
    ):
        if mask is None:  # Keras hands on masks by itself only where `inputs` is the one tensor
            mask = getattr(inputs, "_keras_mask", None)
        batch_size = ops.shape(inputs)[0]
        if initial_state is not None:
            states = self._as_states(initial_state)
        elif self.stateful:
            self._check_batch_size(inputs.shape[0])
            states = [ops.convert_to_tensor(variable) for variable in self.states]
        else:
            states = self._as_states(self.get_initial_state(batch_size))

        flags = {
            name: None if flag is None else ops.transpose(ops.cast(flag, "bool"))
            for name, flag in (("resets", resets), ("mask", mask))
        }
        if step_scale is not None:
            step_scale = ops.transpose(ops.cast(step_scale, "float32"))
        outputs, states = self.run(
            ops.swapaxes(ops.cast(inputs, self.compute_dtype), 0, 1),
            states,
            step_scale=step_scale,
            reverse=self.go_backwards,
            training=training,
            **flags,
        )
        if mask is not None:
            outputs = self._finish_masked(outputs, **flags)
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(state)
        if self.return_sequences:
            outputs = ops.flip(outputs, axis=0) if self.go_backwards else outputs
            outputs = ops.swapaxes(outputs, 0, 1)
        else:
            outputs = outputs[0] if self.go_backwards else outputs[-1]
        return (outputs, *states) if self.return_state else outputs

    def _finish_masked(self, outputs, resets, mask):
        """Zeros, or the last output since the reset, at masked steps."""
        if self.zero_output_for_mask:
            return ops.where(mask[..., None], outputs, ops.zeros_like(outputs))
        steps = {"time": ops.arange(ops.shape(outputs)[0], dtype="int32"), "valid": mask}
        if resets is not None:
            if self.go_backwards:
                resets = ops.concatenate([resets[1:], ops.zeros_like(resets[:1])], axis=0)
            steps["cut"] = resets

        def advance(last, step):
            if resets is not None:
                last = ops.where(step["cut"], -1, last)
            last = ops.where(step["valid"], step["time"], last)
            return last, last

        none_yet = ops.full((ops.shape(outputs)[1],), -1, dtype="int32")
        _, last = backend.scan(advance, none_yet, steps, reverse=self.go_backwards)
        held = ops.take_along_axis(outputs, ops.maximum(last, 0)[..., None], axis=0)
        return ops.where(last[..., None] >= 0, held, ops.zeros_like(held))

    def _as_states(self, state):
        """The flat list of float32 tensors in a state, or in a list of states."""
        states = [
            ops.cast(ops.convert_to_tensor(value), "float32") for value in keras.tree.flatten(state)
        ]
        shapes = self.state_shapes
        if len(states) != len(shapes):
            raise ValueError(
                f"`initial_state` of {type(self).__name__} should hold {len(shapes)} tensor(s), as "
                f"`get_initial_state` gives it. Received: {len(states)} tensor(s)"
            )
        for value, shape in zip(states, shapes, strict=True):
            if tuple(value.shape[1:]) != tuple(shape):
                raise ValueError(
                    f"A state of {type(self).__name__} should have shape {('batch', *shape)}, "
                    f"as `get_initial_state` gives it. "
                    f"Received: initial_state.shape={tuple(value.shape)}"
                )
        return states

    def _create_states(self, batch_size):
        """The variables of a stateful layer; for `build`."""
        if not self.stateful or self.states is not None:
            return
        if batch_size is None:
            raise ValueError(
                "A layer with `stateful=True` needs a static batch size: give the input a "
                "`batch_shape`. Received: batch size None"
            )
        self.states = [
            self.add_weight(
                shape=(batch_size, *shape),
                initializer="zeros",
                dtype="float32",
                autocast=False,
                trainable=False,
                name=f"state_{index}",
            )
            for index, shape in enumerate(self.state_shapes)
        ]

    def _check_batch_size(self, batch_size):
        expected = self.states[0].shape[0]
        if batch_size is not None and batch_size != expected:
            raise ValueError(
                f"A layer with `stateful=True` takes batches of the size it was built with, "
                f"{expected}. Received: batch size {batch_size}"
            )

    def _check_can_step(self):
        """Raises where a layer cannot run step by step."""

    def compute_output_shape(
        self, inputs_shape, initial_state_shape=None, resets_shape=None, step_scale_shape=None
    ):
        batch_size, time, features = inputs_shape
        units = self.output_size(features)
        outputs = (batch_size, time, units) if self.return_sequences else (batch_size, units)
        if not self.return_state:
            return outputs
        return outputs, *((batch_size, *shape) for shape in self.state_shapes)

    def compute_output_spec(self, inputs, *args, **kwargs):
        shapes = self.compute_output_shape(inputs.shape)
        if not self.return_state:
            return keras.KerasTensor(shapes, dtype=self.compute_dtype)
        outputs, *states = shapes
        return (
            keras.KerasTensor(outputs, dtype=self.compute_dtype),
            *(keras.KerasTensor(shape, dtype="float32") for shape in states),
        )

    def compute_mask(self, inputs, mask=None):
        mask = mask if self.return_sequences else None
        return (mask, *(None for _ in self.state_shapes)) if self.return_state else mask

    def get_config(self):
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "stateful": self.stateful,
            "go_backwards": self.go_backwards,
            "zero_output_for_mask": self.zero_output_for_mask,
            "seed": self.seed,
        }
