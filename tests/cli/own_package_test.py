"""An environment and a memory of somebody else's package, through the commands and Gymnasium: made
known by entry points or by `--import`."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from keras_s5rl.cli import evaluate, train
from keras_s5rl.runs import RunDirectory
from tests.support.outside_package import SOURCE, install
from tests.support.small_runs import NO_EVALUATION, ROOT, metrics_of, small_config

SIZES = ["--num_envs=4", "--num_steps=8", "--width=8", "--num_layers=1"]
SIZES += ["--encoder_sizes=8", "--head_sizes=8", "--num_minibatches=2", "--num_epochs=1"]
TRAIN = [*SIZES, "--env=Parity", "--memory=leaky", "--leak=0.25", '--env_args={"length": 4}']
TRAIN += ["--anneal_learning_rate=false"]
IMPORT = "--import=my_lab.register"


def python(code, cwd=ROOT, **variables):
    environment = {**os.environ, **variables}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Variables with which a process finds the package installed."""
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def imported_run(run, tmp_path_factory):
    """A run trained with `--import`: `(folder, what the command printed)`."""
    folder = tmp_path_factory.mktemp("imported") / "run"
    flags = [*TRAIN, IMPORT, f"--run_dir={folder}", "--total_steps=64"]
    status, stdout, stderr = run("train", *flags, cwd=SOURCE)
    assert status == 0, stderr
    return folder, stdout


