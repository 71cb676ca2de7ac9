"""Benchmark suite `layer`: stacks of four layers beside Keras' own, forward and gradient.

A case is `kind time x batch, width`; the state is as wide as the stack, the input too. The loss is
half the sum of the squares of the outputs, the gradient that for all weights.

`s5` is `S5Stack` with normalisation and GLU, `s5_bfloat16` the same under `mixed_bfloat16`; `gru`
and `lstm` are `keras.layers.GRU` and `LSTM`; `attention` are blocks of causal
`keras.layers.MultiHeadAttention` and a dense layer. The cases of width 64 are there to see how the
cost grows with time: attention stops where its scores, quadratic in time, fill the memory.

`kind step time x batch, width` is one step of a rollout, with a memory of that many steps: `s5`,
and `attention`, the package's `CausalAttention` with a cache of `time` steps.

`of peak` is the share of the machine's float32 product peak: six operations a step for each entry
of a matrix of weights, over the time; `of bfloat16` that of its bfloat16 product peak. `memory` is
what one call takes beyond what was there before.

With `--peers`: memorax's S5 in the same block, and its GRU.
"""

import math
import statistics

from benchmarks import peers
from benchmarks.process_readings import memory_of_call_mib
from benchmarks.roofline import matrix_entries, peaks_note, product_numbers
from benchmarks.stacks import (
    NUM_LAYERS,
    gradient_program,
    make_stack,
    make_stepper,
    step_program,
)
from benchmarks.timing import first_and_later_seconds, milliseconds, seconds_of_calls

_KINDS = ("s5", "s5_bfloat16", "gru", "lstm", "attention")
_STEP_KINDS = ("s5", "attention")
_LARGE = [(256, 16, 256), (1024, 8, 256)]
_GROWTH = [(time, 1, 64) for time in (1024, 2048, 4096, 8192, 16384)]
_LONGEST_ATTENTION = 4096
_STEPS_A_CALL = 16


def _case(kind, time, batch, width, **more):
    return {"kind": kind, "time": time, "batch": batch, "width": width, **more}


CASES = {
    f"{kind} {time}x{batch}, {width}": _case(kind, time, batch, width)
    for time, batch, width in _LARGE + _GROWTH
    for kind in _KINDS
    if (width == 256 or kind in ("s5", "gru", "attention"))
    and not (kind == "attention" and time > _LONGEST_ATTENTION)
} | {
    f"{kind} step {time}x{batch}, {width}": _case(kind, time, batch, width, step=True)
    for time, batch, width in _GROWTH
    for kind in _STEP_KINDS
}
PEER_CASES = {
    f"memorax_{memory} {time}x{batch}, {width}": {
        "peer": "memorax",
        "memory": memory,
        "beside": f"s5 {time}x{batch}, {width}",
    }
    for time, batch, width in _LARGE
    for memory in ("s5", "gru")
}

# Result: heading and format of its column.
COLUMNS = {
    "parameters": ("parameters", ",d"),
    "gradient_ms": ("gradient ms", ",.1f"),
    "gradient_min_ms": ("min", ",.1f"),
    "gradient_max_ms": ("max", ",.1f"),
    "gflop_per_s": ("GFLOP/s", ",.0f"),
    "of_peak": ("of peak", ".0%"),
    "of_bfloat16_peak": ("of bfloat16", ".0%"),
    "memory_mib": ("memory MiB", ",.0f"),
    "compile_s": ("compile s", ".1f"),
    "step_ms": ("step ms", ",.3f"),
    "step_min_ms": ("min", ",.3f"),
    "step_max_ms": ("max", ",.3f"),
    "state_kib": ("state KiB", ",.1f"),
}


