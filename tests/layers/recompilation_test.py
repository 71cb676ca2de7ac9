"""Eager calls on JAX: what was compiled for the first one serves all others."""

import keras
import numpy as np
import pytest

from tests.layers.every_layer import KINDS, LAYERS
from tests.support.compilations import compilations
from tests.support.differentiate import BACKEND, gradients

pytestmark = pytest.mark.skipif(BACKEND != "jax", reason="Only JAX compiles eager operations.")


def calls(layer, inputs, resets):
    """What is done with a layer eagerly, by name."""
    state = layer.get_initial_state(len(inputs))

    def loss(inputs):
        return keras.ops.sum(layer(inputs, resets=resets) ** 2)

    return {
        "a sequence": lambda: layer(inputs),
        "resets": lambda: layer(inputs, resets=resets),
        "resets and a mask": lambda: layer(inputs, resets=resets, mask=~resets),
        "a step": lambda: layer.step(inputs[:, 0], resets[:, 0], state),
        "a gradient": lambda: gradients(loss, [inputs]),
    }


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("name", "features"),
    # From 128 on products are XLA calls of their own.
    [*((name, 4) for name in KINDS), ("S5Stack", 128), ("CausalAttention", 128)],
)
def test_second_eager_calls_compile_nothing(name, features):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(2, 5, features)).astype("float32")
    resets = generator.random((2, 5)) < 0.3
    layer = LAYERS[name]()
    for what, call in calls(layer, inputs, resets).items():
        call()
        with compilations() as compiled:
            call()
        assert not compiled, f"{what}: {len(compiled)} programs"
