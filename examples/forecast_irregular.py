"""Forecasts irregularly sampled series: sums of two damped oscillations, seen at random times.

Intervals between observations vary thirtyfold. At each observation the model predicts the next,
given the time until then. `step_scale` carries those times: each step of S5 is as long as its
interval. The same model without them has to take all intervals for equal. After 480 updates the
mean squared error on new series is 0.058 with intervals and 0.14 without (JAX on a CPU, 17 seconds
for both).

    python examples/forecast_irregular.py
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or "tensorflow", "torch"

import keras
import numpy as np

from keras_s5rl.layers import S5Stack


def draw_series(num_series, length, seed):
    """Returns values `(num_series, length)` and the interval before each, in mean intervals."""
    rng = np.random.default_rng(seed)
    intervals = rng.uniform(0.06, 1.94, (num_series, length))
    times = np.cumsum(intervals, axis=1)[:, None]

    def draw(low, high):
        return rng.uniform(low, high, (num_series, 2, 1))

    waves = np.cos(2 * np.pi * times / draw(4, 12) + draw(0, 2 * np.pi))
    values = np.sum(draw(0.5, 1) * np.exp(-times * draw(0, 0.02)) * waves, axis=1)
    return values.astype("float32"), intervals.astype("float32")


def build_forecaster(length, with_intervals):
    """Predicts each value from the value before it, the time since then and the memory."""
    previous = keras.Input((length, 1))
    intervals = keras.Input((length,))
    memory = S5Stack(num_layers=2, width=32, state_size=32, norm="pre")
    features = memory(previous, step_scale=intervals if with_intervals else None)
    outputs = keras.layers.Dense(1)(features)
    model = keras.Model([previous, intervals], outputs)
    model.compile(keras.optimizers.Adam(1e-2, clipnorm=1.0), "mse")
    return model


def main(length=64, num_series=2048, epochs=15, batch_size=64):
    """Trains with and without intervals; returns both mean squared errors on new series."""

    def draw(num_series, seed):
        values, intervals = draw_series(num_series, length + 1, seed)
        # A step holds the last value and lasts until the next, which is the target.
        return [values[:, :-1, None], intervals[:, 1:]], values[:, 1:, None]

    train, test = draw(num_series, seed=0), draw(256, seed=1)
    errors = {}
    for name, with_intervals in (("with intervals", True), ("without", False)):
        keras.utils.set_random_seed(0)
        model = build_forecaster(length, with_intervals)
        model.fit(*train, batch_size, epochs, validation_data=test, verbose=2)
        errors[name] = model.evaluate(*test, verbose=0)
    return errors


if __name__ == "__main__":
    for name, error in main().items():
        print(f"{name}: mean squared error {error:.4f}")
