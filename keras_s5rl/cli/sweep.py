"""`launch/sweep.py`: searches for settings.

    python launch/sweep.py --param=learning_rate:1e-4..1e-2:log --param=width:64,128 \\
        --num_trials=24 --sweep_dir=runs/sweep -- --env=RepeatPreviousEasy --total_steps=200000

What stands behind `--` are flags of train, for all trials. Each trial is a run. The same command,
in other terminals or on other machines that share the folder, starts further workers; after a stop
it goes on where the sweep was.
"""

import functools
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command, train
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer
from keras_s5rl.cli.memory_flags import MemoryFlags
from keras_s5rl.cli.outputs import check_output_folder
from keras_s5rl.cli.setting_flags import config_from_flags, memory_args_from_flags
from keras_s5rl.cli.sweep_params import Param, grid, parse_param
from keras_s5rl.cli.sweep_slurm import define_slurm_flags, slurm_executor, submit_workers
from keras_s5rl.cli.sweep_study import SweepStudy
from keras_s5rl.cli.sweep_trial import run_trial
from keras_s5rl.cli.termination import sigterm_exits
from keras_s5rl.cli.tracking_flags import trackers
from keras_s5rl.runs import console, plot_sweep, read_json, write_json_atomically

_SAMPLERS = ("tpe", "random", "grid")
_POLL = 1.0  # seconds
_OF_THE_SWEEP = ("run_dir", "resume", "override", "accept_edited_config")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = list(sys.argv if argv is None else argv)
    return _run(functools.partial(_submit_or_sweep, argv=argv), argv)


def _work_in_job(argv: Sequence[str]) -> int:
    """Runs the command in a job that it submitted."""
    return _run(sweep, argv)


def _run(main_of: Callable[..., int], argv: Sequence[str]) -> int:
    argv = list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    main_of = functools.partial(main_of, of_train=argv[end + 1 :])
    return command.run(main_of, define_flags, argv[:end])


def define_flags(values: FlagValues) -> None:
    flags.DEFINE_multi_string(
        "param",
        [],
        "flag of train and its values: width:64,128, or a range, num_layers:1..4, or one of orders "
        "of magnitude, learning_rate:1e-4..1e-2:log; may be given several times",
        flag_values=values,
    )
    flags.DEFINE_string(
        "sweep_dir", "runs/sweep", "folder of the sweep, with a run a trial", flag_values=values
    )
    flags.DEFINE_string(
        "sampler",
        "tpe",
        "how values are chosen: tpe (by the trials so far), random, or grid (all combinations)",
        flag_values=values,
    )
    command.define_count_flag(values, "num_trials", 20, "trials of all workers, not with grid")
    flags.DEFINE_string(
        "metric",
        "evaluation",
        "what is maximised: evaluation, the score of the trained policy, or a metric of the "
        "training, whose last value counts",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "prune",
        False,
        "stop trainings that stay below the median of the others",
        flag_values=values,
    )
    define_integer("seed", 0, "seed of the sampler; 0 or more", values, lower_bound=0)
    flags.DEFINE_string(
        "storage",
        None,
        "address of a database, such as sqlite:///sweep.db; by default a journal in the folder",
        flag_values=values,
    )
    define_slurm_flags(values)


def _submit_or_sweep(values: FlagValues, of_train: Sequence[str], argv: Sequence[str]) -> int:
    executor = slurm_executor(values, Path(values.sweep_dir))
    if executor is None:
        return sweep(values, of_train)
    _check(values, of_train)
    _join(Path(values.sweep_dir), values, of_train)
    submit_workers(executor, values.slurm_workers, _work_in_job, argv)
    return 0


def sweep(values: FlagValues, of_train: Sequence[str]) -> int:
    params = _check(values, of_train)
    folder = Path(values.sweep_dir)
    _join(folder, values, of_train)
    study = SweepStudy(
        folder,
        params,
        values.sampler,
        values.num_trials,
        values.prune,
        values.seed,
        values.storage,
    )
    with sigterm_exits():  # the training in hand is stopped on the way out
        _work(study, of_train, values.metric)
    table = study.table()
    picture = folder / "sweep.png"
    plot_sweep(table, [param.name for param in params if param.log], picture)
    for row in table:
        command.print_result(_line(row))
    console.write(f"the picture is {picture}", sys.stdout)
    return 0 if any(row["state"] == "complete" for row in table) else 1


def _work(study: SweepStudy, of_train: Sequence[str], metric: str) -> None:
    """Takes trials until all have ended."""
    while True:
        taken = study.take()
        if taken is not None:
            trial, lock = taken
            try:
                run_trial(study, trial, lock, of_train, metric)
            finally:
                os.close(lock)
            row = next(row for row in study.table() if row["number"] == trial.number)
            console.write(_line(row))
        elif study.num_running():
            time.sleep(_POLL)  # another worker may end without finishing its trial
        else:
            return


def _check(values: FlagValues, of_train: Sequence[str]) -> list[Param]:
    """Finds mistakes before the work; returns the parameters."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UsageError(
            'A sweep needs optuna: pip install "keras-s5rl[sweep]". Received: optuna=not installed'
        ) from None
    if not values.param:
        raise UsageError(
            "`param` should name a flag of train and its values, such as width:64,128. "
            "Received: param=[]"
        )
    if values.sampler not in _SAMPLERS:
        raise UsageError(
            f"`sampler` should be one of {', '.join(_SAMPLERS)}. Received: sampler={values.sampler}"
        )
    params = [parse_param(text) for text in values.param]
    names = [param.name for param in params]
    if len(set(names)) < len(names):
        raise UsageError(f"`param` should name each flag once. Received: param={values.param}")
    if values.sampler == "grid":
        grid(params)
    given = [argument.lstrip("-").partition("=")[0] for argument in of_train]
    for name in (*given, *names):
        if name in _OF_THE_SWEEP or (name in given and name in names):
            raise UsageError(
                f"`{name}` is set by the sweep; leave it out of the flags of train. "
                f"Received: {name} among {[*of_train, *values.param]}"
            )
    check_output_folder("sweep_dir", values.sweep_dir)
    for param in params:
        for value in param.examples():
            _check_train([*of_train, f"--{param.name}={value}"])
    return params


def _check_train(arguments: Sequence[str]) -> None:
    """Raises a `UsageError` where train has no such flags, or refuses their values."""
    memory_flags = MemoryFlags(lambda values: str(values.memory))
    values = command.parse_flags(train.define_flags, ["train", *arguments], memory_flags)
    config_from_flags(values)
    memory_args_from_flags(values, values.memory)
    trackers(values)


def _join(folder: Path, values: FlagValues, of_train: Sequence[str]) -> None:
    """Writes down what the sweep is, or refuses to join one that is another."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("param", "sampler", "metric", "prune", "seed", "storage")
    settings = {name: values[name].value for name in names} | {"train": list(of_train)}
    path = folder / "sweep.json"
    if path.exists():
        recorded = read_json(path)
        for name, value in settings.items():
            if recorded.get(name) != value:
                raise UsageError(
                    f"`{name}` should be {recorded.get(name)}, as of the sweep in this folder; "
                    f"choose another `sweep_dir` for another one. Received: {name}={value}"
                )
    else:
        write_json_atomically(path, settings)


def _line(row: dict[str, Any]) -> str:
    value = row["state"] if row["value"] is None else f"{row['value']:.4f}"
    params = " ".join(f"--{name}={given}" for name, given in row["params"].items())
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"{row['run_dir']}  {value}  {params}{reason}"