def measure(kind, time, batch, width, repeats, step=False):
    """Measures one stack.

    Args:
        kind: String, one of `s5`, `s5_bfloat16`, `gru`, `lstm` and `attention`.
        time, batch, width: Positive integers.
        repeats: Positive integer, calls timed after the first.
        step: Boolean, whether a step of a rollout is measured, of `s5` or `attention`. Defaults to
            `False`.

    Returns:
        Dict: `parameters`; median `gradient_ms`, `gradient_min_ms` and `gradient_max_ms` of loss
        and gradient; `compile_s`; `memory_mib`; `gflop_per_s`, `of_peak` and `of_bfloat16_peak`,
        counting products with weights alone, and both peaks of the machine. With `step` instead
        `parameters`, `step_ms`, `step_min_ms` and `step_max_ms` of one step, and `state_kib`, the
        state of one sequence.
    """
    if step:
        return _measure_step(kind, time, batch, width, repeats)
    inputs = _normal((batch, time, width))
    layer = make_stack(kind, width)
    layer.build(inputs.shape)
    program = gradient_program(layer)
    first, seconds = first_and_later_seconds(lambda: program(inputs), repeats)
    median = statistics.median(seconds)
    operations = 6 * batch * time * matrix_entries(layer.trainable_weights)
    return {
        "parameters": layer.count_params(),
        **milliseconds("gradient", seconds),
        "compile_s": first - median,
        **product_numbers(operations, median, is_bfloat16=kind == "s5_bfloat16"),
        "memory_mib": memory_of_call_mib(lambda: program(inputs)),
    }


def measure_peer(peer, memory, beside, repeats):
    """Measures a peer's stack of the sizes of the case `beside`; as `measure`, but the products."""
    case = CASES[beside]
    inputs = _normal((case["batch"], case["time"], case["width"]))
    return peers.load(peer).measure_stack(memory, NUM_LAYERS, inputs, repeats)


def note(results):
    """Returns the peak rates of the machine, how the cost grows with time, and how the
    peers compare."""
    lines = [peaks_note(results)]
    for kind in _KINDS:
        for key, name in (("gradient_ms", "time"), ("memory_mib", "memory")):
            growth = _growth(results, kind, key)
            if len(growth) > 1:
                lines.append(
                    f"{kind}: {name} grows as length to the power {_slope(growth):.2f}, from "
                    f"{min(growth):,d} to {max(growth):,d} steps"
                )
    for kind in _STEP_KINDS:
        growth = _growth(results, f"{kind} step", "step_ms")
        if len(growth) > 1:
            first, last = min(growth), max(growth)
            lines.append(
                f"{kind}: a step that remembers {last:,d} steps costs "
                f"{growth[last] / growth[first]:.2f} times one that remembers {first:,d}"
            )
    lines += peers.ratio_lines(results, PEER_CASES, "gradient_ms", smaller_is_faster=True)
    return "\n".join(line for line in lines if line)


def _measure_step(kind, context, batch, width, repeats):
    import keras
    from keras import ops

    layer = make_stepper(kind, width, context)
    layer.build((None, None, width))
    state = keras.tree.map_structure(ops.ones_like, layer.get_initial_state(batch))
    state_bytes = sum(4 * math.prod(s.shape) for s in keras.tree.flatten(state)) / batch
    program, inputs = step_program(layer, _STEPS_A_CALL), _normal((batch, width))
    seconds = seconds_of_calls(lambda: program(inputs, state), repeats)
    return {
        "parameters": layer.count_params(),
        **milliseconds("step", [each / _STEPS_A_CALL for each in seconds]),
        "state_kib": state_bytes / 2**10,
    }


def _growth(results, kind, key):
    """The numbers of the cases of one kind that grow in time alone: length to number."""
    names = {time: f"{kind} {time}x{batch}, {width}" for time, batch, width in _GROWTH}
    found = {time: results[name].get(key) for time, name in names.items() if name in results}
    return {time: number for time, number in found.items() if number is not None}


def _slope(growth):
    """The slope of the straight line through the logarithms, by least squares."""
    x, y = ([math.log(value) for value in values] for values in (growth, growth.values()))
    return statistics.linear_regression(x, y).slope


def _normal(shape):
    import numpy as np
    from keras import ops

    return ops.convert_to_tensor(np.random.default_rng(0).normal(size=shape).astype("float32"))
