"""What README shows runs as printed."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import benchmark
from keras_s5rl.cli import command, evaluate, plot, train
from keras_s5rl.cli.memory_flags import MemoryFlags
from keras_s5rl.cli.setting_flags import config_from_flags, memory_args_from_flags

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TRAINING = [snippet for snippet in SNIPPETS if "PPO" in snippet]
OTHERS = [snippet for snippet in SNIPPETS if "PPO" not in snippet]
COMMANDS = re.findall(r"^    python launch/(\w+)\.py (.*)$", README, re.MULTILINE)
DEFINE_FLAGS = {
    "train": train.define_flags,
    "evaluate": evaluate.define_flags,
    "plot": plot.define_flags,
    "benchmark": benchmark.define_flags,
}


def parse(name, *arguments):
    more = MemoryFlags(lambda values: values.memory) if name == "train" else None
    return command.parse_flags(DEFINE_FLAGS[name], [name, *arguments], more)


def run_as_printed(snippets, backend, folder):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed.")
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", "\n".join(snippets)],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr


def test_readme_holds_snippets_for_each_use():
    assert len(TRAINING) == 1 and len(OTHERS) == 6 and len(COMMANDS) >= 4


@pytest.mark.slow
def test_the_training_snippet_runs_as_printed(tmp_path):
    run_as_printed(TRAINING, "jax", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_the_other_snippets_run_as_printed_one_after_the_other(backend, tmp_path):
    snippets = OTHERS
    if backend == "torch":  # Keras writes no SavedModel there, as the README says
        snippets = [snippet for snippet in OTHERS if "saved_model" not in snippet]
    run_as_printed(snippets, backend, tmp_path)


@pytest.mark.parametrize(("name", "arguments"), COMMANDS)
def test_commands_have_the_flags_that_readme_gives_them(name, arguments):
    arguments = re.sub(r"\$\w+", "0", arguments.split(" #")[0].replace("$memory", "gru"))
    parse(name, *shlex.split(arguments))


@pytest.mark.parametrize(
    "preset", sorted((ROOT / "launch" / "presets").glob("*.flags")), ids=lambda p: p.name
)
def test_presets_describe_a_valid_configuration_and_readme_lists_them(preset):
    values = parse("train", f"--flagfile={preset}")
    config = config_from_flags(values)
    assert memory_args_from_flags(values, values.memory)
    assert config.num_updates(values.total_steps) > 0
    assert f"`{preset.name}`" in README
