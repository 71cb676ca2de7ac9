"""What README shows runs as printed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from absl import flags

from keras_s5rl.cli import benchmark, command, evaluate, plot, train

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    python launch/(\w+)\.py (.*)$", README, re.MULTILINE)
DEFINE_FLAGS = {
    "train": train.define_flags,
    "evaluate": evaluate.define_flags,
    "plot": plot.define_flags,
    "benchmark": benchmark.define_flags,
}


def test_readme_holds_a_snippet_for_each_of_the_three_uses():
    assert len(SNIPPETS) == 3 and len(COMMANDS) >= 4


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda s: s.split("\n")[-2][:40])
def test_python_snippets_run_as_printed(snippet, tmp_path):
    if "PPO" in snippet and keras.config.backend() != "jax":
        pytest.skip("Training runs on JAX only so far.")
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", snippet],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("name", "arguments"), COMMANDS)
def test_commands_have_the_flags_that_readme_gives_them(name, arguments):
    values = flags.FlagValues()
    DEFINE_FLAGS[name](values)
    arguments = arguments.split(" #")[0]
    arguments = re.sub(r"\$\w+", "0", arguments)
    rest = values([name, *command.find_flagfiles(shlex.split(arguments))])
    assert rest == [name]


@pytest.mark.parametrize(
    "preset", sorted((ROOT / "launch" / "presets").glob("*.flags")), ids=lambda p: p.name
)
def test_presets_describe_a_valid_configuration_and_readme_lists_them(preset):
    from keras_s5rl.cli.config_flags import config_from_flags

    values = flags.FlagValues()
    train.define_flags(values)
    values(["train", f"--flagfile={preset}"])
    assert config_from_flags(values).num_envs == 64
    assert f"`{preset.name}`" in README
