"""The loop, with a learner that is no PPO: a line fitted by gradient descent."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.runs import RunError
from keras_s5rl.training.checks import NonFiniteLossError
from keras_s5rl.training.hooks import Hooks
from keras_s5rl.training.loop import Loop
from keras_s5rl.training.metrics import UpdateRecord

STEP = 0.1


class LineFit:
    """Fits `y = a x` to `y = 3 x` on 8 draws of x an update, by its own gradient."""

    def __init__(self, model, target=3.0):
        self.model = model
        self.target = target

    def initial_state(self, key):
        return {"slope": [ops.copy(self.model.trainable_variables[0].value)], "key": key}

    def iterate(self, state):
        key, batch_key = ops.unstack(random.split(state["key"]), 2)
        x = random.normal(batch_key, (8,))
        (slope,) = state["slope"]
        error = (slope[0, 0] - self.target) * x
        slope = slope - STEP * ops.mean(error * x)
        return {"slope": [slope], "key": key}, {"loss": ops.mean(ops.square(error))}


def new_loop(target=3.0):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1), "float32")])
    learner = LineFit(model, target)
    state = learner.initial_state(random.key(0))
    variables = {"slope": model.trainable_variables}
    return Loop(learner, state, model, variables, UpdateRecord(steps_per_update=8))


def run(loop, last_update, *callbacks, **arguments):
    hooks = Hooks(loop.model, callbacks, None, log_every=1, num_updates=last_update)
    loop.run(hooks, last_update, **arguments)
    return loop.model.history


def slope_of(loop):
    return float(loop.model.get_weights()[0][0, 0])


def test_any_learner_is_trained_and_its_model_gets_the_weights():
    loop = new_loop()
    history = run(loop, 60).history
    assert slope_of(loop) == pytest.approx(3.0, abs=0.1)
    assert history["loss"][-1] < 1e-2 * history["loss"][0]
    assert history["env_steps"] == [8 * update for update in range(1, 61)]


def test_callbacks_see_the_weights_of_each_update_and_may_change_them():
    class Halve(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.get_weights()[0][0, 0]))
            self.model.set_weights([self.model.get_weights()[0] / 2])

    seen, loop = [], new_loop()
    run(loop, 3, Halve())
    key, slope, expected = random.key(0), 0.0, []
    for _ in range(3):
        key, batch_key = ops.unstack(random.split(key), 2)
        x = ops.convert_to_numpy(random.normal(batch_key, (8,)))
        expected.append(slope - STEP * np.mean((slope - 3.0) * x * x))
        slope = expected[-1] / 2
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    assert slope_of(loop) == pytest.approx(slope, rel=1e-5)


def test_a_snapshot_restores_state_weights_and_time():
    whole, first, second = new_loop(), new_loop(), new_loop()
    run(whole, 7)
    run(first, 4)
    update, arrays, metadata = first.snapshot()
    second.restore({"update": update, "arrays": arrays, **metadata})
    assert second.update == 4 and slope_of(second) == slope_of(first)
    assert second.snapshot()[2] == metadata and metadata["wall_time_s"] > 0
    run(second, 7)
    assert slope_of(second) == slope_of(whole)


def test_a_loss_that_is_not_finite_leaves_the_update_before():
    loop, checkpoints = new_loop(target=float("inf")), []
    loop.update = 5
    with pytest.raises(NonFiniteLossError, match="Update 6"):
        run(loop, 9, checkpoint=lambda: checkpoints.append(loop.update), checkpoint_every=1)
    assert loop.update == 5 and slope_of(loop) == 0.0 and checkpoints == []


def test_metrics_and_checkpoints_are_handed_on_as_they_fall_due():
    loop, lines, checkpoints = new_loop(), [], []
    run(
        loop,
        5,
        record=lines.append,
        checkpoint=lambda: checkpoints.append(loop.update),
        checkpoint_every=2,
    )
    assert [line["update"] for line in lines] == [1, 2, 3, 4, 5] and checkpoints == [2, 4]
    assert list(lines[0]) == ["update", "env_steps", "wall_time_s", "steps_per_s", "loss"]


SCORE = dict.fromkeys(("eval_return_mean", "eval_return_std", "eval_length_mean"), 0.0)


def test_scores_are_metrics_of_their_update_and_callbacks_see_the_latest():
    loop, lines, slopes = new_loop(), [], []

    def evaluate(seed):
        slopes.append(slope_of(loop))
        return SCORE | {"eval_return_mean": float(len(slopes) % 2)}

    history = run(loop, 5, record=lines.append, evaluate=evaluate, evaluate_every=2).history
    assert [line["eval_return_mean"] for line in lines] == [1.0, 0.0, None, 1.0, None]
    assert history["eval_return_mean"] == [1.0, 0.0, 0.0, 1.0, 1.0]
    assert loop.scores.best == {"update": 1, **SCORE, "eval_return_mean": 1.0}  # the first of two
    np.testing.assert_array_equal(loop.scores.best_weights[0], [[slopes[0]]])
    plain, states = new_loop(), []
    run(plain, 5, record=lambda line: states.append(float(plain.state["slope"][0][0, 0])))
    assert slopes == [states[0], states[1], states[3]]  # the model was that of the update
    assert slope_of(plain) == slope_of(loop)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, float("nan")])
def test_an_update_whose_evaluation_fails_has_not_happened(failure, watched):
    loop, lines, checkpoints, slopes = new_loop(), [], [], []

    def evaluate(seed):
        if loop.update == 2 and failure is KeyboardInterrupt:
            raise KeyboardInterrupt
        return SCORE | {"eval_return_mean": failure if loop.update == 2 else 1.0}

    def checkpoint():
        checkpoints.append(loop.snapshot())

    def record(line):
        lines.append(line)
        slopes.append(float(loop.state["slope"][0][0, 0]))

    callbacks = [keras.callbacks.Callback()] * watched
    expected = failure if failure is KeyboardInterrupt else NonFiniteLossError
    with pytest.raises(expected):
        run(loop, 9, *callbacks, record=record, checkpoint=checkpoint, evaluate=evaluate)
    assert loop.update == 2 == len(lines) and slope_of(loop) == slopes[-1]
    assert float(loop.state["slope"][0][0, 0]) == slopes[-1]
    assert checkpoints[-1][0] == 2 and checkpoints[-1][2]["best_policy"]["update"] == 1


def test_scores_are_restored_with_the_state_and_damaged_ones_are_refused():
    loop, other = new_loop(), new_loop()
    run(loop, 3, evaluate=lambda seed: SCORE | {"eval_return_mean": -slope_of(loop)})
    update, arrays, metadata = loop.snapshot()
    good = {"update": update, "arrays": arrays, **metadata}
    other.restore(good)
    assert other.scores.best == loop.scores.best and other.scores.latest == loop.scores.latest
    np.testing.assert_array_equal(other.scores.best_weights, loop.scores.best_weights)
    weights = {name: array for name, array in arrays.items() if name != "best_policy/0"}
    for wrong in (
        {"latest_scores": None},
        {"best_policy": [1]},
        {"best_policy": {**metadata["best_policy"], "update": "two"}},
        {"arrays": weights},
        {"arrays": arrays | {"best_policy/0": np.zeros((2, 2), "float32")}},
    ):
        with pytest.raises(RunError, match="the scores of evaluations and the weights"):
            new_loop().restore(good | wrong)


def test_a_learner_may_compile_its_iteration_in_its_own_way():
    loop, states = new_loop(), []

    def compile_own(state):
        states.append(state)
        return loop.learner.iterate

    loop.learner.compile = compile_own
    run(loop, 3)
    assert len(states) == 1 and slope_of(loop) > 0
