"""The scores of several seeds as a table for people."""

from collections.abc import Sequence
from typing import Any

from keras_s5rl.cli.text_table import text_table


def seeds_table(report: dict[str, Any], seeds: Sequence[int]) -> str:
    """Returns lines of text: a row for each seed, their interquartile means and the 95 % intervals
    of these.

    Args:
        report: What `PPO.evaluate` returns of an agent of several seeds.
        seeds: List of integers, the seeds.
    """
    names = ("mode", "sampled") if report["deterministic"] else ("sampled", "mode")
    columns = [report, report["other_mode"]]
    means = zip(seeds, *(column["return_mean_per_seed"] for column in columns), strict=True)
    rows = [(str(seed), *(f"{mean:z.4f}" for mean in of_seed)) for seed, *of_seed in means]
    rows.append(("IQM", *(f"{column['return_iqm']:z.4f}" for column in columns)))
    intervals = [column["return_iqm_interval"] for column in columns]
    rows.append(("95 % interval", *(f"{low:z.4f} to {high:z.4f}" for low, high in intervals)))
    return text_table(("seed", *names), rows)
