"""An episode as data for the script of a report: pictures, and what happened in each step."""

import base64
import io
import json
import math
from typing import Any

import numpy as np

from keras_s5rl.runs.report_html import Html
from keras_s5rl.typing import Array

_MOST_PICTURES = 800  # of about 3 kB each
_MOST_FEATURES = 64  # rows of a strip of observations
_NUM_COLOURS = 64
_DIGITS = 5


def player_data(episodes: dict[str, Any]) -> dict[str, Any]:
    """Returns what the script plays, as plain values.

    Of long episodes every n-th step has a picture, and the first and last of each.

    Args:
        episodes: as of `keras_s5rl.training.played_episodes.play_episodes`.
    """
    numbers = episodes["action_number"]
    texts = list(dict.fromkeys(episodes["action"]))
    return {
        "seconds": float(episodes["seconds_per_step"]),
        "episode": episodes["episode"].tolist(),
        "step": episodes["step"].tolist(),
        "reward": _rounded(episodes["reward"]),
        "return": _rounded(episodes["episode_return"]),
        "actionTexts": texts,
        "action": [texts.index(action) for action in episodes["action"]],
        "actionNumbers": [_rounded(column) for column in numbers.T],
        "memory": {name: _rounded(v) for name, v in episodes["memory_norms"].items()},
        "resets": np.flatnonzero(episodes["reset"]).tolist(),
        "trials": np.flatnonzero(episodes["trial_start"]).tolist(),
        "observation": _strip(episodes["observation"]),
        "pictures": _pictures(episodes),
    }


def as_script_data(data: dict[str, Any]) -> Html:
    """Returns JSON that can stand inside a script element: no text in it can end that."""
    encoded = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Html(encoded.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _rounded(values: Array) -> list[float | None]:
    return [
        float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
        for value in np.asarray(values, np.float64).tolist()
    ]


def _strip(observations: Array) -> dict[str, Any] | None:
    """The entries of observations as bytes, each scaled to its own range; `None` of too many."""
    rows, features = observations.shape
    if features > _MOST_FEATURES:
        return None
    low, high = np.nanmin(observations, axis=0), np.nanmax(observations, axis=0)
    scaled = (observations - low) / np.where(high > low, high - low, 1)
    pixels = np.nan_to_num(np.round(255 * scaled)).astype(np.uint8)
    encoded = base64.b64encode(np.ascontiguousarray(pixels.T).tobytes()).decode()
    return {"features": features, "low": _rounded(low), "high": _rounded(high), "pixels": encoded}


def _pictures(episodes: dict[str, Any]) -> dict[str, Any] | None:
    """Pictures of some rows, and which these are."""
    if episodes["frame"] is None:
        return None
    number = len(episodes["step"])
    stride = math.ceil(number / _MOST_PICTURES)
    last = np.flatnonzero(np.diff(episodes["episode"], append=-1))
    kept = np.union1d(np.flatnonzero(episodes["step"] % stride == 0), last).tolist()
    return {"rows": kept, "stride": stride, "images": [_png(episodes["frame"](r)) for r in kept]}


def _png(frame: Array) -> str:
    """A picture as an address that holds it."""
    from PIL import Image

    method, dither = Image.Quantize.FASTOCTREE, Image.Dither.NONE
    image = Image.fromarray(frame).quantize(_NUM_COLOURS, method, dither=dither)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
