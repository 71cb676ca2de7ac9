"""`launch/train.py`: trains an agent from flags."""

import json
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer
from keras_s5rl.cli.memory_flags import MemoryFlags
from keras_s5rl.cli.process_flags import (
    are_several,
    define_process_flags,
    end_process,
    how_to_go_on,
    join_processes,
    mistake_of_all,
)
from keras_s5rl.cli.recorded_runs import open_run
from keras_s5rl.cli.run_reports import write_evaluation
from keras_s5rl.cli.setting_flags import (
    config_from_flags,
    define_config_flags,
    define_setting_flag,
    memory_args_from_flags,
    value_of_flag,
)
from keras_s5rl.cli.stop_signals import StopSignals
from keras_s5rl.cli.tracking_flags import define_tracking_flags, trackers
from keras_s5rl.models.memories import check_memory
from keras_s5rl.ppo.run_settings import EVALUATION_SETTINGS
from keras_s5rl.runs import RunDirectory, WriteError, check_imports
from keras_s5rl.runs.seeds_text import seeds_text

_EVALUATION_EPISODES = 256
_CAPTURE_LOOPS = "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"
_RESUMING = ("override", "accept_edited_config")
_SCHEDULE = ("total_steps", "checkpoint_every", "log_every")  # what may differ when resuming


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return end_process(lambda: command.run(train, define_flags, argv, MemoryFlags(_memory_of)))


def define_flags(values: FlagValues) -> None:
    command.define_environment_flags(values, default="RepeatPreviousEasy")
    command.define_import_flag(values)
    command.define_backend_flag(values)
    flags.DEFINE_string("memory", "s5", "memory of the agent", flag_values=values)
    flags.DEFINE_string(
        "encoder",
        None,
        "encoder of the observations: dense, entries (convolutions for images, a dense layer for "
        "each other entry), or one of your own; by default entries where there is an image or "
        "several boxes, else dense",
        flag_values=values,
    )
    define_integer("seed", 0, "seed of everything random; from 0 to 2**32 - 1", values)
    command.define_count_flag(values, "num_seeds", 1, "seeds trained side by side")
    command.define_count_flag(values, "total_steps", 500_000, "environment steps of the whole run")
    flags.DEFINE_string(
        "run_dir", None, "folder of the run; by default a new one below runs/", flag_values=values
    )
    flags.DEFINE_boolean("resume", False, "go on with the run in run_dir", flag_values=values)
    flags.DEFINE_boolean(
        "override",
        False,
        "with --resume: go on with the settings given here where they differ from the run's",
        flag_values=values,
    )
    command.define_accept_flag(values)
    command.define_count_flag(values, "checkpoint_every", 50, "updates between checkpoints")
    command.define_count_flag(values, "log_every", 10, "updates between lines of progress")
    for name, setting in EVALUATION_SETTINGS.items():
        define_setting_flag(name, setting, values)
    define_process_flags(values)
    define_tracking_flags(values)
    flags.DEFINE_boolean(
        "cuda_graphs",
        False,
        "on JAX with an NVIDIA GPU: capture whole loops as CUDA graphs, a rollout as one",
        flag_values=values,
    )
    define_config_flags(values)


def _memory_of(values: FlagValues) -> str:
    """Returns the name of the memory that the flags name, or that the run to resume has, `""` if
    that was given its policy; makes ready what has to be so before the memory's own flags are
    defined."""
    recorded = _recorded_settings(values) if values.resume else None
    several = are_several(values)  # then each process has a part of the devices
    num_devices = 1 if several else config_from_flags(values, recorded).num_devices
    command.select_backend(_flag_or_recorded("backend", values, recorded), num_devices)
    command.import_modules(values["import"].value)
    memory = _flag_or_recorded("memory", values, recorded)
    if _is_of_given_policy(memory, recorded):
        return ""
    try:
        check_memory(memory)
    except ValueError as error:
        raise UsageError(error) from None
    return memory


