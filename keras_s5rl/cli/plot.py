"""`launch/plot.py`: draws runs.

    python launch/plot.py --run_dir=runs/a --run_dir=runs/b --output=curves.png
    python launch/plot.py --run_dir=runs/a --run_dir=runs/b --in_context --output=in_context.png

The first draws learning curves; the second what `evaluate --in_context` wrote into the runs.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.labels import label_runs
from keras_s5rl.cli.outputs import check_picture_file
from keras_s5rl.cli.recorded_runs import open_run, read_run_metrics
from keras_s5rl.runs import (
    RunDirectory,
    compare_in_context,
    plot_learning_curves,
    read_json,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return command.run(plot, define_flags, argv)


def define_flags(values: FlagValues) -> None:
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
    command.define_accept_flag(values)
    command.define_backend_flag(values)


def plot(values: FlagValues) -> None:
    if not values.run_dir:
        raise UsageError("`run_dir` should name the folder of a run. Received: run_dir=[]")
    for name, goes_with in (("metric", False), ("tier", True)):
        if values[name].present and values.in_context != goes_with:
            raise UsageError(
                f"`{name}` goes {'with' if goes_with else 'without'} `in_context`. Received: "
                f"{name}={values[name].value}, in_context={values.in_context}"
            )
    check_picture_file("output", values.output)
    command.backend_name(values.backend)  # checked as on every command; drawing needs none
    try:
        opened = [open_run(path, values.accept_edited_config) for path in values.run_dir]
        runs = [run for run, _ in opened]
        labels = label_runs([config for _, config in opened])
        if values.in_context:
            _compare_in_context(runs, labels, values)
        else:
            metrics = [read_run_metrics(run) for run in runs]
            curves = list(zip(labels, metrics, strict=True))
            plot_learning_curves(curves, values.output, values.metric, values.title)
    except ValueError as error:
        raise UsageError(error) from None
    command.print_result(values.output)


def _compare_in_context(
    runs: Sequence[RunDirectory], labels: list[str], values: FlagValues
) -> None:
    scores = list(zip(labels, map(_read_in_context, runs), strict=True))
    try:
        compare_in_context(scores, values.output, values.tier, values.title)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise UsageError(
            "`run_dir` should hold an in_context.json as evaluate --in_context writes it; call "
            f"that again ({type(error).__name__}: {error}). Received: run_dir={values.run_dir}"
        ) from None


def _read_in_context(run: RunDirectory) -> dict[str, Any]:
    if not run.in_context_path.exists():
        raise UsageError(
            "`run_dir` should hold in_context.json: call evaluate with --in_context on the run "
            f"first. Received: run_dir={run.path}"
        )
    return read_json(run.in_context_path)
