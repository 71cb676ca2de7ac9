"""Learning curves as image files, drawn without a display or global state."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s5rl.runs.curves import seed_curves, smooth
from keras_s5rl.runs.figures import (
    check_format,
    line_look,
    literal,
    name_axes,
    new_figure,
    save_figure,
)
from keras_s5rl.runs.files import RunError
from keras_s5rl.typing import Array, StrPath

_RETURN, _EVALUATION = "episode_return_mean", "eval_return_mean"


def plot_learning_curves(
    runs: list[tuple[str, dict[str, Any]]],
    output: StrPath,
    metric: str = _RETURN,
    title: str | None = None,
) -> None:
    """Draws a metric against environment steps, one colour per label.

    Runs with the same label are seeds of one experiment, as are the columns of a run that trained
    several seeds at once (`<metric>_per_seed`): their mean is a line, the range from the lowest to
    the highest a band, as the legend says. A single seed is a line over its faint raw values. Lines
    are moving averages over about 2 % of the updates. Where there were evaluations, their mean
    return is a dashed line beside that of training.

    Args:
        runs: pairs of a label and the columns that `read_metrics` returns.
        output: the file, whose suffix says the format: .png, .svg or .pdf.
        metric: the column to draw. Updates without a value are left out. Defaults to
            `"episode_return_mean"`.
        title: a line above the plot. Defaults to `None`.

    Raises:
        RunError: when there are no runs, a run has no such column, or the format is unknown.
    """
    check_format(output)
    figure = learning_curves_figure(runs, metric)
    if title:
        figure.axes[0].set_title(literal(title), loc="left", fontsize="medium")
    save_figure(figure, output)


def learning_curves_figure(
    runs: list[tuple[str, dict[str, Any]]],
    metric: str = _RETURN,
    size: tuple[float, float] = (7, 4),
) -> Any:
    """Returns the figure that `plot_learning_curves` writes, of a size in inches."""
    if not runs:
        raise RunError("`runs` must hold at least one run. Received: runs=[]")
    groups: dict[str, list[tuple[Array, Array]]] = {}
    evaluations: dict[str, list[tuple[Array, Array]]] = {}
    for label, metrics in runs:
        groups.setdefault(label, []).extend(seed_curves(label, metrics, metric))
        if metric == _RETURN and metrics.get(_EVALUATION) is not None:
            evaluations.setdefault(label, []).extend(seed_curves(label, metrics, _EVALUATION))

    figure = new_figure(*size)
    axes = figure.add_subplot()
    lines = []
    for index, (label, curves) in enumerate(groups.items()):
        look = line_look(index)
        lines.append(_draw(axes, curves, look))
        if label in evaluations:
            _draw(axes, evaluations[label], {**look, "linestyle": "--"})
    _decorate(axes, lines, metric)
    num_seeds = [len(curves) for curves in groups.values()]
    _add_legend(axes, list(groups), lines, num_seeds, bool(evaluations))
    return figure


def plot_learning_curve(metrics: dict[str, Any], output: StrPath, title: str | None = None) -> None:
    """Draws the mean episode return of one run against environment steps.

    Args:
        metrics: the columns that `read_metrics` returns.
        output: the file, whose suffix says the format: .png, .svg or .pdf.
        title: a line above the plot. Defaults to `None`.
    """
    plot_learning_curves([("", metrics)], output, title=title)


def _draw(axes: Any, curves: Sequence[tuple[Array, Array]], look: dict[str, Any]) -> Any:
    """Draws the seeds of one label and returns the line for the legend."""
    if not curves:
        return axes.plot([], [], **look)[0]
    if len(curves) == 1:
        steps, values = curves[0]
        axes.plot(steps, values, color=look["color"], alpha=0.25, linewidth=0.8)
        return axes.plot(steps, smooth(values), **look, linewidth=1.8)[0]
    # Where all seeds have values: the mean of fewer would jump where a seed begins or ends.
    first = max(steps[0] for steps, _ in curves)
    last = min(steps[-1] for steps, _ in curves)
    grid = np.unique(np.concatenate([steps for steps, _ in curves]))
    grid = grid[(grid >= first) & (grid <= last)]
    seeds = np.stack([np.interp(grid, steps, smooth(values)) for steps, values in curves])
    axes.fill_between(grid, seeds.min(0), seeds.max(0), color=look["color"], alpha=0.2, linewidth=0)
    return axes.plot(grid, seeds.mean(0), **look, linewidth=1.8)[0]


def _decorate(axes: Any, lines: Sequence[Any], metric: str) -> None:
    name_axes(axes, metric)
    if not any(len(line.get_xdata()) for line in lines):
        axes.text(0.5, 0.5, "no values yet", transform=axes.transAxes, ha="center", va="center")


def _add_legend(
    axes: Any,
    labels: Sequence[str],
    lines: Sequence[Any],
    num_seeds: Sequence[int],
    evaluated: bool,
) -> None:
    """Names the lines, and what the bands around them are."""
    from matplotlib.lines import Line2D

    several = sorted({number for number in num_seeds if number > 1})
    band = f"mean of {several[0] if len(several) == 1 else 'the'} seeds," if several else ""
    band += "\nband from lowest to highest" if several else ""
    named: dict[str, Any] = {}
    if any(labels):
        for label, line in zip(labels, lines, strict=True):
            named[literal(label) + ("" if len(line.get_xdata()) else " (no values yet)")] = line
    elif band:
        named[band], band = lines[0], ""
    if evaluated:
        named["evaluation"] = Line2D([], [], color="grey", linestyle="--")
    if named:
        look = {"title_fontsize": "small", "alignment": "left", "frameon": False}
        axes.legend(named.values(), named.keys(), title=band, **look)
