"""What a training leaves behind, and that stopping it at any moment changes nothing."""

import json
import os
import pty
import random
import shutil
import signal
import subprocess
import termios

import numpy as np
import pytest

from keras_s5rl import PPO, envs, load_policy
from keras_s5rl.cli import train
from keras_s5rl.runs import Checkpoints, read_metrics
from keras_s5rl.runs.migrations import FORMAT_VERSION
from tests.support.envs_that_fail import InfiniteReward
from tests.support.small_runs import FLAGS, METRICS, STEPS, metrics_of, newest_arrays, train_flags

NUM_UPDATES = 60


def test_a_pipe_gets_one_line_every_log_every_updates(trained):
    folder, stdout, stderr = trained
    compiling, compiled, *lines = stderr.splitlines()
    assert compiling == "compiling; training to 7,680 steps" and compiled.startswith("compiled in ")
    steps = [line.split()[0] for line in lines]
    assert steps == ["2,560", "5,120", "7,680"]
    first, last = stdout.splitlines()
    assert "parameters on RepeatPreviousEasy" in first and str(folder) in first
    assert last.startswith("return ") and str(folder) in last


def test_config_json_holds_every_setting(trained):
    config = json.loads((trained[0] / "config.json").read_text())
    assert {name: config[name] for name in ("env", "env_args", "memory", "seed", "num_seeds")} == {
        "env": "RepeatPreviousEasy",
        "env_args": {},
        "memory": "s5",
        "seed": 0,
        "num_seeds": 1,
    }
    schedule = [config[name] for name in ("total_steps", "checkpoint_every", "log_every")]
    assert schedule == [NUM_UPDATES * STEPS, 7, 20]
    assert config["format_version"] == FORMAT_VERSION and config["backend"] == "jax"
    assert config["width"] == 16 and config["encoder_sizes"] == [16]
    assert {"jax", "keras"} <= set(config["versions"]) and config["device"] == "cpu"
    assert {"cpu", "python"} <= set(config["machine"])


