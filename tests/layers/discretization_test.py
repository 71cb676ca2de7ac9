import keras
import numpy as np
import pytest

from keras_s5rl.layers.discretization import DISCRETIZATIONS

RNG = np.random.default_rng(0)
EIGENVALUE = -RNG.uniform(0.1, 2.0, 50) + 1j * RNG.uniform(-100, 100, 50)


def discretize(name, step):
    pairs = DISCRETIZATIONS[name](
        (
            keras.ops.convert_to_tensor(EIGENVALUE.real.astype("float32")),
            keras.ops.convert_to_tensor(EIGENVALUE.imag.astype("float32")),
        ),
        keras.ops.convert_to_tensor(np.asarray(step, "float32")),
    )
    return [
        keras.ops.convert_to_numpy(re) + 1j * keras.ops.convert_to_numpy(im) for re, im in pairs
    ]


@pytest.mark.parametrize("step", (1e-7, 1e-3, 1e-1))
def test_zero_order_hold_is_the_exponential_and_its_mean_over_the_step(step):
    decay, gain = discretize("zoh", np.full(50, step))
    z = EIGENVALUE * np.float32(step)
    np.testing.assert_allclose(decay, np.exp(z), rtol=1e-5)
    # The mean of exp over the step, by Gauss-Legendre: no cancellation in short steps.
    nodes, weights = np.polynomial.legendre.leggauss(40)
    mean = np.exp(z[:, None] * (nodes + 1) / 2) @ weights / 2
    np.testing.assert_allclose(gain, np.float32(step) * mean, rtol=2e-5)


@pytest.mark.parametrize("step", (1e-3, 1e-1))
def test_bilinear_is_the_trapezoidal_rule(step):
    decay, gain = discretize("bilinear", np.full((3, 50), step))
    half = EIGENVALUE * np.float32(step) / 2
    np.testing.assert_allclose(decay, np.tile((1 + half) / (1 - half), (3, 1)), rtol=1e-5)
    np.testing.assert_allclose(gain, np.tile(np.float32(step) / (1 - half), (3, 1)), rtol=1e-5)
