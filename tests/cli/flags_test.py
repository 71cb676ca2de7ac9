"""Mistakes on the command line: one line on standard error, exit status 2, nothing written."""

import dataclasses
import importlib.util

import pytest

from benchmarks import benchmark
from keras_s5rl.cli import compare, evaluate, plot, train
from keras_s5rl.ppo.config import PPOConfig
from tests.support.small_runs import FLAGS

COMMANDS = {
    **{"train": train, "evaluate": evaluate, "plot": plot, "compare": compare},
    "benchmark": benchmark,
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def mistake(capsys, folder, command, *arguments):
    """Runs a command that is given a mistake; returns what it says about it."""
    before = contents(folder)
    status = COMMANDS[command].main([f"{command}.py", *arguments])
    error = capsys.readouterr().err
    assert status == 2, error
    assert error.startswith("error: ") and error.count("\n") == 1 and error.endswith("\n")
    assert "Received: " in error
    assert contents(folder) == before
    return error


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--env=RepeatPreviusEasy", "RepeatPreviousEasy"),
        ("--env=", "should not be empty"),
        ("--memory=s55", "'s5'"),
        ("--backend=jaxx", "one of jax, tensorflow, torch"),
        ("--backend=tensorflow", "`backend`"),
        ("--backend=torch", "`backend`"),
        ("--num_env=4", "Did you mean: num_envs"),
        ("--nonsense=4", "Received: --nonsense=4"),
        ("--nonsense", "Received: --nonsense"),
        ("-x", "Received: -x"),
        ("positional", "two dashes"),
        ("---", "Received: ---"),
        ("--env", "Missing value"),
        ("--noanneal_learning_rate=3", "does not take an argument"),
        ("--anneal_learning_rate=maybe", "should be True or False"),
        ("--env_args={", "JSON object"),
        ("--env_args=[1]", "JSON object"),
        ('--env_args={"decks": 1}', "decks"),
        ('--env_args={"k": -1}', "`k`"),
        ("--num_envs=9", "`num_minibatches`"),
        ("--num_minibatches=3", "`num_minibatches`"),
        ("--num_devices=3", "`num_devices` should divide"),
        ("--state_size=15", "multiple of 2"),
        ("--dt_min=1", "`dt_max` should be not below `dt_min`"),
        ("--encoder_sizes=64,0", "`encoder_sizes`"),
        ("--head_sizes=64;64", "commas"),
        ("--activation=wavy", "activation='wavy'"),
        ("--norm=batch", "'pre'"),
        ("--value_clip=0", "a positive number, or None"),
        ("--block_activation=relu", "'full_glu'"),
        ("--dtype_policy=float8", "'float32'"),
        ("--num_seeds=0", "a positive integer"),
        ("--total_steps=0", "a positive integer"),
        ("--total_steps=many", "`total_steps`"),
        ("--checkpoint_every=-1", "a positive integer"),
        ("--log_every=0", "a positive integer"),
        ("--seed=-1", "from 0 to 2**32 - 1"),
        ("--seed=4294967296", "from 0 to 2**32 - 1"),
        ("--seed=1.5", "Received: seed=1.5"),
        ("--resume", "`run_dir`"),
        ("--resume=perhaps", "`resume`"),
        ("--flagfile=absent.flags", "default.flags"),
        ("--flagfile=", "default.flags"),
        ("--flagfile", "--flagfile with no argument"),
    ],
)
def test_a_wrong_flag_of_train_is_reported_in_one_line(flag, expected, capsys, empty_folder):
    assert expected in mistake(capsys, empty_folder, "train", *FLAGS, flag)


NUMBERS = [f for f in dataclasses.fields(PPOConfig) if f.type in (int, float)]


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_a_number_out_of_its_range_is_reported_in_one_line(field, capsys, empty_folder):
    wrong = ["-1", "nan", "inf", "text", ""]
    if field.metadata["setting"].expected.startswith("a positive"):
        wrong.append("0")
    if field.name.endswith("log_std"):
        wrong.remove("-1")
    for value in wrong:
        flags = [*FLAGS, f"--{field.name}={value}"]
        assert f"`{field.name}`" in mistake(capsys, empty_folder, "train", *flags)


@pytest.mark.parametrize(
    ("contents_of_file", "expected"),
    [
        ("--nonsense=1\n", "nonsense"),
        ("--num_envs=several\n", "num_envs=several"),
        ("--flagfile=absent.flags\n", "absent.flags"),
        ("num_envs=4\n", "two dashes"),
        ("--num_envs=9\n", "`num_envs`"),
    ],
)
def test_a_mistake_in_a_flagfile_is_reported_in_one_line(
    contents_of_file, expected, capsys, empty_folder
):
    (empty_folder / "my.flags").write_text(contents_of_file)
    assert expected in mistake(capsys, empty_folder, "train", "--flagfile=my.flags")
    assert expected in mistake(capsys, empty_folder, "train", "--flagfile", "my.flags")


