"""Operations of products with weights, beside what the machine's products can do."""

import math
import statistics

from benchmarks.machine_rates import product_peak


def matrix_entries(weights):
    """Counts the entries of the matrices among weights: one multiplication and one addition each
    for every step of every sequence.

    Args:
        weights: List of Keras variables. Biases are no matrices, whatever their shape.
    """
    return sum(
        math.prod(weight.shape)
        for weight in weights
        if len(weight.shape) >= 2 and weight.name != "bias"
    )


def product_numbers(operations, seconds, is_bfloat16=False):
    """Returns what the products of a measurement achieve.

    Args:
        operations: Number of floating-point operations of products with weights.
        seconds: Float, the time in which they were done, with everything else.
        is_bfloat16: Boolean, whether the operands are bfloat16. Defaults to `False`.

    Returns:
        Dict: `gflop_per_s`; `of_peak`, its share of the float32 product peak; `of_bfloat16_peak`,
        that of the bfloat16 product peak, `None` where the operands are float32; and both peaks of
        the backend on this machine, `peak_gflop_per_s` and `bfloat16_peak_gflop_per_s`.
    """
    rate = operations / seconds
    peak, bfloat16_peak = product_peak("float32"), product_peak("bfloat16")
    return {
        "gflop_per_s": 1e-9 * rate,
        "of_peak": rate / peak,
        "of_bfloat16_peak": rate / bfloat16_peak if is_bfloat16 else None,
        "peak_gflop_per_s": 1e-9 * peak,
        "bfloat16_peak_gflop_per_s": 1e-9 * bfloat16_peak,
    }


def peaks_note(results):
    """Returns the line with the peaks, medians over the results that have them."""
    names = {"float32": "peak_gflop_per_s", "bfloat16": "bfloat16_peak_gflop_per_s"}
    parts = []
    for dtype, key in names.items():
        peaks = [result[key] for result in results.values() if key in result]
        if peaks:
            parts.append(f"{dtype} product peak {statistics.median(peaks):.0f} GFLOP/s")
    return ", ".join(parts)
