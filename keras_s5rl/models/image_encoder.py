"""`ImageEncoder`: features of small images."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.models.dense_layers import HIDDEN_GAIN
from keras_s5rl.typing import Shape, Tensor

_SMALLEST_SIDE = 7
_LARGEST_INNER_SIDE = 8
_FILTERS = (16, 32)  # of the first convolution, and of the others


def image_layout(shape: Sequence[int]) -> tuple[int, int, int] | None:
    """Returns `(height, width, channels)` of the images in arrays of a shape, or `None` where they
    are none.

    An image has two axes, or three with its channels last; channels first where that axis is short
    and the others are not. Height and width are 7 or more.
    """
    if len(shape) == 2 and min(shape) >= _SMALLEST_SIDE:
        return shape[0], shape[1], 1
    if len(shape) == 3 and min(shape[:2]) >= _SMALLEST_SIDE:
        return shape[0], shape[1], shape[2]
    if len(shape) == 3 and min(shape[1:]) >= _SMALLEST_SIDE:
        return shape[1], shape[2], shape[0]
    return None


@keras.saving.register_keras_serializable("keras_s5rl")
class ImageEncoder(DerivingLayer, keras.layers.Layer):
    """A small convolutional network over flat images.

    Convolutions of 3 x 3 halve the image until no side is longer than 8; a last one and a dense
    layer follow. An image of 7 x 7 has two convolutions, one of 84 x 84 five.

    Args:
        shape: Sequence of integers, that of an image: `(height, width)`, `(height, width,
            channels)`, or `(channels, height, width)` where there are fewer than 7 channels.
        width: Positive integer, the features that come out.
        activation: Activation of all layers. Defaults to `"leaky_relu"`.
        seed: Integer or `None`, from which the initial weights are drawn. Defaults to `None`.

    Input shape:
        `(batch, numbers)`, the numbers of an image row by row.

    Output shape:
        `(batch, width)`.

    Raises:
        ValueError: If the shape is not that of an image.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.models.image_encoder import ImageEncoder
    >>> tuple(ImageEncoder((7, 7, 3), 16)(np.ones((2, 147), "float32")).shape)
    (2, 16)
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        activation: str = "leaky_relu",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        layout = image_layout(shape)
        if layout is None:
            raise ValueError(
                "`shape` should be that of an image, with a height and a width of "
                f"{_SMALLEST_SIDE} or more. Received: shape={tuple(shape)}"
            )
        self.shape = tuple(shape)
        self.width = width
        self.activation = keras.activations.get(activation)
        self.seed = seed
        self._layout = layout
        strides = _strides(*layout[:2])
        seeds = derive_seeds(seed, len(strides) + 1)
        self.convolutions = [
            keras.layers.Conv2D(
                _FILTERS[min(i, 1)],
                3,
                strides=stride,
                padding="same" if i < len(strides) - 1 else "valid",
                data_format="channels_last",
                activation=self.activation,
                kernel_initializer=Orthogonal(HIDDEN_GAIN, seed=seeds[i]),
                dtype=self.dtype_policy,
                name=f"convolution_{i}",
            )
            for i, stride in enumerate(strides)
        ]
        self.dense = Dense(
            width,
            activation=self.activation,
            kernel_initializer=Orthogonal(HIDDEN_GAIN, seed=seeds[-1]),
            dtype=self.dtype_policy,
            name="dense",
        )

    def build(self, inputs_shape: Shape) -> None:
        shape: Any = (None, *self._layout)
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.dense.build((None, shape[1] * shape[2] * shape[3]))
        self.built: bool = True

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> Tensor:
        height, width, channels = self._layout
        if len(self.shape) == 3 and self.shape != self._layout:
            images = ops.reshape(inputs, (-1, channels, height, width))
            images = ops.transpose(images, (0, 2, 3, 1))
        else:
            images = ops.reshape(inputs, (-1, height, width, channels))
        for convolution in self.convolutions:
            images = convolution(images)
        rows = ops.reshape(images, (-1, images.shape[1] * images.shape[2] * images.shape[3]))
        return self.dense(rows, derived=derived)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return (inputs_shape[0], self.width)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            shape=self.shape,
            width=self.width,
            activation=keras.activations.serialize(self.activation),
            seed=self.seed,
        )
        return config


def _strides(height: int, width: int) -> list[tuple[int, int]]:
    """The strides of the convolutions; the last one keeps the size, and so does the first one over
    a small image."""
    strides = []
    while max(height, width) > _LARGEST_INNER_SIDE:
        stride = (1 + (height > _LARGEST_INNER_SIDE), 1 + (width > _LARGEST_INNER_SIDE))
        height, width = -(-height // stride[0]), -(-width // stride[1])
        strides.append(stride)
    return [*(strides or [(1, 1)]), (1, 1)]
