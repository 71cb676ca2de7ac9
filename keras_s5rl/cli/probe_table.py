"""What a memory tells of its context, as a table for people."""

from typing import Any

from keras_s5rl.cli.text_table import text_table


def probe_table(report: dict[str, Any]) -> str:
    """Returns lines of text, a row for each target and task, a column for each step.

    Args:
        report: What `keras_s5rl.training.probe_memory` returns.
    """
    header = ("target", "task", *(f"step {step}" for step in report["steps"]), "untrained")
    rows = []
    for probe in report["probes"]:
        # Of the untrained memory its best step, which is what a trained one has to beat.
        fresh = [value for value in probe["fresh"] if value is not None]
        values = [*probe["trained"], max(fresh, default=None)]
        rows.append((probe["target"], probe["task"] or "all", *map(_number, values)))
    note = (
        "task: share of tasks found; others: share of variance explained "
        f"({report['num_contexts']} contexts a task; untrained: its best step)"
    )
    return f"{text_table(header, rows)}\n{note}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
