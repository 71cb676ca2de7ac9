"""The trials of a sweep as an image file."""

import math
from collections.abc import Sequence
from typing import Any

from keras_s5rl.runs.figures import (
    COLOURS,
    check_format,
    literal,
    new_panels,
    save_figure,
    set_look,
)
from keras_s5rl.typing import StrPath


def plot_sweep(trials: Sequence[dict[str, Any]], log: Sequence[str], output: StrPath) -> None:
    """Draws the values of trials over each parameter, and over their order.

    Args:
        trials: list of dicts with `number`, `value` (`None` where a trial has none; those are left
            out) and `params`.
        log: the parameters whose axis is logarithmic.
        output: the file, whose suffix says the format: .png, .svg or .pdf.

    Raises:
        RunError: when the format is unknown.
    """
    check_format(output)
    trials = [trial for trial in trials if trial["value"] is not None]
    names = list(dict.fromkeys(name for trial in trials for name in trial["params"]))
    figure, (of_order, *axes) = new_panels(len(names) + 1, 3.5, 2.8, sharey=True)
    _draw(of_order, "trial", [trial["number"] for trial in trials], trials)
    for panel, name in zip(axes, names, strict=True):
        _draw(panel, name, [trial["params"][name] for trial in trials], trials)
        if name in log:
            panel.set_xscale("log")
    of_order.set_ylabel("Value of the trial")
    save_figure(figure, output)


def _draw(axes: Any, name: str, places: list[Any], trials: Sequence[dict[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    values = [trial["value"] for trial in trials]
    if any(isinstance(place, str) for place in places):
        order = sorted(set(places), key=_by_number)
        axes.set_xticks(range(len(order)), [literal(text) for text in order])
        places = [order.index(place) for place in places]
        axes.set_xlim(-0.5, len(order) - 0.5)
    elif all(isinstance(place, int) for place in places):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.plot(places, values, "o", color=COLOURS[0], alpha=0.6)
    if values:
        best = values.index(max(values))
        axes.plot(places[best], values[best], "o", color=COLOURS[1])
    axes.set_xlabel(literal(name))
    set_look(axes)
    axes.margins(x=0.05)


def _by_number(text: str) -> tuple[float, str]:
    """Numbers in their order, before other texts."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text
