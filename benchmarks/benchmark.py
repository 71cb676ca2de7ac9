"""`launch/benchmark.py`: measures the package on this machine.

    python launch/benchmark.py --suite=ppo
    python launch/benchmark.py --suite=ppo --only=small --only=small_gru --repeats=20
    python launch/benchmark.py --suite=ppo --only=small --peers --json=results/ppo.json
    python launch/benchmark.py --suite=ppo --only=small --backend=jax --backend=tensorflow
    python launch/benchmark.py --suite=env --only=RepeatPreviousEasy
    python launch/benchmark.py --suite=recurrence --only=8x1024x128
    python launch/benchmark.py --suite=layer
    python launch/benchmark.py --suite=gymnasium --repeats=8
    python launch/benchmark.py --suite=kernels

Prints a table; `--json` also writes the numbers with the machine, the software and the command
(`--json=-`: to standard output, in place of the table). Each case runs in a process of its own, so
that start-up and memory are its own, with large memory in large pages where the variable
`GLIBC_TUNABLES` does not say otherwise; all libraries alike. With several backends each case runs
on each of them. A line names each backend or peer that is not installed, and the rest goes on.

A suite is a module with `CASES` (name to keyword arguments), `measure(**arguments, repeats)`, which
returns a dict of numbers, and `COLUMNS` (which of them the table shows: heading and format). It may
have `PEER_CASES` and `measure_peer` (see `peers.py`), `SHARES_PROCESS = True`, for all cases in one
process, and `note(results)`, which returns what is printed below the table. Importing it loads
nothing heavy. `register_suite` adds it.
"""

import dataclasses
import importlib.util
import json
import os
import pathlib
import shlex
import subprocess
import sys

from absl import flags

from benchmarks import (
    env_suite,
    gymnasium_suite,
    kernels_suite,
    layer_suite,
    peers,
    ppo_suite,
    recurrence_suite,
    runtime_suite,
)
from keras_s5rl.cli import command
from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.outputs import check_output_file
from keras_s5rl.runs import machine_block, write_json_atomically

_COMMAND = pathlib.Path(__file__).resolve().parents[1] / "launch" / "benchmark.py"
_SUITES = {}
# Variables that change how fast programs run; the file names those that are set.
_VARIABLES = ("GLIBC_TUNABLES", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "TF_XLA_FLAGS", "XLA_FLAGS")
# Large memory in pages of 2 MB. What a program frees goes back to Linux, which clears it page after
# page when the next run asks for it; with pages of 4 KB that is as slow as the arithmetic. The C
# library reads the variable when a process starts, so that every job has one of its own.
_HUGE_PAGES = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")


def register_suite(name, suite):
    """Makes a suite known under a name, for `--suite=name`."""
    _SUITES[name] = suite


register_suite("env", env_suite)
register_suite("gymnasium", gymnasium_suite)
register_suite("kernels", kernels_suite)
register_suite("layer", layer_suite)
register_suite("ppo", ppo_suite)
register_suite("recurrence", recurrence_suite)
register_suite("runtime", runtime_suite)


@dataclasses.dataclass(frozen=True)
class _Job:
    """Cases of a suite that one process measures."""

    names: tuple[str, ...]
    backend: str
    is_peer: bool = False


def main(argv=None):
    """Runs the command; returns its exit status."""
    argv = list(sys.argv if argv is None else argv)
    return command.run(lambda values: benchmark(values, argv), define_flags, argv)


def define_flags(values):
    flags.DEFINE_string("suite", None, f"suite, one of {', '.join(_SUITES)}", flag_values=values)
    flags.DEFINE_multi_string(
        "only", [], "case of the suite to run; may be given several times", flag_values=values
    )
    flags.DEFINE_boolean(
        "peers",
        False,
        "also run other libraries beside the cases of the suite (pip install 'keras-s5rl[peers]')",
        flag_values=values,
    )
    command.define_count_flag(values, "repeats", 10, "measurements of each case after warming up")
    flags.DEFINE_string(
        "json", None, "file for the numbers, - for standard output", flag_values=values
    )
    flags.DEFINE_multi_string(
        "backend",
        [],
        f"Keras backend, one of {', '.join(command.BACKENDS)}; may be given several times; by "
        "default the variable KERAS_BACKEND, else jax",
        flag_values=values,
    )


def benchmark(values, argv):
    suite = _SUITES.get(values.suite)
    if suite is None:
        raise UsageError(
            f"`suite` should be one of {', '.join(_SUITES)}. Received: suite={values.suite}"
        )
    jobs = _jobs(values, suite)
    if values.json not in (None, "-"):
        check_output_file("json", values.json)
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # compiling is part of what is measured
    documents, status = [], 0
    for job in jobs:
        try:
            here = len(jobs) == 1 and _HUGE_PAGES[0] in os.environ
            run = _run_here if here else _run_in_own_process
            documents.append((job, run(values, job)))
        except subprocess.CalledProcessError as error:
            if error.returncode == 2:  # it has reported its mistake itself
                return 2
            names = ", ".join(job.names)
            command.print_error(f"case {names} failed with exit status {error.returncode}")
            status = 1
            if not job.is_peer:  # what a peer does is no reason to lose the rest
                return status
    if not documents:
        return status or 1
    _report(values, suite, documents, argv)
    return status


