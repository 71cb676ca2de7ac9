"""What a training run leaves on disk: numpy arrays and plain dicts in and out.

Nothing here needs Keras or a backend.
"""

from keras_s5rl.runs import console, statistics
from keras_s5rl.runs.bootstrap import bootstrap_interval, sample_efficiency_curve
from keras_s5rl.runs.checkpoints import Checkpoints
from keras_s5rl.runs.comparison import compare_runs
from keras_s5rl.runs.comparison_plots import plot_comparison
from keras_s5rl.runs.files import (
    RunError,
    WriteError,
    read_json,
    replacing,
    write_json_atomically,
)
from keras_s5rl.runs.imports import check_imports, recorded_imports
from keras_s5rl.runs.in_context_plots import compare_in_context, plot_in_context
from keras_s5rl.runs.machine import machine_block
from keras_s5rl.runs.metrics import MetricsLog, read_metrics
from keras_s5rl.runs.metrics_repair import find_damage, repair
from keras_s5rl.runs.plots import plot_learning_curve, plot_learning_curves
from keras_s5rl.runs.probe_plots import plot_probes
from keras_s5rl.runs.report import write_report
from keras_s5rl.runs.run_directory import RunDirectory
from keras_s5rl.runs.sweep_plots import plot_sweep
from keras_s5rl.runs.tensorboard_log import TensorBoardLog

__all__ = [
    "Checkpoints",
    "MetricsLog",
    "RunDirectory",
    "RunError",
    "TensorBoardLog",
    "WriteError",
    "bootstrap_interval",
    "check_imports",
    "compare_in_context",
    "compare_runs",
    "console",
    "find_damage",
    "machine_block",
    "plot_comparison",
    "plot_in_context",
    "plot_learning_curve",
    "plot_learning_curves",
    "plot_probes",
    "plot_sweep",
    "read_json",
    "read_metrics",
    "recorded_imports",
    "repair",
    "replacing",
    "sample_efficiency_curve",
    "statistics",
    "write_json_atomically",
    "write_report",
]
