"""A table of wrong flags and files: each is reported in one line, with exit status 2."""

import json
import os
import shutil

import pytest

from benchmarks import benchmark
from keras_s5rl.cli import compare, evaluate, plot, train
from keras_s5rl.runs import RunDirectory
from tests.support.small_runs import FLAGS, run_settings

COMMANDS = {
    **{"train": train, "evaluate": evaluate, "plot": plot, "compare": compare},
    "benchmark": benchmark,
}
LONG = "x" * 300
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run that was started and no more, and what is no run, in a folder of their own."""
    folder = tmp_path_factory.mktemp("mistakes")
    run = RunDirectory.create(folder / "run", run_settings())
    run.metrics_path.write_text('{"update": 1, "env_steps": 128, "loss": "much", "a": {}}\n')
    run.release()
    for name in ("checkpoints", "empty", "folder.png"):
        (folder / name).mkdir()
    (folder / "file").write_text("text")
    (folder / "binary.flags").write_bytes(bytes(range(256)))
    (folder / "lines.flags").write_text("width=4\n")
    (folder / "values.flags").write_text("--width=wide\n")
    (folder / "unknown.flags").write_text("--wdith=4\n")
    (folder / "loop").symlink_to("loop")
    for name, text in {"list": "[1]", "deep": DEEP, "text": "text", "number": "1"}.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(text)
    (folder / "folder_config" / "config.json").mkdir(parents=True)
    shutil.copytree(folder / "run", folder / "edited")
    edited = json.loads((folder / "edited" / "config.json").read_text())
    (folder / "edited" / "config.json").write_text(json.dumps(edited | {"learning_rate": 1.0}))
    shutil.copytree(folder / "run", folder / "in_context")
    (folder / "in_context" / "in_context.json").write_text('{"scores": [{"tier": "T1"}]}')
    return folder


@pytest.fixture
def mistake(runs, capsys, monkeypatch):
    """Runs a command that is given a mistake; returns what it says about it."""

    def run(command, *flags):
        monkeypatch.chdir(runs)
        before = sorted(os.walk(runs))
        status = COMMANDS[command].main([f"{command}.py", *flags])
        captured = capsys.readouterr()
        assert status == 2, captured.err
        assert captured.err.startswith("error: ") and captured.err.count("\n") == 1, captured.err
        assert captured.err.count("Received: ") == 1, captured.err
        assert sorted(os.walk(runs)) == before
        return captured.err

    return run


TRAIN = [
    # Names and kinds of flags.
    ("--widht=4", "Did you mean: width"),
    ("--nonsense", "Received: --nonsense"),
    ("-w", "Received: -w"),
    ("train", "Flags begin with two dashes"),
    ("--width", "Missing value for flag --width"),
    ("--noresume=1", "does not take an argument"),
    ("--resume=perhaps", "`resume` (go on with the run in run_dir) should be"),
    ("--cuda_graphs=2", "`cuda_graphs`"),
    # Whole numbers.
    ("--width=", "`width` (features between the layers of the memory) should be a positive"),
    ("--width=four", "should be a positive integer. Received: width=four"),
    ("--width=1.5", "should be a positive integer. Received: width=1.5"),
    ("--width=1e-1", "should be a positive integer. Received: width=1e-1"),
    ("--width=1.25e1", "should be a positive integer. Received: width=1.25e1"),
    ("--width=1e", "should be a positive integer. Received: width=1e"),
    ("--width=1e400", "should be a positive integer. Received: width=1e400"),
    ("--width=1e999999999999", "should be a positive integer. Received: width=1e999"),
    ("--width=99999999999999999999", "should be a positive integer. Received: width=999"),
    ("--width=nan", "should be a positive integer. Received: width=nan"),
    ("--width=inf", "should be a positive integer. Received: width=inf"),
    ("--width=1__0", "should be a positive integer. Received: width=1__0"),
    ("--width=-4", "should be a positive integer. Received: width=-4"),
    ("--width=0", "should be a positive integer. Received: width=0"),
    ("--total_steps=0", "`total_steps` (environment steps of the whole run) should be a positive"),
    ("--total_steps=1e-5", "`total_steps`"),
    ("--checkpoint_every=0e0", "`checkpoint_every`"),
    ("--log_every=-1e3", "`log_every`"),
    ("--num_seeds=0", "`num_seeds`"),
    ("--eval_every=0", "`eval_every` (updates between evaluations while training; none does not"),
    ("--eval_episodes=none", "`eval_episodes` (episodes of an evaluation while training) should"),
    ("--early_stop_patience=3", "`early_stop_patience` counts evaluations while training: give"),
    ("--seed=-1", "from 0 to 2**32 - 1"),
    ("--seed=1e10", "from 0 to 2**32 - 1"),
    ("--seed=1.0", "`seed` (seed of everything random) should be from 0 to 2**32 - 1"),
    ("--seed=zero", "Received: seed=zero"),
    # Numbers.
    ("--learning_rate=", "`learning_rate` (step size of Adam) should be a positive number"),
    ("--learning_rate=fast", "should be a positive number. Received: learning_rate=fast"),
    ("--learning_rate=0", "should be a positive number. Received: learning_rate=0"),
    ("--learning_rate=1e999", "should be a positive number. Received: learning_rate=inf"),
    ("--learning_rate=0,001", "Received: learning_rate=0,001"),
    ("--discount=1.1", "should be a number from 0 to 1. Received: discount=1.1"),
    ("--discount=nan", "should be a number from 0 to 1. Received: discount=nan"),
    ("--gae_lambda=-0.1", "should be a number from 0 to 1"),
    ("--entropy_coefficient=-1", "should be a number of 0 or more"),
    ("--reward_scale=-1", "`reward_scale`"),
    ("--initial_log_std=nan", "should be a finite number"),
    # Sizes.
    ("--encoder_sizes=64,,32", "should be positive integers with commas between them. Received: "),
    ("--encoder_sizes=64,", "Received: encoder_sizes=64,"),
    ("--encoder_sizes=,", "`encoder_sizes`"),
    ("--encoder_sizes=64;32", "`encoder_sizes`"),
    ("--encoder_sizes=64,0", "`encoder_sizes`"),
    ("--encoder_sizes=(64,32)", "`encoder_sizes`"),
    ("--head_sizes=[64]", "`head_sizes`"),
    ("--head_sizes=64.5", "`head_sizes`"),
    ("--head_sizes=none", "`head_sizes`"),
    # Sizes that do not go together.
    ("--num_envs=9", "`num_envs` should be a multiple of `num_minibatches`"),
    ("--num_minibatches=16", "`num_envs` should be a multiple of `num_minibatches`"),
    ("--num_devices=3", "`num_devices` should divide"),
    ("--state_size=7", "should be a positive multiple of 2"),
    ("--dt_min=0.5", "`dt_max` should be not below `dt_min`"),
    ("--min_log_std=1", "`min_log_std` should not be larger"),
    ("--reward_scale=2 --normalize_rewards", "`reward_scale` multiplies what"),
    ("--stagger_starts --treat_truncation_as_termination", "`stagger_starts` cuts the first"),
    ("--normalize_advantages=task", "`normalize_advantages` should be 'minibatch' or 'none'"),
    ("--normalize_advantages", "Missing value"),
    (
        "--memory=mlp --state_size=4",
        "`state_size` is a setting of lru, s5, s5_equivariant,",
    ),
    # Texts.
    ("--backend=", "`backend` (Keras backend, one of jax, tensorflow, torch) should not be empty"),
    ("--backend= ", "should not be empty"),
    ("--backend=JAX", "should be one of jax, tensorflow, torch"),
    ("--backend=numpy", "should be one of jax, tensorflow, torch"),
    ("--memory=", "`memory` (memory of the agent) should not be empty"),
    ("--memory=S5", "'s5'"),
    ("--env=", "`env` (environment, by its registered name) should not be empty"),
    ("--env=Nowhere", "`env` should be the name of a registered environment"),
    ("--run_dir=", "should not be empty"),
    ("--run_dir=a\0b", "should not hold a null character"),
    ("--env=a\0b", "should not hold a null character"),
    ("--activation=", "`activation`"),
    ("--activation=wavy", "should be the name of a Keras activation"),
    ("--norm=", "`norm`"),
    ("--norm=batch", "should be one of ('pre', 'post'), or None"),
    ("--block_activation=glu", "`block_activation`"),
    ("--dtype_policy=bfloat16", "`dtype_policy`"),
    # JSON.
    ("--env_args=", "`env_args`"),
    ("--env_args={", "should be a JSON object"),
    ("--env_args=[1, 2]", "should be a JSON object"),
    ("--env_args=null", "should be a JSON object"),
    ("--env_args=1", "should be a JSON object"),
    ("--env_args={'k': 1}", "should be a JSON object"),
    ('--env_args={"k": NaN}', "should be a JSON object"),
    ('--env_args={"k": [1]}', "`k`"),
    ('--env_args={"k": "two"}', "`k`"),
    ('--env_args={"k": 0}', "`k`"),
    ('--env_args={"decks": 1}', "`env_args` should fit RepeatPreviousEasy"),
    ("--env_args=" + DEEP, "should be a JSON object"),
    # Flags that go with others.
    ("--resume", "`run_dir` should name the run to resume"),
    ("--override", "`override` goes with `resume`"),
    ("--accept_edited_config", "`accept_edited_config` goes with `resume`"),
    ("--cuda_graphs", "`cuda_graphs` needs an NVIDIA GPU"),
    ("--num_devices=4 --num_envs=16", "`num_devices`"),
    # Flagfiles.
    ("--flagfile=", "`flagfile`"),
    ("--flagfile=absent", "`flagfile` should be a file, or one of the presets"),
    ("--flagfile=empty", "`flagfile` should be a file"),
    ("--flagfile=binary.flags", "Received: "),
    ("--flagfile=lines.flags", "Flags begin with two dashes"),
    ("--flagfile=values.flags", "Received: width=wide"),
    ("--flagfile=unknown.flags", "Did you mean: width"),
    (f"--flagfile={LONG}", "`flagfile` should be a file"),
    # Run directories.
    ("--run_dir=file", "`run_dir` must be a folder"),
    ("--run_dir=file/run", "`run_dir` should be a folder that can be made and written to (Not a"),
    (f"--run_dir={LONG}", "(File name too long)"),
    ("--run_dir=loop/run", "(Too many levels of symbolic links)"),
    ("--run_dir=/proc/run", "`run_dir` should be a folder that can be made and written to"),
    ("--run_dir=run", "`run_dir` already holds a run"),
    ("--run_dir=.", "holds parts of a run (checkpoints)"),
    ("--resume --run_dir=absent", "`run_dir` is not a run"),
    ("--resume --run_dir=file", "`run_dir` is not a run"),
    ("--resume --run_dir=empty", "`run_dir` is not a run"),
    (f"--resume --run_dir={LONG}", "(File name too long)"),
    ("--resume --run_dir=list", "config.json must hold a JSON object"),
    ("--resume --run_dir=deep", "config.json is not a whole JSON file"),
    ("--resume --run_dir=text", "config.json is not a whole JSON file"),
    ("--resume --run_dir=folder_config", "`run_dir` is not a run"),
    ("--resume --run_dir=edited", "config.json was edited or damaged"),
    ("--resume --run_dir=run", "its checkpoints are gone"),
    ("--resume --run_dir=run --width=32", "`width` should be 16, as in the run's config.json"),
    ("--resume --run_dir=run --learning_rate=1", "give `--override`"),
    ("--resume --run_dir=run --width=32 --override", "Start a new run for another value"),
]
EVALUATE = [
    ("", "`run_dir` should name the folder of a run"),
    ("--run_dir=", "should not be empty"),
    ("--run_dir=absent", "`run_dir` is not a run"),
    ("--run_dir=text", "config.json is not a whole JSON file"),
    ("--run_dir=edited", "config.json was edited or damaged"),
    ("--run_dir=edited --accept_edited_config", "No checkpoint can be read"),
    ("--run_dir=run", "No checkpoint can be read (there is none)"),
    ("--run_dir=run --num_episodes=0", "should be a positive integer"),
    ("--run_dir=run --num_episodes=1e-3", "should be a positive integer"),
    ("--run_dir=run --seed=-1", "should be from 0 to 2**32 - 1"),
    ("--run_dir=run --seed=1e12", "should be from 0 to 2**32 - 1"),
    ("--run_dir=run --policy=first", "`policy`"),
    ("--run_dir=run --policy=best --in_context", "`policy=best` goes with `in_context` where"),
    ("--run_dir=run --deterministic=no-way", "`deterministic`"),
    ("--run_dir=run --json=", "should not be empty"),
    ("--run_dir=run --json=empty", "(there is something else than a file)"),
    ("--run_dir=run --json=/dev/null", "(there is something else than a file)"),
    ("--run_dir=run --json=file/report.json", "(Not a directory)"),
    ("--run_dir=run --json=no/report.json", "(its folder is not there"),
    (f"--run_dir=run --json={LONG}", "(File name too long)"),
    (f"--run_dir=run --json={'x' * 250}", "(File name too long)"),
    ("--run_dir=run --json=loop", "(Too many levels of symbolic links)"),
    ("--run_dir=run --json=- --overwrite", "`overwrite` replaces the run's own file"),
    ("--run_dir=run --record=file", "`record` should be a folder"),
    ("--run_dir=run --record=file/clips", "(Not a directory)"),
    (f"--run_dir=run --record={LONG}", "(File name too long)"),
    ("--run_dir=run --record_episodes=2", "`record_episodes` needs `record`"),
    ("--run_dir=run --record=clips --env=a:b", "`record` draws environments of the package"),
    ("--run_dir=run --in_context --seed=1", "`seed` does not go with `in_context`"),
    ("--run_dir=run --in_context --env=E", "`env` does not go with `in_context`"),
    ("--run_dir=run --env_args=[]", "should be a JSON object"),
    ("--run_dir=run --backend=numpy", "should be one of"),
]
PLOT = [
    ("", "`run_dir` should name the folder of a run"),
    ("--run_dir=", "should not be empty"),
    ("--run_dir=run --run_dir=absent", "Received: run_dir='absent'"),
    ("--run_dir=edited", "config.json was edited or damaged"),
    ("--run_dir=run --output=", "should not be empty"),
    ("--run_dir=run --output=c.bmp", "must end in one of .png, .svg, .pdf"),
    ("--run_dir=run --output=folder.png", "(there is something else than a file)"),
    ("--run_dir=run --output=/dev/full", "must end in one of .png"),
    ("--run_dir=run --output=no/c.png", "(its folder is not there"),
    (f"--run_dir=run --output={LONG}.png", "(File name too long)"),
    ("--run_dir=run --metric=", "should not be empty"),
    ("--run_dir=run --metric=happiness", "has no column `happiness`"),
    ("--run_dir=run --metric=loss", "must be numbers in every line"),
    ("--run_dir=run --metric=a", "must be numbers in every line"),
    ("--run_dir=run --tier=T2", "`tier` goes with `in_context`"),
    ("--run_dir=run --in_context --metric=loss", "`metric` goes without `in_context`"),
    ("--run_dir=run --in_context", "`run_dir` should hold in_context.json"),
    ("--run_dir=in_context --in_context", "as evaluate --in_context writes it"),
    ("--run_dir=in_context --in_context --tier=T9", "Received: "),
    ("--run_dir=run --backend=numpy", "should be one of"),
]
COMPARE = [
    ("", "`run_dir` should name the folders of runs"),
    ("absent", "`run_dir` is not a run"),
    ("--run_dir=", "should not be empty"),
    ("run --run_dir=text", "config.json is not a whole JSON file"),
    ("edited", "config.json was edited or damaged"),
    ("run --output=c.bmp", "must end in one of .png, .svg, .pdf"),
    ("run --output=no/c.png", "(its folder is not there"),
    ("run --json=folder.png", "(there is something else than a file)"),
    ("run --metric=", "should not be empty"),
    ("run --metric=happiness", "has no column `happiness`"),
    ("run --metric=loss", "must be numbers in every line"),
    ("run --metric=evaluation", "`run_dir` should hold evaluation.json: call evaluate"),
    ("run --metrics=loss", "Did you mean: metric"),
    ("run --backend=numpy", "should be one of"),
]
BENCHMARK = [
    ("--suite=", "should not be empty"),
    ("--suite=ppo --repeats=1e-1", "`repeats`"),
    ("--suite=ppo --json=/dev/null", "(there is something else than a file)"),
]


@pytest.mark.parametrize(("flags", "expected"), TRAIN)
def test_train_reports_a_mistake(flags, expected, mistake):
    flags = flags.split(" --")
    flags = [flags[0], *(f"--{flag}" for flag in flags[1:])]
    given = [] if "--resume" in flags else FLAGS
    assert expected in mistake("train", *given, *flags)


@pytest.mark.parametrize(("flags", "expected"), EVALUATE)
def test_evaluate_reports_a_mistake(flags, expected, mistake):
    assert expected in mistake("evaluate", *flags.split())


@pytest.mark.parametrize(("flags", "expected"), PLOT)
def test_plot_reports_a_mistake(flags, expected, mistake):
    assert expected in mistake("plot", *flags.split())


@pytest.mark.parametrize(("flags", "expected"), COMPARE)
def test_compare_reports_a_mistake(flags, expected, mistake):
    assert expected in mistake("compare", *flags.split())


@pytest.mark.parametrize(("flags", "expected"), BENCHMARK)
def test_benchmark_reports_a_mistake(flags, expected, mistake):
    assert expected in mistake("benchmark", *flags.split())