@pytest.mark.slow
def test_an_installed_package_is_trained_resumed_scored_and_plotted_by_its_names(
    run, installed, tmp_path
):
    def check(command, *flags):
        status, stdout, stderr = run(command, *flags, environment=installed, cwd=tmp_path)
        assert status == 0, stderr
        return stdout

    assert "leaky with " in check("train", *TRAIN, "--run_dir=run", "--total_steps=64")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["env"], config["env_args"]) == ("Parity", {"length": 4})
    assert (config["memory"], config["memory_args"]) == ("leaky", {"leak": 0.25})
    assert config["imports"] == []
    check("train", "--run_dir=run", "--resume", "--total_steps=128")
    assert len(metrics_of(tmp_path / "run")) == 4
    assert check("evaluate", "--run_dir=run", "--num_episodes=4").startswith("Parity: return ")
    check("plot", "--run_dir=run", "--output=curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


@pytest.mark.slow
def test_an_installed_environment_is_listed_and_made_through_gymnasium(installed):
    code = """if True:
        import sys, gymnasium, keras_s5rl
        from keras_s5rl import envs
        print("Parity" in envs.registered_envs(), "my_lab" in sys.modules, "keras" in sys.modules)
        print(envs.make("Parity", length=5).max_episode_steps)
        single = gymnasium.make("keras_s5rl/Parity-v0", length=3)
        print(int(single.reset(seed=0)[0]) in (0, 1), single.spec.id)
        several = gymnasium.make_vec("keras_s5rl/Parity-v0", num_envs=2)
        print(several.reset(seed=0)[0].shape)"""
    lines = python(code, **installed)
    assert lines == ["True False False", "5", "True keras_s5rl/Parity-v0", "(2,)"]


def test_an_installed_memory_is_listed_imported_when_asked_for_and_has_its_settings(installed):
    code = """if True:
        import sys
        from keras_s5rl import models
        print("leaky" in models.registered_memories(), "my_lab" in sys.modules)
        print(list(models.memory_settings("leaky")), "my_lab.memories" in sys.modules)"""
    assert python(code, **installed) == ["True False", "['leak'] True"]


def test_help_shows_the_settings_of_a_memory_of_ones_own(run):
    status, stdout, _ = run("train", IMPORT, "--memory=leaky", "--help", cwd=SOURCE)
    assert status == 0
    assert "  --leak=0.5\n        share forgotten in a step; a number from 0 to 1\n" in stdout


@pytest.mark.slow
def test_a_module_of_the_current_folder_is_imported_and_recorded(imported_run):
    folder, printed = imported_run
    assert printed.startswith("leaky with ") and " on Parity, seed 0" in printed
    assert json.loads((folder / "config.json").read_text())["imports"] == ["my_lab.register"]


@pytest.mark.parametrize(("main", "flag"), [(train.main, "--resume"), (evaluate.main, "--seed=1")])
@pytest.mark.parametrize("others", [[], ["--import=my_lab.envs"]])
def test_a_run_says_what_it_needs_and_does_not_import_it(
    tmp_path, capsys, monkeypatch, main, flag, others
):
    settings = {"env": "Parity", "env_args": {}, "memory": "leaky", "memory_args": {}}
    settings |= {"encoder": "dense"}
    settings |= {"imports": ["my_lab.register"], "backend": "jax", "seed": 0, "num_seeds": 1}
    settings |= {"total_steps": 64, "checkpoint_every": 1, "log_every": 1, **NO_EVALUATION}
    settings |= dataclasses.asdict(small_config())
    RunDirectory.create(tmp_path / "run", settings).release()
    monkeypatch.chdir(SOURCE)
    assert main(["command", f"--run_dir={tmp_path / 'run'}", flag, *others]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: this run needs {IMPORT} (in Python: import my_lab.register ")
    assert error.count("\n") == 1 and "my_lab" not in sys.modules


@pytest.mark.slow
def test_a_run_goes_on_and_is_scored_with_its_import_and_plotted_without(
    run, imported_run, tmp_path
):
    folder, _ = imported_run
    flags = [f"--run_dir={folder}", IMPORT]
    status, _, stderr = run("train", *flags, "--resume", "--total_steps=128", cwd=SOURCE)
    assert status == 0, stderr
    assert len(metrics_of(folder)) == 4
    assert json.loads((folder / "config.json").read_text())["imports"] == ["my_lab.register"]
    status, stdout, stderr = run("evaluate", *flags, "--num_episodes=4", cwd=SOURCE)
    assert status == 0 and stdout.startswith("Parity: return "), stderr
    plot = [f"--run_dir={folder}", f"--output={tmp_path / 'curve.png'}"]
    assert run("plot", *plot, cwd=tmp_path)[0] == 0


@pytest.mark.slow
def test_in_python_a_run_is_loaded_once_its_module_is_imported(imported_run):
    code = f"""if True:
        from keras_s5rl import PPO
        try: PPO.load({str(imported_run[0])!r})
        except ValueError as error: print(error)
        import my_lab.register
        print(PPO.load({str(imported_run[0])!r}).memory_args)"""
    message, loaded = python(code, cwd=SOURCE)
    assert message.startswith(f"this run needs {IMPORT} (in Python: import my_lab.register first)")
    assert loaded == "{'leak': 0.25}"


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("no_such_module", None, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("wrong", "def f(:", "SyntaxError: invalid syntax"),
        ("raising", "raise KeyError('a\\nb')", "KeyError: "),
        ("leaving", "raise SystemExit(0)", "SystemExit: 0"),
        ("needing", "import no_such_part", "ModuleNotFoundError: No module named 'no_such_part'"),
        (".relative", None, "TypeError: "),
        ("a/file.py", None, "ModuleNotFoundError: "),
        (
            "taken",
            "from keras_s5rl import envs\nenvs.register_env('RepeatFirstEasy', object)",
            "ValueError: `name` should not be that of another environment",
        ),
    ],
)
def test_an_import_that_fails_is_reported_in_one_line_before_anything_is_written(
    tmp_path, capsys, monkeypatch, module, source, reason
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if source is not None:
        (tmp_path / f"{module}.py").write_text(source)
    before = sorted(os.listdir(tmp_path))
    assert train.main(["train", f"--import={module}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: `import` should name a module that can be imported")
    assert reason in error and error.endswith(f"Received: import={module}\n")
    assert error.count("\n") == 1 and sorted(os.listdir(tmp_path)) == before


@pytest.mark.slow
def test_a_broken_package_is_named_where_it_is_asked_for_and_breaks_nothing_else(run, tmp_path):
    groups = {
        "keras_s5rl.envs": {
            "Gone": "no_such_package:Env",
            "Text": "my_lab:__doc__",
            "a name": "my_lab.envs:Parity",
        },
        "keras_s5rl.memories": {"gone": "no_such_package", "silent": "my_lab"},
    }
    variables = install(tmp_path / "site", "broken-lab", groups)
    code = """if True:
        import keras_s5rl
        from keras_s5rl import envs, models
        envs.make("RepeatPreviousEasy")
        for ask, name in ((envs.make, "Gone"), (envs.make, "Text"), (envs.make, "a name"),
                          (models.memory_settings, "gone"), (models.memory_settings, "silent")):
            try: ask(name)
            except ValueError as error: print(error)
        print(models.memory_settings("s5") != {})"""
    gone, text, odd, memory, silent, rest = python(code, **variables)
    for message in (gone, memory):
        assert "the package broken-lab declares" in message
        assert "(ModuleNotFoundError: No module named 'no_such_package')" in message
    assert "my_lab:__doc__ of the package broken-lab cannot be called" in text
    assert "should be the name of a registered environment" in odd
    assert "my_lab of the package broken-lab should call `register_memory('silent'" in silent
    assert rest == "True"
    flags = ["--env=Gone", "--run_dir=run"]
    status, _, stderr = run("train", *flags, environment=variables, cwd=tmp_path)
    assert status == 2 and stderr.count("\n") == 1 and "broken-lab" in stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_name_of_the_package_stays_its_own_and_two_packages_cannot_share_one(tmp_path):
    taken = {
        "keras_s5rl.envs": {"RepeatFirstEasy": "my_lab.envs:Parity"},
        "keras_s5rl.memories": {"s5": "my_lab.memories"},
    }
    install(tmp_path, "taking-lab", taken)
    install(tmp_path, "my-lab")
    variables = install(tmp_path, "other-lab")
    code = """if True:
        import warnings
        from keras_s5rl import envs, models
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            print(type(envs.make("RepeatFirstEasy")).__name__, *models.memory_settings("s5"))
        for warning in caught: print(warning.message)
        for ask, name in ((envs.make, "Parity"), (models.memory_settings, "leaky")):
            try: ask(name)
            except ValueError as error: print(error)
        print(len(envs.registered_envs()) == len(set(envs.registered_envs())))"""
    made, *lines, env, memory, distinct = python(code, **variables)
    assert made.startswith("RepeatFirst state_size ") and distinct == "True"
    assert any("'RepeatFirstEasy' of the package taking-lab is ignored" in line for line in lines)
    assert any("'s5' of the package taking-lab is ignored" in line for line in lines)
    for message in (env, memory):
        assert "my-lab and other-lab declare it" in message


@pytest.mark.slow
def test_what_a_package_declares_is_taken_but_the_package_itself_may_register_it(installed):
    code = """if True:
        from keras_s5rl import envs, models
        for register, name in ((envs.register_env, "Parity"), (models.register_memory, "leaky")):
            try: register(name, lambda **arguments: None)
            except ValueError as error: print(error)
        import my_lab.register
        print(envs.make("Parity").max_episode_steps, *models.memory_settings("leaky"))"""
    env, memory, registered = python(code, **installed)
    for message in (env, memory):
        assert "declared by the package my-lab" in message
    assert registered == "8 leak"
