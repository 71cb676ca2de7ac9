import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Text,
    Tuple,
)
from keras import ops

from keras_s5rl.envs import spaces
from keras_s5rl.envs.gymnasium.values import single_to_array

IMAGE = Box(0, 255, (2, 3, 3), "uint8")
SPACES = [
    Discrete(4),
    Discrete(3, start=-1),
    MultiDiscrete([2, 5, 3]),
    MultiDiscrete([4, 4], start=[2, -3]),
    MultiDiscrete([[2, 3], [3, 2]], start=[[0, 1], [2, 3]]),
    MultiBinary(3),
    MultiBinary((2, 2)),
    Tuple((Discrete(2), Discrete(4))),
    Tuple((MultiBinary(2), Dict(b=Discrete(2, start=1), a=MultiDiscrete([2, 3])))),
    Box(-2.0, 2.0, (1,)),
    Box(np.array([-4.8, 0.0], "float32"), np.array([4.8, np.inf], "float32")),
    Box(-1.0, 1.0, (2, 2), "float64"),
    Box(-3, 3, (), "int16"),
    IMAGE,
    Dict(image=IMAGE, direction=Discrete(4), mask=MultiBinary(2), pair=MultiDiscrete([2, 3])),
    Tuple((Discrete(2, start=5), Dict(z=Box(-1.0, 1.0, (2,)), a=Tuple((MultiBinary(2),))))),
]


def has_box(space):
    parts = getattr(space, "spaces", None)
    if parts is None:
        return isinstance(space, Box)
    return any(map(has_box, parts.values() if isinstance(space, Dict) else parts))


def samples_of(space, number=20):
    space.seed(1)
    samples = [space.sample() for _ in range(number)]
    return samples, np.concatenate([single_to_array(space, sample) for sample in samples])


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_flatten_equals_the_flatten_of_gymnasium(space):
    samples, values = samples_of(space)
    assert values.dtype == spaces.value_dtype(space) == ("float32" if has_box(space) else "int32")
    flat = ops.convert_to_numpy(spaces.flatten(space, ops.convert_to_tensor(values)))
    expected = np.stack([gymnasium.spaces.flatten(space, sample) for sample in samples])
    np.testing.assert_array_equal(flat, expected.astype("float32"))
    assert flat.dtype == "float32"
    assert flat.shape == (20, spaces.flat_size(space))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_bounds_are_those_of_the_flattened_space(space):
    spaces.check_supported("space", space)
    low, high = spaces.flat_bounds(space)
    flat_space = gymnasium.spaces.flatten_space(space)
    np.testing.assert_array_equal(low, flat_space.low)
    np.testing.assert_array_equal(high, flat_space.high)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_clipped_values_are_within_bounds_and_values_of_the_space_stay(space):
    _, values = samples_of(space)
    clipped = ops.convert_to_numpy(spaces.clip(space, ops.convert_to_tensor(values)))
    np.testing.assert_array_equal(clipped, values)
    if has_box(space):
        low, high = spaces.value_bounds(space)
        far = np.where(np.arange(low.size) % 2, 1e9, -1e9).astype("float32")[None]
        clipped = ops.convert_to_numpy(spaces.clip(space, far))
        np.testing.assert_array_equal(clipped, np.clip(far, low, high))


@pytest.mark.parametrize(
    ("space", "null"),
    [
        (Discrete(4), 0),
        (Discrete(3, start=-1), 0),
        (Discrete(3, start=2), 2),
        (MultiDiscrete([2, 5]), [0, 0]),
        (MultiDiscrete([4, 4], start=[2, -3]), [2, 0]),
        (MultiBinary((2, 2)), [0, 0, 0, 0]),
        (Tuple((Discrete(2), Discrete(4, start=1))), [0, 1]),
        (Box(-2.0, 2.0, (1,)), [0.0]),
        (Box(-2.0, 2.0, ()), [0.0]),
        (Box(np.array([1, -3], "float32"), np.array([2, 3], "float32")), [1.0, 0.0]),
        (Dict({"b": Discrete(4, start=1), "a": Box(3.0, 4.0, (1, 2))}), [3.0, 3.0, 1.0]),
    ],
    ids=str,
)
def test_the_null_value_is_0_where_that_is_legal_else_the_lowest(space, null):
    value = spaces.null_value(space)
    np.testing.assert_array_equal(value, null, strict=False)
    assert value.shape == np.shape(null)
    assert value.dtype == ("float32" if has_box(space) else "int32")


def test_numbers_of_a_box_differ_from_indicators():
    space = Dict(a=Discrete(2), b=Box(0, 1, (1, 2)), c=MultiBinary(1))
    assert spaces.flat_is_number(space).tolist() == [False, False, True, True, False]


KINDS = {
    "text": Text(3),
    "graph": Graph(Discrete(2), None),
    "sequence": Sequence(Discrete(2)),
    "one of": OneOf((Discrete(2), Box(0, 1))),
    "none": None,
}


@pytest.mark.parametrize("space", KINDS.values(), ids=KINDS)
def test_other_spaces_are_refused_and_the_error_names_the_entry(space):
    with pytest.raises(ValueError, match="`env.space` should be Discrete.*Received: env.space="):
        spaces.check_supported("env.space", space)
    if space is not None:
        nested = Dict(a=Box(0, 1), mission=Tuple((Discrete(2), space)))
        with pytest.raises(ValueError, match="Leave its entry mission/1 out.*: mission/1="):
            spaces.check_supported("env.space", nested)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Box(0, 1, (0,)), "at least one number"),
        (Dict(), "at least one entry"),
        (
            Tuple(
                (Dict(), Tuple(())),
            ),
            "at least one entry",
        ),
        (Dict(a=MultiBinary(2), b=Box(0, 1, (3, 0))), "at least one number.*Received: b="),
        (Discrete(3, start=2**31 - 2), "classes from -2147483648 to 2147483647"),
        (Dict(a=Discrete(3, start=2**24), b=Box(0, 1)), "classes from -16777216.*Received: a="),
        (Box(np.inf, np.inf, (1,)), "room for finite numbers"),
        (Dict(a=Box(-np.inf, -np.inf, (1,))), "room for finite numbers.*Received: a="),
    ],
    ids=str,
)
def test_a_space_that_a_tensor_cannot_hold_is_refused(space, expected):
    with pytest.raises(ValueError, match=f"`env.space` should .*{expected}"):
        spaces.check_supported("env.space", space)
