"""After every way out of `fit` policy, optimizer, state and number of updates belong together."""

import os
import signal

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO
from keras_s5rl.ppo.learner import Learner
from keras_s5rl.training import NonFiniteLossError
from keras_s5rl.training.recorder import Recorder
from keras_s5rl.training.signals import signals_deferred
from tests.support.envs_that_fail import InfiniteReward
from tests.support.small_runs import STEPS, as_bytes, metrics_of, newest_arrays, small_config

pytestmark = pytest.mark.not_on_tensorflow

HOOKS = [
    *("on_train_begin", "on_epoch_begin", "on_train_batch_begin"),
    *("on_train_batch_end", "on_epoch_end", "on_train_end"),
]


def new_agent(**settings):
    config = small_config(anneal_learning_rate=False, **settings)
    return PPO("RepeatPreviousEasy", memory="mlp", config=config)


def fit(agent, num_updates, *callbacks, **arguments):
    arguments = {"log_every": 2, "verbose": False, **arguments}
    return agent.fit(num_updates * STEPS, callbacks=list(callbacks), **arguments)


def state_of(agent):
    return as_bytes(agent.snapshot()[1])


@pytest.fixture(scope="module")
def whole():
    """The state after each number of updates of a training that nothing disturbs."""
    agent, states = new_agent(), {}
    for num_updates in range(1, 6):
        fit(agent, num_updates)
        states[num_updates] = state_of(agent)
    return states


def assert_belongs_together(agent):
    update, arrays, _ = agent.snapshot()
    assert update == agent.update
    optimizer = agent.policy.optimizer
    for name, variables in (
        ("trainable", agent.policy.trainable_variables),
        ("optimizer", optimizer.variables),
    ):
        for i, variable in enumerate(variables):
            value = ops.convert_to_numpy(variable)
            np.testing.assert_array_equal(value, arrays[f"{name}/{i}"])
    assert int(ops.convert_to_numpy(optimizer.iterations)) == 16 * update


class Raises(keras.callbacks.Callback):
    """Raises in one of its hooks, once two updates were made."""

    def __init__(self, hook, error, before=lambda model: None):
        super().__init__()
        self.updates = 0

        def fail(*unused, **logs):
            if self.updates >= 2 or hook == "on_train_begin":
                before(self.model)
                raise error

        note = self.note
        self.on_train_batch_end = note
        if hook == "on_train_batch_end":
            self.on_train_batch_end = lambda *unused, **logs: (note(), fail())
        else:
            setattr(self, hook, fail)

    def note(self, *unused, **logs):
        self.updates += 1


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
def test_a_callback_that_raises_in_a_hook_costs_nothing(hook, whole):
    agent = new_agent()
    with pytest.raises(RuntimeError, match="mine"):
        fit(agent, 5 if hook != "on_train_end" else 2, Raises(hook, RuntimeError("mine")))
    assert agent.update == (0 if hook == "on_train_begin" else 2)
    assert_belongs_together(agent)
    fit(agent, 5)
    assert state_of(agent) == whole[5]


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), OSError(28, "full")])
def test_whatever_is_raised_the_agent_goes_on_from_the_last_whole_update(error, whole):
    agent = new_agent()
    with pytest.raises(type(error)):
        fit(agent, 5, Raises("on_train_batch_end", error))
    assert agent.update == 2 and state_of(agent) == whole[2]
    assert_belongs_together(agent)
    fit(agent, 5)
    assert state_of(agent) == whole[5]


@pytest.mark.slow
def test_what_a_callback_did_before_it_raised_counts():
    def overwrite(model):
        model.set_weights([np.full_like(w, 0.125) for w in model.get_weights()])

    agent = new_agent(learning_rate=1e-30)
    with pytest.raises(RuntimeError):
        fit(agent, 5, Raises("on_train_batch_begin", RuntimeError(), overwrite))
    assert_belongs_together(agent)
    fit(agent, 5)
    assert all((weight == 0.125).all() for weight in agent.policy.get_weights())


@pytest.mark.slow
@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupted_iteration_has_not_happened(moment, watched, whole, monkeypatch):
    interruptions, compile_iteration = ["once"], Learner.compile

    def compile_interrupted(learner, state):
        run = compile_iteration(learner, state)

        def interrupt(state):
            if agent.update == 2 and interruptions and moment == "before":
                raise KeyboardInterrupt(interruptions.pop())
            results = run(state)
            if agent.update == 2 and interruptions:
                raise KeyboardInterrupt(interruptions.pop())
            return results

        return interrupt

    agent, callbacks = new_agent(), [keras.callbacks.Callback()] if watched else []
    monkeypatch.setattr(Learner, "compile", compile_interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(agent, 5, *callbacks)
    assert agent.update == 2 and state_of(agent) == whole[2]
    assert_belongs_together(agent)
    fit(agent, 5, *callbacks)
    assert state_of(agent) == whole[5]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["record", "checkpoint", "start", "finish"])
