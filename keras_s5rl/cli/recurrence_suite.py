"""Benchmark suite `recurrence`: `keras_s5rl.ops.linear_recurrence` beside the paper's scan.

A case is `(batch, time, P)`, with a constant complex decay, resets and an initial state, and all
arrays in float32. `forward` makes the states, `gradient` the states and the gradients of half the
sum of their squares for decay, inputs and initial state. `auto`, `sequential` and `associative` are
the implementations of `linear_recurrence`; `paper` is `ops.associative_scan` over the paper's
operator on complex numbers, differentiated by the backend (on JAX alone: Keras' scan is wrong on
torch's complex numbers, and XLA refuses TensorFlow's).

`bound` is what memory asks for at least: 16 bytes forward (an input read, a state written) and 24
bytes backward (states and their gradients read, those of the inputs written) for each complex
number, at the machine's copy bandwidth. `over bound` is the time of `auto` in units of it.
"""

import functools
import statistics
import time

from keras_s5rl.cli.machine_rates import copy_bandwidth, seconds_of_calls

_SHAPES = [(8, 1024, 128), (64, 256, 128), (8, 8192, 64)]
_GROWTH = [(8, time, 64) for time in (1024, 2048, 4096, 16384)]
CASES = {
    "x".join(map(str, shape)): dict(zip(("batch", "time", "features"), shape, strict=True))
    for shape in [*_SHAPES, *_GROWTH]
}
_FORWARD_BYTES, _BACKWARD_BYTES = 16, 24

# Result: heading and format of its column.
COLUMNS = {
    "auto_forward_ms": ("auto forward ms", ".2f"),
    "auto_gradient_ms": ("auto gradient ms", ".2f"),
    "auto_over_bound": ("over bound", ".2f"),
    "auto_compile_s": ("compile s", ".1f"),
    "sequential_gradient_ms": ("sequential ms", ".2f"),
    "associative_gradient_ms": ("associative ms", ".2f"),
    "paper_gradient_ms": ("paper's ms", ".2f"),
    "paper_compile_s": ("compile s", ".1f"),
    "paper_over_auto": ("paper's / auto", ".1f"),
}


def measure(batch, time, features, repeats):
    """Measures one shape.

    Args:
        batch, time, features: Positive integers.
        repeats: Positive integer, calls timed after the first.

    Returns:
        Dict: for `auto`, `sequential`, `associative` and `paper` the medians `_forward_ms` and
        `_gradient_ms`, `_gradient_spread_ms` (slowest minus fastest) and `_compile_s` of the
        gradient, `None` where the backend has no such scan; `copy_gb_per_s`, `bound_ms`,
        `auto_over_bound` and `paper_over_auto`.
    """
    arguments = _arguments(batch, time, features)
    result = {}
    for name, function in _implementations().items():
        result |= _timings(name, function, arguments, repeats)
    bandwidth = copy_bandwidth()
    bytes_moved = (_FORWARD_BYTES + _BACKWARD_BYTES) * batch * time * features
    bound_ms = 1e3 * bytes_moved / bandwidth
    auto, paper = result["auto_gradient_ms"], result["paper_gradient_ms"]
    return result | {
        "copy_gb_per_s": 1e-9 * bandwidth,
        "bound_ms": bound_ms,
        "auto_over_bound": auto / bound_ms,
        "paper_over_auto": None if paper is None else paper / auto,
    }


def note(results):
    """Returns the roof under which the times stand."""
    bandwidths = [result["copy_gb_per_s"] for result in results.values()]
    return f"copy bandwidth {statistics.median(bandwidths):.1f} GB/s, read and written"


def _arguments(batch, time, features):
    import numpy as np
    from keras import ops

    generator = np.random.default_rng(0)
    angle = generator.uniform(0, np.pi, features)
    decay = 0.99 * np.stack([np.cos(angle), np.sin(angle)])
    arrays = (
        decay,
        generator.normal(size=(batch, time, 2, features)),
        generator.normal(size=(batch, 2, features)),
    )
    tensors = [ops.convert_to_tensor(array.astype("float32")) for array in arrays]
    return tensors, ops.convert_to_tensor(generator.random((batch, time)) < 0.01)


def _implementations():
    import keras

    from keras_s5rl.ops import linear_recurrence

    def ours(implementation):
        return lambda decay, inputs, state, resets: linear_recurrence(
            decay, inputs, state, resets, implementation=implementation
        )

    names = ("auto", "sequential", "associative")
    paper = _paper_scan if keras.backend.backend() == "jax" else None
    return {**{name: ours(name) for name in names}, "paper": paper}


def _paper_scan(decay, inputs, initial_state, resets):
    """The paper's parallel scan on complex numbers, with its operator for resets (appendix A)."""
    from keras import ops

    def to_complex(pair):
        real, imaginary = (ops.cast(part, "complex64") for part in ops.unstack(pair, 2, axis=-2))
        return real + 1j * imaginary

    inputs, initial_state = to_complex(inputs), to_complex(initial_state)
    decays = ops.broadcast_to(to_complex(decay), ops.shape(inputs))
    inputs = ops.concatenate([initial_state[:, None], inputs], axis=1)
    decays = ops.concatenate([ops.ones_like(decays[:, :1]), decays], axis=1)
    resets = ops.concatenate([ops.zeros_like(resets[:, :1]), resets], axis=1)[..., None]

    def operator(earlier, later):
        (a_i, b_i, c_i), (a_j, b_j, c_j) = earlier, later
        return (
            ops.where(c_j, a_j, a_j * a_i),
            ops.where(c_j, b_j, a_j * b_i + b_j),
            ops.logical_or(c_i, c_j),
        )

    _, states, _ = ops.associative_scan(operator, (decays, inputs, resets), axis=1)
    states = states[:, 1:]
    return ops.stack([ops.real(states), ops.imag(states)], axis=-2)


def _timings(name, function, arguments, repeats):
    if function is None:
        keys = ("forward_ms", "gradient_ms", "gradient_spread_ms", "compile_s")
        return {f"{name}_{key}": None for key in keys}
    from keras import ops

    from keras_s5rl import backend

    def gradient(values, resets):
        def loss(values):
            return 0.5 * ops.sum(ops.square(function(*values, resets))), ()

        return backend.value_and_gradients(loss, values)[1]

    forward = backend.compile(lambda values, resets: function(*values, resets))
    gradient = backend.compile(gradient)
    started = time.perf_counter()
    backend.wait_until_ready(gradient(*arguments))
    first = time.perf_counter() - started
    seconds = seconds_of_calls(functools.partial(gradient, *arguments), repeats)
    forward_seconds = seconds_of_calls(functools.partial(forward, *arguments), repeats)
    return {
        f"{name}_forward_ms": 1e3 * statistics.median(forward_seconds),
        f"{name}_gradient_ms": 1e3 * statistics.median(seconds),
        f"{name}_gradient_spread_ms": 1e3 * (max(seconds) - min(seconds)),
        f"{name}_compile_s": first - statistics.median(seconds),
    }
