"""`launch/report.py`: writes a report of runs, one HTML file that needs nothing else.

    python launch/report.py runs/s5_* runs/gru_* --output=report.html
    python launch/report.py runs/demo --num_episodes=3
    python launch/report.py runs/demo --noplay

It holds scores, learning curves, settings, the machine and the commands of all runs, and an episode
of the first run, played step by step beside what the memory does.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer
from keras_s5rl.cli.labels import label_runs
from keras_s5rl.cli.outputs import check_output_file
from keras_s5rl.cli.policy_seed import define_policy_seed_flag
from keras_s5rl.cli.recorded_runs import (
    check_run_dirs,
    define_run_dirs_flag,
    open_run,
    read_run_metrics,
)
from keras_s5rl.cli.run_command import command_of, settings_of
from keras_s5rl.envs.gymnasium.making import is_gymnasium
from keras_s5rl.runs import RunDirectory, check_imports, console, read_json, write_report

_OF_EPISODES = ("num_episodes", "deterministic", "seed", "policy_seed")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return command.run(report, define_flags, argv, positional="run_dir")


def define_flags(values: FlagValues) -> None:
    define_run_dirs_flag(values)
    flags.DEFINE_string("output", "report.html", "file: .html", flag_values=values)
    flags.DEFINE_string("title", None, "line at the top of the report", flag_values=values)
    flags.DEFINE_boolean(
        "play", True, "show an episode that the policy of the first run plays", flag_values=values
    )
    command.define_count_flag(values, "num_episodes", 1, "episodes shown one after the other")
    flags.DEFINE_boolean(
        "deterministic", True, "play the mode of the policy, not draws from it", flag_values=values
    )
    define_integer(
        "seed",
        None,
        "seed of the episode; from 0 to 2**32 - 1, by default the run's",
        values,
        lower_bound=0,
        upper_bound=2**32 - 1,
    )
    define_policy_seed_flag(values, "by default the first")
    command.define_accept_flag(values)
    command.define_import_flag(values)
    command.define_backend_flag(values)


def report(values: FlagValues) -> None:
    _check_flags(values)
    try:
        opened = [open_run(path, values.accept_edited_config) for path in values.run_dir]
        configs = [config for _, config in opened]
        labels = label_runs(configs)
        runs = [
            _read(run, config, label) for (run, config), label in zip(opened, labels, strict=True)
        ]
        differing, common = settings_of(configs)
        contents = {
            "title": values.title or _title(configs),
            "runs": runs,
            "differing": differing,
            "common": common,
            "episodes": _play(values, configs[0]),
            "played_run": 0,
        }
        write_report(contents, values.output)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None
    command.print_result(values.output)


def _check_flags(values: FlagValues) -> None:
    """Finds before the work what is wrong."""
    check_run_dirs(values)
    if not values.output.lower().endswith((".html", ".htm")):
        raise UsageError(f"`output` should end in .html. Received: output={values.output}")
    check_output_file("output", values.output)
    command.backend_name(values.backend)
    for name in _OF_EPISODES:
        if values[name].present and not values.play:
            raise UsageError(
                f"`{name}` is of the episode that is played; leave it out with `noplay`. "
                f"Received: {name}={values[name].value}, play=False"
            )


def _title(configs: Sequence[dict[str, Any]]) -> str:
    names = [", ".join(dict.fromkeys(c[name] for c in configs)) for name in ("env", "memory")]
    return f"{names[0]}: {names[1]}"


def _read(run: RunDirectory, config: dict[str, Any], label: str) -> dict[str, Any]:
    """What the report shows of a run."""
    files = {
        "evaluation": run.evaluation_path,
        "best_evaluation": run.best_evaluation_path,
    }
    number = config["num_seeds"]
    seeds = range(config["seed"], config["seed"] + number)
    best = [run.seed_best_policy_path(seed).with_suffix(".json") for seed in seeds]
    if number == 1:
        best = [run.best_policy_scores_path]
    return {
        "label": label,
        "path": str(run.path),
        "config": config,
        "metrics": read_run_metrics(run) if run.metrics_path.exists() else {},
        **{name: read_json(path) if path.exists() else None for name, path in files.items()},
        "best_policies": [read_json(path) for path in best if path.exists()],
        "command": command_of(config),
    }


def _play(values: FlagValues, config: dict[str, Any]) -> dict[str, Any] | None:
    """Plays the policy of the first run, if it is to be shown and can be."""
    if not values.play:
        return None
    if is_gymnasium(config["env"]):
        console.write("no episode is shown: the first run is in an environment of Gymnasium")
        return None
    check_imports(config, values["import"].value)
    command.select_backend(values.backend or config["backend"])
    command.import_modules(values["import"].value)
    from keras_s5rl.training import PPO
    from keras_s5rl.training.played_episodes import play_episodes

    policy_seed = values.policy_seed
    if policy_seed is None and config["num_seeds"] > 1:
        policy_seed = config["seed"]
    agent = PPO.load(values.run_dir[0], values.accept_edited_config, seed=policy_seed)
    seed = agent.seed if values.seed is None else values.seed
    return play_episodes(agent, values.num_episodes, values.deterministic, seed)