def test_a_disk_that_is_full_costs_the_agent_nothing(method, whole, tmp_path, monkeypatch):
    agent, write = new_agent(), getattr(Recorder, method)

    def fail(recorder, argument):
        if method in ("start", "finish") or agent.update == 2:
            raise OSError(28, "No space left on device")
        return write(recorder, argument)

    monkeypatch.setattr(Recorder, method, fail)
    with pytest.raises(OSError, match="No space left"):
        fit(agent, 3, run_dir=tmp_path / "run", checkpoint_every=2)
    expected = {"record": 2, "checkpoint": 2, "start": 0, "finish": 3}[method]
    assert agent.update == expected
    assert_belongs_together(agent)
    fit(agent, 5)
    assert state_of(agent) == whole[5]


@pytest.mark.slow
def test_an_exception_leaves_a_checkpoint_of_the_last_update_to_resume_from(tmp_path):
    fit(new_agent(), 5, run_dir=tmp_path / "whole")
    for number, error in enumerate((ValueError("mine"), KeyboardInterrupt(), SystemExit(1))):
        folder = tmp_path / str(number)
        with pytest.raises(type(error)):
            fit(new_agent(), 5, Raises("on_train_batch_end", error), run_dir=folder)
        assert newest_arrays(folder)[0] == 2 and len(metrics_of(folder)) == 2
        fit(new_agent(), 5, run_dir=folder, resume=True)
        assert newest_arrays(folder) == newest_arrays(tmp_path / "whole")
        assert metrics_of(folder) == metrics_of(tmp_path / "whole")


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_does_not_hide_the_exception(tmp_path, monkeypatch):
    write, agent = Recorder.checkpoint, new_agent()

    def fail(recorder, agent):
        if agent.update:
            raise OSError(28, "No space left on device")
        write(recorder, agent)

    monkeypatch.setattr(Recorder, "checkpoint", fail)
    with pytest.raises(RuntimeError, match="mine") as caught:
        fit(agent, 5, Raises("on_train_batch_end", RuntimeError("mine")), run_dir=tmp_path / "run")
    (note,) = caught.value.__notes__
    assert note.startswith("No checkpoint of update 2 could be written") and "No space" in note


@pytest.mark.slow
def test_a_loss_that_is_not_finite_leaves_the_update_before():
    agent, before = (PPO(InfiniteReward(), memory="mlp", config=small_config()) for _ in range(2))
    for _ in range(2):  # the second time from there
        with pytest.raises(NonFiniteLossError, match="Update 4 has non-finite .*Received: "):
            agent.fit(10 * STEPS, verbose=False)
        assert agent.update == 3
        assert_belongs_together(agent)
    with pytest.raises(NonFiniteLossError):
        before.fit(10 * STEPS, callbacks=keras.callbacks.Callback(), verbose=False)
    assert state_of(before) == state_of(agent)
    assert all(np.isfinite(weight).all() for weight in agent.policy.get_weights())


@pytest.mark.slow
def test_weights_that_overflow_are_found_before_they_are_taken_over():
    agent = new_agent(learning_rate=3e38, num_epochs=1, num_minibatches=1)
    first = [weight.copy() for weight in agent.policy.get_weights()]
    with pytest.raises(NonFiniteLossError, match="Update 1 has non-finite weights:"):
        fit(agent, 3)
    assert agent.update == 0
    for weight, expected in zip(agent.policy.get_weights(), first, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.slow
def test_a_diverged_run_keeps_its_scheduled_checkpoint_as_the_newest(tmp_path):
    agent = new_agent(learning_rate=3e38, num_epochs=1, num_minibatches=1)
    with pytest.raises(NonFiniteLossError):
        fit(agent, 3, run_dir=tmp_path / "run")
    assert newest_arrays(tmp_path / "run")[0] == 0 and metrics_of(tmp_path / "run") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_for_the_end_of_a_block(number):
    calls = []
    before = signal.signal(number, lambda *arguments: calls.append(arguments[0]))
    try:
        with pytest.raises(OSError, match="in the block"), signals_deferred():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            assert calls == []
            raise OSError("in the block")
        assert set(calls) == {number}
        os.kill(os.getpid(), number)
        assert len(calls) >= 2
    finally:
        signal.signal(number, before)
