"""What an experiment found: one record for each score of a training, and their aggregates."""

import numpy as np

from keras_s5rl.runs import (
    RunDirectory,
    RunError,
    bootstrap_interval,
    machine_block,
    read_json,
    read_metrics,
    statistics,
)

_MODES = ("greedy", "sampled")


def collect(experiment, trainings, runner, errors):
    """Returns the records of all trainings that did not fail, as plain values.

    Args:
        experiment: `Experiment`.
        trainings: List of `Training`.
        runner: `Runner` that ran them.
        errors: Dict, the error of each training that failed.
    """
    records = []
    for training in trainings:
        if training.name in errors:
            continue
        run = RunDirectory(runner.run_dir(training))
        config, metrics = run.read_config(), read_metrics(run.metrics_path)
        of_training = {
            "task": training.task,
            "memory": training.memory,
            "seed": training.seed,
            "flags": list(training.flags),
            "parameters": config.get("num_parameters"),
            "env_steps": config["total_steps"],
            "seconds": round(float(np.asarray(metrics["wall_time_s"])[-1]), 1),
            "num_episodes": runner.num_episodes,
            "published": experiment.published.get((training.task, training.memory)),
            "cpu": config["machine"]["cpu"],
            "date": config["machine"]["date"],
            "git_commit": config["machine"]["git_commit"],
        }
        for name, flags in training.evaluations.items():
            report = read_json(runner.score_path(training, name))
            for scores in _scores(name, report, metrics):
                records.append({**of_training, **scores, "evaluation": list(flags)})
    return records


def recorded(path, experiment, scale, num_episodes):
    """Returns the records that a results file holds and that are still of the experiment: those
    of a training with the same flags, scored on as many episodes.

    Args:
        path: Path of a file that `document` was written to, which may be missing.
        experiment: `Experiment`.
        scale: String.
        num_episodes: Positive integer.
    """
    try:
        records = read_json(path)["records"]
    except (RunError, KeyError, TypeError):
        return []
    wanted = [
        [each.task, each.memory, each.seed, list(each.flags), list(flags), num_episodes]
        for each in experiment.trainings(scale)
        for flags in each.evaluations.values()
    ]
    names = ("task", "memory", "seed", "flags", "evaluation", "num_episodes")
    return [record for record in records if [record.get(name) for name in names] in wanted]


def document(experiment, scale, command, records, errors):
    """Returns all that is known of an experiment, as plain values.

    Args:
        experiment: `Experiment`.
        scale: String.
        command: String, the command that makes the results again.
        records: List of records; where two are of the same score, the later counts.
        errors: Dict, the error of each training that failed.
    """
    order = [_training_key(each) for each in map(vars, experiment.trainings(scale))]
    latest = {(*_training_key(record), record["score"]): record for record in records}
    records = sorted(latest.values(), key=lambda record: order.index(_training_key(record)))
    return {
        "title": experiment.title,
        "claim": experiment.claim,
        "command": command,
        "machine": machine_block(),
        "rows": _rows(records),
        "records": records,
        "references": {task: dict(scores) for task, scores in experiment.references.items()},
        "failed": errors,
        "notes": list(experiment.notes),
    }


def _rows(records):
    """Aggregates over the seeds: interquartile means with intervals, medians of the seconds."""
    groups = {}
    for record in records:
        groups.setdefault((record["task"], record["memory"], record["score"]), []).append(record)
    rows = []
    for group in groups.values():
        same = ("task", "memory", "score", "parameters", "env_steps", "num_episodes", "published")
        row = {name: group[0][name] for name in same}
        row["seeds"] = [record["seed"] for record in group]
        row["seconds"] = float(np.median([record["seconds"] for record in group]))
        known = [record["mmer"] for record in group if record["mmer"] is not None]
        row["mmer"] = float(np.mean(known)) if known else None
        for mode in _MODES:
            row[mode] = [record[mode] for record in group]
            if None in row[mode]:
                continue
            row[f"{mode}_iqm"] = float(statistics.iqm([row[mode]]))
            row[f"{mode}_interval"] = [
                float(end) for end in bootstrap_interval(statistics.iqm, [row[mode]])
            ]
        rows.append(row)
    return rows


def _training_key(values):
    return values["task"], values["memory"], values["seed"]


def _scores(name, report, metrics):
    """The scores in a report of evaluate: one, or one for each task of each tier inside contexts,
    whose policies are greedy."""
    if "scores" in report:
        return [
            {
                "score": f"{each['tier']} {each['task']}",
                "greedy": each["trained"]["return_mean"],
                "sampled": None,
                "mmer": None,
            }
            for each in report["scores"]
        ]
    other = report["other_mode"]["return_mean"]
    mmer = _last(metrics["mmer"])
    return [{"score": name, "greedy": report["return_mean"], "sampled": other, "mmer": mmer}]


def _last(values):
    value = float(np.asarray(values, np.float64)[-1])
    return value if np.isfinite(value) else None
