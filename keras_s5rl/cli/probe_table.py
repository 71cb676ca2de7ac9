"""What a memory tells of its context, as a table for people."""

from typing import Any


def probe_table(report: dict[str, Any]) -> str:
    """Returns lines of text, a row for each target and task, a column for each step.

    Args:
        report: What `keras_s5rl.training.probe_memory` returns.
    """
    rows = [("target", "task", *(f"step {step}" for step in report["steps"]), "untrained")]
    for probe in report["probes"]:
        # Of the untrained memory its best step, which is what a trained one has to beat.
        fresh = [value for value in probe["fresh"] if value is not None]
        values = [*probe["trained"], max(fresh, default=None)]
        rows.append((probe["target"], probe["task"] or "all", *map(_number, values)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines.append(
        "task: share of tasks found; others: share of variance explained "
        f"({report['num_contexts']} contexts a task; untrained: its best step)"
    )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
