"""Names of runs in a picture."""

from keras_s5rl.cli.labels import label_runs
from keras_s5rl.ppo.config import PPOConfig


def run(memory="s5", env="A", seed=0, env_args=None, **settings):
    return {"env": env, "memory": memory, "seed": seed, "env_args": env_args or {}, **settings}


def test_runs_are_named_by_what_distinguishes_them():
    assert label_runs([run(), run(seed=1)]) == ["s5", "s5"]
    assert label_runs([run(), run("gru")]) == ["s5", "gru"]
    assert label_runs([run(), run(env="B")]) == ["A", "B"]
    assert label_runs([run(), run("gru", env="B")]) == ["A, s5", "B, gru"]


def test_arguments_of_the_environment_are_named_where_not_all_have_them():
    through_falls = {"num_trials": 16, "failure_ends_return": False}
    runs = [run(env_args={"num_trials": 16}), run(env_args=through_falls), run("mlp")]
    assert label_runs(runs) == [
        "s5, num_trials=16",
        "s5, num_trials=16, failure_ends_return=false",
        "mlp",
    ]
    assert label_runs(runs[1:2] * 2) == ["s5", "s5"]
    assert label_runs([run(env_args={"tier": "T1", "tasks": ["a"]}), run()]) == [
        's5, tier=T1, tasks=["a"]',
        "s5",
    ]


def test_a_policy_that_does_not_see_its_action_says_so_beside_one_that_does():
    masked = run("mlp", observe_previous_action=False)
    assert label_runs([run("mlp"), masked]) == ["mlp", "mlp, observe_previous_action=false"]
    assert label_runs([run(), masked]) == ["s5", "mlp, observe_previous_action=false"]
    assert label_runs([masked, masked]) == ["mlp", "mlp"]


def test_settings_are_named_only_where_labels_would_be_the_same():
    default = PPOConfig()
    same = {"width": default.width, "encoder_sizes": list(default.encoder_sizes)}
    assert label_runs([run(), run(**same)]) == ["s5", "s5"]
    wide = run(width=96, encoder_sizes=[96, 96])
    assert label_runs([run("mlp"), wide]) == ["mlp", "s5"]
    assert label_runs([run(), wide, run("mlp")]) == ["s5", "s5, width=96", "mlp"]


def test_settings_of_the_memory_are_named_where_labels_would_be_the_same():
    large = run(memory_args={"state_size": 128, "norm": None})
    default = run(memory_args={"state_size": 64, "norm": "pre"})
    assert label_runs([default, large]) == ["s5", "s5, state_size=128"]
    assert label_runs([large, run("mlp", memory_args={})]) == ["s5", "mlp"]
    assert label_runs([large, large]) == ["s5", "s5"]
    own = [run("of_the_user", memory_args={"decay": decay}) for decay in (0.5, 0.9)]
    assert label_runs(own) == ["of_the_user, decay=0.5", "of_the_user, decay=0.9"]
