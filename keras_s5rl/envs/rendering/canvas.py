"""`Canvas`: shapes with smooth edges, and the colours of all pictures."""

import functools
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from keras_s5rl.typing import Array

PAPER = "#fbfaf7"
INK = "#22303c"
MUTED = "#7d8893"
FAINT = "#d9dde1"
WHITE = "#ffffff"
RED = "#c8392f"
GREEN = "#2c9a67"
BLUE = "#2d6fb3"
GOLD = "#e8a21c"
WATER = "#d3e6f3"

Points: TypeAlias = Sequence[tuple[float, float]]

_SCALE = 2  # pictures are drawn this much larger, then shrunk: that smooths edges
_font = functools.cache(ImageFont.load_default)


class Canvas:
    """A picture in the making. Lengths are pixels, from the upper left corner.

    Args:
        width: Integer.
        height: Integer.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.top = 0  # what is drawn is moved down by this much
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str | None = None,
        outline: str | None = None,
        radius: float = 0,
        line: float = 1,
    ) -> None:
        """Draws a rectangle, `(x, y)` its upper left corner, with corners rounded by `radius`."""
        (left, upper), (right, lower) = self._points([(x, y), (x + width, y + height)])
        self._draw.rounded_rectangle(
            (left, upper, right - 1, lower - 1),
            radius * _SCALE,
            fill,
            outline,
            round(line * _SCALE),
        )

    def circle(
        self,
        x: float,
        y: float,
        radius: float,
        fill: str | None = None,
        outline: str | None = None,
        line: float = 1,
    ) -> None:
        """Draws a circle around `(x, y)`."""
        corners = self._points([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse(corners, fill, outline, round(line * _SCALE))

    def polygon(self, points: Points, fill: str) -> None:
        """Fills a polygon, given by a list of `(x, y)`."""
        self._draw.polygon(self._points(points), fill)

    def line(self, points: Points, fill: str, line: float = 2) -> None:
        """Draws a line through a list of `(x, y)`, its ends round."""
        self._draw.line(self._points(points), fill, round(line * _SCALE), joint="curve")
        for x, y in (points[0], points[-1]):
            self.circle(x, y, line / 2, fill)

    def arrow(self, points: Points, fill: str, line: float = 3) -> None:
        """Draws a line with a head at its last point."""
        (x, y), (end_x, end_y) = points[-2:]
        direction = np.array([end_x - x, end_y - y], "float64")
        direction *= 2.2 * line / max(np.hypot(*direction), 1e-9)
        side = np.array([-direction[1], direction[0]])
        tip = np.array([end_x, end_y])
        self.line([*points[:-1], tuple(tip)], fill, line)
        self.polygon([tuple(tip + direction), tuple(tip + side), tuple(tip - side)], fill)

    def turn(self, x: float, y: float, radius: float, share: float, line: float = 4) -> None:
        """Draws a torque: an arrow that starts above `(x, y)` and is the longer the larger its
        `share` of the largest one is, positive and golden clockwise, negative and blue the other
        way."""
        if abs(share) < 0.01:
            return
        turns = np.linspace(0, 0.8 * math.pi * share, 24)
        points = [(x + radius * math.sin(turn), y - radius * math.cos(turn)) for turn in turns]
        self.arrow(points, GOLD if share > 0 else BLUE, line)

    def text(
        self, x: float, y: float, text: str, size: float = 14, fill: str = INK, anchor: str = "lm"
    ) -> None:
        """Writes a line of text that starts at `(x, y)`; with the anchor `"mm"` it has its middle
        there, with `"rm"` its end."""
        self._draw.text(self._points([(x, y)])[0], text, fill, _font(size * _SCALE), anchor)

    def pixels(self) -> Array:
        """Returns the picture, uint8 `(height, width, 3)`."""
        return np.asarray(self._image.reduce(_SCALE))

    def _points(self, points: Points) -> list[tuple[float, float]]:
        return [(x * _SCALE, (y + self.top) * _SCALE) for x, y in points]


def blend(color: str, other: str, share: float) -> str:
    """Returns the mixture of two colours, `share` of it the other one, as `"#rrggbb"`."""
    pair = zip(ImageColor.getrgb(color), ImageColor.getrgb(other), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pair)


def faint(color: str) -> str:
    """Returns the colour of what the agent does not see."""
    return blend(color, PAPER, 0.75)
