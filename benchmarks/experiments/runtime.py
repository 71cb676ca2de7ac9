"""Experiment `runtime`: seconds and memory of an update against the length of its sequences."""

import json
import pathlib
import shlex
import subprocess
import sys

import numpy as np

from benchmarks import runtime_suite
from keras_s5rl.runs import bootstrap_interval, console, machine_block
from keras_s5rl.runs.figures import line_look, new_figure, save_figure, set_look

TITLE = "Training time and memory against sequence length"
CLAIM = (
    "The paper's section 5: time and memory of S5 grow linearly with the sequence, those of "
    "attention quadratically, and S5 trains over five times as fast as a GRU at 1,024 steps, on an "
    "A40. A CPU of few cores has no parallelism for S5 to use."
)
_LAUNCHER = pathlib.Path(__file__).resolve().parents[2] / "launch" / "benchmark.py"
_FITTED_FROM = 1024  # below, what an update costs whatever its length hides the growth
# Scale: lengths, and updates that are timed.
SCALES = {
    "smoke": ((64,), 1),
    "cpu": (runtime_suite.LENGTHS, 5),
    "gpu": (runtime_suite.LENGTHS, 10),
    "paper": (runtime_suite.LENGTHS, 10),
}


def measure(memories, lengths, repeats):
    """Measures each memory at each length in a process of its own.

    Args:
        memories: List of strings.
        lengths: List of positive integers, in ascending order.
        repeats: Positive integer, updates that are timed.

    Returns:
        The results of the suite `runtime` by case; of a case that failed, such as for lack of
        memory, a dict of the `error`. Where one fails, longer ones are not tried.
    """
    results = {}
    for memory in memories:
        for length in lengths:
            case = f"{memory}_{length}"
            console.write(f"{case} ...", sys.stdout)
            results[case] = _measured(case, repeats)
            if "error" in results[case]:
                break
    return results


def document(command, results):
    """Returns all that was found, as plain values.

    Args:
        command: List of strings, the command that measured.
        results: Dict of `measure`.
    """
    return {
        "title": TITLE,
        "claim": CLAIM,
        "command": shlex.join(command),
        "machine": machine_block(),
        "results": results,
        "growth": {memory: _growth(results, memory) for memory in _memories(results)},
        "ratios": _ratios(results),
    }


def table(document):
    """Returns the page of the experiment, in Markdown.

    Args:
        document: Dict of `document`.
    """
    results, machine = document["results"], document["machine"]
    memories = _memories(results)
    lengths = _lengths(results)
    updates = max(len(result.get("seconds", ())) for result in results.values())
    lines = [
        f"# {document['title']}",
        "",
        document["claim"],
        "",
        f"    {document['command']}",
        "",
        f"Measured on {machine['cpu']}, {machine['cpu_cores']} cores, {machine['date'][:10]}, "
        f"version {(machine['git_commit'] or 'unknown')[:7]}. Seconds of an iteration of PPO, "
        f"median of {updates} (lowest to highest), and the largest memory of the process; 16 "
        "environments, 4 epochs of 4 minibatches.",
        "",
        f"| length | {' | '.join(memories)} |",
        f"|{' --- |' * (1 + len(memories))}",
    ]
    for length in lengths:
        cells = [_cell(results.get(f"{memory}_{length}")) for memory in memories]
        lines.append(f"| {length:,} | {' | '.join(cells)} |")
    growths = {memory: each for memory, each in document["growth"].items() if each is not None}
    if growths:
        lines += [
            "",
            f"Seconds grow with the length to the power of, from {_FITTED_FROM:,} on:",
            "",
        ]
    for memory, growth in growths.items():
        low, high = growth["interval"]
        lines.append(f"- {memory}: {growth['exponent']:.2f} [{low:.2f}, {high:.2f}]")
    if document["ratios"]:
        lines += ["", "How many times as fast as these S5 is, by the median update:", ""]
        for length, ratios in document["ratios"].items():
            each = ", ".join(f"{memory} {ratio:.2f}" for memory, ratio in ratios.items())
            lines.append(f"- at {int(length):,} steps: {each}")
    failed = {case: each["error"] for case, each in results.items() if "error" in each}
    lines += ["", *(f"Failed: {case}: {error}\n" for case, error in failed.items())]
    return "\n".join(lines).rstrip() + "\n"


