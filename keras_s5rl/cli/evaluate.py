"""`launch/evaluate.py`: scores the policy of a run on fresh episodes.

    python launch/evaluate.py --run_dir=runs/demo
    python launch/evaluate.py --run_dir=runs/demo --policy=best
    python launch/evaluate.py --run_dir=runs/demo --env=popgym:popgym-RepeatPreviousEasy-v0
    python launch/evaluate.py --run_dir=runs/cart_poles --in_context

A name with a colon is an id of Gymnasium, `module:id` or `gymnasium:id`: there the policy plays the
reference itself. A run that was trained there is scored there.
The policies of several seeds are scored one by one, and together.
With --policy=best the policy is the one that scored best while it trained, not the last one.
With --in_context an environment made of trials is scored trial by trial and step by step.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer
from keras_s5rl.cli.in_context_table import in_context_table
from keras_s5rl.cli.outputs import check_output_file, check_output_folder
from keras_s5rl.cli.policy_seed import check_policy_seed, define_policy_seed_flag
from keras_s5rl.cli.recorded_runs import open_run
from keras_s5rl.cli.run_reports import write_report
from keras_s5rl.cli.seeds_table import seeds_table
from keras_s5rl.cli.train import parse_env_args
from keras_s5rl.envs.gymnasium.making import is_gymnasium
from keras_s5rl.runs import (
    RunDirectory,
    RunError,
    check_imports,
    console,
    plot_in_context,
    write_json_atomically,
)
from keras_s5rl.runs.animations import FORMATS, animation_writer


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return command.run(evaluate, define_flags, argv)


def define_flags(values: FlagValues) -> None:
    flags.DEFINE_string("run_dir", None, "folder of the run", flag_values=values)
    flags.DEFINE_enum(
        "policy",
        "last",
        ["last", "best"],
        "policy of the run: the last one, or the best of the evaluations while it trained",
        flag_values=values,
    )
    define_policy_seed_flag(values, "by default all are scored")
    command.define_count_flag(
        values, "num_episodes", 256, "episodes played, with --in_context contexts of each task"
    )
    flags.DEFINE_boolean(
        "in_context",
        False,
        "score every trial and step inside fresh contexts, beside an untrained agent",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "deterministic", True, "play the mode of the policy, not draws from it", flag_values=values
    )
    flags.DEFINE_string(
        "json", None, "file for the report, - for standard output", flag_values=values
    )
    flags.DEFINE_string(
        "record", None, "folder for animations of further episodes", flag_values=values
    )
    flags.DEFINE_enum(
        "record_format",
        "gif",
        list(FORMATS),
        "format of the animations; mp4 needs FFmpeg, which the extra video has",
        flag_values=values,
    )
    define_integer(
        "seed",
        None,
        "seed of the episodes; from 0 to 2**32 - 1, by default the run's",
        values,
        lower_bound=0,
        upper_bound=2**32 - 1,
    )
    flags.DEFINE_boolean(
        "overwrite",
        False,
        "replace the run's file though its score is over more episodes, or of another seed or mode",
        flag_values=values,
    )
    command.define_accept_flag(values)
    command.define_count_flag(values, "record_episodes", 3, "episodes recorded with --record")
    command.define_environment_flags(values, default=None)
    command.define_import_flag(values)
    command.define_backend_flag(values)


def evaluate(values: FlagValues) -> int | None:
    if values.run_dir is None:
        raise UsageError("`run_dir` should name the folder of a run. Received: run_dir=None")
    env_args = None if values.env_args is None else parse_env_args(values.env_args)
    if values.json not in (None, "-"):
        check_output_file("json", values.json)
    _check_in_context(values)
    _check_recording(values)
    if values.overwrite and values.json is not None:
        raise UsageError(
            "`overwrite` replaces the run's own file; leave it out with `json`. "
            f"Received: overwrite=True, json={values.json}"
        )
    try:
        run, config = open_run(values.run_dir, values.accept_edited_config)
        check_imports(config, values["import"].value)
        _check_recorded(values.env or config["env"], values)
        for name in ("in_context", "record"):
            if values[name].value:
                check_policy_seed(values, config, name)
        command.select_backend(values.backend or config["backend"])
        command.import_modules(values["import"].value)
        from keras_s5rl.training import PPO

        agent = PPO.load(values.run_dir, values.accept_edited_config, seed=values.policy_seed)
        best = _take_best(agent) if values.policy == "best" else []
        report = _report(agent, values, env_args)
        if best and "update" in report:
            report |= _of_updates(best, agent.config.steps_per_update)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None
    if values.json == "-":
        status = 0 if command.print_result(json.dumps(report, indent=2)) else 1
        out = sys.stderr
    else:
        status, out = 0, sys.stdout
    console.write(in_context_table(report) if values.in_context else _summary(report), out)
    if agent.num_seeds > 1:
        console.write(seeds_table(report, agent.seeds), out)
    _write(run, agent, values, env_args, report)
    if values.record is not None:
        _record(agent, values, env_args, out)
    return status


def _take_best(agent: Any) -> list[int]:
    """Gives the agent its best policies; returns the updates that they are of."""
    from keras_s5rl.training.seeds import take_best

    if agent.scores.best is None:
        raise UsageError(
            "`policy` should be last: the run was not evaluated while it trained, which "
            "--eval_every does. Received: policy=best"
        )
    return take_best(agent)


def _of_updates(updates: list[int], steps_per_update: int) -> dict[str, Any]:
    """What a report says of when its policies were the best; of several seeds the latest counts."""
    latest = {"update": max(updates), "env_steps": max(updates) * steps_per_update}
    return latest | ({"update_per_seed": updates} if len(updates) > 1 else {})


def _write(
    run: RunDirectory, agent: Any, values: FlagValues, env_args: Any, report: dict[str, Any]
) -> None:
    """Writes the report into the run, or where a flag says."""
    if values.json is not None:
        if values.json != "-":
            write_json_atomically(values.json, report)
    elif values.in_context:
        if write_report(run, run.in_context_path, report, values.overwrite):
            title = f"{agent.env}, {agent.memory}, seed {agent.seed}"
            plot_in_context(report, run.in_context_plot_path, title)
    elif all(given is None for given in (values.env, env_args, values.policy_seed)):
        # Another environment, or one of several seeds, is not this run's score.
        path = run.best_evaluation_path if values.policy == "best" else run.evaluation_path
        write_report(run, path, report, values.overwrite)


def _report(agent: Any, values: FlagValues, env_args: Any) -> dict[str, Any]:
    if values.in_context:
        from keras_s5rl.training import evaluate_in_context

        return evaluate_in_context(agent, values.num_episodes, values.deterministic, env_args)
    choices = {
        "num_episodes": values.num_episodes,
        "deterministic": values.deterministic,
        "env_args": env_args,
    }
    if is_gymnasium(values.env):
        return _play_in_gymnasium(agent, values, choices)
    report: dict[str, Any] = agent.evaluate(env=values.env, seed=values.seed, **choices)
    return report


def _play_in_gymnasium(agent: Any, values: FlagValues, choices: dict[str, Any]) -> dict[str, Any]:
    from keras_s5rl.training import evaluate_gymnasium
    from keras_s5rl.training.seeds import joined_reports

    reports = []
    for seed in agent.seeds:
        episodes_seed = seed if values.seed is None else values.seed
        with agent.seed_policy(seed) as policy:
            reports.append(evaluate_gymnasium(policy, values.env, seed=episodes_seed, **choices))
    return reports[0] if len(reports) == 1 else joined_reports(reports)


def _check_in_context(values: FlagValues) -> None:
    """Refuses what a score inside contexts has no use for."""
    for name in ("env", "record", "seed"):
        if values.in_context and values[name].value is not None:
            raise UsageError(
                f"`{name}` does not go with `in_context`, which plays the environment of the run "
                "in the contexts of its bank; leave one of them out. "
                f"Received: {name}={values[name].value}, in_context=True"
            )
    if values.in_context and values.policy == "best" and values.json is None:
        raise UsageError(
            "`policy=best` goes with `in_context` where `json` names a file: the run's own is of "
            "its last policy. Received: policy=best, in_context=True, json=None"
        )


def _check_recording(values: FlagValues) -> None:
    """Finds before the work that nothing could be recorded."""
    if values.record is None:
        for name in ("record_episodes", "record_format"):
            if values[name].present:
                raise UsageError(
                    f"`{name}` needs `record`, the folder for the animations. "
                    f"Received: {name}={values[name].value}, record=None"
                )
        return
    check_output_folder("record", values.record)
    try:
        animation_writer(values.record_format)
    except RunError as error:
        raise UsageError(error) from None
    _check_recorded(values.env, values)


def _check_recorded(env: str | None, values: FlagValues) -> None:
    if values.record is not None and is_gymnasium(env):
        raise UsageError(
            "`record` draws environments of the package; leave it out with an id of Gymnasium. "
            f"Received: record={values.record}, env={env}"
        )


def _record(agent: Any, values: FlagValues, env_args: Any, out: TextIO) -> None:
    from keras_s5rl import envs
    from keras_s5rl.training.recording import record_episodes

    env = agent.environment.env
    if env_args is not None or values.env not in (None, agent.env):
        env = envs.make(values.env or agent.env, **(env_args or {}))
    seed = agent.seed if values.seed is None else values.seed
    choices = values.record_episodes, values.deterministic, seed, values.record_format
    try:
        recorded = record_episodes(agent.policy, env, values.record, *choices)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None
    for path, num_steps, episode_return in recorded:
        console.write(f"{path}: return {episode_return:.4f} in {num_steps} steps", out)


def _summary(report: dict[str, Any]) -> str:
    played, other = ("mode", "sampled") if report["deterministic"] else ("sampled", "mode")
    return (
        f"{report['env']}: return {report['return_mean']:.4f} +- {report['return_ci95']:.4f} "
        f"({played}, {report['num_episodes']} episodes, mean length {report['length_mean']:.1f}); "
        f"{other} {report['other_mode']['return_mean']:.4f}"
    )
