import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from keras import ops

from keras_s5rl.envs import spaces

SPACES = [
    Discrete(4),
    Discrete(3, start=-1),
    MultiDiscrete([2, 5, 3]),
    MultiDiscrete([4, 4], start=[2, -3]),
    Tuple((Discrete(2), Discrete(4))),
    Box(-2.0, 2.0, (1,)),
    Box(np.array([-4.8, 0.0], "float32"), np.array([4.8, np.inf], "float32")),
]


def batch(space, samples):
    is_box = isinstance(space, Box)
    return ops.convert_to_tensor(np.array(samples, "float32" if is_box else "int32"))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_flatten_equals_the_flatten_of_gymnasium(space):
    space.seed(1)
    samples = [space.sample() for _ in range(20)]
    flat = ops.convert_to_numpy(spaces.flatten(space, batch(space, samples)))
    expected = np.stack([gymnasium.spaces.flatten(space, sample) for sample in samples])
    np.testing.assert_array_equal(flat, expected.astype("float32"))
    assert flat.dtype == "float32"
    assert flat.shape == (20, spaces.flat_size(space))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_bounds_are_those_of_the_flattened_space(space):
    low, high = spaces.flat_bounds(space)
    flat_space = gymnasium.spaces.flatten_space(space)
    np.testing.assert_array_equal(low, flat_space.low)
    np.testing.assert_array_equal(high, flat_space.high)


@pytest.mark.parametrize(
    ("space", "null"),
    [
        (Discrete(4), 0),
        (Discrete(3, start=-1), 0),
        (Discrete(3, start=2), 2),
        (MultiDiscrete([2, 5]), [0, 0]),
        (MultiDiscrete([4, 4], start=[2, -3]), [2, 0]),
        (Tuple((Discrete(2), Discrete(4, start=1))), [0, 1]),
        (Box(-2.0, 2.0, (1,)), [0.0]),
        (Box(np.array([1, -3], "float32"), np.array([2, 3], "float32")), [1.0, 0.0]),
    ],
    ids=str,
)
def test_the_null_value_is_0_where_that_is_legal_else_the_lowest(space, null):
    value = spaces.null_value(space)
    np.testing.assert_array_equal(value, null)
    assert value.dtype == ("float32" if isinstance(space, Box) else "int32")
    as_sample = tuple(value) if isinstance(space, Tuple) else value
    assert space.contains(as_sample)


@pytest.mark.parametrize(
    "space", [Dict({"a": Discrete(2)}), Tuple((Box(0, 1),)), MultiDiscrete([[2, 2], [2, 2]])]
)
def test_other_spaces_are_refused(space):
    with pytest.raises(ValueError, match="`space` should be Discrete.*Received: space="):
        spaces.flat_size(space)
