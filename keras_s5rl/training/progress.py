"""How a training shows how far it has come."""

import math
import sys
import threading
import time
from typing import Any

import keras

from keras_s5rl.runs import console
from keras_s5rl.training.metrics import SCORE


class Progress(keras.callbacks.Callback):
    """A progress bar on a terminal; elsewhere (a pipe, CI) one line every `log_every` updates.

    The first update compiles: meanwhile a terminal shows a clock. It counts neither for the speed
    nor for the time left. A stream that is closed, full or broken is no reason to stop.

    Args:
        total_steps: Integer, environment steps of the whole run.
        initial_steps: Integer, environment steps done before. Defaults to `0`.
        stream: Text stream. Defaults to the standard error stream.
        compiles: Whether the first update compiles. Defaults to `True`.
    """

    def __init__(
        self, total_steps: int, initial_steps: int = 0, stream: Any = None, compiles: bool = True
    ) -> None:
        super().__init__()
        self.total_steps = total_steps
        self.compiles = compiles
        self._stream = _Stream(stream or sys.stderr)
        self._bar: Any = None
        self._clock: _Clock | None = None
        self._env_steps = initial_steps
        self._started = 0.0
        self._timed_from: Any = None  # `(seconds, steps)` after the first update
        self._last_return: float | None = None
        self._last_score: float | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._started = time.monotonic()
        word = "compiling; " if self.compiles else ""
        if not self._stream.isatty():
            self._print(f"{word}training to {self.total_steps:,} steps")
        elif self.compiles:
            self._clock = _Clock(self._stream)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        env_steps = min(int(logs["env_steps"]), self.total_steps)
        if not math.isnan(logs["episode_return_mean"]):
            self._last_return = logs["episode_return_mean"]
        self._last_score = logs.get(SCORE)
        if self._timed_from is None:
            self._end_first_update(env_steps)
        elif self._bar is not None:
            self._bar.set_postfix_str(self._return_text(), refresh=False)
            self._bar.update(env_steps - self._env_steps)
        self._env_steps = env_steps

    def _end_first_update(self, env_steps: int) -> None:
        now = time.monotonic()
        self._timed_from = now, env_steps
        self._stop_clock()
        if self._stream.isatty():
            import tqdm

            self._bar = tqdm.tqdm(
                total=self.total_steps,
                initial=env_steps,
                unit=" steps",
                unit_scale=True,
                file=self._stream,
                dynamic_ncols=True,
                desc="training",
                postfix=self._return_text(),
            )
        elif self.compiles:
            self._print(f"compiled in {now - self._started:.1f} s, the first update among them")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._bar is None:
            self._print(
                f"{self._env_steps:>12,} steps  {logs['steps_per_s']:>9,.0f} steps/s  "
                f"{self._return_text()}  {self._seconds_left()} s left"
            )

    def close(self) -> None:
        """Ends the bar's line."""
        self._stop_clock()
        if self._bar is not None:
            self._bar.close()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None

    def _seconds_left(self) -> str:
        since, steps = self._timed_from
        done, left = self._env_steps - steps, self.total_steps - self._env_steps
        if left == 0 or done == 0:
            return "    0" if left == 0 else "    ?"
        return f"{(time.monotonic() - since) * left / done:5.0f}"

    def _return_text(self) -> str:
        text = "return    -" if self._last_return is None else f"return {self._last_return:.3f}"
        return text if self._last_score is None else f"{text}  evaluation {self._last_score:.3f}"

    def _print(self, line: str) -> None:
        console.write(line, self._stream.stream)


class _Clock:
    """A line that counts the seconds of compiling, from a thread of its own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._stream.write(f"\rcompiling: {time.monotonic() - self._started:.0f} s")
            self._stream.flush()
            if self._stopped.wait(1.0):
                self._stream.write("\r" + 30 * " " + "\r")
                self._stream.flush()
                return

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(1.0)  # a terminal that takes nothing does not hold the training up


class _Stream:
    """A text stream that drops what it cannot write; also one that is not there (`None`)."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> Any:
        return self._try("write", text)

    def flush(self) -> None:
        self._try("flush")

    def isatty(self) -> bool:
        return bool(self._try("isatty"))

    def _try(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self.stream, name)(*arguments)
        except (AttributeError, OSError, ValueError):  # ValueError: it is closed, or cannot encode
            return None

    def __getattr__(self, name: str) -> Any:  # the bar asks for the encoding and the width
        return getattr(self.stream, name)
