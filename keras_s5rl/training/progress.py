"""How a training shows how far it has come."""

import math
import sys
import time

import keras


class Progress(keras.callbacks.Callback):
    """A progress bar on a terminal; elsewhere (a pipe, CI) one line every `log_every` updates.

    Args:
        total_steps: Integer, environment steps of the whole run.
        initial_steps: Integer, environment steps done before. Defaults to `0`.
        stream: Text stream. Defaults to the standard error stream.
    """

    def __init__(self, total_steps, initial_steps=0, stream=None):
        super().__init__()
        self.total_steps = total_steps
        self.initial_steps = initial_steps
        self.stream = stream or sys.stderr
        self._bar = None
        self._env_steps = initial_steps
        self._started = None
        self._last_return = None

    def on_train_begin(self, logs=None):
        self._started = time.monotonic()
        if self.stream.isatty():
            import tqdm

            self._bar = tqdm.tqdm(
                total=self.total_steps,
                initial=self.initial_steps,
                unit=" steps",
                unit_scale=True,
                file=self.stream,
                dynamic_ncols=True,
                desc="compiling",
            )
        else:
            self._print(f"compiling; training to {self.total_steps:,} steps")

    def on_train_batch_end(self, batch, logs=None):
        env_steps = min(int(logs["env_steps"]), self.total_steps)
        if not math.isnan(logs["episode_return_mean"]):
            self._last_return = logs["episode_return_mean"]
        if self._bar is not None:
            self._bar.set_description("training", refresh=False)
            self._bar.set_postfix_str(self._return_text(), refresh=False)
            self._bar.update(env_steps - self._env_steps)
        self._env_steps = env_steps

    def on_epoch_end(self, epoch, logs=None):
        if self._bar is None:
            seconds = time.monotonic() - self._started
            done = self._env_steps - self.initial_steps
            left = seconds * (self.total_steps - self._env_steps) / max(done, 1)
            self._print(
                f"{self._env_steps:>12,} steps  {logs['steps_per_s']:>9,.0f} steps/s  "
                f"{self._return_text()}  {left:5.0f} s left"
            )

    def close(self):
        """Ends the bar's line."""
        if self._bar is not None:
            self._bar.close()

    def _return_text(self):
        return "return    -" if self._last_return is None else f"return {self._last_return:.3f}"

    def _print(self, line):
        print(line, file=self.stream, flush=True)
