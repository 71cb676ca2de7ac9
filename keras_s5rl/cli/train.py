"""`launch/train.py`: trains an agent from flags."""

import json
import os
import signal

from absl import flags

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.config_flags import config_from_flags, define_config_flags
from keras_s5rl.runs import RunDirectory, RunError

_EVALUATION_EPISODES = 256
_CAPTURE_LOOPS = "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"
_SCHEDULE = ("total_steps", "checkpoint_every", "log_every")  # what may differ when resuming


def main(argv=None):
    """Runs the command; returns its exit status."""
    return command.run(train, define_flags, argv)


def define_flags(values):
    command.define_environment_flags(values, default="RepeatPreviousEasy")
    command.define_backend_flag(values)
    flags.DEFINE_string("memory", "s5", "memory of the agent", flag_values=values)
    flags.DEFINE_integer("seed", 0, "seed of everything random", flag_values=values)
    command.define_count_flag(values, "num_seeds", 1, "seeds trained side by side")
    command.define_count_flag(values, "total_steps", 500_000, "environment steps of the whole run")
    flags.DEFINE_string(
        "run_dir", None, "folder of the run; by default a new one below runs/", flag_values=values
    )
    flags.DEFINE_boolean("resume", False, "go on with the run in run_dir", flag_values=values)
    command.define_count_flag(values, "checkpoint_every", 50, "updates between checkpoints")
    command.define_count_flag(values, "log_every", 10, "updates between lines of progress")
    flags.DEFINE_boolean(
        "cuda_graphs",
        False,
        "on JAX with an NVIDIA GPU: capture whole loops as CUDA graphs, a rollout as one",
        flag_values=values,
    )
    define_config_flags(values)


def train(values):
    with _Signals() as signals:
        return _train(values, signals)


def _train(values, signals):
    if values.num_seeds > 1:
        raise UsageError(
            "`num_seeds` should be 1: training several seeds in one program is not available yet; "
            f"run the command once a seed. Received: num_seeds={values.num_seeds}"
        )
    recorded = _recorded_settings(values) if values.resume else None
    config = config_from_flags(values, recorded)
    settings = {
        name: recorded[name] if recorded and not values[name].present else values[name].value
        for name in ("env", "memory", "seed", "backend", *_SCHEDULE)
    }
    env_args = parse_env_args(values.env_args)
    if recorded and values.env_args is None:
        env_args = recorded["env_args"]
    command.select_backend(settings["backend"], config.num_devices)
    if values.cuda_graphs:
        _capture_loops()
    run_dir = values.run_dir or _new_run_dir(settings)

    from keras_s5rl.training import PPO, NonFiniteLossError
    from keras_s5rl.training.checks import check_devices

    try:
        check_devices(config)
        agent = PPO(settings["env"], env_args, settings["memory"], config, settings["seed"])
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None
    print(
        f"{settings['memory']} with {agent.num_parameters:,} parameters on {settings['env']}, "
        f"seed {settings['seed']}, into {run_dir}",
        flush=True,
    )
    signals.policy = agent.policy
    try:
        schedule = {name: settings[name] for name in _SCHEDULE}
        agent.fit(**schedule, run_dir=run_dir, resume=values.resume)
    except RunError as error:
        raise UsageError(error) from None
    except NonFiniteLossError as error:
        command.print_error(error)
        return 1
    if signals.received:
        print(f"stopped at {agent.env_steps:,} steps; go on with --resume --run_dir={run_dir}")
        return 128 + signals.received
    signals.policy = None
    report = agent.evaluate(num_episodes=_EVALUATION_EPISODES)
    RunDirectory(run_dir).write_evaluation(report)
    print(
        f"return {report['return_mean']:.3f} +- {report['return_ci95']:.3f} on "
        f"{_EVALUATION_EPISODES} fresh episodes "
        f"(sampled {report['other_mode']['return_mean']:.3f}); "
        f"policy, curve and metrics are in {run_dir}"
    )
    return 0


def parse_env_args(text):
    if text is None:
        return {}
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise UsageError(
            f"`env_args` should be a JSON object, such as '{{\"k\": 8}}'. Received: env_args={text}"
        )
    return arguments


def _capture_loops():
    """Adds loops and branches to what XLA captures; it reads the variable when JAX starts."""
    if os.environ["KERAS_BACKEND"] != "jax":
        raise UsageError(
            "`cuda_graphs` should be given with the backend jax. "
            f"Received: cuda_graphs=True, backend={os.environ['KERAS_BACKEND']}"
        )
    given = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{given} {_CAPTURE_LOOPS}".strip()


def _recorded_settings(values):
    if values.run_dir is None:
        raise UsageError("`run_dir` should name the run to resume. Received: run_dir=None")
    try:
        return RunDirectory.open(values.run_dir).read_config()
    except RunError as error:
        raise UsageError(error) from None


def _new_run_dir(settings):
    """`runs/<env>_<memory>_seed<seed>`, with a number behind it where that is taken."""
    name = f"runs/{settings['env']}_{settings['memory']}_seed{settings['seed']}"
    path, number = name, 1
    while os.path.exists(path):
        number += 1
        path = f"{name}_{number}"
    return path


class _Signals:
    """Ctrl-C and SIGTERM: the first lets the update in hand finish, a second one stops at once.

    Where no training is on its way (`policy` is None) the first one stops at once, too.
    """

    def __init__(self):
        self.policy = None
        self.received = None
        self._previous = {}

    def _stop(self, number, frame):
        if self.policy is None or self.received is not None:
            raise SystemExit(128 + number)
        self.received = number
        self.policy.stop_training = True

    def __enter__(self):
        numbers = (signal.SIGINT, signal.SIGTERM)
        self._previous = {number: signal.signal(number, self._stop) for number in numbers}
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
