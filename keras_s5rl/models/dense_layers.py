"""Dense layers one after the other: what encoder and heads of a policy are made of."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.ops import rowwise
from keras_s5rl.typing import Shape, Tensor

HIDDEN_GAIN = 2.0**0.5


def dense_layers(
    name: str,
    hidden_sizes: Sequence[int],
    activation: Callable[[Tensor], Tensor],
    dtype: Any,
    seed: int | None,
    num_outputs: int | None = None,
    output_gain: float = 1.0,
) -> list[Dense]:
    """Returns hidden layers and, with `num_outputs`, a last one without activation, in float32.

    Args:
        name: String, with which the names of the layers begin.
        hidden_sizes: Units of the hidden layers.
        activation: Their activation.
        dtype: Their dtype policy.
        seed: Integer or `None`, from which the initial weights are drawn.
        num_outputs: Integer, units of the last layer, or `None` for none. Defaults to `None`.
        output_gain: Float, of its initial kernel. Defaults to `1.0`.
    """
    seeds = derive_seeds(seed, len(hidden_sizes) + 1)
    layers = [
        Dense(
            size,
            activation=activation,
            kernel_initializer=Orthogonal(HIDDEN_GAIN, seed=layer_seed),
            dtype=dtype,
            name=f"{name}_{i}",
        )
        for i, (size, layer_seed) in enumerate(zip(hidden_sizes, seeds, strict=False))
    ]
    if num_outputs is not None:
        initializer = Orthogonal(output_gain, seed=seeds[-1])
        layers.append(
            Dense(
                num_outputs,
                kernel_initializer=initializer,
                dtype="float32",
                name=f"{name}_outputs",
            )
        )
    return layers


def build_encoder(encoder: Any, observation_size: int) -> int:
    """Builds the layer before the dense ones; returns its features.

    Raises:
        ValueError: If it takes no rows of observations, or does not return rows of features.
    """
    problem = ""
    try:
        outputs = encoder(keras.KerasTensor((None, observation_size), "float32"))
    except (TypeError, ValueError) as error:
        outputs, problem = None, f" ({' '.join(str(error).split())[:200]})"
    shape = tuple(getattr(outputs, "shape", ()))
    if len(shape) != 2 or shape[0] is not None or shape[1] is None:
        received = "" if problem else f", with outputs of shape {shape}"
        raise ValueError(
            f"`encoder` should be a Keras layer from `(batch, {observation_size})` to `(batch, "
            f"features)`{problem}. Received: encoder={encoder!r}{received}"
        )
    return shape[1]


def build_layers(layers: Sequence[Any], shape: Shape) -> Shape:
    """Builds dense layers for inputs of a shape; returns the shape of their outputs."""
    for layer in layers:
        layer.build(shape)
        shape = (*shape[:-1], layer.units)
    return shape


def run_layers(
    layers: Sequence[Any], inputs: Tensor, derived: DerivedWeights | None = None
) -> Tensor:
    """Returns the outputs of dense layers for inputs with any leading axes."""

    def run(rows: Tensor) -> Tensor:
        for layer in layers:
            rows = layer(rows, derived=derived)
        return rows

    return rowwise(run, inputs)
