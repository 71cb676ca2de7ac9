"""Figures inside a page: SVG whose text and axes have the colour of the page's text."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s5rl.runs.figures import line_look, new_figure, set_look
from keras_s5rl.runs.report_html import Html, text
from keras_s5rl.typing import Array

SIZE = (5.2, 3.3)  # inches: its letters can be read on a phone
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def inline_svg(figure: Any, name: str, description: str) -> Html:
    """Returns a figure of matplotlib as an element of a page.

    Args:
        figure: the figure.
        name: id of the element, another one for each figure of a page.
        description: what people hear who do not see it.
    """
    import matplotlib

    file = io.StringIO()
    # Letters stay letters; the parts of two figures have different ids.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace("#000000", "currentColor")
    # Ids that matplotlib counts are the same in each figure, and nothing refers to them.
    drawing = re.sub(r' id="[\w.]+_\d+"', "", drawing)
    drawing = drawing.replace("<svg", '<svg role="img"', 1)
    return Html(f'<figure id="{name}" aria-label="{text(description)}">{drawing}</figure>')


def time_constants_figure(
    layers: Sequence[tuple[str, Array]], marks: Sequence[tuple[str, float]]
) -> Any:
    """Returns a figure of the time constants of each layer in increasing order.

    Args:
        layers: pairs of a name and an array of steps; infinite ones are left out.
        marks: pairs of a name and a number of steps, such as the length of an episode, which are
            lines across.
    """
    figure = new_figure(*SIZE)
    axes = figure.add_subplot()
    for index, (name, steps) in enumerate(layers):
        steps = np.sort(steps[np.isfinite(steps)])
        if len(steps):
            share = (np.arange(len(steps)) + 0.5) / len(steps) * 100
            look = line_look(index)
            axes.plot(share, steps, label=name, marker=".", markersize=3, linewidth=1.4, **look)
    for name, value in marks:
        axes.axhline(value, color="grey", linestyle=":", linewidth=1)
        axes.annotate(
            name,
            (1, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            fontsize="small",
            color="grey",
        )
    axes.set_yscale("log")
    axes.set_xlabel("States, the shortest first (%)")
    axes.set_ylabel("Time constant (steps)")
    set_look(axes)
    if layers:
        axes.legend(frameon=False)
    return figure