def _jobs(values, suite):
    """Which process measures what, in the order of the table."""
    peer_cases = getattr(suite, "PEER_CASES", None)
    if values.peers and peer_cases is None:
        known = [name for name, each in _SUITES.items() if hasattr(each, "PEER_CASES")]
        raise UsageError(
            f"`peers` should be given with a suite that has some, one of {', '.join(known)}. "
            f"Received: suite={values.suite}"
        )
    peer_cases = peer_cases or {}
    for name in values.only:
        if name not in {**suite.CASES, **peer_cases}:
            raise UsageError(
                f"`only` should be a case of the suite {values.suite}, one of "
                f"{', '.join([*suite.CASES, *peer_cases])}. Received: only={name}"
            )
    backends = _installed_backends(values.backend)
    names = [name for name in suite.CASES if name in values.only or not values.only]
    together = [names] if getattr(suite, "SHARES_PROCESS", False) else [[name] for name in names]
    jobs = [_Job(tuple(group), backend) for group in together for backend in backends if group]
    jobs = _without_missing_devices(jobs, suite)
    for name, case in peer_cases.items():
        beside = values.peers and (case["beside"] in values.only or not values.only)
        if name in values.only or beside:
            jobs.append(_Job((name,), "jax", is_peer=True))
    return _without_missing_peers(jobs, peer_cases)


def _without_missing_devices(jobs, suite):
    missing = [job for job in jobs if job.backend != "jax" and _num_devices(suite, job.names) > 1]
    for job in missing:
        names = ", ".join(job.names)
        _notice(f"{names} needs several devices and is left out: {job.backend} runs on one")
    return [job for job in jobs if job not in missing]


def _num_devices(suite, names):
    """How many devices the cases need."""
    cases = [suite.CASES.get(name, {}) for name in names]
    return max(case.get("config", {}).get("num_devices", 1) for case in cases)


def _installed_backends(names):
    """Reports which of several backends are not installed, and returns the others."""
    names = list(dict.fromkeys(command.backend_name(name) for name in names or [None]))
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing == names:
        command.check_installed(names[0])  # a run without any backend is a mistake
    for name in missing:
        _notice(f"{name} is not installed and left out: pip install {name}")
    return [name for name in names if name not in missing]


def _without_missing_peers(jobs, peer_cases):
    wanted = dict.fromkeys(peer_cases[job.names[0]]["peer"] for job in jobs if job.is_peer)
    missing = [peer for peer in wanted if not peers.is_installed(peer)]
    for peer in missing:
        _notice(f"{peer} is not installed and left out: pip install 'keras-s5rl[peers]'")
    return [
        job for job in jobs if not (job.is_peer and peer_cases[job.names[0]]["peer"] in missing)
    ]


def _notice(line):
    print(line, file=sys.stderr, flush=True)


def _run_here(values, job):
    suite = _SUITES[values.suite]
    command.select_backend(job.backend, _num_devices(suite, job.names))
    results = {}
    for name in job.names:
        _notice(f"{values.suite}: {name} ...")
        if job.is_peer:
            results[name] = suite.measure_peer(**suite.PEER_CASES[name], repeats=values.repeats)
        else:
            results[name] = suite.measure(**suite.CASES[name], repeats=values.repeats)
    from keras_s5rl import backend

    return {"device": backend.device_name(), "results": results}


def _run_in_own_process(values, job):
    arguments = [
        f"--suite={values.suite}",
        *(f"--only={name}" for name in job.names),
        f"--repeats={values.repeats}",
        f"--backend={job.backend}",
    ]
    program = [sys.executable, str(_COMMAND), *arguments, "--json=-"]
    environment = dict([_HUGE_PAGES]) | os.environ
    child = subprocess.run(program, stdout=subprocess.PIPE, check=True, env=environment)
    return json.loads(child.stdout)


def _report(values, suite, documents, argv):
    """Prints the table and writes the file. Where there are several backends, their names stand
    beside those of the cases."""
    of_backends, of_peers = {}, {}
    environment = dict([_HUGE_PAGES]) | os.environ
    for job, document in documents:
        group = of_peers if job.is_peer else of_backends.setdefault(job.backend, {})
        group |= document["results"]
    several = len(of_backends) > 1
    results = {
        f"{name} on {job.backend}" if several and not job.is_peer else name: result
        for job, document in documents
        for name, result in document["results"].items()
    }
    document = {
        "suite": values.suite,
        "machine": machine_block(peers.PACKAGES if of_peers else ()),
        "device": ", ".join(dict.fromkeys(document["device"] for _, document in documents)),
        "backend": ", ".join(of_backends) or None,
        "command": shlex.join(argv),
        "environment": {name: environment[name] for name in _VARIABLES if name in environment},
        "results": results,
    }
    if values.json == "-":
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    print(_table(results, suite.COLUMNS))
    if hasattr(suite, "note"):
        for backend, own in (of_backends or {None: {}}).items():
            lines = suite.note({**own, **of_peers}).splitlines()
            print("\n".join(f"{backend}: {line}" if several else line for line in lines))
    if values.json is not None:
        write_json_atomically(values.json, document)


def _table(results, columns):
    rows = [["case", *(heading for heading, _ in columns.values())]]
    for name, result in results.items():
        cells = [(result.get(key), form) for key, (_, form) in columns.items()]
        rows.append([name, *("-" if value is None else f"{value:{form}}" for value, form in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )
