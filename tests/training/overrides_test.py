"""Runs that go on with other settings."""

import json

import numpy as np
import pytest

from keras_s5rl import PPO
from keras_s5rl.ppo.config import OVERRIDABLE_SETTINGS
from keras_s5rl.runs import Checkpoints, RunError
from keras_s5rl.training.overrides import apply_overrides
from tests.support.small_runs import (
    NO_EVALUATION,
    STEPS,
    metrics_of,
    run_settings,
    small_config,
)

pytestmark = pytest.mark.not_on_tensorflow

OTHER = {
    **{"num_epochs": 2, "num_minibatches": 2, "learning_rate": 1e-4, "adam_epsilon": 1e-5},
    **{"ssm_learning_rate": 5e-5},
    **{"discount": 0.9, "gae_lambda": 0.8, "clip_epsilon": 0.1, "value_clip": 0.5},
    **{"value_coefficient": 0.25, "entropy_coefficient": 0.01, "max_grad_norm": 0.1},
    **{"normalize_advantages": "none"},
    **{"treat_truncation_as_termination": True, "reward_scale": 5.0},
}


def lru_agent(config):
    return PPO("RepeatPreviousEasy", {"k": 2}, "lru", config, memory_args={"state_size": 4})


def agent(**settings):
    return lru_agent(small_config(num_epochs=1, **settings))


def resume(folder, updates, override=True, **settings):
    settings = {"num_epochs": 1, **settings}
    resumed = lru_agent(small_config(**settings))
    options = {"run_dir": folder, "resume": True, "override": override, "verbose": False}
    resumed.fit(updates * STEPS, **options)
    return resumed


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def optimizer(folder):
    _, arrays, _, _ = Checkpoints(folder / "checkpoints").load_newest()
    return arrays


@pytest.mark.slow
@pytest.mark.parametrize("anneal", [True, False])
def test_settings_are_overridden_and_reported(tmp_path, anneal):
    folder = tmp_path / "run"
    agent(anneal_learning_rate=anneal).fit(4 * STEPS, run_dir=folder, verbose=False)
    other = {**OTHER, "anneal_learning_rate": not anneal}
    assert set(other) == set(OVERRIDABLE_SETTINGS)
    old = config_of(folder)
    with pytest.raises(RunError, match="give `--override`"):
        resume(folder, 4, override=False, **{**other, "num_epochs": 1, "num_minibatches": 4})
    assert config_of(folder) == old
    resumed = resume(folder, 6, **other)
    config = config_of(folder)
    assert {name: config[name] for name in other} == other
    (entry,) = config["overrides"]
    assert entry["update"] == 4
    expected = {name: [old[name], value] for name, value in other.items()}
    if not anneal:  # the schedule ends at total_steps, which has grown
        expected["total_steps"] = [4 * STEPS, 6 * STEPS]
    assert entry["settings"] == expected
    assert [row.get("overrides") for row in metrics_of(folder)] == [None] * 4 + [1, 1]
    arrays = optimizer(folder)
    if anneal:  # constant from here on
        assert arrays["optimizer/1"] == np.float32(1e-4)
        assert int(arrays["optimizer/0"]) == 4 * 4 + 2 * 2 * 2
    else:
        assert int(arrays["optimizer/0"]) == 6 * 2 * 2  # as if always so many steps
    loaded = PPO.load(folder)
    assert loaded.update == resumed.update == 6
    resume(folder, 6, override=False, **other)  # the new settings are the run's
    assert len(config_of(folder)["overrides"]) == 1


@pytest.mark.slow
def test_a_constant_learning_rate_is_overridden_even_if_killed_before_the_next_checkpoint(tmp_path):
    folder = tmp_path / "run"
    constant = {"anneal_learning_rate": False}
    agent(**constant).fit(2 * STEPS, run_dir=folder, verbose=False)
    from keras_s5rl.training.recorder import Recorder

    new = agent(learning_rate=1e-4, **constant)
    schedule = {"total_steps": 2 * STEPS, "checkpoint_every": 50, "log_every": 10, **NO_EVALUATION}
    Recorder.resume(folder, {**new.settings(), **schedule}, override=True).close()
    assert optimizer(folder)["optimizer/1"] == np.float32(2e-3)
    loaded = PPO.load(folder)
    assert float(loaded.policy.optimizer.learning_rate) == np.float32(1e-4)
    resume(folder, 3, override=False, learning_rate=1e-4, **constant)
    assert optimizer(folder)["optimizer/1"] == np.float32(1e-4)
    assert [row.get("overrides") for row in metrics_of(folder)] == [None, None, 1]


def test_where_steps_are_skipped_the_schedule_alone_counts_other_steps_of_an_update():
    override = {"update": 3, "settings": {"num_epochs": [1, 2]}}
    config = run_settings(target_kl=0.1, num_epochs=2, overrides=[override])
    made, skipped, moment = np.uint32(30), np.int32(2), np.ones(2, "float32")
    arrays = {f"optimizer/{i}": array for i, array in enumerate((made, skipped, moment))}
    checkpoint = {"update": 3, "overrides": 0, "arrays": arrays}
    new = apply_overrides(checkpoint, config)["arrays"]
    assert new["optimizer/0"] == 30  # Adam corrects its moments by what was made
    assert new["optimizer/0"] + new["optimizer/1"] == 3 * 2 * 4
    assert new["optimizer/2"] is moment


def test_the_schedule_of_every_seed_is_overridden():
    override = {"update": 3, "settings": {"num_epochs": [1, 2]}}
    config = run_settings(num_epochs=2, num_seeds=2, overrides=[override])
    of_one = {"optimizer/0": np.uint32(12), "optimizer/1": np.ones(2, "float32")}
    of_other = {f"others/0/{name}": array.copy() for name, array in of_one.items()}
    others = {"others/0/env/optimizer/0": np.ones(3)}  # whatever else has such a name
    checkpoint = {"update": 3, "overrides": 0, "arrays": {**of_one, **of_other, **others}}
    new = apply_overrides(checkpoint, config)["arrays"]
    assert new["optimizer/0"] == new["others/0/optimizer/0"] == 3 * 2 * 4
    kept = ["optimizer/1", "others/0/optimizer/1", "others/0/env/optimizer/0"]
    assert all(new[name] is checkpoint["arrays"][name] for name in kept)
    assert set(new) == set(checkpoint["arrays"])


@pytest.mark.slow
def test_what_shapes_the_state_is_not_overridden(tmp_path):
    agent().fit(STEPS, run_dir=tmp_path / "run", verbose=False)
    for settings in ({"width": 8}, {"num_envs": 16}, {"head_sizes": ()}):
        with pytest.raises(RunError, match="Start a new run for another value"):
            resume(tmp_path / "run", 1, **settings)


@pytest.mark.parametrize("name", ["override", "accept_edited_config"])
def test_resuming_options_go_with_resume(name, tmp_path):
    with pytest.raises(ValueError, match=f"`{name}` goes with `resume=True`"):
        agent().fit(STEPS, run_dir=tmp_path / "run", verbose=False, **{name: True})
