"""The learner's state as a flat dict of numpy arrays, and back."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.runs import RunError
from keras_s5rl.typing import Array


def state_to_arrays(state: Any) -> dict[str, Array]:
    """Returns the tensors of a nested state as `{"path/to/tensor": numpy array}`.

    Words and counts that a backend keeps in 64 bits (keys on torch, the optimizer's steps on
    TensorFlow) become uint32, as long as they fit. Processes that train together call it together,
    and each gets the whole state.
    """
    return {
        "/".join(map(str, path)): _narrow(np.asarray(ops.convert_to_numpy(tensor)))
        for path, tensor in keras.tree.flatten_with_path(backend.processes.gathered(state))
    }


def state_from_arrays(arrays: dict[str, Array], like: Any) -> Any:
    """Returns the state that `state_to_arrays` took apart, on this backend or another.

    Args:
        arrays: Dict of numpy arrays.
        like: A state of the same structure and shapes. Dtypes are the same too, but that integers
            may come from others, if they lose nothing.

    Raises:
        RunError: If an array is missing or of another shape or dtype.
    """
    tensors = []
    for path, tensor in keras.tree.flatten_with_path(like):
        name = "/".join(map(str, path))
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        expected = (tuple(tensor.shape), dtype)
        array = arrays.get(name)
        array = array if array is None else _converted(array, dtype)
        received = None if array is None else (array.shape, str(array.dtype))
        if received != expected:
            raise RunError(
                f"The checkpoint should hold `{name}` with shape and dtype {expected}: it was "
                f"written by other settings or another version. Received: {name}={received}"
            )
        tensors.append(ops.convert_to_tensor(array, dtype=dtype))
    return keras.tree.pack_sequence_as(like, tensors)


def _narrow(array: Array) -> Array:
    return _converted(array, "uint32") if array.dtype.name == "int64" else array


def _converted(array: Array, dtype: str) -> Array:
    """The integers of `array` in another integer dtype if they are the same there, else `array`."""
    if "int" not in array.dtype.name or "int" not in dtype:
        return array
    converted = array.astype(dtype)
    return converted if np.array_equal(converted, array) else array
