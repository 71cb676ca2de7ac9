"""Values of Gymnasium's spaces to and from the batched arrays of environments."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.vector.utils import batch_space

from keras_s5rl.envs.gymnasium.values import (
    array_to_batch,
    batch_to_array,
    check_actions,
    legal_actions,
    single_to_array,
    single_value,
)
from keras_s5rl.envs.spaces import value_dtype

SPACES = [
    Discrete(5),
    Discrete(5, start=-2),
    MultiDiscrete([3, 4]),
    MultiDiscrete([3, 4], start=[1, -1]),
    Tuple((Discrete(2), Discrete(4, start=1))),
    Box(-2, 2, (3,)),
    Box(-2.1, 2.1, (), "float64"),
    Box(0, 255, (2, 3, 3), "uint8"),
    MultiBinary((2, 2)),
    MultiDiscrete([[3, 4]], start=[[1, -1]]),
    Tuple((MultiBinary(2), Dict(b=Discrete(2, start=1), a=MultiDiscrete([2, 3])))),
    Dict(
        image=Box(0, 255, (2, 3, 3), "uint8"),
        direction=Discrete(4, start=1),
        deep=Tuple((MultiBinary(2), Box(-1.0, 1.0, (2, 1), "float16"), Discrete(2))),
    ),
]
# Rounded in float32.
EXTREMES = {
    "float64": Box(0.1, 0.7, (3,), "float64"),
    "int64": Box(-(2**63), 2**63 - 1, (2,), "int64"),
    "int32": Box(-(2**31), 2**31 - 1, (2,), "int32"),
    "uint64": Box(0, 2**64 - 1, (2,), "uint64"),
    "float64, huge": Box(-1e300, 1e300, (1,), "float64"),
}


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_values_go_to_the_format_of_environments_and_come_back(space):
    batched = batch_space(space, 6)
    batched.seed(0)
    values = batched.sample()
    array = batch_to_array(space, values)
    assert array.dtype == value_dtype(space)
    assert array_to_batch(space, array) in batched
    is_exact = not isinstance(space, Box) or space.dtype != "float64"
    assert_equal = np.testing.assert_equal if is_exact else np.testing.assert_allclose
    assert_equal(array_to_batch(space, array), values)
    assert_equal(array_to_batch(space, legal_actions(space, array)), values)
    np.testing.assert_array_equal(check_actions(space, values, 6), array, strict=True)
    for index in range(6):
        value = single_value(space, array, index)
        assert value in space
        for row in (check_actions(space, value), single_to_array(space, value)):
            np.testing.assert_array_equal(row, array[index : index + 1], strict=True)


@pytest.mark.parametrize("space", EXTREMES.values(), ids=EXTREMES)
def test_bounds_that_float32_rounds_are_in_the_space_again(space):
    for value in (space.low, space.high):
        array = single_to_array(space, value)
        assert single_value(space, array, 0) in space
        np.testing.assert_array_equal(single_value(space, array, 0), value)
        np.testing.assert_array_equal(array_to_batch(space, array)[0], value)


def test_entries_are_found_by_their_names_whatever_their_order():
    space = Dict(a=Discrete(3), b=Box(0, 9, (2,)))
    array = batch_to_array(space, {"b": [[7, 8]], "a": [2]})
    np.testing.assert_array_equal(array, np.array([[2, 7, 8]], "float32"), strict=True)


def test_numbers_of_actions_are_clipped_to_their_boxes():
    space = Dict(a=Discrete(3, start=1), b=Box(-1, 2, (2, 1)))
    actions = legal_actions(space, np.array([[3, -5, 7]], "float32"))
    actions = array_to_batch(space, actions)
    np.testing.assert_equal(actions, {"a": np.array([3]), "b": np.float32([[[-1], [2]]])})


@pytest.mark.parametrize(
    "actions", [{"a": 1}, {"a": 1, "b": [0.0, 0.0]}, {"a": 0.5, "b": [0.0]}, [1, [0.0]], 3, None]
)
def test_actions_of_another_structure_are_refused(actions):
    with pytest.raises(ValueError, match="`actions` should be an action of Dict.*Received: acti"):
        check_actions(Dict(a=Discrete(3), b=Box(-1, 1, (1,))), actions)


def test_a_value_below_or_above_a_column_is_refused():
    space = MultiDiscrete([3, 4], start=[1, -1])
    for wrong in ([0, 0], [4, 0], [1, -2], [1, 3]):
        with pytest.raises(ValueError, match="should be an action of MultiDiscrete"):
            check_actions(space, wrong)
    with pytest.raises(ValueError, match="should be 2 actions, stacked, of MultiDiscrete"):
        check_actions(space, [[1, 1], [1, 3]], 2)
