"""The learner's state as flat arrays, and back."""

import numpy as np
import pytest
from keras import ops

from keras_s5rl.runs import RunError
from keras_s5rl.training.learner_state import state_from_arrays, state_to_arrays


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
    assert list(back) == list(state()) and isinstance(back["weights"], list)
    for name, array in state_to_arrays(back).items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])
    assert back["key"].dtype == "uint32"


@pytest.mark.parametrize(
    "wrong", [None, np.zeros(5, "float32"), np.zeros(6, "float64"), np.zeros((6, 1), "float32")]
)
def test_an_array_that_does_not_fit_is_named(wrong):
    arrays = {**state_to_arrays(state()), "weights/0": wrong}
    with pytest.raises(RunError, match="`weights/0` with shape and dtype .*Received: weights/0="):
        state_from_arrays(arrays, like=state())
