"""`RunningNormalization`: features less their mean, in units of their standard deviation."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.typing import Shape, Tensor

_LIMIT = 10.0  # of normalised features
_EPSILON = 1e-8  # added to variances, in the units of a feature squared


@keras.saving.register_keras_serializable("keras_s5rl")
class RunningNormalization(keras.layers.Layer):
    """Normalises features by the mean and the variance of all inputs that it was given so far.

        y = clip((x - mean) / sqrt(variance + 1e-8), -10, 10)

    The statistics are weights that nothing trains: a call uses them as they are, and `merged` says
    what they are after further inputs. Before the first ones the mean is 0 and the variance 1.

    Args:
        features: Sequence of integers, the features that are normalised; the others stay as they
            are. `None` for all. Defaults to `None`.

    Call arguments:
        inputs: float32 tensor `(..., size)`.

    Output shape:
        float32 `(..., size)`.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.models import RunningNormalization
    >>> layer = RunningNormalization()
    >>> layer.build((None, 1))
    >>> statistics = layer.merged(layer.variables, np.array([[[0.0]], [[4.0]]], "float32"))
    >>> for variable, value in zip(layer.variables, statistics):
    ...     _ = variable.assign(value)
    >>> [round(float(y[0]), 3) for y in layer(np.array([[2.0], [6.0], [90.0]], "float32"))]
    [0.0, 2.0, 10.0]
    """

    def __init__(self, features: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False} | kwargs)
        self.features = None if features is None else [int(feature) for feature in features]

    def build(self, inputs_shape: Shape) -> None:
        size = inputs_shape[-1]
        self._is_normalized = np.full(size, self.features is None)
        self._is_normalized[self.features or []] = True
        self.mean = self._statistic("mean", (size,), "zeros")
        self.variance = self._statistic("variance", (size,), "ones")
        self.count = self._statistic("count", (), "zeros")

    def _statistic(self, name: str, shape: Shape, initializer: str) -> Any:
        return self.add_weight(shape=shape, initializer=initializer, trainable=False, name=name)

    def call(self, inputs: Tensor) -> Tensor:
        inputs = ops.convert_to_tensor(inputs)
        size = ops.sqrt(self.variance + _EPSILON)
        normalized = ops.clip((inputs - self.mean) / size, -_LIMIT, _LIMIT)
        return ops.where(self._is_normalized, normalized, inputs)

    def merged(self, statistics: Sequence[Tensor], inputs: Tensor) -> list[Tensor]:
        """Returns the statistics of further inputs and all before, over all devices that run the
        program together.

        Args:
            statistics: List of tensors, one for each of `variables`: mean, variance and count.
            inputs: float32 tensor `(time, batch, size)`.

        Reference:
        - Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
          variances", 1979.
        """

        def average(values: Tensor) -> Tensor:
            # One axis after the other: float32 adds up fewer numbers at a time.
            return backend.devices.mean(ops.mean(ops.mean(values, axis=0), axis=0))

        mean, variance, count = map(ops.convert_to_tensor, statistics)
        inputs = ops.convert_to_tensor(inputs)
        # Around one of the inputs, so that a feature that never changes has exactly its value as
        # mean, and no variance.
        centre = inputs[0, 0]
        mean_of_inputs = backend.devices.mean(centre) + average(inputs - centre)
        variance_of_inputs = average(ops.square(inputs - mean_of_inputs))
        num_inputs = backend.devices.sum(ops.ones_like(count) * float(np.prod(inputs.shape[:2])))
        share = num_inputs / (count + num_inputs)
        change = mean_of_inputs - mean
        mean = mean + share * change
        variance = (1.0 - share) * variance + share * (
            variance_of_inputs + (1.0 - share) * ops.square(change)
        )
        return [mean, variance, count + num_inputs]

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"features": self.features}
