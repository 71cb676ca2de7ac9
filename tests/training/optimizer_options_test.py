"""Runs with a `target_kl` and an `ssm_learning_rate`."""

import keras
import pytest

from keras_s5rl import PPO
from tests.support.small_runs import STEPS, metrics_of, newest_arrays, small_config

pytestmark = [pytest.mark.slow, pytest.mark.not_on_tensorflow]


class EndsAfter(keras.callbacks.Callback):
    def __init__(self, update):
        super().__init__()
        self.update = update

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.update - 1:
            raise RuntimeError("the end")


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path):
    config = small_config(target_kl=2e-5, ssm_learning_rate=1e-3)

    def agent():
        return PPO("RepeatPreviousEasy", {"k": 2}, "lru", config, memory_args={"state_size": 4})

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    agent().fit(3 * STEPS, run_dir=whole, verbose=False)
    with pytest.raises(RuntimeError, match="the end"):
        agent().fit(3 * STEPS, run_dir=parts, verbose=False, callbacks=[EndsAfter(2)])
    agent().fit(3 * STEPS, run_dir=parts, verbose=False, resume=True)
    assert metrics_of(parts) == metrics_of(whole) and newest_arrays(parts) == newest_arrays(whole)
    shares = [row["gradient_step_share"] for row in metrics_of(whole)]
    assert min(shares) < 1, "no step was skipped"
    assert PPO.load(parts).policy.optimizer.rate_factors.count(0.5) == 4  # 1e-3 by 2e-3
