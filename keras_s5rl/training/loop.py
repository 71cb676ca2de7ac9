"""`Loop`: a learner run update by update, and what is left behind on every way out."""

import time

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.ppo.learner import copy_values
from keras_s5rl.training.checks import NonFiniteLossError, check_finite
from keras_s5rl.training.learner_state import state_from_arrays, state_to_arrays
from keras_s5rl.training.metrics import EpisodeRecord
from keras_s5rl.training.signals import signals_deferred


class Loop:
    """Runs a learner's iteration again and again.

    However a call of `run` ends, the policy's weights, its optimizer, the learner's state and the
    number of updates belong together afterwards: an update has happened as a whole, or it has not.

    Args:
        learner: `keras_s5rl.ppo.learner.Learner`.
        state: Its first state.

    Attributes:
        update: Updates so far.
        state: The learner's state after them.
    """

    def __init__(self, learner, state):
        self.learner = learner
        self.policy = learner.policy
        self.update = 0
        self.state = state
        config = learner.config
        self._episodes = EpisodeRecord.empty(config.num_envs, config.episodes_kept)
        self._recorded = 0  # the last update whose metrics were handed on

    @property
    def will_compile(self):
        """Whether the next update compiles."""
        return not self.learner.is_compiled and keras.backend.backend() != "torch"

    def run(self, hooks, last_update, record=None, checkpoint=None, checkpoint_every=None):
        """Trains to an update.

        Args:
            hooks: `keras_s5rl.training.hooks.Hooks`.
            last_update: Integer.
            record: Function of the metrics of an update that writes them down, or `None`.
            checkpoint: Function that writes a checkpoint, or `None`. It is called every
                `checkpoint_every` updates, and where an exception ends the training; where that is
                a `NonFiniteLossError` the last one stays the newest, for a new try from there.
            checkpoint_every: Positive integer.
        """
        self.read_weights()
        self._recorded = self.update
        try:
            with hooks:
                while self.update < last_update and not self.policy.stop_training:
                    self._update(hooks, record)
                    if checkpoint is not None and self.update % checkpoint_every == 0:
                        checkpoint()
                self.write_back()
                hooks.end()
            self.read_weights()
        except BaseException as error:
            with signals_deferred():
                self._settle(hooks)
                if checkpoint is not None and not isinstance(error, NonFiniteLossError):
                    self._rescue(checkpoint, error)
            raise

    def _settle(self, hooks):
        """Takes over what callbacks did to the policy, or gives it what it was not given yet."""
        if hooks.watched:
            self.read_weights()
        else:
            self.write_back()

    def _rescue(self, checkpoint, error):
        """Writes a last checkpoint, if metrics and state are those of one update."""
        if self._recorded != self.update:
            return
        try:
            checkpoint()
        except Exception as failure:
            error.add_note(f"No checkpoint of update {self.update} could be written: {failure}")

    def _update(self, hooks, record):
        """One update with its hooks: callbacks see the policy as it is, and may change it."""
        hooks.before_update(self.update)
        if hooks.watched:
            self.read_weights()
        metrics = self._iterate(hooks, record)
        hooks.after_update(metrics)
        if hooks.watched:
            self.read_weights()

    def _iterate(self, hooks, record):
        """One update: runs the compiled iteration, and hands its metrics on."""
        started = time.monotonic()
        state, tensors = self.learner(self.state)
        values = {name: _plain(tensors[name]) for name in sorted(tensors)}
        update = self.update + 1
        check_finite(values, update)
        del values["weights"]
        steps = self.learner.config.steps_per_update
        seconds = time.monotonic() - started
        episodes, metrics = self._episodes.after(values, seconds, update, update * steps, steps)
        with signals_deferred():
            self.state, self.update, self._episodes = state, update, episodes
            if hooks.watched:
                self.write_back()
            if record is not None:
                record(metrics)
            self._recorded = update
        return metrics

    def write_back(self):
        """Gives the policy and its optimizer the learner's weights, as copies."""
        with signals_deferred():
            for variables, name in self._variable_lists():
                for variable, value in zip(variables, self.state[name], strict=True):
                    variable.assign(ops.copy(backend.devices.on_default(value)))

    def read_weights(self):
        """Takes over what was done to the weights, the learning rate and the like from outside."""
        self.state = self.state | {
            name: copy_values(variables) for variables, name in self._variable_lists()
        }

    def _variable_lists(self):
        return (
            (self.policy.trainable_variables, "trainable"),
            (self.policy.optimizer.variables, "optimizer"),
        )

    def restore(self, checkpoint):
        """Goes back, or forth, to a checkpoint: a dict `update, arrays` and the metadata."""
        config = self.learner.config
        state = state_from_arrays(checkpoint["arrays"], self.state)
        episodes = EpisodeRecord.from_metadata(checkpoint, config.num_envs, config.episodes_kept)
        with signals_deferred():
            self.state, self.update, self._episodes = state, checkpoint["update"], episodes
            self.write_back()

    def snapshot(self):
        """Returns the whole state of the training: `(update, arrays, metadata)`."""
        return self.update, state_to_arrays(self.state), self._episodes.to_metadata()


def _plain(tensor):
    """A scalar as a float, others as arrays."""
    array = ops.convert_to_numpy(tensor)
    return float(array) if np.ndim(array) == 0 else np.asarray(array, "float64")
