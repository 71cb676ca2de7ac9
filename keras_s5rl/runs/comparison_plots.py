"""A comparison of runs as an image file: learning curves with intervals, and the scores'."""

from collections.abc import Sequence
from typing import Any

from keras_s5rl.runs.bootstrap import sample_efficiency_curve
from keras_s5rl.runs.comparison import ScoredRun
from keras_s5rl.runs.curves import smooth
from keras_s5rl.runs.figures import (
    check_format,
    line_look,
    literal,
    name_axes,
    new_panels,
    save_figure,
    set_look,
)
from keras_s5rl.typing import Array, StrPath


def plot_comparison(runs: Sequence[ScoredRun], report: dict[str, Any], output: StrPath) -> None:
    """Draws the sample efficiency of groups of runs on each task, then the intervals of scores.

    A curve is the interquartile mean of the runs at each number of environment steps, with its 95 %
    bootstrap interval as a band; they are of the metrics of the trainings, and a task without
    metrics has none. The last panel shows the IQM of the scores on all shared tasks (or the one
    task) with its interval: its runs are dots where there is one task.

    Args:
        runs: list of `ScoredRun`.
        report: what `compare_runs` returned for them, with `metric`, what they are compared by.
        output: the file, whose suffix says the format: .png, .svg or .pdf.

    Raises:
        RunError: when the format is unknown.
    """
    check_format(output)
    groups = list(dict.fromkeys(run.group for run in runs))
    looks = {group: line_look(index) for index, group in enumerate(groups)}
    panels = [
        (task, of_task)
        for section in report["tasks"]
        for task in section["tasks"]
        if (of_task := [run for run in runs if run.task == task and run.curves])
    ]
    section = report["overall"] or report["tasks"][0]
    figure, (*axes, of_scores) = new_panels(len(panels) + 1, 4.5, 3.2)
    for panel, (task, of_task) in zip(axes, panels, strict=True):
        _draw_curves(panel, of_task, looks)
        name_axes(panel, _metric_of_curves(report["metric"]))
        panel.set_title(literal(task), loc="left", fontsize="medium")
    _draw_intervals(of_scores, section, looks)
    lines = [_line(looks[group]) for group in groups]
    figure.legend(
        lines,
        list(map(literal, groups)),
        loc="outside lower center",
        frameon=False,
        ncols=3,
    )
    save_figure(figure, output)


def _line(look: dict[str, Any]) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linewidth=1.8, **look)


def _metric_of_curves(metric: str) -> str:
    return "episode_return_mean" if metric == "evaluation" else metric


def _draw_curves(axes: Any, runs: Sequence[ScoredRun], looks: dict[str, dict[str, Any]]) -> None:
    for group in dict.fromkeys(run.group for run in runs):
        curves: list[tuple[Array, Array]] = [
            (steps, smooth(values))
            for run in runs
            if run.group == group
            for steps, values in run.curves or ()
        ]
        steps, middle, low, high = sample_efficiency_curve([curves])
        axes.fill_between(steps, low, high, color=looks[group]["color"], alpha=0.2, linewidth=0)
        axes.plot(steps, middle, linewidth=1.8, **looks[group])


def _draw_intervals(axes: Any, section: dict[str, Any], looks: dict[str, dict[str, Any]]) -> None:
    rows = section["groups"]
    for height, row in enumerate(rows):
        colour = looks[row["group"]]["color"]
        low, high = row["iqm_interval"]
        axes.plot(
            [low, high],
            [height, height],
            color=colour,
            alpha=0.35,
            linewidth=8,
            solid_capstyle="butt",
        )
        axes.plot(row["iqm"], height, "|", color=colour, markersize=16, markeredgewidth=2)
        if len(row["scores"]) == 1:
            (scores,) = row["scores"]
            axes.plot(scores, [height] * len(scores), "o", color=colour, markersize=4)
    axes.set_yticks(range(len(rows)), [literal(row["group"]) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    tasks = section["tasks"]
    where = tasks[0] if len(tasks) == 1 else f"{len(tasks)} tasks"
    axes.set_title(literal(f"Scores on {where}"), loc="left", fontsize="medium")
    axes.set_xlabel("IQM with 95 % interval")
    set_look(axes)
    axes.margins(x=0.05)
