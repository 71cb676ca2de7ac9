"""What all commands share: flags before imports, and errors as one line and an exit status."""

import importlib
import importlib.util
import os
import pathlib
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli.flag_types import define_integer
from keras_s5rl.runs import console

BACKENDS = ("jax", "tensorflow", "torch")


class UsageError(ValueError):
    """A mistake on the command line."""


def run(
    main: Callable[[FlagValues], int | None],
    define_flags: Callable[[FlagValues], None],
    argv: Sequence[str] | None = None,
    more: Any = None,
    positional: str | None = None,
) -> int:
    """Runs a command and returns its exit status.

    0: done. 1: it failed. 2: a mistake in flags or settings, one line on the standard error stream.
    130, 143: stopped by Ctrl-C or SIGTERM. Lines for people that a standard stream does not take,
    because it is closed, full or broken, are dropped.

    Args:
        main: Function of the parsed `absl.flags.FlagValues`; returns an exit status or `None`.
        define_flags: Function that defines the command's flags on a `FlagValues`.
        argv: List of strings, the program's name first. Defaults to `sys.argv`.
        more: What defines further flags by what the others say, such as
            `keras_s5rl.cli.memory_flags.MemoryFlags`, or `None`. Defaults to `None`.
        positional: String, the flag that takes the arguments without a name, such as the folders
            that a shell makes of a pattern, or `None`. Defaults to `None`.
    """
    console.open_standard_descriptors()
    argv = list(sys.argv if argv is None else argv)
    try:
        values = parse_flags(define_flags, argv, more, positional)
        if values.help:
            shown = console.write(_help(values, pathlib.Path(argv[0]).name), sys.stdout)
            return 0 if shown else 1
        return main(values) or 0
    except UsageError as error:
        print_error(error)
        return 2
    except OSError as error:  # a full disk, a folder that is gone
        print_error(_os_error(error))
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        console.drop_unwritten()


def parse_flags(
    define_flags: Callable[[FlagValues], None],
    argv: Sequence[str],
    more: Any = None,
    positional: str | None = None,
) -> FlagValues:
    """Returns the parsed `absl.flags.FlagValues` of a command; the arguments are those of `run`.

    Raises:
        UsageError: If a flag or its value is not what it should be.
    """
    values, arguments = _flag_values(define_flags), find_flagfiles(argv[1:])
    if more is not None:
        first = _flag_values(define_flags)
        _parse(first, [argv[0], *arguments], known_only=True)
        arguments = more.define(values, first, arguments)
    _parse(values, [argv[0], *arguments], more, positional=positional)
    return values


def _flag_values(define_flags: Callable[[FlagValues], None]) -> FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_boolean("help", False, "show this help", short_name="h", flag_values=values)
    define_flags(values)
    return values


def print_error(error: object) -> None:
    """Reports what went wrong, in one line on the standard error stream."""
    console.write(f"error: {' '.join(str(error).split())}")


def print_result(line: str) -> bool:
    """Prints a line on the standard output stream; returns whether it took the line."""
    return console.write(line, sys.stdout)


def _os_error(error: OSError) -> Any:
    if error.filename is None:
        return error.strerror or error
    return f"{error.strerror}. Received: {os.fsdecode(error.filename)}"


def define_backend_flag(values: FlagValues) -> None:
    flags.DEFINE_string(
        "backend",
        None,
        f"Keras backend, one of {', '.join(BACKENDS)}; by default the variable KERAS_BACKEND, else "
        "jax",
        flag_values=values,
    )


def define_environment_flags(values: FlagValues, default: Any) -> None:
    flags.DEFINE_string(
        "env",
        default,
        "environment, by its registered name; or gymnasium:ID (module:ID where a module registers "
        "it), or gymnax:NAME",
        flag_values=values,
    )
    flags.DEFINE_string(
        "env_args", None, "JSON object of the environment's arguments", flag_values=values
    )


def define_import_flag(values: FlagValues) -> None:
    flags.DEFINE_multi_string(
        "import",
        [],
        "module that registers an environment or a memory of your own, such as my_package.envs; "
        "may be given several times",
        flag_values=values,
    )


def define_count_flag(values: FlagValues, name: str, default: Any, help: str) -> None:
    define_integer(name, default, f"{help}; a positive integer", values, lower_bound=1)


def define_accept_flag(values: FlagValues) -> None:
    flags.DEFINE_boolean(
        "accept_edited_config",
        False,
        "take the run's config.json though it was edited since it was written",
        flag_values=values,
    )


def backend_name(name: str | None) -> str:
    """Returns the backend that the flag, or else KERAS_BACKEND, names; refuses unknown ones."""
    name = name or os.environ.get("KERAS_BACKEND") or "jax"
    if name not in BACKENDS:
        raise UsageError(
            f"`backend` should be one of {', '.join(BACKENDS)}. Received: backend={name!r}"
        )
    return name


def check_installed(name: str) -> None:
    """Raises a `UsageError` if a backend is not installed."""
    if importlib.util.find_spec(name) is None:
        raise UsageError(
            f"`backend` should be installed: pip install {name}. Received: backend={name!r}"
        )


