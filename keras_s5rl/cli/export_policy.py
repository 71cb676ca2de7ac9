"""`launch/export_policy.py`: hands a run's policy on, to other runtimes and other people.

    python launch/export_policy.py --run_dir=runs/demo --output=policy.onnx
    python launch/export_policy.py --run_dir=runs/demo --output=policy
    python launch/export_policy.py --run_dir=runs/demo --push_to_hub=user/name

The first writes one step as an ONNX file, the second as the folder of a TensorFlow SavedModel.
Beside it lies a file with the ending .json, which says what goes in and what comes out. The third
uploads the Keras model, with a model card, to the Hugging Face Hub.
"""

import importlib.util
from collections.abc import Sequence

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.hub import PushError, check_hub, define_hub_flags, push_to_hub
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
    define_policy_seed_flag(values, "such a run needs it")
    define_hub_flags(values)
    command.define_accept_flag(values)
    command.define_import_flag(values)


def export(values: FlagValues) -> int:
    if values.run_dir is None:
        raise UsageError("`run_dir` should name the folder of a run. Received: run_dir=None")
    _check_output(values)
    check_hub(values)
    try:
        run, config = open_run(values.run_dir, values.accept_edited_config)
        check_policy_seed(values, config, "export_policy")
        check_imports(config, values["import"].value)
        # Both formats are TensorFlow's to write, whatever backend trained.
        command.select_backend("tensorflow" if values.output else config["backend"])
        command.import_modules(values["import"].value)
        from keras_s5rl.training import PPO, export_policy

        agent = PPO.load(values.run_dir, values.accept_edited_config, seed=values.policy_seed)
        if values.output is not None:
            form = "onnx" if values.output.endswith(".onnx") else "tf_saved_model"
            export_policy(agent.policy, agent.environment, values.output, form)
            command.print_result(f"{values.output} and {values.output}.json")
        if values.push_to_hub is not None:
            command.print_result(push_to_hub(agent, run, config, values))
    except (ValueError, NotImplementedError) as error:
        raise UsageError(error) from None
    except PushError as error:
        command.print_error(error)
        return 1
    return 0


def _check_output(values: FlagValues) -> None:
    if values.output is None:
        if values.push_to_hub is None:
            raise UsageError(
                "`output` should name a file or a folder, or `push_to_hub` a repository. "
                "Received: output=None, push_to_hub=None"
            )
    elif values.output.endswith(".onnx"):
        check_output_file("output", values.output)
        _check_converter(values.output)
    else:
        check_output_folder("output", values.output)


def _check_converter(output: str) -> None:
    if importlib.util.find_spec("tf2onnx") is None:
        raise UsageError(
            "`output` should be a folder, or what writes ONNX be installed: pip install "
            f"'keras_s5rl[export]'. Received: output={output}"
        )
