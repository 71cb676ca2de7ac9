"""`launch/evaluate.py`: scores the policy of a run on fresh episodes."""

import json
import sys

from absl import flags

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.train import parse_env_args
from keras_s5rl.runs import RunDirectory, write_json_atomically


def main(argv=None):
    """Runs the command; returns its exit status."""
    return command.run(evaluate, define_flags, argv)


def define_flags(values):
    flags.DEFINE_string("run_dir", None, "folder of the run", flag_values=values)
    command.define_count_flag(values, "num_episodes", 256, "episodes played")
    flags.DEFINE_boolean(
        "deterministic", True, "play the mode of the policy, not draws from it", flag_values=values
    )
    flags.DEFINE_string(
        "json", None, "file for the report, - for standard output", flag_values=values
    )
    command.define_environment_flags(values, default=None)
    command.define_backend_flag(values)


def evaluate(values):
    if values.run_dir is None:
        raise UsageError("`run_dir` should name the folder of a run. Received: run_dir=None")
    env_args = None if values.env_args is None else parse_env_args(values.env_args)
    if values.json not in (None, "-"):
        command.check_output_file("json", values.json)
    try:
        run = RunDirectory.open(values.run_dir)
        command.select_backend(values.backend or run.read_config()["backend"])
        from keras_s5rl.training import PPO

        agent = PPO.load(values.run_dir)
        report = agent.evaluate(values.num_episodes, values.deterministic, values.env, env_args)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None
    if values.json == "-":
        print(json.dumps(report, indent=2))
    elif values.json is not None:
        write_json_atomically(values.json, report)
    elif values.env is None and env_args is None:  # another environment is not this run's score
        run.write_evaluation(report)
    print(_summary(report), file=sys.stderr if values.json == "-" else sys.stdout)


def _summary(report):
    played, other = ("mode", "sampled") if report["deterministic"] else ("sampled", "mode")
    return (
        f"{report['env']}: return {report['return_mean']:.4f} +- {report['return_ci95']:.4f} "
        f"({played}, {report['num_episodes']} episodes, mean length {report['length_mean']:.1f}); "
        f"{other} {report['other_mode']['return_mean']:.4f}"
    )
