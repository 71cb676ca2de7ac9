"""Animations as GIF files, and which function writes which format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_s5rl.runs.files import RunError, replacing
from keras_s5rl.runs.videos import LAST_FRAME, find_ffmpeg, write_mp4
from keras_s5rl.typing import Array, StrPath

_NUM_COLOURS = 128
_NUM_SAMPLES = 24  # frames that the palette is made from
_SHORTEST_FRAME = 0.02  # seconds: players slow down shorter ones

FORMATS = ("gif", "mp4")


def animation_writer(record_format: str) -> Callable[..., None]:
    """Returns `write_gif` or `write_mp4`.

    Raises:
        RunError: when the format is neither, or what writes it is not installed.
    """
    if record_format not in FORMATS:
        raise RunError(
            f"`record_format` should be one of {', '.join(FORMATS)}. "
            f"Received: record_format={record_format!r}"
        )
    if record_format == "gif":
        return write_gif
    find_ffmpeg()
    return write_mp4


def write_gif(
    output: StrPath,
    frame: Callable[[int], Array],
    num_frames: int,
    seconds_per_frame: float,
) -> None:
    """Writes an animated GIF that is played over and over, whole or not at all.

    All frames share one palette, and of a frame only the part that changed is stored. A frame equal
    to the one before it is not stored at all: that one is shown longer.

    Args:
        output: the file, `.gif`. Its folder exists.
        frame: returns a frame by its number, uint8 `(height, width, 3)`, all of one size. Some are
            asked for twice, so that they need not be kept.
        num_frames: number of frames, at least 1.
        seconds_per_frame: how long a frame is shown, in seconds, in steps of 0.01 and from 0.02.

    Raises:
        RunError: when `output` is not a `.gif`, or there are no frames.

    Example:

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "dawn.gif"
    >>> write_gif(target, lambda i: np.full((8, 8, 3), 20 * i, np.uint8), 10, 0.1)
    >>> target.read_bytes()[:6]
    b'GIF89a'
    """
    from PIL import Image

    output = Path(output)
    if output.suffix.lower() != ".gif":
        raise RunError(f"`output` must end in .gif. Received: output={str(output)!r}")
    if num_frames < 1:
        raise RunError(f"`num_frames` must be at least 1. Received: num_frames={num_frames}")
    places = np.unique(np.linspace(0, num_frames - 1, _NUM_SAMPLES).round().astype(int))
    samples = np.concatenate([frame(int(place)) for place in places])
    # An octree keeps colours that are rare, such as that of a word; a median cut does not.
    palette = Image.fromarray(samples).quantize(_NUM_COLOURS, Image.Quantize.FASTOCTREE)

    def indexed(place: int) -> Any:
        # Without dithering equal parts of two frames stay equal, which keeps files small.
        return Image.fromarray(frame(place)).quantize(palette=palette, dither=Image.Dither.NONE)

    milliseconds = 10 * round(100 * max(seconds_per_frame, _SHORTEST_FRAME))
    durations = [milliseconds] * num_frames
    durations[-1] = max(milliseconds, round(1000 * LAST_FRAME))
    with replacing(output) as aside:
        indexed(0).save(
            aside,
            save_all=True,
            append_images=(indexed(place) for place in range(1, num_frames)),
            duration=durations,
            loop=0,
            optimize=True,  # pixels that did not change are stored as transparent
        )
