"""Scores inside contexts as image files: returns of trials, and rewards of steps."""

from typing import Any

import numpy as np

from keras_s5rl.runs.figures import (
    COLOURS,
    check_format,
    literal,
    new_figure,
    save_figure,
    set_look,
)
from keras_s5rl.runs.files import RunError
from keras_s5rl.typing import Array, StrPath

_GREY = "#777777"


def plot_in_context(report: dict[str, Any], output: StrPath, title: str | None = None) -> None:
    """Draws the scores of one run: a row for each tier, a colour for each task.

    On the left is the return of trial `k`, on the right the reward at the steps of the context (0
    where a trial ended early): means with 95 % confidence intervals over contexts. Dashed lines are
    the same agent before its training.

    Args:
        report: what `keras_s5rl.training.evaluate_in_context` returns.
        output: the file, whose suffix says the format: .png, .svg or .pdf.
        title: a line above the plot. Defaults to `None`.

    Raises:
        RunError: when there are no scores, or the format is unknown.
    """
    check_format(output)
    tiers: dict[str, list[dict[str, Any]]] = {}
    for score in report["scores"]:
        tiers.setdefault(score["tier"], []).append(score)
    if not tiers:
        raise RunError("`report` must hold at least one score. Received: scores=[]")

    figure = new_figure(11, 0.5 + 3 * len(tiers))
    rows = figure.subplots(len(tiers), 2, squeeze=False)
    for (tier, scores), row in zip(tiers.items(), rows, strict=True):
        lines = {}
        for axes, panel in zip(row, _PANELS, strict=True):
            for index, score in enumerate(scores):
                colour = COLOURS[index % len(COLOURS)]
                _draw_mean(axes, panel, [score["fresh"]], colour)
                lines[score["task"]] = _draw_with_band(axes, panel, [score["trained"]], colour)
            _decorate(axes, panel, tier if len(tiers) > 1 else None)
        lines["untrained"] = _grey_line(row[1])
        names = map(literal, lines)
        row[1].legend(
            lines.values(), names, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False
        )
    _finish(figure, output, title)


def compare_in_context(
    runs: list[tuple[str, dict[str, Any]]],
    output: StrPath,
    tier: str = "T1",
    title: str | None = None,
) -> None:
    """Draws the scores of several runs in one tier: a column for each task, a colour a label.

    Above is the return of trial `k`, below the reward at the steps of the context (0 where a trial
    ended early); the two of a single task stand side by side. Runs with the same label are seeds of
    one experiment: their mean is a line, the range from the lowest to the highest a band. The band
    of a single run is the 95 % confidence interval over contexts. The dashed line is the mean of
    all runs before their training.

    Args:
        runs: pairs of a label and what `keras_s5rl.training.evaluate_in_context` returned.
        output: the file, whose suffix says the format: .png, .svg or .pdf.
        tier: the tier to draw. Defaults to `"T1"`.
        title: a line above the plot. Defaults to `None`.

    Raises:
        RunError: when no run has scores in the tier, the contexts of one task differ in length, or
            the format is unknown.
    """
    check_format(output)
    tasks = _by_task_and_label(runs, tier)
    labels = list(dict.fromkeys(label for label, _ in runs))
    if len(tasks) == 1:
        figure = new_figure(10, 3.8)
        columns = figure.subplots(1, 2, squeeze=False)
    else:
        figure = new_figure(0.6 + 2.7 * len(tasks), 5.4)
        columns = figure.subplots(2, len(tasks), squeeze=False, sharey="row").T
    lines = {}
    for groups, column in zip(tasks.values(), columns, strict=True):
        everyone = [score["fresh"] for scores in groups.values() for score in scores]
        for axes, panel in zip(column, _PANELS, strict=True):
            _draw_mean(axes, panel, everyone, _GREY)
            for label, scores in groups.items():
                colour = COLOURS[labels.index(label) % len(COLOURS)]
                trained = [score["trained"] for score in scores]
                lines[label] = _draw_with_band(axes, panel, trained, colour)
    # The rows share their limits, so they are set when everything is drawn.
    for task, column in zip(tasks, columns, strict=True):
        for axes, panel in zip(column, _PANELS, strict=True):
            _decorate(axes, panel, task if axes is column[0] else None)
            if len(tasks) > 1 and not axes.get_subplotspec().is_first_col():
                axes.set_ylabel("")
    lines["untrained"] = _grey_line(columns[0][0])
    names = map(literal, lines)
    figure.legend(lines.values(), names, loc="outside lower center", ncols=4, frameon=False)
    _finish(figure, output, title)


