"""`GroupAdam`: Adam with a learning rate for each group of variables."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_s5rl.typing import Array, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class GroupAdam(keras.optimizers.Adam):
    """Adam whose learning rate differs between variables, and whose schedule counts skipped steps.

        variable -= rate_factor * learning_rate * m / (sqrt(v) + epsilon)

    with the bias-corrected moments m and v. Adam does not depend on the size of gradients, so that
    the factor is one on the step. Gradients are clipped by the global norm of all variables.

    The learning rate of a schedule is that of all steps, made or skipped; the corrections of the
    moments count those that were made.

    Args:
        learning_rate: Float, or a Keras schedule. Defaults to `0.001`.
        rate_factors: List of positive floats, one a variable that it is built on, or `None` for 1
            for each; in place of a float an array in the shape of the variable has one for each of
            its numbers. Defaults to `None`.
        counts_skipped: Whether it has a count of skipped steps, one variable more. Defaults to
            `False`.
        **kwargs: Arguments of `keras.optimizers.Adam`.

    Example:

    >>> import keras
    >>> from keras_s5rl.ppo.adam import GroupAdam
    >>> slow, fast = keras.Variable([0.0]), keras.Variable([0.0])
    >>> optimizer = GroupAdam(0.1, rate_factors=[0.5, 1.0])
    >>> optimizer.build([slow, fast])
    >>> optimizer.apply([keras.ops.ones(1), keras.ops.ones(1)])
    >>> round(float(slow[0]), 3), round(float(fast[0]), 3)
    (-0.05, -0.1)

    Reference:
    - Kingma and Ba, "Adam: a method for stochastic optimization", 2015.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rate_factors: Sequence[float | Array] | None = None,
        counts_skipped: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rate_factors = rate_factors
        self.counts_skipped = counts_skipped
        if counts_skipped:
            self._skipped = self.add_variable((), dtype="int", name="skipped")

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        factors = self.rate_factors
        if factors is not None:
            learning_rate = ops.multiply(learning_rate, factors[self._get_variable_index(variable)])
        super().update_step(gradient, variable, learning_rate)

    def skip(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Returns values of `variables` after a step that is not made.

        Args:
            values: List of tensors, one for each of `variables`.
        """
        if not self.counts_skipped:
            return list(values)
        return [
            value + 1 if variable is self._skipped else value
            for variable, value in zip(self.variables, values, strict=True)
        ]

    def _get_current_learning_rate(self) -> Any:
        rate = self._learning_rate
        if self.counts_skipped and isinstance(
            rate, keras.optimizers.schedules.LearningRateSchedule
        ):
            return rate(self._iterations + self._skipped)
        return super()._get_current_learning_rate()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate_factors": self.rate_factors,
            "counts_skipped": self.counts_skipped,
        }
