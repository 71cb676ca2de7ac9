"""Benchmark suite `recurrence`: `keras_s5rl.ops.linear_recurrence` beside the paper's scan.

A case is `(batch, time, P)`, with a constant complex decay, resets and an initial state, and all
arrays in float32. `forward` makes the states, `gradient` the states and the gradients of half the
sum of their squares for decay, inputs and initial state. `auto`, `sequential`, `associative` and
`pallas` (on a GPU) are the implementations of `linear_recurrence`; `paper` is
`ops.associative_scan` over the paper's operator on complex numbers, differentiated by the backend
(on JAX alone: Keras' scan is wrong on torch's complex numbers, and XLA refuses TensorFlow's).

`bound` is what memory asks for at least: 16 bytes forward (an input read, a state written) and 24
bytes backward (states and their gradients read, those of the inputs written) for each complex
number, at the machine's copy bandwidth. `GB/s` is what `auto` moves if it moves no more than that,
and `of bound` its share of the copy bandwidth: the bound over the time of the gradient.
"""

import functools
import statistics

from benchmarks.machine_rates import copy_bandwidth, fresh_copy_bandwidth
from benchmarks.timing import first_and_later_seconds, milliseconds, seconds_of_calls

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
    "auto_gradient_min_ms": ("min", ".2f"),
    "auto_gradient_max_ms": ("max", ".2f"),
    "auto_gb_per_s": ("GB/s", ".1f"),
    "auto_of_bound": ("of bound", ".0%"),
    "auto_compile_s": ("compile s", ".1f"),
    "sequential_gradient_ms": ("sequential ms", ".2f"),
    "pallas_gradient_ms": ("pallas ms", ".2f"),
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
        Dict: for `auto`, `sequential`, `associative`, `pallas` and `paper` the medians
        `_forward_ms` and `_gradient_ms`, with `_min_ms` and `_max_ms` of each, and `_compile_s` of
        the gradient, `None` where there is no such scan; `copy_gb_per_s` and `fresh_copy_gb_per_s`
        of the machine; `bound_ms`, `auto_gb_per_s`, `auto_of_bound` and `paper_over_auto`.
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
        "fresh_copy_gb_per_s": 1e-9 * fresh_copy_bandwidth(),
        "bound_ms": bound_ms,
        "auto_gb_per_s": 1e-6 * bytes_moved / auto,
        "auto_of_bound": bound_ms / auto,
        "paper_over_auto": None if paper is None else paper / auto,
    }


def note(results):
    """Returns the copy bandwidth of the machine, as a line of text."""
    copy, fresh = (
        statistics.median(result[key] for result in results.values())
        for key in ("copy_gb_per_s", "fresh_copy_gb_per_s")
    )
    return (
        f"copy bandwidth {copy:.1f} GB/s, read and written; {fresh:.1f} GB/s where the result of a "
        "program lies in fresh memory"
    )


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
    from keras_s5rl.ops.pallas import pallas_obstacle

    def ours(implementation):
        return lambda decay, inputs, state, resets: linear_recurrence(
            decay, inputs, state, resets, implementation=implementation
        )

    names = ("auto", "sequential", "associative")
    pallas = ours("pallas") if pallas_obstacle() is None else None
    paper = _paper_scan if keras.backend.backend() == "jax" else None
    return {**{name: ours(name) for name in names}, "pallas": pallas, "paper": paper}


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
        keys = [f"{of}_{kind}ms" for of in ("forward", "gradient") for kind in ("", "min_", "max_")]
        return {f"{name}_{key}": None for key in (*keys, "compile_s")}
    from keras import ops

    from keras_s5rl import backend

    def gradient(values, resets):
        def loss(values):
            return 0.5 * ops.sum(ops.square(function(*values, resets))), ()

        return backend.value_and_gradients(loss, values)[1]

    forward = backend.compile(lambda values, resets: function(*values, resets))
    gradient = functools.partial(backend.compile(gradient), *arguments)
    first, seconds = first_and_later_seconds(gradient, repeats)
    return {
        **milliseconds(
            f"{name}_forward", seconds_of_calls(functools.partial(forward, *arguments), repeats)
        ),
        **milliseconds(f"{name}_gradient", seconds),
        f"{name}_compile_s": first - statistics.median(seconds),
    }
