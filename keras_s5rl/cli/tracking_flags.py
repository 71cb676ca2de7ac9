"""Flags of where people keep their runs, beside the run directory."""

import importlib.util

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli.command import UsageError
from keras_s5rl.runs import RunDirectory, RunError, read_json

_TITLES = {"wandb": "Weights & Biases", "mlflow": "MLflow"}


def define_tracking_flags(values: FlagValues) -> None:
    for name, title in _TITLES.items():
        flags.DEFINE_boolean(
            name,
            False,
            f"keep the run in {title}, too; with --resume as the run did before",
            flag_values=values,
        )


def trackers(values: FlagValues) -> list[str]:
    """Returns the libraries that the flags name, or that the run to resume was kept in.

    Raises:
        UsageError: If one of them is not installed.
    """
    kept_in = _kept_in(values.run_dir) if values.resume else ()
    names = [n for n in _TITLES if (values[n].value if values[n].present else n in kept_in)]
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UsageError(
                f'`{name}` should be installed: pip install "keras-s5rl[{name}]"; or leave it out, '
                f"--no{name}. Received: {name}=True"
            )
    return names


def _kept_in(run_dir: str) -> list[str]:
    path = RunDirectory(run_dir).tracking_path
    try:
        return list(read_json(path)) if path.exists() else []
    except RunError as error:
        raise UsageError(error) from None
