"""`launch/plot.py`: draws the learning curves of runs."""

from absl import flags

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.runs import RunDirectory, RunError, plot_learning_curves, read_metrics


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
    command.define_backend_flag(values)


def plot(values):
    if not values.run_dir:
        raise UsageError("`run_dir` should name the folder of a run. Received: run_dir=[]")
    command.check_output_file("output", values.output)
    command.backend_name(values.backend)  # checked as on every command; drawing needs none
    try:
        runs = [RunDirectory.open(path) for path in values.run_dir]
        labels = _labels([run.read_config() for run in runs])
        metrics = [read_metrics(run.metrics_path) for run in runs]
        curves = list(zip(labels, metrics, strict=True))
        plot_learning_curves(curves, values.output, values.metric, values.title)
    except RunError as error:
        raise UsageError(error) from None
    print(values.output)


def _labels(configs):
    """What tells the runs apart beside the seed: the memory, the environment, or both."""
    names = [name for name in ("env", "memory") if len({c[name] for c in configs}) > 1]
    return [", ".join(c[name] for name in names or ["memory"]) for c in configs]
