import keras
import numpy as np
import pytest

from keras_s5rl.layers.held_outputs import hold_outputs
from tests.support.differentiate import compiled

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("with_resets", (False, True))
def test_a_masked_step_repeats_the_last_output_of_its_episode(reverse, with_resets):
    time, batch = 9, 6
    outputs = RNG.normal(size=(time, batch, 2)).astype("float32")
    mask = RNG.random((time, batch)) < 0.5
    resets = RNG.random((time, batch)) < 0.3 if with_resets else np.zeros((time, batch), bool)
    given = [outputs, mask, *([resets] if with_resets else [])]
    held = compiled(lambda *args: hold_outputs(*args, reverse=reverse))(
        *(keras.ops.convert_to_tensor(value) for value in given)
    )
    expected = np.zeros_like(outputs)
    for b in range(batch):
        last = np.zeros(2)
        for t in reversed(range(time)) if reverse else range(time):
            place = t + 1 if reverse else t
            if place < time and resets[place, b]:
                last = np.zeros(2)
            if mask[t, b]:
                last = outputs[t, b]
            expected[t, b] = last
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(held), expected)
