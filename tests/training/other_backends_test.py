"""A training on TensorFlow or torch, from its start to the scores of its policy."""

import json
import shutil

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO, load_policy
from keras_s5rl.cli import train
from tests.support.small_runs import (
    EVALUATION_METRICS,
    METRICS,
    STEPS,
    metrics_of,
    newest_arrays,
    small_config,
)

if keras.config.backend() == "jax":
    pytest.skip("More is asked of JAX elsewhere.", allow_module_level=True)


class NotesWeights(keras.callbacks.Callback):
    """Notes the first weight and the optimizer's steps at the end of each epoch."""

    def on_train_begin(self, logs=None):
        self.notes = []

    def on_epoch_end(self, epoch, logs=None):
        weight = ops.convert_to_numpy(self.model.trainable_variables[0])
        self.notes.append((weight.copy(), int(self.model.optimizer.iterations), logs["loss"]))


def new_agent():
    return PPO("RepeatPreviousEasy", memory="s5", config=small_config(), seed=2)


def test_stopped_and_resumed_it_is_the_run_that_was_never_stopped(tmp_path, unchanged_process):
    whole, callback = new_agent(), NotesWeights()
    settings = {"total_steps": 4 * STEPS, "checkpoint_every": 2, "log_every": 2, "verbose": False}
    settings |= {"eval_every": 2, "eval_episodes": 256}  # of the program that scores it at the end
    history = whole.fit(run_dir=tmp_path / "whole", callbacks=callback, **settings).history
    (middle, middle_steps, _), (end, end_steps, loss) = callback.notes
    steps_per_update = whole.config.num_epochs * whole.config.num_minibatches
    assert (middle_steps, end_steps) == (2 * steps_per_update, 4 * steps_per_update)
    assert (middle != end).any() and np.isfinite(end).all() and history["loss"][-1] == loss

    folder = shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    shutil.rmtree(folder / "checkpoints" / "checkpoint_00000004")
    assert newest_arrays(folder)[0] == 2
    assert train.main(["train.py", "--resume", f"--run_dir={folder}"]) == 0
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [list(json.loads(line)) for line in lines] == [METRICS + EVALUATION_METRICS] * 4
    scores = {row["update"]: row["eval_return_mean"] for row in metrics_of(folder)}
    assert [update for update, score in scores.items() if score is not None] == [1, 2, 4]
    best = load_policy(folder / "best_policy.keras").get_weights()
    for kept, weights in zip(best, whole.scores.best_weights, strict=True):
        np.testing.assert_array_equal(kept, weights)
    assert metrics_of(folder) == metrics_of(tmp_path / "whole")
    assert newest_arrays(folder) == newest_arrays(tmp_path / "whole")

    report = json.loads((folder / "evaluation.json").read_text())
    assert report == whole.evaluate(len(report["returns"]))
    assert report["length_mean"] == 51
    observations = np.random.default_rng(5).normal(size=(3, 9, 10)).astype("float32")
    policies = whole.policy, PPO.load(folder).policy, load_policy(folder / "policy.keras")
    expected, *others = (ops.convert_to_numpy(policy(observations)[0]) for policy in policies)
    for outputs in others:
        np.testing.assert_array_equal(outputs, expected)
