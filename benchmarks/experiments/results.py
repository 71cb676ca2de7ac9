"""What an experiment found: numbers of all seeds, a table, a picture."""

import shlex

import numpy as np

from benchmarks.experiments.experiment import SCORE
from keras_s5rl.runs import (
    RunDirectory,
    bootstrap_interval,
    machine_block,
    read_json,
    read_metrics,
    statistics,
)
from keras_s5rl.runs.figures import line_look, literal, new_figure, save_figure, set_look

_MODES = ("greedy", "sampled")
_COLUMNS = (
    *("task", "memory", "parameters", "steps", "seconds", "seeds"),
    *("greedy", "sampled", "MMER", "published"),
)


def collect(experiment, trainings, runner, command, errors):
    """Returns the results as plain values.

    Args:
        experiment: `Experiment`.
        trainings: List of `Training`.
        runner: `Runner` that ran them.
        command: List of strings, the command that made the results again.
        errors: Dict, the error of each training that failed.
    """
    rows = {}
    for training in trainings:
        if training.name in errors:
            continue
        run = RunDirectory(runner.run_dir(training))
        config, metrics = run.read_config(), read_metrics(run.metrics_path)
        for score in training.evaluations:
            report = read_json(runner.score_path(training, score))
            key = (training.task, training.memory, score)
            row = rows.setdefault(key, _new_row(experiment, training, score, config))
            row["seeds"].append(training.seed)
            row["seconds"].append(round(float(np.asarray(metrics["wall_time_s"])[-1]), 1))
            row["mmer"].append(_last(metrics["mmer"]))
            row["greedy"].append(report["return_mean"])
            row["sampled"].append(report["other_mode"]["return_mean"])
    for row in rows.values():
        for mode in _MODES:
            low, high = bootstrap_interval(statistics.iqm, [row[mode]])
            row[f"{mode}_iqm"] = float(statistics.iqm([row[mode]]))
            row[f"{mode}_interval"] = [float(low), float(high)]
    return {
        "title": experiment.title,
        "claim": experiment.claim,
        "command": shlex.join(command),
        "num_episodes": runner.num_episodes,
        "machine": machine_block(),
        "rows": list(rows.values()),
        "references": {task: dict(scores) for task, scores in experiment.references.items()},
        "failed": errors,
        "notes": list(experiment.notes),
    }


def table(document):
    """Returns the page of an experiment, in Markdown.

    A cell is the interquartile mean over the seeds of the greedy policy's mean return, its 95 %
    interval of the stratified bootstrap, and the same of the sampled policy's; MMER, POPGym's best
    mean return of the training, is a mean over the seeds.
    """
    machine = document["machine"]
    lines = [
        f"# {document['title']}",
        "",
        document["claim"],
        "",
        f"    {document['command']}",
        "",
        f"Measured on {machine['cpu']}, {machine['cpu_cores']} cores, {machine['date'][:10]}, "
        f"version {machine['git_commit'][:7] if machine.get('git_commit') else 'unknown'}. "
        f"Each score is over {document['num_episodes']:,} fresh episodes of the last policy. IQM "
        "over seeds with a 95 % stratified bootstrap interval; seconds are medians.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{' --- |' * len(_COLUMNS)}",
    ]
    for row in document["rows"]:
        published = "-" if row["published"] is None else f"{row['published']:.3g}"
        cells = (
            _task(row),
            row["memory"],
            f"{row['parameters']:,}" if row["parameters"] else "-",
            f"{row['env_steps']:,}",
            f"{np.median(row['seconds']):,.0f}",
            ", ".join(map(str, row["seeds"])),
            _with_interval(row, "greedy"),
            _with_interval(row, "sampled"),
            _mean_of_known(row["mmer"]),
            published,
        )
        lines.append(f"| {' | '.join(cells)} |")
    references = [
        f"- {task}: " + ", ".join(f"{name} {score:g}" for name, score in scores.items())
        for task, scores in document["references"].items()
        if any(row["task"] == task for row in document["rows"])
    ]
    if references:
        lines += ["", "Other scores:", "", *references]
    lines += ["", *(f"{note}\n" for note in document["notes"])]
    for name, error in document["failed"].items():
        lines.append(f"Failed: {name}: {error}\n")
    return "\n".join(lines).rstrip() + "\n"


def draw(document, path):
    """Draws the greedy scores of all tasks, memory by memory, with intervals and seeds as dots."""
    rows = document["rows"]
    tasks = list(dict.fromkeys(_task(row) for row in rows))
    memories = list(dict.fromkeys(row["memory"] for row in rows))
    figure = new_figure(max(4.0, 1.6 + 0.9 * len(tasks)), 3.6)
    axes = figure.subplots()
    for index, memory in enumerate(memories):
        own = [row for row in rows if row["memory"] == memory]
        shift = 0.7 * ((index + 0.5) / len(memories) - 0.5)
        x = np.array([tasks.index(_task(row)) for row in own]) + shift
        middle = np.array([row["greedy_iqm"] for row in own])
        ends = np.array([row["greedy_interval"] for row in own]).T
        look = line_look(index)["color"]
        errors = np.maximum([middle - ends[0], ends[1] - middle], 0)  # rounding may cross zero
        axes.errorbar(x, middle, errors, fmt="o", color=look, capsize=3, label=literal(memory))
        for place, row in zip(x, own, strict=True):
            axes.plot([place] * len(row["greedy"]), row["greedy"], ".", color=look, alpha=0.4)
    axes.set_xticks(range(len(tasks)), [literal(task) for task in tasks], rotation=30, ha="right")
    axes.set_ylabel("Mean return, greedy")
    axes.set_title(literal(document["title"]), loc="left", fontsize="medium")
    set_look(axes)
    figure.legend(loc="outside lower center", frameon=False, ncols=4)
    save_figure(figure, path)


def _new_row(experiment, training, score, config):
    lists = {name: [] for name in ("seeds", "seconds", "mmer", *_MODES)}
    return {
        "task": training.task,
        "score": score,
        "memory": training.memory,
        "parameters": config.get("num_parameters"),
        "env_steps": config["total_steps"],
        "published": experiment.published.get((training.task, training.memory)),
        "flags": list(training.flags),
        **lists,
    }


def _task(row):
    return row["task"] if row["score"] == SCORE else f"{row['task']}, {row['score']}"


def _with_interval(row, mode):
    low, high = row[f"{mode}_interval"]
    return f"{row[f'{mode}_iqm']:.3f} [{low:.3f}, {high:.3f}]"


def _mean_of_known(values):
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else "-"


def _last(values):
    value = float(np.asarray(values, np.float64)[-1])
    return value if np.isfinite(value) else None
