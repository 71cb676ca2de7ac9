"""`launch/plot.py`: draws runs.

    python launch/plot.py --run_dir=runs/a --run_dir=runs/b --output=curves.png
    python launch/plot.py --run_dir=runs/a --run_dir=runs/b --in_context --output=in_context.png

The first draws learning curves; the second what `evaluate --in_context` wrote into the runs.
"""

from absl import flags

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.labels import label_runs
from keras_s5rl.runs import (
    RunDirectory,
    RunError,
    compare_in_context,
    plot_learning_curves,
    read_json,
    read_metrics,
)


def main(argv=None):
    """Runs the command; returns its exit status."""
    return command.run(plot, define_flags, argv)


def define_flags(values):
    flags.DEFINE_multi_string(
        "run_dir", [], "folder of a run; may be given several times", flag_values=values
    )
    flags.DEFINE_string("output", "curves.png", "file: .png, .svg or .pdf", flag_values=values)
    flags.DEFINE_string("metric", "episode_return_mean", "metric to draw", flag_values=values)
    flags.DEFINE_string("title", None, "line above the plot", flag_values=values)
    flags.DEFINE_boolean(
        "in_context",
        False,
        "draw what evaluate --in_context wrote into the runs, not their learning curves",
        flag_values=values,
    )
    flags.DEFINE_string(
        "tier", "T1", "tier of the contexts to draw with --in_context", flag_values=values
    )
    command.define_backend_flag(values)


def plot(values):
    if not values.run_dir:
        raise UsageError("`run_dir` should name the folder of a run. Received: run_dir=[]")
    for name, goes_with in (("metric", False), ("tier", True)):
        if values[name].present and values.in_context != goes_with:
            raise UsageError(
                f"`{name}` goes {'with' if goes_with else 'without'} `in_context`. Received: "
                f"{name}={values[name].value}, in_context={values.in_context}"
            )
    command.check_output_file("output", values.output)
    command.backend_name(values.backend)  # checked as on every command; drawing needs none
    try:
        runs = [RunDirectory.open(path) for path in values.run_dir]
        labels = label_runs([run.read_config() for run in runs])
        if values.in_context:
            scores = list(zip(labels, map(_read_in_context, runs), strict=True))
            compare_in_context(scores, values.output, values.tier, values.title)
        else:
            metrics = [read_metrics(run.metrics_path) for run in runs]
            curves = list(zip(labels, metrics, strict=True))
            plot_learning_curves(curves, values.output, values.metric, values.title)
    except RunError as error:
        raise UsageError(error) from None
    print(values.output)


def _read_in_context(run):
    if not run.in_context_path.exists():
        raise UsageError(
            "`run_dir` should hold in_context.json: call evaluate with --in_context on the run "
            f"first. Received: run_dir={run.path}"
        )
    return read_json(run.in_context_path)
