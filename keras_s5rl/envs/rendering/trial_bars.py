"""The trials of a context: which one is under way, and what each was worth."""

from typing import Any

from keras_s5rl.envs.rendering.canvas import BLUE, FAINT, GOLD, MUTED, PAPER, RED, Canvas, blend

TRIALS_HEIGHT = 92  # pixels of `draw_trials`
_BARS, _BAR_HEIGHT = 28, 40  # pixels from the top, and of the best trial there can be
_FEWEST_PIXELS = 25  # of a bar and the room beside it, to write its number below
_EMPTY = blend(FAINT, PAPER, 0.5)


def trial_words(env: Any, state: dict[str, Any], fell: bool) -> tuple[str, str]:
    """Returns which trial is under way and how far it is, two texts.

    Args:
        env: Environment with the attributes `num_trials` and `trial_steps`.
        state: State with the entries of `keras_s5rl.envs.control.trials`, without the batch axis.
        fell: Whether the last step was a fall.
    """
    trial, step = int(state["trial"]), int(state["trial_step"])
    number = f"trial {min(trial + 1, env.num_trials)} of {env.num_trials}"
    if step == 0 and trial > 0:
        return number, f"trial {trial} ended{' by a fall' if fell else ''}"
    return number, f"step {step} of {env.trial_steps}"


def trial_lines(env: Any, state: dict[str, Any], fell: bool, best: float) -> str:
    """Returns `trial_words` and the returns of the trials so far as lines of text."""
    begun = state["trial_returns"][: int(state["trial"]) + 1].tolist()
    returns = " ".join(_number(value, best) for value in begun)
    return f"{'  '.join(trial_words(env, state, fell))}\nreturns of trials {returns}"


def draw_trials(
    canvas: Canvas, top: float, env: Any, state: dict[str, Any], fell: bool, best: float
) -> None:
    """Draws a bar for each trial, as high as its return so far; that of the one under way golden.

    Args:
        canvas: `Canvas`, drawn on from `top` to `top + TRIALS_HEIGHT`.
        top: Number.
        env, state, fell: See `trial_words`.
        best: Number, the return of the best trial there can be.
    """
    number, progress = trial_words(env, state, fell)
    canvas.text(16, top + 12, number, 13, MUTED)
    canvas.text(canvas.width - 16, top + 12, progress, 13, RED if fell else MUTED, "rm")
    pitch = (canvas.width - 32) / env.num_trials
    width, base = max(0.8 * pitch, 1), top + _BARS + _BAR_HEIGHT
    for trial, value in enumerate(state["trial_returns"].tolist()):
        left = 16 + pitch * trial + (pitch - width) / 2
        canvas.rectangle(left, base - _BAR_HEIGHT, width, _BAR_HEIGHT, _EMPTY)
        if trial > int(state["trial"]):
            continue
        color = GOLD if trial == int(state["trial"]) else BLUE
        height = max(min(value / best, 1.0) * _BAR_HEIGHT, 1)
        canvas.rectangle(left, base - height, width, height, color)
        if pitch >= _FEWEST_PIXELS:
            canvas.text(left + width / 2, base + 11, _number(value, best), 10, MUTED, "mm")


def _number(value: float, best: float) -> str:
    return f"{value:.2f}" if best <= 1 else f"{value:.1f}"
