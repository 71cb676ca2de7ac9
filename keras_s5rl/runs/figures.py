"""What the pictures of runs share: their look, and files that are whole or absent."""

import math
from pathlib import Path
from typing import Any

from keras_s5rl.runs.files import RunError, replacing
from keras_s5rl.typing import StrPath

# Okabe and Ito's colours, distinct to people with colour-blindness too, darkest contrasts first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_LINE_STYLES = ("-", "--", ":", "-.")
_IN_A_ROW = 3
_AXIS_NAMES = {
    "episode_return_mean": "Mean episode return",
    "eval_return_mean": "Mean return of evaluations",
    "mmer": "Best mean return so far",
}
_FORMATS = (".png", ".svg", ".pdf")


def check_format(output: StrPath) -> None:
    """Raises a RunError unless the suffix of the file names a format that can be drawn."""
    if Path(output).suffix.lower() not in _FORMATS:
        raise RunError(
            f"`output` must end in one of {', '.join(_FORMATS)}. Received: output={str(output)!r}"
        )


def new_figure(width: float, height: float) -> Any:
    """Returns a figure of a size in inches, drawn without a display or global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_panels(number: int, width: float, height: float, **options: Any) -> tuple[Any, list[Any]]:
    """Returns a figure of several panels, three in a row, and their axes.

    Args:
        number: how many.
        width: of a panel, in inches.
        height: of a panel, in inches.
        **options: further arguments of matplotlib's `Figure.subplots`.
    """
    columns = min(_IN_A_ROW, number)
    rows = math.ceil(number / columns)
    figure = new_figure(0.7 + width * columns, 0.6 + height * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for unused in axes[number:]:
        unused.set_axis_off()
    return figure, axes[:number]


def line_look(index: int) -> dict[str, Any]:
    """Returns colour and style of one of several lines."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": _LINE_STYLES[index // len(COLOURS) % len(_LINE_STYLES)],
    }


def save_figure(figure: Any, output: StrPath) -> None:
    """Writes a figure in the format that the suffix of the file names."""
    output = Path(output)
    with replacing(output) as aside:
        figure.savefig(aside, format=output.suffix.lower()[1:])


def set_look(axes: Any) -> None:
    """Gives axes the look of all the package's pictures."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.margins(x=0.01)


def name_axes(axes: Any, metric: str) -> None:
    """Makes axes those of a metric over environment steps."""
    from matplotlib.ticker import EngFormatter

    axes.set_xlabel("Environment steps")
    axes.set_ylabel(_AXIS_NAMES.get(metric, metric))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    set_look(axes)


def literal(text: str) -> str:
    """Text as it stands: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
