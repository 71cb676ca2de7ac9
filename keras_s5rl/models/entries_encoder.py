"""`EntriesEncoder`: an encoder for each entry of an observation."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.models.dense_layers import HIDDEN_GAIN
from keras_s5rl.models.image_encoder import ImageEncoder, image_layout
from keras_s5rl.ops import rowwise
from keras_s5rl.typing import Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class EntriesEncoder(DerivingLayer, keras.layers.Layer):
    """Takes a flat vector apart and encodes each entry: images by convolutions, others by a dense
    layer. Their features stand side by side.

    Args:
        entries: Sequence of dicts of what the vector holds, one after the other, as
            `keras_s5rl.envs.AgentView.entries` has them: `shape`, and `scale`, by which the numbers
            are multiplied first.
        width: Positive integer, the features of each entry. Defaults to `64`.
        activation: Activation of all layers. Defaults to `"leaky_relu"`.
        seed: Integer or `None`, from which the initial weights are drawn. Defaults to `None`.

    Input shape:
        `(..., numbers)`, those of all entries.

    Output shape:
        `(..., len(entries) * width)`.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.models import EntriesEncoder
    >>> pixels, speed = {"shape": (7, 7, 3), "scale": 1 / 255}, {"shape": (2,), "scale": 1.0}
    >>> encoder = EntriesEncoder([pixels, speed], width=16)
    >>> tuple(encoder(np.ones((4, 149), "float32")).shape)
    (4, 32)
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        width: int = 64,
        activation: str = "leaky_relu",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Numbers keep their precision until they are scaled.
        super().__init__(autocast=False, **kwargs)
        self.entries: list[dict[str, Any]] = [
            {"shape": list(entry["shape"]), "scale": float(entry["scale"])} for entry in entries
        ]
        self.width = width
        self.activation = keras.activations.get(activation)
        self.seed = seed
        self._sizes = [int(np.prod(entry["shape"])) for entry in self.entries]
        seeds = derive_seeds(seed, len(self.entries))
        self.parts = [
            self._part(f"entry_{i}", entry["shape"], seeds[i])
            for i, entry in enumerate(self.entries)
        ]

    def _part(self, name: str, shape: Sequence[int], seed: int) -> Any:
        like = {"activation": self.activation, "dtype": self.dtype_policy, "name": name}
        if image_layout(shape) is not None:
            return ImageEncoder(shape, self.width, seed=seed, **like)
        return Dense(self.width, kernel_initializer=Orthogonal(HIDDEN_GAIN, seed=seed), **like)

    def build(self, inputs_shape: Shape) -> None:
        if inputs_shape[-1] != sum(self._sizes):
            raise ValueError(
                f"`entries` should hold the {inputs_shape[-1]} numbers of an observation. "
                f"Received: entries={self.entries}, of {sum(self._sizes)} numbers"
            )
        for part, size in zip(self.parts, self._sizes, strict=True):
            part.build((None, size))
        self.built: bool = True

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> Tensor:
        def encode(rows: Tensor) -> Tensor:
            features, start = [], 0
            for part, entry, size in zip(self.parts, self.entries, self._sizes, strict=True):
                numbers = rows[:, start : start + size]
                if entry["scale"] != 1.0:
                    numbers = numbers * entry["scale"]
                features.append(part(numbers, derived=derived))
                start += size
            return ops.concatenate(features, axis=-1)

        return rowwise(encode, inputs)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], len(self.entries) * self.width)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            entries=self.entries,
            width=self.width,
            activation=keras.activations.serialize(self.activation),
            seed=self.seed,
        )
        return config
