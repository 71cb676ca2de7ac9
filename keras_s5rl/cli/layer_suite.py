"""Benchmark suite `layer`: stacks of four layers beside Keras' own, forward and gradient.

A case is `kind time x batch, width`; the state is as wide as the stack, the input too. The loss is
half the sum of the squares of the outputs, the gradient that for all weights.

`s5` is `S5Stack` with normalisation and GLU, `s5_bfloat16` the same under `mixed_bfloat16`; `gru`
and `lstm` are `keras.layers.GRU` and `LSTM`; `attention` are blocks of causal
`keras.layers.MultiHeadAttention` and a dense layer. The cases of width 64 are there to see how the
cost grows with time: attention stops where its scores, quadratic in time, fill the memory.

`of peak` is the share of the machine's float32 product peak: six operations a step for each entry
of a matrix of weights, over the time.
"""

import functools
import math
import statistics
import time

from keras_s5rl.cli.machine_rates import product_peak, seconds_of_calls

_NUM_LAYERS = 4
_KINDS = ("s5", "s5_bfloat16", "gru", "lstm", "attention")
_LARGE = [(256, 16, 256), (1024, 8, 256)]
_GROWTH = [(time, 1, 64) for time in (1024, 2048, 4096, 8192, 16384)]
_LONGEST_ATTENTION = 4096

CASES = {
    f"{kind} {time}x{batch}, {width}": {
        "kind": kind,
        "time": time,
        "batch": batch,
        "width": width,
    }
    for time, batch, width in _LARGE + _GROWTH
    for kind in _KINDS
    if (width == 256 or kind in ("s5", "gru", "attention"))
    and not (kind == "attention" and time > _LONGEST_ATTENTION)
}

# Result: heading and format of its column.
COLUMNS = {
    "parameters": ("parameters", ",d"),
    "gradient_ms": ("gradient ms", ",.1f"),
    "gradient_min_ms": ("min", ",.1f"),
    "gradient_max_ms": ("max", ",.1f"),
    "gflop_per_s": ("GFLOP/s", ",.0f"),
    "of_peak": ("of peak", ".0%"),
    "compile_s": ("compile s", ".1f"),
}


def measure(kind, time, batch, width, repeats):
    """Measures one stack.

    Args:
        kind: String, one of `s5`, `s5_bfloat16`, `gru`, `lstm` and `attention`.
        time, batch, width: Positive integers.
        repeats: Positive integer, calls timed after the first.

    Returns:
        Dict: `parameters`; median `gradient_ms`, `gradient_min_ms` and `gradient_max_ms` of loss
        and gradient; `compile_s`; `gflop_per_s` and `of_peak`, counting products with weights
        alone; `peak_gflop_per_s` of the machine.
    """
    import numpy as np
    from keras import ops

    inputs = np.random.default_rng(0).normal(size=(batch, time, width)).astype("float32")
    inputs = ops.convert_to_tensor(inputs)
    layer = _make(kind, width)
    layer.build(inputs.shape)
    seconds, compile_s = _time_gradient(layer, inputs, repeats)
    median = statistics.median(seconds)
    entries = sum(math.prod(w.shape) for w in layer.trainable_weights if len(w.shape) >= 2)
    rate, peak = 6 * batch * time * entries / median, product_peak()
    return {
        "parameters": layer.count_params(),
        "gradient_ms": 1e3 * median,
        "gradient_min_ms": 1e3 * min(seconds),
        "gradient_max_ms": 1e3 * max(seconds),
        "compile_s": compile_s,
        "gflop_per_s": 1e-9 * rate,
        "of_peak": rate / peak,
        "peak_gflop_per_s": 1e-9 * peak,
    }


def note(results):
    """Returns the roof under which the rates stand, and how the cost grows with time."""
    peak = statistics.median(result["peak_gflop_per_s"] for result in results.values())
    lines = [f"float32 product peak {peak:.0f} GFLOP/s"]
    for kind in _KINDS:
        lengths = [time for time, _, _ in _GROWTH if f"{kind} {time}x1, 64" in results]
        if len(lengths) > 1:
            times = [results[f"{kind} {time}x1, 64"]["gradient_ms"] for time in lengths]
            lines.append(
                f"{kind}: time grows as length to the power {_slope(lengths, times):.2f}, from "
                f"{lengths[0]:,d} to {lengths[-1]:,d} steps"
            )
    return "\n".join(lines)


def _slope(lengths, times):
    """The slope of the straight line through the logarithms, by least squares."""
    x, y = ([math.log(value) for value in values] for values in (lengths, times))
    return statistics.linear_regression(x, y).slope


def _make(kind, width):
    """Returns a stack, not yet built."""
    import keras

    from keras_s5rl.layers import S5Stack

    if kind.startswith("s5"):
        dtype = "mixed_bfloat16" if kind == "s5_bfloat16" else "float32"
        sizes = {"width": width, "state_size": width}
        return S5Stack(_NUM_LAYERS, **sizes, norm="pre", seed=0, dtype=dtype)
    if kind == "attention":
        return _attention(width)
    layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[kind]
    return keras.Sequential([layer(width, return_sequences=True) for _ in range(_NUM_LAYERS)])


def _attention(width):
    """Blocks of causal attention and a dense layer, each with a residual connection."""
    import keras

    inputs = features = keras.Input((None, width))
    for _ in range(_NUM_LAYERS):
        attend = keras.layers.MultiHeadAttention(num_heads=4, key_dim=width // 4)
        features = features + attend(features, features, use_causal_mask=True)
        features = features + keras.layers.Dense(width, activation="relu")(features)
    return keras.Model(inputs, features)


def _time_gradient(layer, inputs, repeats):
    """Returns the seconds of each call, and those that the first took longer."""
    import keras
    from keras import ops

    from keras_s5rl import backend

    variables = layer.trainable_variables
    rest = layer.non_trainable_variables

    def gradient(values, rest_values, inputs):
        def loss(values):
            mapping = [*zip(variables, values, strict=True), *zip(rest, rest_values, strict=True)]
            with keras.StatelessScope(state_mapping=mapping):
                outputs = layer(inputs)
            return 0.5 * ops.sum(ops.square(ops.cast(outputs, "float32"))), ()

        return backend.value_and_gradients(loss, values)

    program = backend.compile(gradient)
    arguments = [[ops.copy(v.value) for v in each] for each in (variables, rest)]
    started = time.perf_counter()
    backend.wait_until_ready(program(*arguments, inputs))
    first = time.perf_counter() - started
    seconds = seconds_of_calls(functools.partial(program, *arguments, inputs), repeats)
    return seconds, first - statistics.median(seconds)
