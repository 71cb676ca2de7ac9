"""Runs that earlier versions wrote: scored, drawn and taken up again."""

import json

import pytest

from keras_s5rl import PPO
from keras_s5rl.cli import evaluate, plot
from keras_s5rl.runs.migrations import FORMAT_VERSION
from tests.support.small_runs import STEPS, metrics_of, newest_arrays, small_config

pytestmark = pytest.mark.slow

CONFIG = small_config(num_epochs=1, anneal_learning_rate=False, value_clip=0.2)
ARGUMENTS = {"context_length": 8, "num_heads": 2}
# What format 2 had beside the settings of the memory that was trained.
OTHERS = {"state_size": 64, "norm": "pre", "block_activation": "full_glu"}
OTHERS |= {"clip_eigenvalues": True, "dt_min": 1e-3, "dt_max": 1e-1}


def trained(folder, updates):
    agent = PPO("RepeatPreviousEasy", {"k": 2}, "attention", CONFIG, memory_args=ARGUMENTS)
    agent.fit(updates * STEPS, run_dir=folder, verbose=False)
    return agent


@pytest.fixture
def earlier(tmp_path):
    """A run of two updates, with the config.json that format 1 would have."""
    trained(tmp_path / "run", 2)
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    for name in ("checksum", "value_clip", "num_devices"):
        del config[name]
    config |= {"format_version": 1, **OTHERS, **config.pop("memory_args")}
    config |= {"clip_value_loss": True, "normalize_advantages": True}
    path.write_text(json.dumps(config))
    return tmp_path / "run"


def test_a_run_of_before_goes_on_bit_for_bit(earlier, tmp_path):
    whole = trained(tmp_path / "whole", 3)
    loaded = PPO.load(earlier)
    assert loaded.settings() == whole.settings()
    loaded.fit(3 * STEPS, run_dir=earlier, resume=True, verbose=False)
    assert metrics_of(earlier) == metrics_of(tmp_path / "whole")
    assert newest_arrays(earlier) == newest_arrays(tmp_path / "whole")
    config = json.loads((earlier / "config.json").read_text())
    assert config["format_version"] == FORMAT_VERSION and config["memory_args"] == ARGUMENTS
    assert config["value_clip"] == 0.2 and not config.keys() & {*OTHERS, "clip_value_loss"}


def test_a_run_of_before_is_scored_and_drawn(earlier, tmp_path):
    output = tmp_path / "curve.png"
    assert evaluate.main(["evaluate.py", f"--run_dir={earlier}", "--num_episodes=4"]) == 0
    assert plot.main(["plot.py", f"--run_dir={earlier}", f"--output={output}"]) == 0
    assert (earlier / "evaluation.json").exists() and output.exists()
