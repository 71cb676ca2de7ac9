"""`launch/reproduce.py`: the paper's experiments, each by one command.

    python launch/reproduce.py --experiment=memory_chain --scale=cpu
    python launch/reproduce.py --experiment=popgym5 --scale=cpu --num_workers=2
    python launch/reproduce.py --experiment=popgym5 --scale=cpu --only=s5 --only=gru

Trains every memory with every seed, one process a core, scores each policy on fresh episodes, and
writes `results/<experiment>/<scale>.json` (all numbers), `.md` (the table) and `.png`. The same
command goes on where it was stopped. With `--only`, `--task` or `--seed` it does a part, whose
numbers take their place beside those that the files hold already. The experiment `runtime` measures
and trains nothing: let nothing else run meanwhile.
"""

import pathlib
import sys

from absl import flags

from benchmarks import runtime_suite
from benchmarks.experiments import EXPERIMENTS, pages, results, runtime
from benchmarks.experiments.experiment import SCALES
from benchmarks.experiments.running import Runner
from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer
from keras_s5rl.cli.outputs import check_output_folder
from keras_s5rl.cli.termination import sigterm_exits
from keras_s5rl.runs import console, replacing, write_json_atomically
from keras_s5rl.runs.machine import cpu_cores

_RUNTIME = "runtime"


def main(argv=None):
    """Runs the command; returns its exit status."""
    argv = list(sys.argv if argv is None else argv)
    return command.run(lambda values: reproduce(values, argv), define_flags, argv)


def define_flags(values):
    flags.DEFINE_string(
        "experiment", None, f"experiment, one of {', '.join(_names())}", flag_values=values
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
        "task",
        [],
        "task to train, or length to measure; may be given several times",
        flag_values=values,
    )
    flags.DEFINE_multi_integer(
        "seed", [], "seed to train with; may be given several times", flag_values=values
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
    _check_names(values)
    name = values.experiment
    output_dir = pathlib.Path(values.output_dir or f"results/{name}")
    check_output_folder("output_dir", str(output_dir))
    if name == _RUNTIME:
        found, errors, pages = _measure(values, argv)
    else:
        found, errors, pages = _train(values, output_dir)
    if found is None:
        return 1
    output_dir.mkdir(parents=True, exist_ok=True)
    path = output_dir / values.scale
    write_json_atomically(path.with_suffix(".json"), found)
    page = pages.table(found)
    with replacing(path.with_suffix(".md")) as aside:
        pathlib.Path(aside).write_text(page)
    pages.draw(found, path.with_suffix(".png"))
    command.print_result(page)
    return 1 if errors else 0


def _train(values, output_dir):
    """What was found, the errors and the module of the pages."""
    name, scale = values.experiment, values.scale
    experiment = EXPERIMENTS[name]
    trainings = _chosen(values, experiment.trainings(scale))
    runs_dir = values.runs_dir or f"runs/{name}_{scale}"
    check_output_folder("runs_dir", runs_dir)
    num_episodes = experiment.num_episodes[scale]
    num_workers = values.num_workers or cpu_cores() or 1
    runner = Runner(runs_dir, num_workers, num_episodes, console.write)
    console.write(f"{len(trainings)} trainings, {num_workers} at a time, in {runs_dir}", sys.stdout)
    with sigterm_exits():
        errors = runner.run(trainings)
    if len(errors) == len(trainings):
        command.print_error("every training failed; their logs are in the folder of the runs")
        return None, errors, None
    records = results.recorded(output_dir / f"{scale}.json", experiment, scale, num_episodes)
    records += results.collect(experiment, trainings, runner, errors)
    whole = f"python launch/reproduce.py --experiment={name} --scale={scale}"
    return results.document(experiment, scale, whole, records, errors), errors, pages


def _measure(values, argv):
    """The same of the experiment that measures."""
    lengths, repeats = runtime.SCALES[values.scale]
    for flag in ("seed", "runs_dir", "num_workers"):
        if values[flag].present:
            raise UsageError(
                f"`{flag}` should not be given with the experiment {_RUNTIME}, which trains "
                f"nothing. Received: {flag}={values[flag].value}"
            )
    memories = _some("only", values.only, runtime_suite.MEMORIES)
    lengths = [int(each) for each in _some("task", values.task, map(str, lengths))]
    with sigterm_exits():
        measured = runtime.measure(memories, lengths, repeats)
    errors = {case: each for case, each in measured.items() if "error" in each}
    if len(errors) == len(measured):
        command.print_error("every measurement failed: " + next(iter(errors.values()))["error"])
        return None, errors, None
    return runtime.document(["python", *argv], measured), {}, runtime


def _names():
    return (*EXPERIMENTS, _RUNTIME)


def _check_names(values):
    if values.experiment not in _names():
        raise UsageError(
            f"`experiment` should be one of {', '.join(_names())}. "
            f"Received: experiment={values.experiment}"
        )
    if values.scale not in SCALES:
        raise UsageError(
            f"`scale` should be one of {', '.join(SCALES)}. Received: scale={values.scale}"
        )


def _chosen(values, trainings):
    every = trainings
    for flag, attribute in (("only", "memory"), ("task", "task"), ("seed", "seed")):
        known = dict.fromkeys(getattr(training, attribute) for training in every)
        chosen = _some(flag, values[flag].value, known)
        trainings = [each for each in trainings if getattr(each, attribute) in chosen]
    if not trainings:
        raise UsageError(
            "`only`, `task` and `seed` should leave a training: this experiment has none of these "
            f"memories on these tasks. Received: only={values.only}, task={values.task}, "
            f"seed={values.seed}"
        )
    return trainings


def _some(flag, chosen, known):
    """What was chosen of what is known, all of it where nothing was."""
    known = list(known)
    for each in chosen:
        if each not in known:
            raise UsageError(
                f"`{flag}` should be one of {', '.join(map(str, known))}. Received: {flag}={each}"
            )
    return [each for each in known if each in chosen] if chosen else known
