"""`Loop`: a learner run update by update, and what is left behind on every way out."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.models.weights import copy_values
from keras_s5rl.training.checks import NonFiniteLossError, check_finite
from keras_s5rl.training.hooks import Hooks
from keras_s5rl.training.learner_state import state_from_arrays, state_to_arrays
from keras_s5rl.training.metrics import UpdateRecord
from keras_s5rl.training.score_record import ScoreRecord
from keras_s5rl.training.seed_scores import SeedScores
from keras_s5rl.training.signals import signals_deferred
from keras_s5rl.typing import Array


class Loop:
    """Runs a learner's iteration again and again; it knows no algorithm.

    A learner is a pure function of one state, a nested structure of tensors that holds everything
    on which the next iteration depends:

    - `initial_state(key)` returns the first state;
    - `iterate(state)` returns `(state, metrics)`: the next state, and a dict of tensors that are
      finite unless the training has diverged;
    - `states(state)`, if it has that, returns a list of states, one of each seed that trains, with
      the entries of `variables`. By default there is one seed.
    - `compile(state)`, if it has that, returns `iterate` as a compiled function of such states.
      By default `iterate` is compiled as a whole.

    However a call of `run` ends, the model's weights, its optimizer, the learner's state and the
    number of updates belong together afterwards: an update has happened as a whole, or it has not.

    Args:
        learner: The learner.
        state: Its first state, a dict.
        model: Keras model of the callbacks. The loop stops where its `stop_training` is true.
        variables: Dict, for entries of the state that are lists of tensors: the Keras variables
            that these are the values of. Callbacks see them, and may change them.
        statistics: `keras_s5rl.training.metrics.UpdateRecord`, which makes the metrics of an update
            of what the iteration returns.
        scores: `keras_s5rl.training.score_record.ScoreRecord` before the first evaluation, or the
            `SeedScores` of several seeds; `None` for the former. Defaults to `None`.

    Attributes:
        update: Updates so far.
        state: The learner's state after them.
        scores: The record of the evaluations so far.

    Example:

    >>> from keras import ops
    >>> import keras
    >>> from keras_s5rl import random
    >>> from keras_s5rl.training.hooks import Hooks
    >>> from keras_s5rl.training.loop import Loop
    >>> from keras_s5rl.training.metrics import UpdateRecord
    >>> class Halving:
    ...     def initial_state(self, key):
    ...         return {"value": ops.ones(())}
    ...     def iterate(self, state):
    ...         return {"value": state["value"] / 2}, {"value": state["value"]}
    >>> learner, model = Halving(), keras.Sequential([keras.Input((1,))])
    >>> loop = Loop(learner, learner.initial_state(random.key(0)), model, {}, UpdateRecord(1))
    >>> loop.run(Hooks(model, [], None, log_every=1, num_updates=3), last_update=3)
    >>> loop.update, float(loop.state["value"])
    (3, 0.125)
    """

    def __init__(
        self,
        learner: Any,
        state: dict[str, Any],
        model: Any,
        variables: dict[str, Any],
        statistics: UpdateRecord,
        scores: ScoreRecord | SeedScores | None = None,
    ) -> None:
        self.learner = learner
        self.model = model
        self.update = 0
        self.state = state
        self.scores = ScoreRecord() if scores is None else scores
        self._variables = variables
        self._statistics = statistics
        self._program: Any = None
        self._recorded = 0  # the last update whose metrics were handed on

    @property
    def will_compile(self) -> bool:
        """Whether the next update compiles."""
        return self._program is None and keras.backend.backend() != "torch"

    def run(
        self,
        hooks: Hooks,
        last_update: int,
        record: Callable[[dict[str, Any]], Any] | None = None,
        checkpoint: Callable[[], Any] | None = None,
        checkpoint_every: int = 1,
        evaluate: Callable[[int], dict[str, float]] | None = None,
        evaluate_every: int = 1,
    ) -> None:
        """Trains to an update.

        Args:
            hooks: `keras_s5rl.training.hooks.Hooks`.
            last_update: Integer.
            record: Function of the metrics of an update that writes them down, or `None`.
            checkpoint: Function that writes a checkpoint, or `None`. It is called every
                `checkpoint_every` updates, and where an exception ends the training of one process;
                where that is a `NonFiniteLossError` the last one stays the newest, for a new try
                from there.
            checkpoint_every: Positive integer.
            evaluate: Function that scores the model as it is, or `None`. It is called after the
                first update of all, and every `evaluate_every` updates, with the place of the seed
                whose weights the model has among those that train. What it returns are metrics of
                that update; in the others they are `None`, and callbacks see the latest ones.
            evaluate_every: Positive integer.
        """
        self.read_weights()
        self._recorded = self.update
        try:
            with hooks:
                while self.update < last_update and not self._is_stopped():
                    self._update(hooks, record, evaluate, evaluate_every)
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

    def _is_stopped(self) -> bool:
        """Whether to stop: several processes do so after the same update, if one of them is to."""
        own = bool(getattr(self.model, "stop_training", False))
        return bool(backend.processes.maximum(own))

    def _settle(self, hooks: Hooks) -> None:
        """Takes over what callbacks did to the model, or gives it what it was not given yet."""
        if hooks.watched:
            self.read_weights()
        else:
            self.write_back()

    def _rescue(self, checkpoint: Callable[[], Any], error: BaseException) -> None:
        """Writes a last checkpoint, if metrics and state are those of one update; not where each of
        several processes would have to take part."""
        if self._recorded != self.update or backend.processes.count() > 1:
            return
        try:
            checkpoint()
        except Exception as failure:
            error.add_note(f"No checkpoint of update {self.update} could be written: {failure}")

    def _update(self, hooks: Hooks, *arguments: Any) -> None:
        """One update with its hooks: callbacks see the model as it is, and may change it."""
        hooks.before_update(self.update)
        if hooks.watched:
            self.read_weights()
        hooks.after_update(self._iterate(hooks, *arguments))
        if hooks.watched:
            self.read_weights()

    def _iterate(
        self,
        hooks: Hooks,
        record: Callable[[dict[str, Any]], Any] | None,
        evaluate: Callable[[int], dict[str, float]] | None,
        evaluate_every: int,
    ) -> dict[str, Any]:
        """One update: runs the compiled iteration, and hands its metrics on."""
        started = time.monotonic()
        if self._program is None:
            self._program = self._compile()
        state, tensors = self._program(self.state)
        values = {name: _plain(array) for name, array in sorted(backend.fetch(tensors).items())}
        update = self.update + 1
        check_finite(values, update)
        statistics, metrics = self._statistics.after(values, time.monotonic() - started, update)
        seen, scores = metrics, self.scores
        if evaluate is not None:
            is_due = update % evaluate_every == 0 or not scores.latest
            if is_due:
                scores = self._evaluate(evaluate, state, update)
            seen = metrics | scores.latest
            metrics = seen if is_due else metrics | _without_values(scores.latest)
        with signals_deferred():
            self.state, self.update, self._statistics = state, update, statistics
            self.scores = scores
            if hooks.watched:
                self.write_back()
            if record is not None:
                record(metrics)
            self._recorded = update
        return seen

    def _evaluate(
        self, evaluate: Callable[[int], dict[str, float]], state: dict[str, Any], update: int
    ) -> ScoreRecord | SeedScores:
        """Scores the model as it is in a state, which is not yet that of the loop."""
        scores = self.scores
        try:
            # The first seed last: the model is its.
            for seed, own in reversed([*enumerate(self.seed_states(state))]):
                self.assign(own)
                new = evaluate(seed)
                check_finite(new, update)
                scores = scores.after(new, update, self.model, seed)
        except BaseException:
            self.write_back()
            raise
        return scores

    def seed_states(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the states of the seeds in a state of the learner."""
        states: list[dict[str, Any]] = (
            self.learner.states(state) if hasattr(self.learner, "states") else [state]
        )
        return states

    def _compile(self) -> Callable[..., Any]:
        if hasattr(self.learner, "compile"):
            return self.learner.compile(self.state)
        return backend.compile(self.learner.iterate)

    def go_on_with(self, learner: Any, variables: dict[str, Any]) -> None:
        """Goes on with another learner of such states; its variables get the values of this one."""
        self.read_weights()
        self.learner, self._variables, self._program = learner, variables, None
        self.write_back()

    def write_back(self) -> None:
        """Gives the Keras variables their values in the learner's state."""
        self.assign(self.state)

    def assign(self, state: dict[str, Any]) -> None:
        """Gives the Keras variables their values in a state, as copies."""
        with signals_deferred():
            for name, variables in self._variables.items():
                for variable, value in zip(variables, state[name], strict=True):
                    variable.assign(ops.copy(backend.devices.on_default(value)))

    def read_weights(self) -> None:
        """Takes over what was done to the weights, the learning rate and the like from outside."""
        self.state = self.state | self.values()

    def values(self) -> dict[str, Any]:
        """Returns the values that the Keras variables have now, as entries of a state."""
        return {name: copy_values(variables) for name, variables in self._variables.items()}

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Goes back, or forth, to a checkpoint: a dict `update, arrays` and the metadata."""
        state = state_from_arrays(checkpoint["arrays"], self.state)
        statistics = self._statistics.restored(checkpoint)
        scores = self.scores.restored(checkpoint, self.model.get_weights())
        with signals_deferred():
            self.state, self.update = state, checkpoint["update"]
            self._statistics, self.scores = statistics, scores
            self.write_back()

    def snapshot(self) -> tuple[int, dict[str, Array], dict[str, Any]]:
        """Returns the whole state of the training: `(update, arrays, metadata)`."""
        arrays = state_to_arrays(self.state) | self.scores.to_arrays()
        return self.update, arrays, self._statistics.to_metadata() | self.scores.to_metadata()


def _without_values(metrics: dict[str, Any]) -> dict[str, Any]:
    return {n: [None] * len(v) if isinstance(v, list) else None for n, v in metrics.items()}


def _plain(array: Array) -> Any:
    """A scalar as a float, others as arrays."""
    return float(array) if np.ndim(array) == 0 else np.asarray(array, "float64")