def draw(document, path):
    """Draws seconds and memory over length, both axes logarithmic.

    Args:
        document: Dict of `document`.
        path: Path of the picture.
    """
    results = document["results"]
    figure = new_figure(8.0, 3.6)
    panels = figure.subplots(1, 2)
    for index, memory in enumerate(_memories(results)):
        lengths, cases = _measured_cases(results, memory)
        look = {**line_look(index), "marker": "o", "markersize": 3}
        panels[0].plot(lengths, [each["seconds_median"] for each in cases], **look, label=memory)
        panels[1].plot(lengths, [each["peak_memory_gib"] for each in cases], **look)
    for axes, name in zip(panels, ("Seconds of an update", "Memory in GiB"), strict=True):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("Sequence length")
        axes.set_ylabel(name)
        set_look(axes)
    figure.legend(loc="outside lower center", frameon=False, ncols=4)
    save_figure(figure, path)


def _measured(case, repeats):
    program = [sys.executable, str(_LAUNCHER), "--suite=runtime", f"--only={case}", "--json=-"]
    program.append(f"--repeats={repeats}")
    child = subprocess.run(program, capture_output=True, text=True)
    if child.returncode:
        lines = child.stderr.strip().splitlines()
        errors = [line for line in lines if "Error" in line] or lines or ["no message"]
        return {"error": f"exit status {child.returncode}, {errors[-1].strip()}"}
    return json.loads(child.stdout)["results"][case]


def _growth(results, memory):
    """Slope of log seconds over log length by least squares, with the interval of the bootstrap
    over the updates; `None` where there are less than two lengths."""
    lengths, cases = _measured_cases(results, memory)
    seconds = [
        each["seconds"]
        for length, each in zip(lengths, cases, strict=True)
        if length >= _FITTED_FROM
    ]
    lengths = np.log([length for length in lengths if length >= _FITTED_FROM])
    if len(lengths) < 2:
        return None

    def slope(samples):
        medians = np.stack([np.median(each, axis=-1) for each in samples], axis=-1)
        centered = lengths - lengths.mean()
        return (np.log(medians) @ centered) / (centered @ centered)

    low, high = bootstrap_interval(slope, [np.asarray(each) for each in seconds])
    return {
        "exponent": float(slope([np.asarray(each) for each in seconds])),
        "interval": [float(low), float(high)],
    }


def _ratios(results):
    """By length, and by memory, how many times as fast S5 is."""
    ratios = {}
    for length in _lengths(results):
        medians = {
            memory: results.get(f"{memory}_{length}", {}).get("seconds_median")
            for memory in _memories(results)
        }
        s5 = medians.pop("s5", None)
        known = {memory: seconds / s5 for memory, seconds in medians.items() if s5 and seconds}
        if known:
            ratios[str(length)] = known
    return ratios


def _measured_cases(results, memory):
    """The lengths at which a memory was measured, and what was."""
    found = {length: results.get(f"{memory}_{length}") for length in _lengths(results)}
    found = {length: case for length, case in found.items() if case and "error" not in case}
    return list(found), list(found.values())


def _memories(results):
    return list(dict.fromkeys(runtime_suite.CASES[case]["memory"] for case in results))


def _lengths(results):
    return sorted({runtime_suite.CASES[case]["length"] for case in results})


def _cell(result):
    if result is None:
        return "-"
    if "error" in result:
        return "failed"
    low, high = result["seconds_min"], result["seconds_max"]
    seconds = f"{result['seconds_median']:.3g} s ({low:.3g} to {high:.3g})"
    return f"{seconds}, {result['peak_memory_gib']:.2f} GiB"
