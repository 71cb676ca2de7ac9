"""`launch/reproduce.py`: the paper's experiments, each by one command.

    python launch/reproduce.py --experiment=memory_chain --scale=cpu
    python launch/reproduce.py --experiment=popgym5 --scale=cpu --num_workers=2
    python launch/reproduce.py --experiment=popgym5 --scale=cpu --only=s5 --only=gru

Trains every memory with every seed, one process a core, scores each policy on fresh episodes, and
writes `results/<experiment>/<scale>.json` (all numbers), `.md` (the table) and `.png`. The same
command goes on where it was stopped.
"""

import pathlib
import sys

from absl import flags

from benchmarks.experiments import EXPERIMENTS
from benchmarks.experiments.experiment import SCALES
from benchmarks.experiments.results import collect, draw, table
from benchmarks.experiments.running import Runner
from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer
from keras_s5rl.cli.outputs import check_output_folder
from keras_s5rl.cli.termination import sigterm_exits
from keras_s5rl.runs import console, replacing, write_json_atomically
from keras_s5rl.runs.machine import cpu_cores


def main(argv=None):
    """Runs the command; returns its exit status."""
    argv = list(sys.argv if argv is None else argv)
    return command.run(lambda values: reproduce(values, argv), define_flags, argv)


def define_flags(values):
    flags.DEFINE_string(
        "experiment", None, f"experiment, one of {', '.join(EXPERIMENTS)}", flag_values=values
    )
    flags.DEFINE_string(
        "scale",
        "cpu",
        "size of the experiment: smoke (seconds, to see that it runs), cpu (two cores, hours at "
        "most), gpu, or paper (the paper's steps and sizes)",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "only", [], "memory to train; may be given several times", flag_values=values
    )
    flags.DEFINE_multi_string(
        "task", [], "task to train; may be given several times", flag_values=values
    )
    flags.DEFINE_string(
        "runs_dir",
        None,
        "folder of the runs, by default runs/<experiment>_<scale>",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output_dir",
        None,
        "folder of the results, by default results/<experiment>",
        flag_values=values,
    )
    define_integer(
        "num_workers",
        None,
        "trainings at a time, by default one a core; a positive integer",
        values,
        lower_bound=1,
    )


def reproduce(values, argv):
    experiment, trainings = _checked(values)
    name = values.experiment
    runs_dir = values.runs_dir or f"runs/{name}_{values.scale}"
    output_dir = pathlib.Path(values.output_dir or f"results/{name}")
    check_output_folder("runs_dir", runs_dir)
    check_output_folder("output_dir", str(output_dir))
    num_episodes = experiment.num_episodes[values.scale]
    num_workers = values.num_workers or cpu_cores() or 1
    runner = Runner(runs_dir, num_workers, num_episodes, console.write)
    console.write(f"{len(trainings)} trainings, {num_workers} at a time, in {runs_dir}", sys.stdout)
    with sigterm_exits():
        errors = runner.run(trainings)
    if len(errors) == len(trainings):
        command.print_error("every training failed; their logs are in the folder of the runs")
        return 1
    document = collect(experiment, trainings, runner, ["python", *argv], errors)
    output_dir.mkdir(parents=True, exist_ok=True)
    path = output_dir / values.scale
    write_json_atomically(path.with_suffix(".json"), document)
    page = table(document)
    with replacing(path.with_suffix(".md")) as aside:
        pathlib.Path(aside).write_text(page)
    draw(document, path.with_suffix(".png"))
    command.print_result(page)
    return 1 if errors else 0


def _checked(values):
    if values.experiment not in EXPERIMENTS:
        raise UsageError(
            f"`experiment` should be one of {', '.join(EXPERIMENTS)}. "
            f"Received: experiment={values.experiment}"
        )
    if values.scale not in SCALES:
        raise UsageError(
            f"`scale` should be one of {', '.join(SCALES)}. Received: scale={values.scale}"
        )
    experiment = EXPERIMENTS[values.experiment]
    every = trainings = experiment.trainings(values.scale)
    for flag, attribute in (("only", "memory"), ("task", "task")):
        known = list(dict.fromkeys(getattr(training, attribute) for training in every))
        chosen = values[flag].value
        for each in chosen:
            if each not in known:
                raise UsageError(
                    f"`{flag}` should be one of {', '.join(known)}. Received: {flag}={each}"
                )
        if chosen:
            trainings = [each for each in trainings if getattr(each, attribute) in chosen]
    if not trainings:
        raise UsageError(
            "`only` and `task` should leave a training: this experiment has none of these "
            f"memories on these tasks. Received: only={values.only}, task={values.task}"
        )
    return experiment, trainings
