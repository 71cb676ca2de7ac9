"""What a memory tells of its context, step by step, as an image file."""

from typing import Any

import numpy as np

from keras_s5rl.runs.figures import (
    COLOURS,
    check_format,
    literal,
    new_panels,
    save_figure,
    set_look,
)
from keras_s5rl.runs.files import RunError
from keras_s5rl.typing import StrPath

_LABELS = {"task": "Share of tasks found"}


def plot_probes(report: dict[str, Any], output: StrPath, title: str | None = None) -> None:
    """Draws a panel for each target, a colour for each task.

    Dashed lines are the same memory before its training, the dotted one is what nothing tells.

    Args:
        report: what `keras_s5rl.training.probe_memory` returns.
        output: the file, whose suffix says the format: .png, .svg or .pdf.
        title: a line above the plot. Defaults to `None`.

    Raises:
        RunError: when there are no probes, or the format is unknown.
    """
    check_format(output)
    targets: dict[str, list[dict[str, Any]]] = {}
    for probe in report["probes"]:
        targets.setdefault(probe["target"], []).append(probe)
    if not targets:
        raise RunError("`report` must hold at least one probe. Received: probes=[]")
    tasks = list(dict.fromkeys(probe["task"] for probe in report["probes"]))
    steps = 1 + np.array(report["steps"])
    figure, panels = new_panels(len(targets), 3.6, 3.0)
    lines = {}
    for (target, probes), axes in zip(targets.items(), panels, strict=True):
        for probe in probes:
            colour = COLOURS[tasks.index(probe["task"]) % len(COLOURS)]
            look = {"color": colour, "marker": ".", "markersize": 4}
            (line,) = axes.plot(steps, _values(probe["trained"]), **look)
            axes.plot(steps, _values(probe["fresh"]), color=colour, linestyle="--", linewidth=0.8)
            lines[probe["task"] or "all tasks"] = line
        axes.axhline(probes[0]["chance"], color="black", linestyle=":", linewidth=0.8)
        axes.set(
            title=target.capitalize(),
            xscale="log",
            ylim=(-0.05, 1.02),
            xlabel="Observations of the context",
            ylabel=_LABELS.get(target, "Share of variance explained"),
        )
        set_look(axes)
    names = map(literal, lines)
    figure.legend(lines.values(), names, loc="outside lower center", ncols=5, frameon=False)
    if title is not None:
        figure.suptitle(literal(title))
    save_figure(figure, output)


def _values(values: list[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]
