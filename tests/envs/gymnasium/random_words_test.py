"""Structures of tensors in one transfer."""

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.envs.gymnasium.random_words import Words


def test_what_is_packed_comes_back_bit_for_bit_in_one_array():
    rng = np.random.default_rng(0)
    arrays = {
        "floats": rng.integers(-(2**31), 2**31, (3, 2)).astype("int32").view("float32"),
        "special": np.array([np.nan, -0.0, np.inf], "float32"),
        "nested": {"integers": rng.integers(-(2**31), 2**31, (3, 2, 2)).astype("int32")},
        "flags": np.array([True, False, True]),
        "bytes": np.array([-128, 127, 0], "int8"),
        "empty": {},
    }
    arrays["floats"][0, 0] = 1e-40  # subnormal
    words = Words()
    packed = backend.compile(words.pack)(keras.tree.map_structure(ops.convert_to_tensor, arrays))
    assert ops.convert_to_numpy(packed).shape == (3, 9)
    unpacked = words.unpack(packed)
    keras.tree.assert_same_structure(unpacked, arrays)
    for ours, theirs in zip(keras.tree.flatten(unpacked), keras.tree.flatten(arrays), strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes()
