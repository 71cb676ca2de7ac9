"""Learning curves as image files, drawn without a display or global state."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s5rl.runs.figures import (
    COLOURS,
    LINE_STYLES,
    check_format,
    literal,
    new_figure,
    save_figure,
    set_look,
)
from keras_s5rl.runs.files import RunError
from keras_s5rl.typing import Array, StrPath

_AXIS_NAMES = {"episode_return_mean": "Mean episode return", "mmer": "Best mean return so far"}


def plot_learning_curves(
    runs: list[tuple[str, dict[str, Any]]],
    output: StrPath,
    metric: str = "episode_return_mean",
    title: str | None = None,
) -> None:
    """Draws a metric against environment steps, one colour per label.

    Runs with the same label are seeds of one experiment, as are the columns of a run that trained
    several seeds at once (`<metric>_per_seed`): their mean is a line, the range from the lowest to
    the highest a band, as the legend says. A single seed is a line over its faint raw values. Lines
    are moving averages over about 2 % of the updates.

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
    if not runs:
        raise RunError("`runs` must hold at least one run. Received: runs=[]")
    groups: dict[str, list[tuple[Array, Array]]] = {}
    for label, metrics in runs:
        groups.setdefault(label, []).extend(_curves(label, metrics, metric))

    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    lines = []
    for index, curves in enumerate(groups.values()):
        colour = COLOURS[index % len(COLOURS)]
        style = LINE_STYLES[index // len(COLOURS) % len(LINE_STYLES)]
        lines.append(_draw(axes, curves, colour, style))
    _decorate(axes, lines, metric, title)
    _add_legend(axes, list(groups), lines, [len(curves) for curves in groups.values()])
    save_figure(figure, output)


def plot_learning_curve(metrics: dict[str, Any], output: StrPath, title: str | None = None) -> None:
    """Draws the mean episode return of one run against environment steps.

    Args:
        metrics: the columns that `read_metrics` returns.
        output: the file, whose suffix says the format: .png, .svg or .pdf.
        title: a line above the plot. Defaults to `None`.
    """
    plot_learning_curves([("", metrics)], output, title=title)


def _curves(label: str, metrics: dict[str, Any], metric: str) -> list[tuple[Array, Array]]:
    """One `(env_steps, values)` per seed of the run, without the updates that have no value."""
    per_seed = metrics.get(f"{metric}_per_seed")
    values = metrics.get(metric) if per_seed is None else per_seed
    if values is None or "env_steps" not in metrics:
        raise RunError(
            f"The run {label!r} has no column `{metric}` over `env_steps`. "
            f"Received: columns={sorted(metrics)}"
        )
    try:
        steps = np.asarray(metrics["env_steps"], np.float64)
        values = np.asarray(values, np.float64).reshape(len(steps), -1)
    except (TypeError, ValueError, OverflowError) as error:
        raise RunError(
            f"`{metric}` and `env_steps` of the run {label!r} must be numbers in every line of its "
            f"metrics ({error}). Received: {metric}={str(values)[:80]}"
        ) from None
    curves = []
    for column in values.T:
        known = np.isfinite(column)
        if known.any():
            curves.append((steps[known], column[known]))
    return curves


def _draw(axes: Any, curves: Sequence[tuple[Array, Array]], colour: Any, style: str) -> Any:
    """Draws the seeds of one label and returns the line for the legend."""
    if not curves:
        return axes.plot([], [], color=colour, linestyle=style)[0]
    if len(curves) == 1:
        steps, values = curves[0]
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        return axes.plot(steps, _smooth(values), color=colour, linestyle=style, linewidth=1.8)[0]
    # Where all seeds have values: the mean of fewer would jump where a seed begins or ends.
    first = max(steps[0] for steps, _ in curves)
    last = min(steps[-1] for steps, _ in curves)
    grid = np.unique(np.concatenate([steps for steps, _ in curves]))
    grid = grid[(grid >= first) & (grid <= last)]
    seeds = np.stack([np.interp(grid, steps, _smooth(values)) for steps, values in curves])
    axes.fill_between(grid, seeds.min(0), seeds.max(0), color=colour, alpha=0.2, linewidth=0)
    return axes.plot(grid, seeds.mean(0), color=colour, linestyle=style, linewidth=1.8)[0]


def _smooth(values: Array) -> Array:
    """A centred moving average over 2 % of the values, at the ends over what there is."""
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _decorate(axes: Any, lines: Sequence[Any], metric: str, title: str | None) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_xlabel("Environment steps")
    axes.set_ylabel(_AXIS_NAMES.get(metric, metric))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    set_look(axes)
    if title:
        axes.set_title(literal(title), loc="left", fontsize="medium")
    if not any(len(line.get_xdata()) for line in lines):
        axes.text(0.5, 0.5, "no values yet", transform=axes.transAxes, ha="center", va="center")


def _add_legend(
    axes: Any, labels: Sequence[str], lines: Sequence[Any], num_seeds: Sequence[int]
) -> None:
    """Names the lines, and what the bands around them are."""
    several = sorted({number for number in num_seeds if number > 1})
    band = f"mean of {several[0] if len(several) == 1 else 'the'} seeds," if several else ""
    band += "\nband from lowest to highest" if several else ""
    if any(labels):
        names = [
            literal(label) + ("" if len(line.get_xdata()) else " (no values yet)")
            for label, line in zip(labels, lines, strict=True)
        ]
        axes.legend(
            lines, names, title=band, title_fontsize="small", alignment="left", frameon=False
        )
    elif band:
        axes.legend(lines, [band], frameon=False)
