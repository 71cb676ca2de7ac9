"""Learning curves as arrays."""

import numpy as np

from keras_s5rl.runs.curves import smooth


def testsmoothing_is_a_moving_average_that_keeps_short_curves_as_they_are():
    values = np.random.default_rng(0).normal(size=250)
    expected = [values[max(0, i - 2) : i + 3].mean() for i in range(250)]
    np.testing.assert_allclose(smooth(values), expected, atol=1e-12)
    np.testing.assert_array_equal(smooth(np.array([1.0, 5.0, 2.0])), [1.0, 5.0, 2.0])
