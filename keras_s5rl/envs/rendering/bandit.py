"""The renderer of `MultiarmedBandit`."""

from typing import Any

from keras_s5rl.envs.rendering.canvas import BLUE, FAINT, GREEN, INK, MUTED, RED, Canvas, faint
from keras_s5rl.envs.rendering.renderer import Renderer

RENDERERS = {"popgym.multiarmed_bandit:MultiarmedBandit": "BanditRenderer"}

_BASE, _HEIGHT = 176, 136


class BanditRenderer(Renderer):
    """The arms with the probabilities that they pay (faint), and what the last one did."""

    seconds_per_step = 0.2

    def size(self, env: Any) -> tuple[int, int]:
        return max(420, 32 + 14 * env.num_bandits), 206

    def name_action(self, env: Any, action: Any) -> str:
        return f"arm {int(action)}"

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        arms = "  ".join(f"{arm}: {p:.2f}" for arm, p in enumerate(state["bandits"].tolist()))
        return f"{_last_pull(state)}\narms {arms}"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        paid = bool(state["paid"])
        canvas.text(16, 14, _last_pull(state), 13, MUTED)
        pitch = (self.size(env)[0] - 32) / env.num_bandits
        canvas.rectangle(16, _BASE, pitch * env.num_bandits, 1.5, FAINT)
        for arm, probability in enumerate(state["bandits"].tolist()):
            is_pulled = action is not None and arm == int(action)
            color = (GREEN if paid else RED) if is_pulled else faint(BLUE)
            left, width = 16 + pitch * (arm + 0.15), 0.7 * pitch
            height = 2 + _HEIGHT * probability
            canvas.rectangle(left, _BASE - height, width, height, color, radius=3)
            size = 13 if pitch > 18 else 9
            label = INK if is_pulled else MUTED
            canvas.text(left + width / 2, _BASE + 14, str(arm), size, label, "mm")


def _last_pull(state: dict[str, Any]) -> str:
    if state["time"] == 0:
        return "no arm pulled yet"
    return "the last pull paid" if state["paid"] else "the last pull did not pay"
