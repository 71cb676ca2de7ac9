"""Trainings that are killed at random moments, with second processes in the same folder.

KERAS_S5RL_KILLS says how many kills; a hundred take a quarter of an hour.
"""

import os
import random
import shutil
import signal

import pytest

from tests.support.small_runs import metrics_of, newest_arrays, train_flags

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KERAS_S5RL_KILLS", "2"))
NUM_UPDATES = 60


def killed(process, lines):
    """Kills a training after so many lines of progress; returns its status and what it printed."""
    printed = ""
    for _ in range(lines):
        line = process.stderr.readline()
        printed += line
        if not line:
            break
    process.send_signal(signal.SIGKILL)
    stdout, stderr = process.communicate()
    return process.returncode, printed + stderr


def race(start, flags, chance):
    """Two trainings at once in one folder: at most one of them trains; both are killed."""
    processes = [start("train", *flags) for _ in range(2)]
    statuses = []
    for process in processes:
        status, printed = killed(process, chance.randint(0, NUM_UPDATES))
        assert status in (-signal.SIGKILL, 0, 2), printed
        if status == 2:
            assert "in use by" in printed or "already holds a run" in printed, printed
        assert "Traceback" not in printed
        statuses.append(status)
    return statuses


def test_kills_and_races_mix_nothing_and_lose_nothing(start, run, trained, tmp_path):
    chance = random.Random(int(os.environ.get("KERAS_S5RL_SEED", "1")))
    folder, kills, refused, finished = tmp_path / "run", 0, 0, 0
    while kills < KILLS or finished == 0:
        exists = (folder / "config.json").exists()
        flags = [*train_flags(folder, NUM_UPDATES), "--log_every=1"]
        flags = ["--resume", f"--run_dir={folder}"] if exists else flags
        if kills < KILLS and chance.random() < 0.3:
            statuses = race(start, flags, chance)
            kills += statuses.count(-signal.SIGKILL)
            refused += statuses.count(2)
        elif kills < KILLS:
            status, printed = killed(start("train", *flags), chance.randint(0, NUM_UPDATES))
            assert status in (-signal.SIGKILL, 0) and "Traceback" not in printed, printed
            kills += status == -signal.SIGKILL
        if kills >= KILLS or (folder / "evaluation.json").exists() or chance.random() < 0.1:
            exists = (folder / "config.json").exists()
            flags = ["--resume", f"--run_dir={folder}"] if exists else flags
            status, _, stderr = run("train", *flags)
            assert status == 0, stderr
            assert metrics_of(folder) == metrics_of(trained[0])
            assert newest_arrays(folder) == newest_arrays(trained[0])
            assert not (folder / ".lock").exists()
            shutil.rmtree(folder)
            finished += 1
    print(f"{kills} kills, {refused} second processes refused, {finished} runs finished")
