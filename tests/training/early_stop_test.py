"""A training that stops where its score gets no better."""

import keras
import numpy as np
import pytest

from keras_s5rl.training.early_stop import EarlyStop
from keras_s5rl.training.hooks import Hooks
from keras_s5rl.training.loop import Loop
from keras_s5rl.training.metrics import UpdateRecord

pytestmark = pytest.mark.not_on_tensorflow

LAST = 60


class Idle:
    """Learns nothing, and compiles nothing."""

    def compile(self, state):
        return lambda state: (state, {})


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def train(model, scores, eval_every, log_every, patience, last_update=LAST, checkpoint=None):
    """Trains with scores by update; returns the loop."""
    loop = Loop(Idle(), {}, model, {}, UpdateRecord(1))
    model.stop_training = False
    if checkpoint is not None:
        update, arrays, metadata = checkpoint
        loop.restore({"update": update, "arrays": arrays, **metadata})

    def evaluate(seed):
        rest = {"eval_return_std": 0.0, "eval_length_mean": 1.0}
        return {"eval_return_mean": scores[loop.update + 1], **rest}

    stop = EarlyStop(loop, patience, eval_every, log_every)
    hooks = Hooks(model, [], None, log_every, LAST, stop)
    assert not hooks.watched
    loop.run(hooks, last_update, evaluate=evaluate, evaluate_every=eval_every)
    return loop


def stops_at(scores, eval_every, log_every, patience):
    """By counting: the first end of an epoch at which the best score is old enough."""
    best = 1
    for update in range(1, LAST + 1):
        is_evaluated = update == 1 or update % eval_every == 0
        if is_evaluated and scores[update] > scores[best]:
            best = update
        if update % log_every == 0 and update > log_every:
            epochs = (update - log_every * -(-best // log_every)) / log_every
            if epochs * log_every >= patience * eval_every:
                return update
    return LAST


CASES = [(1, 1, 3), (2, 4, 2), (4, 2, 2), (3, 5, 4), (5, 3, 1), (1, 10, 5)]


@pytest.mark.parametrize(("eval_every", "log_every", "patience"), CASES)
def test_it_stops_where_counting_says_and_a_resumed_run_does_too(
    eval_every, log_every, patience, model
):
    generator, stopped = np.random.default_rng(7), set()
    for _ in range(8):
        scores = generator.integers(0, 6, LAST + 1) + 0.2 * np.arange(LAST + 1)
        scores = np.where(np.arange(LAST + 1) < generator.integers(5, 70), scores, 0.0).tolist()
        expected = stops_at(scores, eval_every, log_every, patience)
        settings = (model, scores, eval_every, log_every, patience)
        assert train(*settings).update == expected
        # Cut at the end of an epoch: a cut inside of one would end a short epoch there.
        cut = log_every * int(generator.integers(1, expected // log_every + 1))
        checkpoint = train(*settings, last_update=cut).snapshot()
        assert checkpoint[0] == cut
        assert train(*settings, checkpoint=checkpoint).update == expected
        stopped.add(expected)
    assert len(stopped) > 1


def test_a_run_that_has_stopped_stops_at_once_when_it_is_resumed(model):
    scores = [0.0] * (LAST + 1)
    loop = train(model, scores, 1, 1, 4)
    assert loop.update == 5
    assert train(model, scores, 1, 1, 4, checkpoint=loop.snapshot()).update == 5
    assert train(model, scores, 1, 1, 6, checkpoint=loop.snapshot()).update == 7


def test_the_callback_of_keras_stops_on_the_score_too(model):
    loop = Loop(Idle(), {}, model, {}, UpdateRecord(1))
    model.stop_training = False
    scores = iter([0.0, 1.0, 3.0, 2.0, 3.0, 1.0, 4.0])
    rest = {"eval_return_std": 0.0, "eval_length_mean": 1.0}
    stop = keras.callbacks.EarlyStopping(monitor="eval_return_mean", mode="max", patience=3)
    loop.run(
        Hooks(model, [stop], None, 1, LAST),
        LAST,
        evaluate=lambda seed: {"eval_return_mean": next(scores), **rest},
    )
    assert loop.update == 6 and model.history.history["eval_return_mean"][-1] == 1.0
    model.stop_training = False
