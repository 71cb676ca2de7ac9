"""Trainings by several processes on this host, as hosts would train together.

KERAS_S5RL_KILLS says how many runs lose a process.
"""

import json
import math
import os
import random
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from keras_s5rl import PPO
from keras_s5rl.runs import Checkpoints
from tests.support.small_runs import ROOT, SIZES, metrics_of, small_config

pytestmark = [pytest.mark.devices, pytest.mark.slow]

KILLS = int(os.environ.get("KERAS_S5RL_KILLS", "1"))
ENV, SETTINGS = "PositionOnlyCartPoleEasy", {"num_epochs": 1, "num_minibatches": 1}
# In a process of four devices, with the folder of a run that four processes began.
AS_ONE = """
import json, sys
from tests.cli.processes_test import as_one
json.dump(as_one(sys.argv[1], 4, int(sys.argv[2])), sys.stdout)
"""


def as_one(folder, num_devices, update):
    """What one process makes of the settings: the history of its metrics, and the largest
    difference of its weights from those of the run, each two updates after the given one."""
    config = small_config(**SETTINGS, num_devices=num_devices, anneal_learning_rate=False)
    alone, again = PPO(ENV, memory="mlp", config=config), PPO.load(folder)
    assert again.update == update
    steps = (update + 2) * config.steps_per_update
    history = alone.fit(steps, log_every=1, verbose=False)
    again.fit(steps, verbose=False)
    weights = zip(alone.policy.get_weights(), again.policy.get_weights(), strict=True)
    return history.history, float(max(np.abs(one - other).max() for one, other in weights))


@pytest.fixture
def start_together(start):
    """Starts processes that train together, each with flags beside those of all; ends them all."""
    processes = []

    def start_processes(count, folder, *flags):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        sizes = SIZES | SETTINGS
        settings = [f"--{n}={v[0] if isinstance(v, tuple) else v}" for n, v in sizes.items()]
        for process in range(count):
            own = (f"--coordinator_address={address}", f"--num_processes={count}")
            own += (f"--process_id={process}", f"--num_devices={count}", f"--run_dir={folder}")
            own += (f"--env={ENV}", "--memory=mlp", "--total_steps=100000000", "--log_every=1")
            own += ("--noanneal_learning_rate", "--checkpoint_every=5", *settings, *flags)
            processes.append(start("train", *own))
        return processes[-count:]

    yield start_processes
    for process in processes:
        process.kill()
        process.communicate()


def wait_for_updates(process, count):
    """Reads what process 0 prints until it has reported so many updates."""
    printed = ""
    for line in process.stderr:
        printed += line
        if " steps/s " in line:
            count -= 1
        if count == 0:
            return
    pytest.fail(printed)


def assert_trained_as_one(folder, update, history, difference):
    metrics = metrics_of(folder)[:update]
    assert len(metrics) == update > 0 and difference < 1e-5
    for name in metrics[0]:
        values = [math.nan if row[name] is None else row[name] for row in metrics]
        np.testing.assert_allclose(values, history[name][:update], 1e-5, 1e-5, err_msg=name)


def test_two_processes_train_as_one_stop_together_and_go_on_as_one(start_together, tmp_path):
    processes = start_together(2, tmp_path)
    wait_for_updates(processes[0], 3)
    processes[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [143, 143], outputs
    assert "stopped at" in outputs[0][0] and str(tmp_path) not in outputs[1][0]
    update = max(Checkpoints(tmp_path / "checkpoints").steps())
    assert update == len(metrics_of(tmp_path)) >= 3
    assert_trained_as_one(tmp_path, update, *as_one(tmp_path, 2, update))


def test_a_lost_process_ends_the_others_and_the_run_goes_on_as_one(start_together, tmp_path):
    chance = random.Random(0)
    for kill in range(KILLS):
        folder = tmp_path / f"run{kill}"
        processes = start_together(4, folder)
        wait_for_updates(processes[0], chance.randint(5, 20))
        processes[chance.randint(1, 3)].kill()
        outputs = [process.communicate()[1] for process in processes]
        update = max(Checkpoints(folder / "checkpoints").steps())
        assert update >= 5 and update % 5 == 0
        assert 0 not in [process.returncode for process in processes], outputs
        assert processes[0].returncode == 1 and "Traceback" not in outputs[0], outputs
        assert "A process of the 4 that train together was lost" in outputs[0], outputs
        assert f"update {update}; go on with --resume --run_dir={folder}" in outputs[0], outputs
        if kill in (0, KILLS - 1):
            command = [sys.executable, "-c", AS_ONE, str(folder), str(update)]
            environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "4"}
            result = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
            )
            assert_trained_as_one(folder, update, *json.loads(result.stdout))