def test_metrics_jsonl_has_a_line_for_every_update_with_null_where_no_episode_ended(trained):
    lines = (trained[0] / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [list(row) for row in rows] == [METRICS] * NUM_UPDATES
    assert [row["update"] for row in rows] == list(range(1, NUM_UPDATES + 1))
    assert [row["env_steps"] for row in rows] == [STEPS * row["update"] for row in rows]
    # Episodes of 51 steps, all started together, in rollouts of 16.
    ends = {-(-51 * episode // 16) for episode in range(1, NUM_UPDATES)}
    for row in rows:
        ended = row["update"] in ends
        assert row["episodes"] == (8 if ended else 0)
        assert row["episode_length_mean"] == (51 if ended else None)
        assert (row["episode_return_mean"] is None) == (not ended)
    full = -(-51 * 13 // 16)  # by then 13 episodes, 104 of all environments, have ended
    assert all(row["mmer"] is None for row in rows[: full - 1])
    returns = [row["episode_return_mean"] for row in rows[full - 1 :]]
    assert rows[-1]["mmer"] == max(value for value in returns if value is not None)
    times = [row["wall_time_s"] for row in rows]
    assert times == sorted(times) and times[0] > 0


def test_tensorboard_reads_the_same_numbers(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = trained[0]
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(METRICS)
    for name in ("loss", "episode_return_mean"):
        written = [(r["env_steps"], r[name]) for r in metrics_of(folder) if r[name] is not None]
        read = [(event.step, event.value) for event in events.Scalars(name)]
        np.testing.assert_allclose(read, written, rtol=1e-6)


def test_checkpoints_curve_and_evaluation_are_there(trained):
    folder = trained[0]
    assert Checkpoints(folder / "checkpoints").steps() == [49, 56, 60]
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    report = json.loads((folder / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert list(report) == [
        *("env", "env_args", "num_episodes", "deterministic", "seed", "update", "env_steps"),
        *("return_mean", "return_std", "return_ci95", "length_mean", "other_mode", "returns"),
    ]
    returns = report["returns"]
    assert len(returns) == report["num_episodes"] == 256
    assert report["return_mean"] == pytest.approx(np.mean(returns))
    assert report["return_std"] == pytest.approx(np.std(returns, ddof=1))
    assert report["return_ci95"] == pytest.approx(1.96 * np.std(returns, ddof=1) / 16)
    assert report["length_mean"] == 51 and report["deterministic"] is True
    assert not [path.name for path in folder.rglob(".*")]


@pytest.mark.slow
def test_the_saved_policy_gives_the_outputs_of_the_agent(trained):
    agent, policy = PPO.load(trained[0]), load_policy(trained[0] / "policy.keras")
    observations = np.random.default_rng(5).normal(size=(3, 9, 10)).astype("float32")
    resets = np.zeros((3, 9), bool)
    resets[1, 4] = True
    for ours, theirs in zip(
        agent.policy(observations, resets=resets)[:2],
        policy(observations, resets=resets)[:2],
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert np.ptp(np.asarray(agent.policy(observations)[0])) > 0


@pytest.mark.slow
def test_a_terminal_shows_a_bar(start, tmp_path):
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 120))
    flags = train_flags(tmp_path / "run")
    with start("train", *flags, stderr=end, text=False) as process:
        os.close(end)
        shown = b""
        while True:
            try:
                shown += os.read(terminal, 65536)
            except OSError:  # the process has closed its end
                break
        process.communicate()
    os.close(terminal)
    assert process.returncode == 0, shown
    assert b"\r" in shown and b"training: 100%|" in shown and b"steps/s" in shown
    assert b"compiling; " not in shown


# ---- Stopping and resuming


def kill_after(process, *, lines=None, seconds=None, number=signal.SIGKILL):
    """Sends a signal after so many lines of progress, or so many seconds; returns the status."""
    if lines is None:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
    else:
        for _ in range(lines):
            if not process.stderr.readline():
                break
        process.send_signal(number)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def assert_equals_the_uninterrupted_run(folder, trained):
    assert metrics_of(folder) == metrics_of(trained[0])
    assert newest_arrays(folder) == newest_arrays(trained[0])
    scores = [json.loads((f / "evaluation.json").read_text()) for f in (folder, trained[0])]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_it_ends_bit_for_bit_the_same(
    start, run, trained, tmp_path
):
    folder = tmp_path / "run"
    flags = [*train_flags(folder, NUM_UPDATES), "--log_every=1"]
    resume = ["--resume", f"--run_dir={folder}"]
    chance = random.Random(20)
    # Before it writes anything, or while it imports.
    assert kill_after(start("train", *flags), seconds=chance.uniform(0, 0.4))[0] == -9
    assert not (folder / "config.json").exists()
    # While compiling (nothing is cached), before the first update: checkpoint 0 is there.
    process = start("train", *flags, environment={"JAX_ENABLE_COMPILATION_CACHE": "false"})
    assert kill_after(process, lines=1)[0] == -9
    assert (folder / "config.json").exists() and metrics_of(folder) == []
    assert newest_arrays(folder)[0] == 0
    # In the middle, between checkpoints, several times in a row, and while starting again.
    for lines in (1 + chance.randint(1, 6), 1 + chance.randint(8, 20), 1 + chance.randint(8, 20)):
        status, _, stderr = kill_after(start("train", *resume), lines=lines)
        assert status in (-9, 0), stderr  # 0: a fast machine was done before the signal came
        kill_after(start("train", *resume), seconds=chance.uniform(0, 3))
    assert metrics_of(folder)
    status, _, stderr = run("train", *resume)
    assert status == 0, stderr
    assert_equals_the_uninterrupted_run(folder, trained)


@pytest.mark.slow
def test_killed_before_the_first_checkpoint_it_starts_again(run, trained, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(trained[0] / "config.json", folder)
    (folder / "metrics.jsonl").write_text('{"update": 1')
    status, _, stderr = run("train", "--resume", f"--run_dir={folder}")
    assert status == 0, stderr
    assert_equals_the_uninterrupted_run(folder, trained)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_update_writes_a_checkpoint_and_can_be_resumed(
    number, expected, start, run, trained, tmp_path
):
    folder = tmp_path / "run"
    process = start("train", *train_flags(folder, NUM_UPDATES), "--log_every=1")
    # SIGINT when the first update is about to begin, SIGTERM in the middle.
    lines = 1 if number == signal.SIGINT else 12
    status, stdout, stderr = kill_after(process, lines=lines, number=number)
    assert status == expected, stderr
    assert "Traceback" not in stderr
    done = len(metrics_of(folder))
    assert lines - 2 <= done < NUM_UPDATES  # two lines are about compiling
    assert newest_arrays(folder)[0] == done
    assert f"stopped at {done * STEPS:,} steps" in stdout and "--resume" in stdout
    assert not (folder / "evaluation.json").exists() and (folder / "policy.keras").exists()
    status, _, stderr = run("train", "--resume", f"--run_dir={folder}")
    assert status == 0, stderr
    assert_equals_the_uninterrupted_run(folder, trained)


@pytest.fixture
def copied(trained, tmp_path):
    """A run of its own, with all that the trained one left on disk."""
    return shutil.copytree(trained[0], tmp_path / "copy")


def alter(checkpoint):
    """Turns round one bit in the middle of the arrays."""
    path = checkpoint / "arrays.npz"
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


def truncate(checkpoint):
    path = checkpoint / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.slow
@pytest.mark.parametrize("damage", [alter, truncate])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(
    damage, run, trained, copied
):
    damage(copied / "checkpoints" / "checkpoint_00000060")
    status, _, stderr = run("train", "--resume", f"--run_dir={copied}")
    assert status == 0, stderr
    warning = stderr.splitlines()[0]
    assert warning.startswith("warning: checkpoint_00000060 ") and "update 56" in warning
    assert_equals_the_uninterrupted_run(copied, trained)


def test_without_a_readable_checkpoint_it_says_so_and_changes_nothing(capsys, copied):
    for checkpoint in (copied / "checkpoints").iterdir():
        alter(checkpoint)
    before = {path: path.is_file() and path.read_bytes() for path in copied.rglob("*")}
    assert train.main(["train.py", "--resume", f"--run_dir={copied}", "--log_every=3"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: No checkpoint can be read") and error.count("\n") == 1
    assert before == {path: path.is_file() and path.read_bytes() for path in copied.rglob("*")}


def test_a_config_json_that_lacks_settings_names_them(capsys, copied):
    config = json.loads((copied / "config.json").read_text())
    del config["width"], config["memory"]
    (copied / "config.json").write_text(json.dumps(config))
    flags = ["--resume", f"--run_dir={copied}", "--accept_edited_config"]
    assert train.main(["train.py", *flags]) == 2
    error = capsys.readouterr().err
    assert "memory, width are not there" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--seed=1", "seed"),
        ("--width=32", "width"),
        ("--env=RepeatPreviousMedium", "env"),
        ('--env_args={"k": 8}', "env_args"),
        ("--memory=mlp", "memory"),
        ("--learning_rate=0.1", "learning_rate"),
        ("--encoder_sizes=16,16", "encoder_sizes"),
        ("--total_steps=12800", "total_steps"),
    ],
)
def test_a_run_is_not_resumed_with_another_setting(flag, name, capsys, copied):
    before = (copied / "config.json").read_bytes()
    assert train.main(["train.py", "--resume", f"--run_dir={copied}", flag]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: `{name}` should be ") and error.count("\n") == 1
    assert f"Received: {name}=" in error
    assert (copied / "config.json").read_bytes() == before


def test_a_new_run_leaves_another_one_alone(capsys, copied):
    before = {path: path.is_file() and path.read_bytes() for path in copied.rglob("*")}
    assert train.main(["train.py", *train_flags(copied)]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert before == {path: path.is_file() and path.read_bytes() for path in copied.rglob("*")}


@pytest.mark.slow
def test_without_annealing_a_run_may_grow_and_equals_one_that_long(capsys, tmp_path):
    constant = ["--anneal_learning_rate=false", "--checkpoint_every=2", "--memory=mlp"]
    constant.append('--env_args={"k": 2}')
    for name, total in (("grown", 3), ("long", 5)):
        flags = [*train_flags(tmp_path / name, total), *constant]
        assert train.main(["train.py", *flags]) == 0
    assert len(metrics_of(tmp_path / "grown")) == 3
    flags = ["--resume", f"--run_dir={tmp_path / 'grown'}", f"--total_steps={5 * STEPS}"]
    assert train.main(["train.py", *flags]) == 0
    assert metrics_of(tmp_path / "grown") == metrics_of(tmp_path / "long")
    assert newest_arrays(tmp_path / "grown") == newest_arrays(tmp_path / "long")
    config = json.loads((tmp_path / "grown" / "config.json").read_text())
    assert config["total_steps"] == 5 * STEPS and config["checkpoint_every"] == 2
    assert config["anneal_learning_rate"] is False and config["env_args"] == {"k": 2}


@pytest.mark.slow
def test_a_run_without_a_folder_gets_a_new_one_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"env": "RepeatPreviousEasy", "memory": "s5", "seed": 3, "num_seeds": 1}
    path = train._new_run_dir(settings)
    assert path == "runs/RepeatPreviousEasy_s5_seed3"
    assert train._new_run_dir(settings) == "runs/RepeatPreviousEasy_s5_seed3_2"


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_checkpoint(capsys, tmp_path):
    envs.register_env("InfiniteReward", InfiniteReward)
    folder = tmp_path / "run"
    flags = [*FLAGS, "--env=InfiniteReward", "--memory=mlp", "--checkpoint_every=2"]
    flags += ["--total_steps=1280"]
    status = train.main(["train.py", *flags, f"--run_dir={folder}", "--log_every=1"])
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 1
    assert error.startswith("error: Update 4 has non-finite ") and "Received: " in error
    assert len(metrics_of(folder)) == 3
    assert Checkpoints(folder / "checkpoints").load_newest()[0] == 2
    assert np.isfinite(read_metrics(folder / "metrics.jsonl")["loss"]).all()
    assert PPO.load(folder).update == 2
