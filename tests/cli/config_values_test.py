"""Values of a wrong type in the config.json of a run: each is named, with exit status 2."""

import dataclasses
import json

import pytest

from keras_s5rl.cli import evaluate, plot, train
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import RunDirectory
from tests.support.small_runs import NO_EVALUATION, run_settings

WRONG = [None, [], {}, "", -1.5, [[1]], {"a": {"b": []}}, 10**400]
RIGHT = {
    "env_args": [{}],
    "memory_args": [{}],
    "value_clip": [None],
    "ssm_learning_rate": [None],
    "target_kl": [None],
    "encoder_sizes": [[]],
    "head_sizes": [[]],
}
RIGHT |= {"eval_every": [None], "early_stop_patience": [None]}
RIGHT |= {"initial_log_std": [-1.5], "min_log_std": [-1.5], "overrides": [[]]}
NAMES = [
    *("env", "env_args", "memory", "memory_args", "backend", "seed", "num_seeds", "total_steps"),
    *("checkpoint_every", "log_every", "overrides", *NO_EVALUATION),
    *(field.name for field in dataclasses.fields(PPOConfig)),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_value_of_a_wrong_type_in_config_json_is_named(name, tmp_path, capsys):
    """Every key with every wrong value, in an edited file that is accepted."""
    run = RunDirectory.create(tmp_path / "run", run_settings())
    run.release()
    good = json.loads(run.config_path.read_text())
    flags = [f"--run_dir={tmp_path / 'run'}", "--accept_edited_config"]
    commands = [(train, ["--resume"]), (evaluate, [])]
    if name != "overrides":  # which pictures have no use for
        commands.append((plot, [f"--output={tmp_path / 'c.png'}"]))
    for value in WRONG:
        if value in RIGHT.get(name, []) or (
            name in ("env_args", "memory_args") and isinstance(value, dict)
        ):
            continue
        run.config_path.write_text(json.dumps({**good, name: value}))
        for module, more in commands:
            assert module.main(["command", *flags, *more]) == 2, value
            error = capsys.readouterr().err
            assert error.startswith("error: ") and error.count("\n") == 1, error
            assert f"Received: {name}=" in error
