"""What a comparison of runs says to people: tables, and a conclusion beneath them."""

from collections.abc import Sequence
from typing import Any

from keras_s5rl.cli.labels import DEFAULTS, as_json, memory_defaults
from keras_s5rl.cli.run_groups import setting_text
from keras_s5rl.cli.text_table import text_table

_COLUMNS = ("group", "runs", "IQM", "95 % interval", "mean", "parameters", "steps", "seconds")
_SIZES = ("num_parameters", "env_steps", "seconds")
_PAIR_COLUMNS = ("pair", "P(better)", "interval", "IQM difference", "interval", "p", "difference")


def comparison_table(
    report: dict[str, Any], settings: dict[str, dict[str, Any]], markdown: bool = False
) -> str:
    """Returns a comparison as text.

    Args:
        report: Dict, as of `keras_s5rl.runs.comparison.compare_runs`.
        settings: Dict of the groups to the settings that distinguish them.
        markdown: Whether tables and headings are Markdown's. Defaults to `False`.
    """
    sections = [*report["tasks"], *([report["overall"]] if report["overall"] else [])]
    blocks = []
    for section in sections:
        tasks = section["tasks"]
        title = ", ".join(tasks) + ("" if len(tasks) == 1 else " together, scores as they are")
        blocks.append(f"### {title}" if markdown else title)
        blocks.append(text_table(_COLUMNS, [_cells(row) for row in section["groups"]], markdown))
        if section["comparisons"]:
            pairs = [_pair_cells(pair) for pair in section["comparisons"]]
            blocks.append(text_table(_PAIR_COLUMNS, pairs, markdown))
            blocks.append("\n".join(section["conclusion"]))
    if differing := _settings(settings):
        lines = ["Other settings that differ:", *(f"- {line}" for line in differing)]
        blocks.append("\n".join(lines))
    return "\n\n".join(block for block in blocks if block)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    interval = _interval(row["iqm_interval"], 3) if row["num_runs"] > 1 else "-"
    return (
        row["group"],
        str(row["num_runs"]),
        f"{row['iqm']:z.3f}",
        interval,
        f"{row['mean']:z.3f}",
        *("-" if row[n] is None else f"{row[n]:,.0f}" for n in _SIZES),
    )


def _pair_cells(pair: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{pair['group']} over {pair['other']}",
        f"{pair['probability_of_improvement']:.2f}",
        _interval(pair["probability_of_improvement_interval"], 2),
        f"{pair['difference']:z.3f}",
        _interval(pair["difference_interval"], 3),
        f"{pair['p_value']:.2g}",
        pair["verdict"],
    )


def _interval(ends: Sequence[float], digits: int) -> str:
    return " to ".join(f"{end:z.{digits}f}" for end in ends)


def _settings(settings: dict[str, dict[str, Any]]) -> list[str]:
    """The settings that differ, have not their default and are not in the names of the groups."""
    defaults = {**memory_defaults(list(settings.values())), **DEFAULTS}
    lines = []
    for group, given in settings.items():
        rest = [
            setting_text(name, value)
            for name, value in given.items()
            if name != "memory" and (name not in defaults or value != as_json(defaults[name]))
        ]
        if unsaid := [text for text in rest if f", {text}," not in f"{group},"]:
            lines.append(f"{group}: {', '.join(unsaid)}")
    return lines
