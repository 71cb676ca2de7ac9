"""config.json of earlier versions, among them those of all recorded results."""

import json
from pathlib import Path

import pytest

from keras_s5rl.models import resolve_memory_args
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import RunDirectory
from keras_s5rl.runs.migrations import FORMAT_VERSION, migrate

RESULTS = Path(__file__).resolve().parents[2] / "results"
RECORDED = sorted(RESULTS.rglob("config.json"))
S5 = {"state_size", "norm", "block_activation", "clip_eigenvalues", "dt_min", "dt_max"}


def flat(**settings):
    """A config of format 2 with what the migration reads."""
    values = {"num_envs": 8, "memory": "s5", "state_size": 6, "norm": None, "dt_min": 0.01}
    values |= {"context_length": 9, "num_heads": 2, "clip_epsilon": 0.3, "clip_value_loss": False}
    values |= {"normalize_advantages": True, "normalize_advantages_per_task": False}
    return values | settings


def test_every_recorded_result_is_read_with_the_settings_it_was_trained_with():
    assert len(RECORDED) > 50
    for path in RECORDED:
        old, new = json.loads(path.read_text()), RunDirectory.open(path.parent).read_config()
        config = PPOConfig.from_settings(new)
        given = new["memory_args"]
        assert resolve_memory_args(new["memory"], given) == given
        if "memory_args" in old:
            assert given == old["memory_args"]
        else:
            assert set(given) == (S5 if new["memory"] == "s5" else set())
            assert given == {name: old[name] for name in given}
        same = set(old) & set(vars(config)) - {"normalize_advantages"}
        assert {name: new[name] for name in same} == {name: old[name] for name in same}
        normalized = old["normalize_advantages"]
        if isinstance(normalized, bool):  # two switches that are one choice now
            normalized = "task" if old.get("normalize_advantages_per_task") else "minibatch"
        assert config.normalize_advantages == normalized
        assert config.value_clip is None and config.reward_scale == old["reward_scale"]


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("s5", {"state_size": 6, "norm": None, "dt_min": 0.01}),
        ("lru", {"state_size": 6, "norm": None}),
        ("mingru", {"norm": None}),
        ("attention", {"context_length": 9, "num_heads": 2}),
        ("gru", {}),
        ("lstm", {}),
        ("mlp", {}),
        (
            "of_the_user",
            {n: flat()[n] for n in ("state_size", "dt_min", "context_length", "num_heads", "norm")},
        ),
    ],
)
def test_each_memory_keeps_the_settings_that_it_used(memory, expected):
    config = migrate(flat(memory=memory), 2)
    assert config["memory_args"] == expected
    assert "state_size" not in config and "num_heads" not in config


@pytest.mark.parametrize("minibatch", [True, False])
@pytest.mark.parametrize("task", [True, False])
def test_two_switches_for_advantages_become_one_choice(minibatch, task):
    old = flat(normalize_advantages=minibatch, normalize_advantages_per_task=task)
    expected = "task" if task else "minibatch" if minibatch else "none"
    assert migrate(old, 2)["normalize_advantages"] == expected


def test_values_stay_clipped_by_what_they_were_clipped_by():
    assert migrate(flat(clip_value_loss=True), 1)["value_clip"] == 0.3
    assert migrate(flat(), 1)["value_clip"] is None


def test_what_came_later_gets_the_values_that_runs_without_it_were_trained_with():
    old = flat(memory="attention")
    del old["context_length"], old["num_heads"], old["normalize_advantages_per_task"]
    new = migrate(old, 1)
    assert new["memory_args"] == {"context_length": 128, "num_heads": 4}
    assert new["observe_previous_action"] is True and new["num_devices"] == 1
    assert new["normalize_observations"] is False and new["normalize_rewards"] is False
    assert new["normalize_advantages"] == "minibatch"


def test_runs_from_before_evaluations_while_training_had_none():
    new = migrate({"num_envs": 8}, 4)
    assert (new["eval_every"], new["eval_episodes"], new["early_stop_patience"]) == (None, 64, None)


def test_a_config_of_this_format_is_left_as_it_is():
    config = {"num_envs": 8, "memory_args": {"norm": None}, "normalize_advantages": "none"}
    assert migrate(config, FORMAT_VERSION) == config
