import numpy as np
import pytest
from keras import ops

from keras_s5rl.envs import Environment


def test_the_default_discount_is_0_where_the_state_has_terminated():
    state = {"terminated": ops.convert_to_tensor(np.array([False, True]))}
    discount = ops.convert_to_numpy(Environment().discount(state))
    np.testing.assert_array_equal(discount, [1.0, 0.0])
    assert discount.dtype == "float32"


def test_a_step_draws_nothing_by_default():
    assert Environment().draw_step(None, 3) == {}


def test_info_is_empty_by_default():
    assert Environment().info({"terminated": None}) == {}


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("draw_initial", (None, 1)),
        ("initial", ({},)),
        ("transition", ({}, None, {})),
        ("observation", ({},)),
    ],
)
def test_a_method_that_is_missing_is_named(method, arguments):
    class Unfinished(Environment):
        pass

    with pytest.raises(NotImplementedError, match=f"`Unfinished` should define `{method}`"):
        getattr(Unfinished(), method)(*arguments)
