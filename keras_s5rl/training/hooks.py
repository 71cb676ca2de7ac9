"""The Keras callbacks of a training."""

import math
from typing import Any, Self

import keras

from keras_s5rl.training.metrics import interval_means
from keras_s5rl.training.progress import Progress


class Hooks:
    """Calls Keras callbacks: their batches are updates, their epochs `log_every` updates.

    Args:
        policy: The model of the callbacks.
        callbacks: A Keras callback, or a list of them.
        progress: `keras_s5rl.training.progress.Progress`, closed at the end come what may, or
            `None`.
        log_every: Positive integer.
        num_updates: Integer, updates of the whole run.
        early_stop: Keras callback that leaves the policy alone, or `None`. Defaults to `None`.

    Attributes:
        watched: Whether one of `callbacks` may look at the policy, or change it.
    """

    def __init__(
        self,
        policy: Any,
        callbacks: Any,
        progress: Progress | None,
        log_every: int,
        num_updates: int,
        early_stop: keras.callbacks.Callback | None = None,
    ) -> None:
        callbacks = keras.tree.flatten(callbacks or ())
        self.watched = bool(callbacks)
        self._progress = progress
        self._log_every = log_every
        self._interval: list[dict[str, Any]] = []
        self._hooks = keras.callbacks.CallbackList(
            [*callbacks, *(own for own in (early_stop, progress) if own is not None)],
            add_history=True,
            model=policy,
            epochs=math.ceil(num_updates / log_every),
            steps=log_every,
            verbose=int(progress is not None),
        )

    def __enter__(self) -> Self:
        self._hooks.on_train_begin()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self._progress.close()

    def before_update(self, update: int) -> None:
        """To be called with the number of updates before this one."""
        if not self._interval:
            self._hooks.on_epoch_begin(update // self._log_every)
        self._hooks.on_train_batch_begin(update % self._log_every)

    def after_update(self, metrics: dict[str, Any]) -> None:
        self._interval.append(metrics)
        batch = (metrics["update"] - 1) % self._log_every
        self._hooks.on_train_batch_end(batch, interval_means([metrics]))
        if metrics["update"] % self._log_every == 0:
            self._end_epoch()

    def end(self) -> None:
        """Ends the epoch in hand, however short, and the training."""
        if self._interval:
            self._end_epoch()
        self._hooks.on_train_end()

    def _end_epoch(self) -> None:
        epoch = (self._interval[-1]["update"] - 1) // self._log_every
        self._hooks.on_epoch_end(epoch, interval_means(self._interval))
        self._interval = []
