"""Constants of a program, such as resets that a model holds itself: XLA must not abort on them.

An abort ends the process, so programs run in one of their own.
"""

import os
import subprocess
import sys

import pytest

from tests.support.differentiate import BACKEND
from tests.support.small_runs import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BACKEND != "jax", reason="Only XLA's CPU compiler aborted."),
]

START = """
import sys
import jax, jax.numpy as jnp, keras, numpy as np
from keras_s5rl.layers import LRU, S5, MinGRU, S5Stack
from keras_s5rl.ops import linear_recurrence, linear_recurrence_time_major, product

generator = np.random.default_rng(0)
normal = lambda *shape: generator.normal(size=shape).astype("float32")
flags = lambda *shape: generator.random(shape) < 0.1
def same(program, *arguments):
    found = jax.jit(lambda: program(*arguments))()  # all constants
    expected = jax.jit(program)(*arguments)  # none
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    print("same")
"""

PROGRAMS = {
    "a recurrence, batch-major and time-major, and its gradient": """
for run, shape in ((linear_recurrence, (64, 256)), (linear_recurrence_time_major, (256, 64))):
    arguments = [0.9 * np.ones((2, 4), "float32"), normal(*shape, 2, 4), normal(64, 2, 4)]
    for constants in ({"resets": flags(*shape)}, {"mask": flags(*shape)}):
        call = lambda d, u, x: run(d, u, x, **constants, implementation="sequential")
        same(call, *arguments)
        same(jax.grad(lambda *a: (call(*a) ** 2).mean(), (0, 1, 2)), *arguments)
varying = [0.9 * np.ones((64, 256, 1, 4), "float32"), normal(64, 256, 1, 4), normal(64, 1, 4)]
same(lambda d, u, x: linear_recurrence(d, u, x, flags(64, 256) & False), *varying)
""",
    "products and their gradients": """
for dtype in ("float32", "bfloat16"):
    rows, kernel = jnp.asarray(normal(512, 160), dtype), normal(160, 256)
    same(product, rows, kernel)
    same(jax.grad(lambda r, k: (product(r, k) ** 2).mean(), (0, 1)), rows, kernel)
""",
    "layers whose resets, mask or inputs are closed over": """
inputs, resets = normal(64, 256, 8), flags(64, 256)
for layer in (S5(state_size=16), LRU(8), MinGRU(8), S5Stack(2, 8, state_size=8, norm="pre")):
    layer.build(inputs.shape)
    same(lambda x: layer(x, resets=resets), inputs)
    assert np.isfinite(jax.jit(lambda x: layer(x, mask=~resets))(inputs)).all()
    weights = [v.value for v in layer.trainable_variables]
    def loss(weights):
        with keras.StatelessScope(list(zip(layer.trainable_variables, weights))):
            return (layer(inputs, resets=resets) ** 2).mean()
    same(jax.grad(loss), weights)
""",
    "a model that holds its resets": """
class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer, self.head = S5(state_size=16), keras.layers.Dense(1)
    def call(self, inputs):
        return self.head(self.layer(inputs, resets=resets))
resets, inputs = flags(64, 256), normal(64, 256, 8)
model = Model()
model.compile("sgd", "mse")
model.fit(inputs, inputs[..., :1], batch_size=64, verbose=0)
predicted = model.predict(inputs, batch_size=64, verbose=0)
np.testing.assert_allclose(predicted, model(inputs), rtol=1e-4, atol=1e-4)
print("same")
""",
}


def run_program(text, **variables):
    return subprocess.run(
        [sys.executable, "-c", START + text],
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_constants_give_what_arguments_give(name):
    done = run_program(PROGRAMS[name])
    assert done.returncode == 0, done.stderr[-2000:]
    assert "same" in done.stdout


def test_a_variable_turns_every_undocumented_attribute_off():
    text = """
model = S5Stack(1, 160, state_size=64)
model.build((2, 4, 160))
inputs = jnp.asarray(normal(2, 4, 160), "float32")
run = jax.jit(jax.grad(lambda x: (model(x) ** 2).mean()))
text = run.lower(inputs).as_text()
print("xla_cpu_small_call" in text, "inlineable" in text, np.isfinite(run(inputs)).all())
"""
    assert run_program(text).stdout.split() == ["True", "True", "True"]
    without = run_program(text, KERAS_S5RL_XLA_HINTS="0")
    assert without.stdout.split() == ["False", "False", "True"]
