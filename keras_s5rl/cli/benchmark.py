"""`launch/benchmark.py`: measures the package on this machine.

    python launch/benchmark.py --suite=ppo
    python launch/benchmark.py --suite=ppo --only=small --only=small_gru --repeats=20
    python launch/benchmark.py --suite=ppo --backend=jax --json=results/ppo.json
    python launch/benchmark.py --suite=env --only=RepeatPreviousEasy
    python launch/benchmark.py --suite=recurrence --only=8x1024x128
    python launch/benchmark.py --suite=layer

Prints a table; `--json` also writes the numbers with the machine, the software and the command
(`--json=-`: to standard output, in place of the table). Each case runs in a process of its own, so
that start-up and memory are its own.

A suite is a module with `CASES` (name to keyword arguments), `measure(**arguments, repeats)`, which
returns a dict of numbers, and `COLUMNS` (which of them the table shows: heading and format). It may
have `SHARES_PROCESS = True`, for all cases in one process, and `note(results)`, which returns what
is printed below the table. Importing it loads nothing heavy. `register_suite` adds it.
"""

import json
import os
import shlex
import subprocess
import sys

from absl import flags

from keras_s5rl.cli import command, env_suite, layer_suite, ppo_suite, recurrence_suite
from keras_s5rl.cli.command import UsageError
from keras_s5rl.runs import machine_block, write_json_atomically

_SUITES = {}


def register_suite(name, suite):
    """Makes a suite known under a name, for `--suite=name`."""
    _SUITES[name] = suite


register_suite("env", env_suite)
register_suite("layer", layer_suite)
register_suite("ppo", ppo_suite)
register_suite("recurrence", recurrence_suite)


def main(argv=None):
    """Runs the command; returns its exit status."""
    argv = list(sys.argv if argv is None else argv)
    return command.run(lambda values: benchmark(values, argv), define_flags, argv)


def define_flags(values):
    flags.DEFINE_string("suite", None, f"suite, one of {', '.join(_SUITES)}", flag_values=values)
    flags.DEFINE_multi_string(
        "only", [], "case of the suite to run; may be given several times", flag_values=values
    )
    command.define_count_flag(values, "repeats", 10, "measurements of each case after warming up")
    flags.DEFINE_string(
        "json", None, "file for the numbers, - for standard output", flag_values=values
    )
    command.define_backend_flag(values)


def benchmark(values, argv):
    suite = _SUITES.get(values.suite)
    if suite is None:
        raise UsageError(
            f"`suite` should be one of {', '.join(_SUITES)}. Received: suite={values.suite}"
        )
    for name in values.only:
        if name not in suite.CASES:
            raise UsageError(
                f"`only` should be a case of the suite {values.suite}, one of "
                f"{', '.join(suite.CASES)}. Received: only={name}"
            )
    if values.json not in (None, "-"):
        command.check_output_file("json", values.json)
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # compiling is part of what is measured
    command.select_backend(values.backend)
    names = [name for name in suite.CASES if name in values.only or not values.only]
    together = len(names) == 1 or getattr(suite, "SHARES_PROCESS", False)
    run_case = _run_here if together else _run_in_own_process
    documents = []
    for name in names:
        try:
            documents.append(run_case(values, name))
        except subprocess.CalledProcessError as error:
            if error.returncode == 2:  # it has told its mistake itself
                return 2
            command.print_error(f"case {name} failed with exit status {error.returncode}")
            return 1
    document = {
        "suite": values.suite,
        "machine": machine_block(),
        "device": documents[0]["device"],
        "command": shlex.join(argv),
        "results": {name: result for d in documents for name, result in d["results"].items()},
    }
    if values.json == "-":
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    print(_table(document["results"], suite.COLUMNS))
    if hasattr(suite, "note"):
        print(suite.note(document["results"]))
    if values.json is not None:
        write_json_atomically(values.json, document)


def _run_here(values, name):
    print(f"{values.suite}: {name} ...", file=sys.stderr, flush=True)
    suite = _SUITES[values.suite]
    results = {name: suite.measure(**suite.CASES[name], repeats=values.repeats)}
    from keras_s5rl import backend

    return {"device": backend.device_name(), "results": results}


def _run_in_own_process(values, name):
    arguments = [f"--suite={values.suite}", f"--only={name}", f"--repeats={values.repeats}"]
    program = [sys.executable, "-m", "keras_s5rl.cli.benchmark", *arguments, "--json=-"]
    return json.loads(subprocess.run(program, stdout=subprocess.PIPE, check=True).stdout)


def _table(results, columns):
    rows = [["case", *(heading for heading, _ in columns.values())]]
    for name, result in results.items():
        cells = [(result[key], form) for key, (_, form) in columns.items()]
        rows.append([name, *("-" if value is None else f"{value:{form}}" for value, form in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
