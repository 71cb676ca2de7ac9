"""`launch/compare.py`: says which differences between runs are real.

    python launch/compare.py runs/s5_* runs/gru_*
    python launch/compare.py runs/* --output=comparison.png --json=comparison.json --markdown

Runs whose settings are the same but for their seeds are a group. Groups are compared on each task
(environment), and on all tasks together.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.comparison_table import comparison_table
from keras_s5rl.cli.outputs import check_output_file, check_picture_file
from keras_s5rl.cli.recorded_runs import check_run_dirs, define_run_dirs_flag, open_run
from keras_s5rl.cli.run_groups import group_runs, name_tasks
from keras_s5rl.cli.run_scores import EVALUATION, default_metric, read_scores
from keras_s5rl.runs import (
    compare_runs,
    console,
    plot_comparison,
    write_json_atomically,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return command.run(compare, define_flags, argv, positional="run_dir")


def define_flags(values: FlagValues) -> None:
    define_run_dirs_flag(values)
    flags.DEFINE_string(
        "metric",
        None,
        f"what is compared, higher is better: {EVALUATION}, the score in evaluation.json, or a "
        "metric of the training, whose last value counts; by default the evaluation where all "
        "runs have one, else episode_return_mean",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "file for a picture of curves and intervals: .png, .svg or .pdf",
        flag_values=values,
    )
    flags.DEFINE_string(
        "json", None, "file for all numbers, - for standard output", flag_values=values
    )
    flags.DEFINE_boolean(
        "markdown", False, "print tables and headings in Markdown", flag_values=values
    )
    command.define_accept_flag(values)
    command.define_backend_flag(values)


def compare(values: FlagValues) -> int:
    check_run_dirs(values)
    if values.json not in (None, "-"):
        check_output_file("json", values.json)
    if values.output is not None:
        check_picture_file("output", values.output)
    command.backend_name(values.backend)  # checked as on every command; comparing needs none
    try:
        opened = [open_run(path, values.accept_edited_config) for path in values.run_dir]
        runs, configs = [run for run, _ in opened], [config for _, config in opened]
        metric = values.metric or default_metric(runs)
        tasks = name_tasks(configs)
        groups, settings = group_runs(configs, tasks)
        scored = read_scores(runs, configs, tasks, groups, metric)
        report = {"metric": metric, "settings": settings, **compare_runs(scored)}
        if values.output is not None:
            plot_comparison(scored, report, values.output)
    except ValueError as error:
        raise UsageError(error) from None
    if metric != EVALUATION:
        console.write(f"compared by the last {metric} of the training, not by an evaluation")
    return _print(report, comparison_table(report, settings, values.markdown), values)


def _print(report: dict[str, Any], table: str, values: FlagValues) -> int:
    status, out = 0, sys.stdout
    if values.json == "-":
        status = 0 if command.print_result(json.dumps(report, indent=2)) else 1
        out = sys.stderr
    elif values.json is not None:
        write_json_atomically(values.json, report)
    console.write(table, out)
    if values.output is not None:
        console.write(values.output, out)
    return status