def _is_of_given_policy(memory: str, recorded: dict[str, Any] | None) -> bool:
    return recorded is not None and "policy" in recorded and memory == recorded["memory"]


def _flag_or_recorded(name: str, values: FlagValues, recorded: dict[str, Any] | None) -> Any:
    """The value of a flag, or where it was not given that of the run to resume."""
    return recorded[name] if recorded and not values[name].present else values[name].value


def train(values: FlagValues) -> int:
    with StopSignals() as signals:
        return _train(values, signals)


def _train(values: FlagValues, signals: StopSignals) -> int:
    _check_flags(values)
    tracked_in = trackers(values)
    recorded = _recorded_settings(values) if values.resume else None
    config = config_from_flags(values, recorded)
    settings = {
        name: _flag_or_recorded(name, values, recorded)
        for name in ("env", "memory", "encoder", "seed", "num_seeds", *_SCHEDULE)
    }
    evaluation = {
        name: value_of_flag(setting, _flag_or_recorded(name, values, recorded))
        for name, setting in EVALUATION_SETTINGS.items()
    }
    env_args = parse_env_args(values.env_args)
    if recorded and values.env_args is None:
        env_args = recorded["env_args"]
    is_given = _is_of_given_policy(settings["memory"], recorded)
    memory_args = None if is_given else memory_args_from_flags(values, settings["memory"], recorded)
    if values.cuda_graphs:
        _capture_loops()
    join_processes(values, config.num_devices)

    from keras_s5rl import backend
    from keras_s5rl.envs.gymnasium.host_environments import EnvironmentFailedError
    from keras_s5rl.training import PPO, NonFiniteLossError
    from keras_s5rl.training.arguments import check_evaluation
    from keras_s5rl.training.checks import check_devices
    from keras_s5rl.training.given_policy import policy_of
    from keras_s5rl.training.processes import refused_together
    from keras_s5rl.training.tracking import Tracking, TrackingError

    try:
        with refused_together():
            check_evaluation(evaluation, settings["num_seeds"])
            check_devices(config)
            _check_cuda_graphs(values)
            agent = PPO(
                settings["env"],
                env_args,
                settings["memory"],
                config,
                settings["seed"],
                memory_args,
                values["import"].value,
                settings["encoder"],
                policy_of(recorded) if recorded and is_given else None,
                settings["num_seeds"],
            )
    except (ValueError, NotImplementedError) as error:
        raise mistake_of_all(error) from None
    signals.policy = agent.policy
    resuming = {name: values[name].value for name in ("resume", *_RESUMING)}
    is_first, run_dir = backend.processes.index() == 0, values.run_dir or ""
    try:
        if not run_dir:
            run_dir = _new_run_dir(settings) if is_first else ""
            run_dir = os.fsdecode(backend.processes.from_first(os.fsencode(run_dir)))
        if is_first:
            command.print_result(
                f"{settings['memory']} with {agent.num_parameters:,} parameters on "
                f"{settings['env']}, {seeds_text(settings['seed'], settings['num_seeds'])}, "
                f"into {run_dir}"
            )
        with Tracking(tracked_in if is_first else [], run_dir) as tracking:
            schedule = {name: settings[name] for name in _SCHEDULE} | evaluation
            agent.fit(**schedule, **resuming, run_dir=run_dir, callbacks=tracking.callbacks)
            signals.received = backend.processes.maximum(signals.received or 0) or None
            backend.processes.leave()  # the first one has to score the policy, the others nothing
            if is_first:
                return _finish(agent, schedule, run_dir, signals, tracking)
            return 128 + signals.received if signals.received else 0
    except ValueError as error:  # a RunError, or too little memory
        raise mistake_of_all(error) from None
    except backend.LostProcessError as error:
        command.print_error(f"{error} {how_to_go_on(run_dir)}")
        return 1
    except NonFiniteLossError as error:  # in all processes
        backend.processes.leave()
        command.print_error(error)
        return 1
    except (WriteError, EnvironmentFailedError, TrackingError) as error:
        command.print_error(error)
        return 1


