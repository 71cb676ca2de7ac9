"""`Words`: many tensors as one, for one transfer to the host."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl.typing import Array, Tensor


class Words:
    """Packs a structure of tensors in one tensor, so that one transfer brings all to the host.

    The tensors have their leading axis in common and at most 32 bits a number. Each row of the
    packed tensor, int32, holds the bits of one row of all of them, side by side.
    """

    def pack(self, structure: Any) -> Tensor:
        """Returns the packed tensor of a structure, int32 `(rows, words)`.

        Its layout is noted when a compiler traces the call, which comes before any `unpack`.
        """
        columns = []
        for tensor in keras.tree.flatten(structure):
            is_float = keras.backend.is_float_dtype(tensor.dtype)
            tensor = ops.cast(tensor, "float32" if is_float else "int32")
            columns.append(ops.view(ops.reshape(tensor, (tensor.shape[0], -1)), "int32"))
        self._layout = keras.tree.map_structure(_empty_like, structure)
        return ops.concatenate(columns, axis=1)

    def unpack(self, words: Any) -> Any:
        """Returns the structure that `words` was packed from, of numpy arrays."""
        words = ops.convert_to_numpy(words)
        arrays, start = [], 0
        for like in keras.tree.flatten(self._layout):
            end = start + math.prod(like.shape[1:])
            columns, start = words[:, start:end], end
            columns = columns.view("float32") if like.dtype.kind == "f" else columns
            arrays.append(columns.astype(like.dtype).reshape(like.shape))
        return keras.tree.pack_sequence_as(self._layout, arrays)


def _empty_like(tensor: Tensor) -> Array:
    return np.empty(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))
