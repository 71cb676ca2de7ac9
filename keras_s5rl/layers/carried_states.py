"""The states that a stateful layer carries from batch to batch."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_s5rl.typing import Tensor


class CarriedStates(keras.layers.Layer):
    """A base of layers over time with `stateful`, `state_shapes` and `get_initial_state`.

    The states are among the `variables` of the layer, as the state of a seed generator is, and so
    come through `fit`, `predict` and `stateless_call` on every backend. They are not among its
    `weights`: a stateless layer, and one of another batch size, has the same weights and the same
    files.
    """

    states: Any = None  # list of the variables of a stateful layer

    @property
    def variables(self) -> list[Any]:
        """The weights, the states of a stateful layer, and those of seed generators."""
        return [*super().variables, *(self.states or ())]

    def reset_state(self) -> None:
        """Clears the states that a stateful layer carries from batch to batch."""
        if self.states is not None:
            values = self.get_initial_state(self.states[0].shape[0])
            for variable, value in zip(self.states, keras.tree.flatten(values), strict=True):
                variable.assign(value)

    def reset_states(self) -> None:
        """`reset_state` by its other name in Keras."""
        self.reset_state()

    def load_own_variables(self, store: Any) -> None:
        # Up to version 0.1.0 the states were weights, the last ones: such a file loads without.
        count = len(store.keys()) - len(self.state_shapes)
        if count == len(self._trainable_variables + self._non_trainable_variables):
            store = {str(index): store[str(index)] for index in range(count)}
        super().load_own_variables(store)

    def _create_states(self, batch_size: int | None) -> None:
        """Makes the variables of a stateful layer; for `build`."""
        if not self.stateful or self.states is not None:
            return
        if batch_size is None:
            raise ValueError(
                "A layer with `stateful=True` needs a static batch size: give the input a "
                "`batch_shape`. Received: batch size None"
            )

        def initializer(index: int) -> Callable[..., Tensor]:
            # Called when the variable is: under JAX a model may be built while it is traced.
            def initialize(shape: Sequence[int], dtype: str | None = None) -> Tensor:
                return keras.tree.flatten(self.get_initial_state(batch_size))[index]

            return initialize

        with keras.name_scope(self.name, caller=self):
            states = [
                keras.Variable(
                    initializer(index),
                    shape=(batch_size, *shape),
                    dtype="float32",
                    trainable=False,
                    autocast=False,
                    name=f"state_{index}",
                )
                for index, shape in enumerate(self.state_shapes)
            ]
        self.__dict__["states"] = states  # past Keras, which would make weights of them

    def _check_batch_size(self, batch_size: int | None) -> None:
        expected = self.states[0].shape[0]
        if batch_size is not None and batch_size != expected:
            raise ValueError(
                f"A layer with `stateful=True` takes batches of the size it was built with, "
                f"{expected}. Received: batch size {batch_size}"
            )