def _finish(
    agent: Any, schedule: dict[str, Any], run_dir: str, signals: StopSignals, tracking: Any
) -> int:
    """Says how a training ended, and scores its policy unless it was stopped."""
    if signals.received:
        command.print_result(
            f"stopped at {agent.env_steps:,} steps; go on with --resume --run_dir={run_dir}"
        )
        return 128 + signals.received
    if agent.env_steps < schedule["total_steps"]:
        command.print_result(
            f"stopped at {agent.env_steps:,} steps: no better score in "
            f"{schedule['early_stop_patience']} evaluations"
        )
    signals.policy = None
    try:
        report = agent.evaluate(num_episodes=_EVALUATION_EPISODES)
    except ValueError as error:  # too little memory: the run itself is whole
        command.print_error(error)
        return 1
    of_seeds = "" if agent.num_seeds == 1 else f" of each of {agent.num_seeds} seeds"
    command.print_result(
        f"return {report['return_mean']:.3f} +- {report['return_ci95']:.3f} on "
        f"{_EVALUATION_EPISODES} fresh episodes{of_seeds} "
        f"(sampled {report['other_mode']['return_mean']:.3f}); "
        f"policy, curve and metrics are in {run_dir}"
    )
    write_evaluation(RunDirectory(run_dir), report)
    tracking.log_scores(report)
    return 0


def parse_env_args(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        arguments = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise UsageError(
            f"`env_args` should be a JSON object, such as '{{\"k\": 8}}'. Received: env_args={text}"
        )
    return arguments


def _capture_loops() -> None:
    """Adds loops and branches to what XLA captures; it reads the variable when JAX starts."""
    if os.environ["KERAS_BACKEND"] != "jax":
        raise UsageError(
            "`cuda_graphs` should be given with the backend jax. "
            f"Received: cuda_graphs=True, backend={os.environ['KERAS_BACKEND']}"
        )
    given = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{given} {_CAPTURE_LOOPS}".strip()


def _check_cuda_graphs(values: FlagValues) -> None:
    from keras_s5rl import backend

    if values.cuda_graphs and not backend.device_name().startswith("gpu"):
        raise UsageError(
            "`cuda_graphs` needs an NVIDIA GPU. "
            f"Received: cuda_graphs=True on the device {backend.device_name()}"
        )


def _refuse_constant(name: str) -> NoReturn:
    """JSON has no NaN and no infinity."""
    raise ValueError(name)


def _check_flags(values: FlagValues) -> None:
    for name in _RESUMING:
        if values[name].value and not values.resume:
            raise UsageError(f"`{name}` goes with `resume`. Received: {name}=True, resume=False")


def _recorded_settings(values: FlagValues) -> dict[str, Any] | None:
    if values.run_dir is None:
        raise UsageError("`run_dir` should name the run to resume. Received: run_dir=None")
    try:
        _, recorded = open_run(values.run_dir, values.accept_edited_config)
        check_imports(recorded, values["import"].value)
        return recorded
    except ValueError as error:  # a RunError, or a setting that is not what it should be
        raise UsageError(error) from None


def _new_run_dir(settings: dict[str, Any]) -> str:
    """Makes `runs/<env>_<memory>_seed<seed>`, or `..._seeds0-7`, with a number behind it where that
    is taken: of several trainings that start together each gets a folder of its own."""
    seeds = (
        seeds_text(settings["seed"], settings["num_seeds"]).replace(" to ", "-").replace(" ", "")
    )
    name = "_".join([settings["env"], settings["memory"], seeds])
    name = f"runs/{name.replace('/', '-').replace(':', '-')}"
    path, number = name, 1
    try:
        os.makedirs("runs", exist_ok=True)
        while True:
            try:
                os.mkdir(path)
                return path
            except FileExistsError:
                number += 1
                path = f"{name}_{number}"
    except OSError as error:
        raise UsageError(
            f"`run_dir` should be given: no folder can be made below runs ({error.strerror}). "
            f"Received: run_dir=None, for which {path} was tried"
        ) from None
