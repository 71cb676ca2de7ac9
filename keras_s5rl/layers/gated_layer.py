"""What `GRU` and `LSTM` share: one product for the inputs of all steps, then the loop."""

import functools
from typing import Any, ClassVar, Unpack

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.layers.checks import check_features, check_positive_integers, refuse_step_scale
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.layers.linear_recurrence_layer import add_float32_weight
from keras_s5rl.layers.loop_steps import resets_in_reverse
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.ops import product
from keras_s5rl.typing import LayerArguments, Shape, Tensor


class GatedLayer(DerivingLayer, SequenceLayer):
    """A base of recurrent layers whose gates see the input and the last output.

    A subclass has `num_gates` gates and defines `make_bias`, `biases` and `advance`.
    """

    num_gates: ClassVar[int]

    def __init__(
        self,
        units: int,
        kernel_initializer: Any = None,
        recurrent_initializer: Any = None,
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
        check_positive_integers(units=units)
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)

    def output_size(self, features: int) -> int:
        return self.units

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        features = check_features(inputs_shape)
        kernel_seed, recurrent_seed = derive_seeds(self.seed, 2)

        add = functools.partial(add_float32_weight, self)
        width = self.num_gates * self.units
        self.kernel = add(
            "kernel", (features, width), self.kernel_initializer or Orthogonal(seed=kernel_seed)
        )
        self.recurrent_kernel = add(
            "recurrent_kernel",
            (self.units, width),
            self.recurrent_initializer or Orthogonal(seed=recurrent_seed),
        )
        self.bias = self.make_bias(add)
        self._create_states(inputs_shape[0])
        self.built = True

    def make_bias(self, add: Any) -> Any:
        """Makes the bias by `add(name, shape, initializer)`."""
        raise NotImplementedError(f"`make_bias` is for {type(self).__name__} to define.")

    def biases(self) -> tuple[Tensor, Tensor | None]:
        """The bias of the product with the input, and that of the product with the output."""
        raise NotImplementedError(f"`biases` is for {type(self).__name__} to define.")

    def advance(self, inputs: Tensor, recurrent: Tensor, states: list[Tensor]) -> list[Tensor]:
        """One step.

        Args:
            inputs: What the input contributes to the gates, side by side,
                `(batch, num_gates * units)`.
            recurrent: The same of the last output.
            states: List of tensors `(batch, units)`, the last output first.

        Returns:
            The new states.
        """
        raise NotImplementedError(f"`advance` is for {type(self).__name__} to define.")

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
        if inputs.shape[0] == 0:
            return ops.zeros((0, ops.shape(inputs)[1], self.units), inputs.dtype), states
        kernel = self.kernel if derived is None else derived.of(self)
        input_bias, recurrent_bias = self.biases()
        recurrent_kernel = ops.convert_to_tensor(self.recurrent_kernel)

        def advance(states: list[Tensor], x: Any) -> tuple[list[Tensor], Tensor]:
            if resets is not None:
                states = [ops.where(x["cut"], 0.0, state) for state in states]
            recurrent = ops.matmul(states[0], recurrent_kernel)
            if recurrent_bias is not None:
                recurrent = recurrent + recurrent_bias
            new = self.advance(x["inputs"], recurrent, states)
            if mask is not None:
                pairs = zip(new, states, strict=True)
                new = [ops.where(x["valid"], state, old) for state, old in pairs]
            return new, new[0]

        xs = {"inputs": product(inputs, kernel) + input_bias}
        if resets is not None:
            if reverse:
                resets = resets_in_reverse(resets)
            xs["cut"] = resets[..., None]
        if mask is not None:
            xs["valid"] = mask[..., None]
        if inputs.shape[0] == 1:
            states, outputs = advance(states, {name: values[0] for name, values in xs.items()})
            outputs = outputs[None]
        else:
            states, outputs = backend.scan(advance, list(states), xs, reverse=reverse)
        return ops.cast(outputs, self.compute_dtype), states

    def derive_weights(self) -> Tensor:
        """The kernel in the dtype that its product is computed in."""
        return ops.cast(self.kernel, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
        }
