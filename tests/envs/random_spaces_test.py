"""Values of random nested spaces: to tensors, to what a policy sees, and back."""

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from hypothesis import given, settings

from keras_s5rl.envs import spaces
from keras_s5rl.envs.gymnasium.values import (
    array_to_batch,
    batch_to_array,
    check_actions,
    single_to_array,
    single_value,
)
from tests.support.random_spaces import nested


@settings(max_examples=60, deadline=None, derandomize=True)
@given(nested())
def test_values_of_random_spaces_go_to_tensors_and_come_back(space):
    space.seed(0)
    samples = [space.sample() for _ in range(3)]
    batch = concatenate(space, samples, create_empty_array(space, 3))
    array = batch_to_array(space, batch)
    null = spaces.null_value(space)
    assert array.shape == (3, *null.shape) and array.dtype == null.dtype
    assert array_to_batch(space, array) in batch_space(space, 3)
    np.testing.assert_array_equal(check_actions(space, batch, 3), array)
    for index, sample in enumerate(samples):
        value = single_value(space, array, index)
        assert value in space
        np.testing.assert_array_equal(single_to_array(space, sample)[0], array[index])
        np.testing.assert_allclose(
            gymnasium.spaces.flatten(space, value),
            gymnasium.spaces.flatten(space, sample).astype("float32"),
            rtol=1e-6,
        )
    assert single_value(space, null[None], 0) in space
    low, _ = spaces.flat_bounds(space)
    entries = sum(int(np.prod(entry["shape"])) for entry in spaces.flat_entries(space))
    assert spaces.flat_size(space) == gymnasium.spaces.flatdim(space) == len(low) == entries