def test_a_preset_is_found_by_its_name_alone(capsys, empty_folder):
    flags = [*FLAGS, "--flagfile=default.flags", "--seed=-1"]
    assert "seed=-1" in mistake(capsys, empty_folder, "train", *flags)
    flags = ["--flagfile", "somewhere/default.flags", "--seed=-1"]
    assert "seed=-1" in mistake(capsys, empty_folder, "train", *flags)


@pytest.mark.parametrize("path", ["a_file", "a_file/run", "taken", "half"])
def test_a_run_dir_that_cannot_take_a_run_is_left_alone(path, capsys, empty_folder):
    (empty_folder / "a_file").write_text("text")
    (empty_folder / "taken").mkdir()
    (empty_folder / "taken" / "config.json").write_text("{}")
    (empty_folder / "half").mkdir()
    (empty_folder / "half" / "metrics.jsonl").write_text("")
    flags = [*FLAGS, "--total_steps=128", f"--run_dir={path}"]
    assert path in mistake(capsys, empty_folder, "train", *flags)


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"format_version": 99}'])
def test_only_a_run_can_be_resumed_evaluated_or_plotted(text, capsys, empty_folder):
    (empty_folder / "no_run").mkdir()
    if text is not None:
        (empty_folder / "no_run" / "config.json").write_text(text)
    mistake(capsys, empty_folder, "train", "--resume", "--run_dir=no_run")
    mistake(capsys, empty_folder, "evaluate", "--run_dir=no_run")
    mistake(capsys, empty_folder, "plot", "--run_dir=no_run")


@pytest.mark.parametrize(
    ("command", "flags", "expected"),
    [
        ("evaluate", [], "`run_dir`"),
        ("evaluate", ["--run_dir=absent"], "absent"),
        ("evaluate", ["--num_episodes=0"], "a positive integer"),
        ("evaluate", ["--nonsense=1"], "nonsense"),
        ("plot", [], "`run_dir`"),
        ("plot", ["--run_dir=absent"], "absent"),
        ("plot", ["--run_dir=absent", "--output=no/folder/curves.png"], "`output`"),
        ("plot", ["--run_dir=absent", "--backend=numpy"], "`backend`"),
        ("benchmark", [], "one of env, gymnasium, kernels, layer, ppo"),
        ("benchmark", ["--suite=speed"], "one of env, gymnasium, kernels, layer, ppo"),
        ("benchmark", ["--suite=ppo", "--only=tiny"], "small_gru"),
        ("benchmark", ["--suite=ppo", "--repeats=0"], "`repeats`"),
        ("benchmark", ["--suite=ppo", "--json=no/folder/ppo.json"], "`json`"),
        ("benchmark", ["--suite=ppo", "--backend=numpy"], "`backend`"),
        ("benchmark", ["ppo"], "two dashes"),
    ],
)
def test_a_wrong_flag_of_another_command_is_reported_in_one_line(
    command, flags, expected, capsys, empty_folder
):
    assert expected in mistake(capsys, empty_folder, command, *flags)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_the_flags_and_is_no_mistake(command, capsys, empty_folder):
    assert COMMANDS[command].main([f"{command}.py", "--help"]) == 0
    assert "--backend" in capsys.readouterr().out
    assert not contents(empty_folder)


def test_every_field_of_the_configuration_is_a_flag_with_its_default(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(train, "config_from_flags", lambda *given: seen.append(given) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train.main(["train.py"])
    monkeypatch.undo()
    values, recorded = seen[0]
    assert recorded is None
    assert train.config_from_flags(values) == PPOConfig()


@pytest.mark.slow
def test_a_launch_script_ends_with_the_status_and_no_traceback(run, empty_folder):
    status, stdout, stderr = run("train", "--env=Nowhere", cwd=empty_folder)
    assert (status, stdout, stderr.count("\n")) == (2, "", 1)
    assert stderr.startswith("error: ") and "Received: " in stderr
    assert not contents(empty_folder)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed.")
def test_a_backend_that_is_not_installed_is_reported_before_anything_is_written(run, empty_folder):
    status, stdout, stderr = run("train", *FLAGS, "--backend=torch", cwd=empty_folder)
    assert (status, stdout, stderr.count("\n")) == (2, "", 1)
    assert "pip install torch" in stderr and "backend='torch'" in stderr
    assert not contents(empty_folder)
