"""Workers of a sweep as jobs of a Slurm cluster, submitted by submitit."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer

_CLUSTER = "slurm"
_MAX_TIMEOUTS = 1000  # a worker ends with the sweep, over as many time limits as that takes
_FLAGS = ("slurm_workers", "slurm_partition", "slurm_timeout_min", "slurm_args")


def define_slurm_flags(values: FlagValues) -> None:
    flags.DEFINE_boolean(
        "slurm",
        False,
        "submit workers as jobs of a Slurm cluster, and end; each does what the command does "
        "without this flag",
        flag_values=values,
    )
    command.define_count_flag(values, "slurm_workers", 1, "jobs to submit")
    flags.DEFINE_string("slurm_partition", None, "partition of the jobs", flag_values=values)
    define_integer(
        "slurm_timeout_min",
        240,
        "minutes after which a job is queued again, to go on where it was; a positive integer",
        values,
        lower_bound=1,
    )
    flags.DEFINE_string(
        "slurm_args",
        None,
        "JSON object of further parameters of submitit, such as "
        '{"gpus_per_node": 1, "cpus_per_task": 8, "mem_gb": 16, "slurm_account": "mine"}',
        flag_values=values,
    )


def slurm_executor(values: FlagValues, folder: Path) -> Any:
    """Returns the `submitit.AutoExecutor` that the flags describe, `None` without `--slurm`.

    Raises:
        UsageError: If it cannot be made of them, or not here.
    """
    if not values.slurm:
        for name in _FLAGS:
            if values[name].present:
                raise UsageError(
                    f"`{name}` goes with `slurm`. Received: {name}={values[name].value}, "
                    "slurm=False"
                )
        return None
    try:
        import submitit
    except ImportError:
        raise UsageError(
            '`slurm` needs submitit: pip install "keras-s5rl[slurm]". Received: slurm=True'
        ) from None
    more = _more_parameters(values.slurm_args)
    try:
        executor = submitit.AutoExecutor(
            folder=folder / "slurm", cluster=_CLUSTER, slurm_max_num_timeout=_MAX_TIMEOUTS
        )
    except RuntimeError as error:
        raise UsageError(
            f"`slurm` should be given where jobs can be submitted, on a node of a Slurm cluster "
            f"({error}). Received: slurm=True"
        ) from None
    parameters = {"name": "keras_s5rl_sweep", "timeout_min": values.slurm_timeout_min}
    if values.slurm_partition is not None:
        parameters["slurm_partition"] = values.slurm_partition
    try:
        executor.update_parameters(**parameters, **more)
    except (NameError, TypeError, ValueError, AssertionError) as error:  # submitit's own checks
        raise UsageError(
            f"`slurm_args` should hold parameters of submitit, none of which is a flag of its own "
            f"({' '.join(str(error).split()).rstrip('.')}). "
            f"Received: slurm_args={values.slurm_args}"
        ) from None
    return executor


def submit_workers(
    executor: Any, number: int, work: Callable[[Sequence[str]], int], argv: Sequence[str]
) -> list[Any]:
    """Submits workers, says which jobs they are, and returns these.

    Args:
        executor: As of `slurm_executor`.
        number: Positive integer.
        work: Function of the command line that does the work of one; returns its exit status.
        argv: The command line, the program's name first.

    Raises:
        UsageError: If the cluster refuses a job.
    """
    import submitit

    class Worker(submitit.helpers.Checkpointable):
        """Where its job is preempted or reaches its time limit, submitit queues the same again. The
        training is stopped on the way out, as by Ctrl-C, and the worker that takes the trial next
        resumes it."""

        def __call__(self) -> None:
            status = work(argv)
            if status:
                raise RuntimeError(f"The worker ended with status {status}.")

    try:
        jobs = [executor.submit(Worker()) for _ in range(number)]
    except Exception as error:  # what sbatch says, in an error of submitit's own
        raise UsageError(
            f"`slurm` jobs should be such as the cluster takes ({str(error).strip().rstrip('.')}). "
            "Received: slurm=True"
        ) from None
    command.print_result(
        f"submitted {', '.join(str(job.job_id) for job in jobs)}; what they write is in "
        f"{jobs[0].paths.folder}"
    )
    return jobs


def _more_parameters(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        more = json.loads(text)
    except (ValueError, RecursionError):
        more = None
    if not isinstance(more, dict):
        raise UsageError(
            "`slurm_args` should be a JSON object, such as '{\"gpus_per_node\": 1}'. "
            f"Received: slurm_args={text}"
        )
    return more
