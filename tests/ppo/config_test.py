import dataclasses

import pytest

from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.run_settings import RUN_SETTINGS
from tests.support.small_runs import NO_EVALUATION

pytestmark = pytest.mark.not_on_tensorflow

RUN = {
    **{"env": "E", "env_args": {}, "memory": "s5", "memory_args": {}, "encoder": "dense"},
    **{
        "backend": "jax",
        "seed": 0,
        "num_seeds": 1,
        "total_steps": 1,
        "checkpoint_every": 1,
        "log_every": 1,
    },
    **NO_EVALUATION,
}
FIELDS = {field.name: field for field in dataclasses.fields(PPOConfig)}


def test_every_setting_says_what_it_means_and_what_it_expects():
    for field in FIELDS.values():
        setting = field.metadata["setting"]
        assert setting.help and setting.expected and setting.type == field.type


def test_defaults_pass_their_own_checks_and_the_object_is_frozen():
    config = PPOConfig()
    assert config == PPOConfig(**dataclasses.asdict(config))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.num_envs = 1


@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if f.type in (int, float)])
@pytest.mark.parametrize("value", ["12", None, float("nan"), True])
def test_a_value_of_the_wrong_type_is_named_with_what_was_expected(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` .* should be .*Received: {name}="):
        PPOConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_envs", 0),
        ("num_steps", -1),
        ("num_epochs", 2.0),
        ("learning_rate", 0),
        ("discount", 1.1),
        ("gae_lambda", -0.1),
        ("entropy_coefficient", -1e-3),
        ("value_clip", 0),
        ("value_clip", True),
        ("value_clip", "none"),
        ("normalize_advantages", True),
        ("normalize_advantages", None),
        ("encoder_sizes", (64, 0)),
        ("head_sizes", 64),
        ("dtype_policy", "bfloat16"),
        ("activation", ""),
    ],
)
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"`{name}`.*Received: {name}="):
        PPOConfig(**{name: value})


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="multiple of `num_minibatches`.*num_envs=6"):
        PPOConfig(num_envs=6, num_minibatches=4)
    with pytest.raises(ValueError, match="`num_devices` should divide.*num_devices=2"):
        PPOConfig(num_envs=12, num_minibatches=4, num_devices=2)
    with pytest.raises(ValueError, match="`min_log_std` should not be larger"):
        PPOConfig(min_log_std=0.0)


def test_lists_of_a_json_file_become_tuples_and_integers_become_floats():
    config = PPOConfig(encoder_sizes=[8, 16], discount=1)
    assert config.encoder_sizes == (8, 16)
    assert isinstance(config.discount, float)


def test_settings_that_multiply_or_contradict_each_other_are_refused():
    both = {"reward_scale": 10.0, "normalize_rewards": True}
    with pytest.raises(
        ValueError, match="leave one of them out. Received: reward_scale=10.0, norm"
    ):
        PPOConfig(**both)
    both = {"stagger_starts": True, "treat_truncation_as_termination": True}
    with pytest.raises(ValueError, match="leave one of them out. Received: stagger_starts=True"):
        PPOConfig(**both)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("state_size", r"of the memories .*s5.*`PPO\(memory_args=\{'state_size': 64\}\)`"),
        ("learning_rat", "did you mean `learning_rate`"),
        ("qqq", "it has num_envs, num_steps"),
    ],
)
def test_a_setting_that_is_not_there_is_named_with_where_it_belongs(name, advice):
    with pytest.raises(TypeError, match=f"(?s)`{name}`.*{advice}.*Received: {name}=64"):
        PPOConfig(**{name: 64})


def test_a_run_of_before_keeps_what_is_refused_now():
    both = {"reward_scale": 10.0, "normalize_rewards": True}
    settings = {**RUN, **dataclasses.asdict(PPOConfig()), **both}
    config = PPOConfig.from_settings(settings)
    assert isinstance(config, PPOConfig)
    assert dataclasses.asdict(config) == {**dataclasses.asdict(PPOConfig()), **both}
    assert dataclasses.replace(config, learning_rate=1e-4).reward_scale == 10.0
    settings["num_envs"] = 6
    with pytest.raises(ValueError, match="multiple of `num_minibatches`"):
        PPOConfig.from_settings(settings)


def test_the_settings_of_a_run_come_back():
    config = PPOConfig(width=12, value_clip=1)
    assert set(RUN) == set(RUN_SETTINGS)
    settings = {**RUN, **dataclasses.asdict(config)}
    assert PPOConfig.from_settings(settings) == config
    del settings["width"], settings["memory"]
    with pytest.raises(ValueError, match="`config.json` .*; memory, width are not there"):
        PPOConfig.from_settings(settings)


def test_updates_are_counted_in_whole_rollouts():
    config = PPOConfig(num_envs=8, num_steps=10, num_epochs=3, num_minibatches=4)
    assert config.steps_per_update == 80
    assert config.envs_per_minibatch == 2
    assert [config.num_updates(n) for n in (1, 80, 81)] == [1, 1, 2]
    assert config.gradient_steps(81) == 2 * 3 * 4
