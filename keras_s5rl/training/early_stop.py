"""The end of a training that gets no better."""

import math
from typing import Any

import keras

from keras_s5rl.training.loop import Loop
from keras_s5rl.training.metrics import SCORE


class EarlyStop(keras.callbacks.EarlyStopping):
    """Keras' `EarlyStopping` on the best score so far: a resumed run stops where it would have.

    Args:
        loop: `keras_s5rl.training.loop.Loop` that is to be stopped.
        patience: Positive integer, evaluations without a better score.
        eval_every: Positive integer, updates between evaluations.
        log_every: Positive integer, updates of an epoch, in which Keras counts.
    """

    def __init__(self, loop: Loop, patience: int, eval_every: int, log_every: int) -> None:
        super().__init__(SCORE, mode="max", patience=math.ceil(patience * eval_every / log_every))
        self._loop = loop
        self._log_every = log_every

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        best = self._loop.scores.best
        if best is not None:
            self.best = best[SCORE]
            seen = math.ceil(best["update"] / self._log_every)  # the epoch at whose end it was seen
            self.wait = self._loop.update // self._log_every - seen
            if self.wait >= self.patience:
                self.model.stop_training = True

    def get_monitor_value(self, logs: dict[str, Any] | None) -> float | None:
        """The best score so far, `None` before the first one."""
        best = self._loop.scores.best
        return None if best is None else best[SCORE]
