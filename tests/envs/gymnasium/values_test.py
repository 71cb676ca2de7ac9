"""Values of Gymnasium's spaces to and from the batched arrays of environments."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Tuple
from gymnasium.vector.utils import batch_space

from keras_s5rl.envs.gymnasium.values import array_to_batch, check_actions, single_value

SPACES = [
    Discrete(5),
    Discrete(5, start=-2),
    MultiDiscrete([3, 4]),
    MultiDiscrete([3, 4], start=[1, -1]),
    Tuple((Discrete(2), Discrete(4, start=1))),
    Box(-2, 2, (3,)),
]


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_values_go_to_the_format_of_environments_and_come_back(space):
    batched = batch_space(space, 6)
    batched.seed(0)
    values = batched.sample()
    array = check_actions(space, values, 6)
    assert array.dtype == ("float32" if isinstance(space, Box) else "int32")
    assert array_to_batch(space, array) in batched
    np.testing.assert_equal(array_to_batch(space, array), values)
    for index in range(6):
        value = single_value(space, array, index)
        assert value in space
        row = check_actions(space, value)
        assert row.dtype == array.dtype
        np.testing.assert_array_equal(row, array[index : index + 1], strict=True)


def test_a_value_below_or_above_a_column_is_refused():
    space = MultiDiscrete([3, 4], start=[1, -1])
    for wrong in ([0, 0], [4, 0], [1, -2], [1, 3]):
        with pytest.raises(ValueError, match="should be an action of MultiDiscrete"):
            check_actions(space, wrong)
    with pytest.raises(ValueError, match="should be 2 actions, stacked, of MultiDiscrete"):
        check_actions(space, [[1, 1], [1, 3]], 2)
