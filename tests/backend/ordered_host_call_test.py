import numpy as np
import pytest
from keras import KerasTensor, ops

from keras_s5rl import backend
from tests.support.differentiate import BACKEND

LIKE = {"count": KerasTensor((), "int32"), "doubled": KerasTensor((2,), "float32")}


class Counter:
    """Counts its calls, and keeps what it was called with."""

    def __init__(self):
        self.seen = []

    def __call__(self, values):
        assert type(values) is np.ndarray and values.dtype == "float32"
        self.seen.append(values.tolist())
        return {"count": np.int32(len(self.seen)), "doubled": 2.0 * values}


@pytest.mark.parametrize("compile", (False, True))
def test_it_is_called_once_in_every_step_of_a_loop_in_order(compile):
    counter = Counter()

    def step(values, _):
        result = backend.ordered_host_call(counter, LIKE, values)
        return result["doubled"], result["count"]

    def loop(values):
        return backend.scan(step, values, None, length=4)

    program = backend.compile(loop) if compile else loop
    for calls in (0, 4):  # equal arguments call it again
        last, counts = program(ops.convert_to_tensor([1.0, -1.0]))
        assert ops.convert_to_numpy(last).tolist() == [16.0, -16.0]
        assert ops.convert_to_numpy(counts).tolist() == [calls + n for n in (1, 2, 3, 4)]
    assert counter.seen == [[float(2**n), -float(2**n)] for n in range(4)] * 2


def test_calls_that_do_not_depend_on_each_other_are_made_in_order_though_none_is_used():
    counter = Counter()

    def program(values):
        for number in range(6):
            backend.ordered_host_call(counter, LIKE, values + float(number))
        return values

    backend.wait_until_ready(backend.compile(program)(ops.convert_to_tensor([0.0, 1.0])))
    if BACKEND == "jax":
        import jax

        jax.effects_barrier()
    assert counter.seen == [[float(n), float(n + 1)] for n in range(6)]
