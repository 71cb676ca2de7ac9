"""`launch/probe.py`: says how much of a context a policy's memory tells, step by step.

    python launch/probe.py --run_dir=runs/projected
    python launch/probe.py --run_dir=runs/projected --num_contexts=1024 --steps=1,10,100,399

Linear regressions on the features of the memory predict task, state, observation matrix and action
matrix of contexts of projected_control that they have not seen.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.outputs import check_output_file, check_picture_file
from keras_s5rl.cli.policy_seed import check_policy_seed, define_policy_seed_flag
from keras_s5rl.cli.probe_table import probe_table
from keras_s5rl.cli.recorded_runs import open_run
from keras_s5rl.cli.train import parse_env_args
from keras_s5rl.runs import check_imports, console, plot_probes, write_json_atomically


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return command.run(probe, define_flags, argv)


def define_flags(values: FlagValues) -> None:
    flags.DEFINE_string("run_dir", None, "folder of the run", flag_values=values)
    define_policy_seed_flag(values, "its memory is probed")
    command.define_count_flag(values, "num_contexts", 256, "contexts of each task")
    flags.DEFINE_list(
        "steps",
        None,
        "steps of the context, from 0; by default some that lie farther apart the later they are",
        flag_values=values,
    )
    flags.DEFINE_string(
        "env_args",
        None,
        "JSON of arguments of the environment that take the place of those trained with",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "file for a picture: .png, .svg or .pdf; by default probes.png of the run",
        flag_values=values,
    )
    flags.DEFINE_string(
        "json",
        None,
        "file for all numbers, - for standard output; by default probes.json of the run",
        flag_values=values,
    )
    command.define_accept_flag(values)
    command.define_import_flag(values)
    command.define_backend_flag(values)


def probe(values: FlagValues) -> int:
    if values.run_dir is None:
        raise UsageError("`run_dir` should name the folder of a run. Received: run_dir=None")
    steps = _parsed_steps(values.steps)
    env_args = None if values.env_args is None else parse_env_args(values.env_args)
    if values.json not in (None, "-"):
        check_output_file("json", values.json)
    if values.output is not None:
        check_picture_file("output", values.output)
    try:
        run, config = open_run(values.run_dir, values.accept_edited_config)
        check_imports(config, values["import"].value)
        check_policy_seed(values, config, "probe")
        command.select_backend(values.backend or config["backend"])
        command.import_modules(values["import"].value)
        from keras_s5rl.training import PPO, probe_memory

        agent = PPO.load(values.run_dir, values.accept_edited_config, seed=values.policy_seed)
        report = probe_memory(agent, values.num_contexts, steps, env_args)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None
    status, out = 0, sys.stdout
    if values.json == "-":
        status = 0 if command.print_result(json.dumps(report, indent=2)) else 1
        out = sys.stderr
    else:
        write_json_atomically(values.json or run.probes_path, report)
    title = f"{agent.env}, {agent.memory}, seed {agent.seed}"
    plot_probes(report, values.output or run.probes_plot_path, title)
    console.write(probe_table(report), out)
    return status


def _parsed_steps(given: Any) -> list[int] | None:
    if given is None:
        return None
    try:
        return [int(step) for step in given]
    except ValueError:
        raise UsageError(
            f"`steps` should be integers with commas between them. Received: steps={given}"
        ) from None