def _by_task_and_label(
    runs: list[tuple[str, dict[str, Any]]], tier: str
) -> dict[str, dict[str, list[Any]]]:
    """Returns the scores in the tier as `{task: {label: [score of each seed]}}`."""
    tasks: dict[str, dict[str, list[Any]]] = {}
    lengths: dict[str, Any] = {}
    for label, report in runs:
        for score in report["scores"]:
            if score["tier"] != tier:
                continue
            tasks.setdefault(score["task"], {}).setdefault(label, []).append(score)
            length = score["num_trials"], score["trial_steps"]
            if lengths.setdefault(score["task"], length) != length:
                raise RunError(
                    "`runs` must have contexts of the same length: evaluate them again with the "
                    "same `num_trials` and `trial_steps`. Received: (num_trials, trial_steps)="
                    f"{lengths[score['task']]} and {length} in {score['task']}"
                )
    if not tasks:
        scored = sorted({score["tier"] for _, report in runs for score in report["scores"]})
        raise RunError(
            f"`tier` must be one that the runs were scored in, of {', '.join(scored)}. "
            f"Received: tier={tier!r}"
        )
    return tasks


def _of_trials(score: dict[str, Any]) -> tuple[Array, Array, Array]:
    mean = score["trial_return_mean"]
    return np.arange(1, len(mean) + 1), mean, score["trial_return_ci95"]


def _of_steps(score: dict[str, Any]) -> tuple[Array, Array, Array]:
    binned = score["binned"]
    return binned["step"], binned["reward_mean"], binned["reward_ci95"]


# Names of the axes, what is drawn, and how.
_PANELS: tuple[tuple[str, str, Any, dict[str, str]], ...] = (
    ("Trial", "Return of the trial", _of_trials, {"marker": "."}),
    ("Step in the context", "Reward of the step", _of_steps, {}),
)


def _draw_mean(axes: Any, panel: Any, scores: list[dict[str, Any]], colour: Any) -> None:
    _, _, curve_of, _ = panel
    places = curve_of(scores[0])[0]
    means = np.mean([curve_of(score)[1] for score in scores], axis=0)
    axes.plot(places, means, color=colour, linestyle="--", linewidth=1, alpha=0.8)


def _draw_with_band(axes: Any, panel: Any, scores: Any, colour: Any) -> Any:
    """Draws the mean of seeds in their range, a single one in its confidence interval."""
    _, _, curve_of, style = panel
    places = curve_of(scores[0])[0]
    means, widths = (np.array([curve_of(score)[i] for score in scores]) for i in (1, 2))
    if len(scores) > 1:
        widths = 0.0
    low, high = (means - widths).min(axis=0), (means + widths).max(axis=0)
    axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
    return axes.plot(places, means.mean(axis=0), color=colour, linewidth=1.8, **style)[0]


def _grey_line(axes: Any) -> Any:
    return axes.plot([], [], color=_GREY, linestyle="--", linewidth=1)[0]


def _decorate(axes: Any, panel: Any, title: str | None) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(panel[0])
    axes.set_ylabel(panel[1])
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.0), max(high, 1.0))  # 1 is a perfect trial, and a perfect step
    set_look(axes)
    if title:
        axes.set_title(literal(title), loc="left", fontsize="medium")


def _finish(figure: Any, output: StrPath, title: str | None) -> None:
    if title:
        figure.suptitle(literal(title), x=0.01, ha="left", fontsize="medium")
    save_figure(figure, output)
