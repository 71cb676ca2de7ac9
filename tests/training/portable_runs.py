"""Runs that one backend writes and others go on with.

`python -m tests.training.portable_runs write|read FOLDER [WRITER ...]` on any backend.
"""

import json
import shutil
import sys
from pathlib import Path

import keras

from keras_s5rl import PPO
from tests.support.small_runs import STEPS, small_config

BACKEND = keras.config.backend()
SETTINGS = {"total_steps": 4 * STEPS, "checkpoint_every": 2, "log_every": 2, "verbose": False}
NUM_EPISODES = 16


def new_agent():
    return PPO("RepeatPreviousEasy", memory="s5", config=small_config(), seed=2)


def write(folder):
    """Trains and scores an agent."""
    agent = new_agent()
    agent.fit(run_dir=folder / BACKEND, **SETTINGS)
    keep_score(agent, folder / f"{BACKEND}.json")


def read(folder, writers):
    """Scores the agents of each backend, and trains them on from the middle."""
    for writer in writers:
        name = f"{writer}_{BACKEND}"
        keep_score(PPO.load(folder / writer), folder / f"{name}.json")
        run_dir = shutil.copytree(folder / writer, folder / name)
        shutil.rmtree(run_dir / "checkpoints" / "checkpoint_00000004")
        new_agent().fit(run_dir=run_dir, resume=True, **SETTINGS)


def keep_score(agent, file):
    file.write_text(json.dumps(agent.evaluate(NUM_EPISODES)))


if __name__ == "__main__":
    if BACKEND != "tensorflow":
        sys.modules["tensorflow"] = None  # saving would import it, for seconds
    task, folder, *writers = sys.argv[1:]
    if task == "write":
        write(Path(folder))
    else:
        read(Path(folder), writers)
