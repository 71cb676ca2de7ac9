"""The learner's state as a flat dict of numpy arrays, and back."""

import keras
import numpy as np
from keras import ops

from keras_s5rl.runs import RunError


def state_to_arrays(state):
    """Returns the tensors of a nested state as `{"path/to/tensor": numpy array}`."""
    return {
        "/".join(map(str, path)): np.asarray(ops.convert_to_numpy(tensor))
        for path, tensor in keras.tree.flatten_with_path(state)
    }


def state_from_arrays(arrays, like):
    """Returns the state that `state_to_arrays` took apart.

    Args:
        arrays: Dict of numpy arrays.
        like: A state of the same structure, shapes and dtypes.

    Raises:
        RunError: If an array is missing or of another shape or dtype.
    """
    tensors = []
    for path, tensor in keras.tree.flatten_with_path(like):
        name = "/".join(map(str, path))
        expected = (tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))
        array = arrays.get(name)
        received = None if array is None else (array.shape, str(array.dtype))
        if received != expected:
            raise RunError(
                f"The checkpoint should hold `{name}` with shape and dtype {expected}: it was "
                f"written by other settings or another version. Received: {name}={received}"
            )
        tensors.append(ops.convert_to_tensor(array))
    return keras.tree.pack_sequence_as(like, tensors)