def select_backend(name: str, num_devices: int = 1) -> None:
    """Sets KERAS_BACKEND, and with JAX how many devices a CPU is; to be called before anything
    imports Keras.

    Args:
        name: String, the value of the flag, or `None`.
        num_devices: Positive integer, devices that should train together.

    Raises:
        UsageError: If the backend is unknown or not installed, or if this process uses another one.
    """
    name = backend_name(name)
    if "keras" in sys.modules and sys.modules["keras"].backend.backend() != name:
        raise UsageError(
            "`backend` should be the one that Keras already uses in this process, "
            f"{sys.modules['keras'].backend.backend()!r}; start a new one for another. "
            f"Received: backend={name!r}"
        )
    check_installed(name)
    os.environ["KERAS_BACKEND"] = name
    if name == "jax":
        # XLA raises its errors; what it writes beside them is a banner about slow compiling.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        if num_devices > 1:
            os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(num_devices))
    if name == "tensorflow":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only, no lines of information
    else:
        # Keras imports TensorFlow when it saves a model, whatever the backend (BUILD_NOTES.md).
        # With this entry the import fails at once, as it does where TensorFlow is not installed:
        # seconds and 400 MB are saved, and no GPU is touched.
        sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]


def import_modules(names: Sequence[str]) -> None:
    """Imports modules by their dotted names, which are looked up in the current folder first, as
    `python -m` does; to be called after `select_backend`.

    Raises:
        UsageError: If one of them cannot be imported.
    """
    if names and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise UsageError(
                "`import` should name a module that can be imported, such as my_package.envs "
                f"({type(error).__name__}: {error}). Received: import={name}"
            ) from None


def presets_folder() -> Path:
    """Where the flagfiles lie: in the installed package, or in the source tree beside it."""
    package = pathlib.Path(__file__).resolve().parents[1]
    installed = package / "presets"
    return installed if installed.is_dir() else package.parent / "launch" / "presets"


def _help(values: FlagValues, program: str) -> str:
    """All flags with their defaults and meanings, in the order in which they were defined."""
    lines = [f"{program} --flag=value ... [--flagfile=FILE]", ""]
    for flags_of_module in values.flags_by_module_dict().values():
        for flag in flags_of_module:
            default = flag.default
            if isinstance(default, tuple):
                default = ",".join(map(str, default))
            lines.append(f"  --{flag.name}" + ("" if default is None else f"={default}"))
            lines += textwrap.wrap(flag.help, 92, initial_indent=8 * " ", subsequent_indent=8 * " ")
    return "\n".join(lines)


def _parse(
    values: FlagValues,
    argv: Sequence[str],
    more: Any = None,
    known_only: bool = False,
    positional: str | None = None,
) -> None:
    values.set_gnu_getopt(positional is not None)  # flags may stand behind other arguments
    try:
        rest = values(argv, known_only)
    except (flags.Error, ValueError) as error:  # ValueError: --noflag=value
        raise UsageError(_reason(values, error, argv, more)) from None
    if positional is not None and len(rest) > 1:
        values[positional].parse(rest[1:])
    elif len(rest) > 1 and not known_only:
        raise UsageError(f"Flags begin with two dashes, --name=value. Received: {rest[1]}")
    _check_strings(values)


def _check_strings(values: FlagValues) -> None:
    """Refuses texts that name nothing."""
    for name in values:
        flag = values[name]
        for text in flag.value if isinstance(flag.value, list) else [flag.value]:
            if flag.present and isinstance(text, str) and (not text.strip() or "\0" in text):
                reason = "hold a null character" if text.strip() else "be empty; leave it out"
                raise UsageError(
                    f"`{name}` ({flag.help.partition('; ')[0]}) should not {reason}. "
                    f"Received: {name}={text!r}"
                )


def find_flagfiles(arguments: Sequence[str]) -> list[str]:
    """Looks for flagfiles that are not there among the presets, which an installed package has."""
    found, waiting = [], False  # whether the last argument was a bare --flagfile
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if waiting:
            found.append(find_flagfile(argument))
        elif name in ("-flagfile", "--flagfile") and separator:
            found.append(f"{name}={find_flagfile(path)}")
        else:
            found.append(argument)
        waiting = not waiting and argument in ("-flagfile", "--flagfile")
    return found


def find_flagfile(path: str) -> str:
    if os.path.isfile(path):
        return path
    presets = presets_folder()
    preset = presets / pathlib.Path(path).name
    if not os.path.isfile(preset):  # of a Path it raises an error where the name is too long
        known = ", ".join(sorted(p.name for p in presets.glob("*.flags")))
        raise UsageError(
            f"`flagfile` should be a file, or one of the presets {known}. "
            f"Received: flagfile={path!r}"
        )
    return str(preset)


def _reason(values: FlagValues, error: Exception, argv: Sequence[str], more: Any) -> str:
    """What absl says, with what was received; plainer where a value is not of the flag's type."""
    explained = ""
    if isinstance(error, flags.UnrecognizedFlagError) and more is not None:
        explained = f" {more.explain(error.flagname)}."
    if isinstance(error, flags.IllegalFlagValueError):
        name, _, received = str(error).removeprefix("flag --").partition("=")
        if name in values:
            flag = values[name]
            meaning, _, expected = flag.help.rpartition("; ")
            if not meaning:
                meaning, expected = flag.help, flag.parser.syntactic_help or flag.flag_type()
            received = received.partition(": ")[0]
            return f"`{name}` ({meaning}) should be {expected}. Received: {name}={received}"
    received = getattr(error, "flagvalue", None) or " ".join(argv[1:])
    message = str(error).replace(" ?", "?").rstrip(" .")
    end = "" if message.endswith("?") else "."
    return f"{message}{end}{explained} Received: {received}"
