"""Which runs are seeds of one experiment."""

import dataclasses

from keras_s5rl.cli.run_groups import group_runs, name_tasks
from tests.support.small_runs import small_config


def run(memory="s5", env="A", seed=0, env_args=None, memory_args=None, **settings):
    return {
        **dataclasses.asdict(small_config()),
        **{"env": env, "memory": memory, "seed": seed, "env_args": env_args or {}},
        **{"memory_args": memory_args or {}, "total_steps": 1000, "log_every": seed},
        **settings,
    }


def groups(*configs):
    return group_runs(configs, name_tasks(configs))[0]


def test_a_task_is_an_environment_with_the_arguments_in_which_its_runs_differ():
    configs = [run(env_args={"k": 4, "n": 1}), run(env_args={"k": 8, "n": 1}), run(env="B")]
    assert name_tasks(configs) == ["A, k=4", "A, k=8", "B"]
    assert name_tasks(configs[:1] * 2) == ["A", "A"]


def test_seeds_are_one_group_and_memories_are_not():
    assert groups(run(), run(seed=1), run("gru")) == ["s5", "s5", "gru"]


def test_settings_that_differ_within_a_task_distinguish_groups_but_for_the_default():
    fast = run(learning_rate=0.1)
    assert groups(run(), fast, run(seed=1)) == ["s5", "s5, learning_rate=0.1", "s5"]
    long = run(total_steps=2000)
    assert groups(run(), long) == ["s5, total_steps=1000", "s5, total_steps=2000"]


def test_settings_that_differ_between_tasks_alone_do_not():
    assert groups(run(), run(env="B", learning_rate=0.1, total_steps=5)) == ["s5", "s5"]


def test_a_group_of_one_task_is_not_taken_for_another_one_elsewhere():
    fast = {"learning_rate": 0.1}
    assert groups(run(), run(**fast), run(env="B", **fast)) == [
        "s5",
        "s5, learning_rate=0.1",
        "s5, learning_rate=0.1",
    ]


def test_settings_of_memories_are_compared_between_runs_of_the_same_memory():
    small, large = {"state_size": 4}, {"state_size": 8}
    assert groups(run(memory_args=small), run("gru"), run(memory_args=large)) == [
        "s5, state_size=4",
        "gru",
        "s5, state_size=8",
    ]
    assert groups(run(memory_args=small), run("gru")) == ["s5", "gru"]


def test_all_settings_that_distinguish_groups_are_returned():
    configs = [run(learning_rate=0.1), run("gru")]
    _, settings = group_runs(configs, name_tasks(configs))
    default = small_config().learning_rate
    assert settings == {
        "s5": {"memory": "s5", "learning_rate": 0.1},
        "gru": {"memory": "gru", "learning_rate": default},
    }


def test_a_long_value_is_named_by_its_hash():
    one, two = run(encoder={"layers": list(range(90))}), run(encoder="dense")
    first, second = groups(one, two)
    assert first.startswith("s5, encoder=#") and len(first) < 25
    assert second == "s5, encoder=dense"
