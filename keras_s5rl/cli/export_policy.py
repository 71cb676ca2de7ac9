"""`launch/export_policy.py`: writes one step of a run's policy for other runtimes.

    python launch/export_policy.py --run_dir=runs/demo --output=policy.onnx
    python launch/export_policy.py --run_dir=runs/demo --output=policy

The first is an ONNX file, the second the folder of a TensorFlow SavedModel. Beside it lies a file
with the ending .json, which says what goes in and what comes out.
"""

import importlib.util
from collections.abc import Sequence

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.outputs import check_output_file, check_output_folder
from keras_s5rl.cli.policy_seed import check_policy_seed, define_policy_seed_flag
from keras_s5rl.cli.recorded_runs import open_run
from keras_s5rl.runs import check_imports


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return command.run(export, define_flags, argv)


def define_flags(values: FlagValues) -> None:
    flags.DEFINE_string("run_dir", None, "folder of the run", flag_values=values)
    flags.DEFINE_string(
        "output",
        None,
        "file that ends in .onnx, or folder of a TensorFlow SavedModel",
        flag_values=values,
    )
    define_policy_seed_flag(values)
    command.define_accept_flag(values)
    command.define_import_flag(values)


def export(values: FlagValues) -> None:
    for name, expected in (("run_dir", "the folder of a run"), ("output", "a file or a folder")):
        if values[name].value is None:
            raise UsageError(f"`{name}` should name {expected}. Received: {name}=None")
    is_onnx = values.output.endswith(".onnx")
    if is_onnx:
        check_output_file("output", values.output)
        _check_converter(values.output)
    else:
        check_output_folder("output", values.output)
    try:
        _, config = open_run(values.run_dir, values.accept_edited_config)
        check_policy_seed(values, config, "export_policy")
        check_imports(config, values["import"].value)
        # Both formats are TensorFlow's to write, whatever backend trained.
        command.select_backend("tensorflow")
        command.import_modules(values["import"].value)
        from keras_s5rl.training import PPO, export_policy

        agent = PPO.load(values.run_dir, values.accept_edited_config, seed=values.policy_seed)
        form = "onnx" if is_onnx else "tf_saved_model"
        export_policy(agent.policy, agent.environment, values.output, form)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None
    command.print_result(f"{values.output} and {values.output}.json")


def _check_converter(output: str) -> None:
    if importlib.util.find_spec("tf2onnx") is None:
        raise UsageError(
            "`output` should be a folder, or what writes ONNX be installed: pip install "
            f"'keras_s5rl[export]'. Received: output={output}"
        )
