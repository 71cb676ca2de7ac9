"""The learner's state as flat arrays, and back."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl.runs import RunError
from keras_s5rl.training.learner_state import state_from_arrays, state_to_arrays

pytestmark = pytest.mark.portable


def state():
    return {
        "weights": [ops.arange(6, dtype="float32"), ops.ones((2, 3), dtype="bool")],
        "environment": {"inner": {"position": ops.full((4,), 0.5, dtype="float32")}},
        "key": ops.convert_to_tensor(np.array([7, 2**32 - 1], "uint32")),
    }


def test_a_state_comes_back_bit_for_bit():
    arrays = state_to_arrays(state())
    assert sorted(arrays) == ["environment/inner/position", "key", "weights/0", "weights/1"]
    back = state_from_arrays(arrays, like=state())
    assert set(back) == set(state()) and isinstance(back["weights"], list)
    for name, array in state_to_arrays(back).items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])
    assert arrays["key"].dtype == "uint32"  # on torch, too, which keeps it in 64 bits


def test_integers_come_from_the_dtypes_of_other_backends_if_they_lose_nothing():
    like = {"count": ops.convert_to_tensor(3, dtype="int32"), "key": state()["key"]}
    for dtype in ("int32", "uint32", "int64"):
        arrays = {"count": np.array(7, dtype), "key": np.array([1, 2], dtype)}
        back = state_from_arrays(arrays, like)
        for name, array in arrays.items():
            assert back[name].dtype == like[name].dtype
            np.testing.assert_array_equal(ops.convert_to_numpy(back[name]), array)
    with pytest.raises(RunError, match=r"`count` with shape and dtype \(\(\), 'int32'\)"):
        state_from_arrays(arrays | {"count": np.array(2**31, "uint32")}, like)


@pytest.mark.skipif(keras.config.backend() == "jax", reason="JAX keeps 32 bits.")
@pytest.mark.parametrize(
    ("value", "dtype"), [(5, "uint32"), (2**32 - 1, "uint32"), (-1, "int64"), (2**32, "int64")]
)
def test_64_bits_are_written_as_32_where_they_fit(value, dtype):
    state = {"word": ops.convert_to_tensor(np.array(value, "int64"))}
    arrays = state_to_arrays(state)
    assert arrays["word"].dtype == dtype and int(arrays["word"]) == value
    assert int(state_from_arrays(arrays, state)["word"]) == value


@pytest.mark.parametrize(
    "wrong", [None, np.zeros(5, "float32"), np.zeros(6, "float64"), np.zeros((6, 1), "float32")]
)
def test_an_array_that_does_not_fit_is_named(wrong):
    arrays = {**state_to_arrays(state()), "weights/0": wrong}
    with pytest.raises(RunError, match="`weights/0` with shape and dtype .*Received: weights/0="):
        state_from_arrays(arrays, like=state())
