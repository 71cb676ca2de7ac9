"""Groups of runs compared: scores with intervals, and which difference is real."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

from keras_s5rl.runs.bootstrap import bootstrap_interval, permutation_p_value, smallest_p_value
from keras_s5rl.runs.statistics import Scores, iqm, mean, probability_of_improvement
from keras_s5rl.typing import Array

_SIGNIFICANCE = 0.05
_ALIKE = 1.1  # numbers of parameters that differ by less are not pointed out


@dataclasses.dataclass(frozen=True)
class ScoredRun:
    """What a comparison needs of a run.

    Args:
        path: where it lies.
        task: what it was scored on.
        group: what it is a run of; runs of one group differ in their seeds alone.
        seeds: the seeds that it trained.
        scores: the score of each seed; higher is better.
        env_steps: environment steps of a seed when it was scored, or `None` where nothing says it.
        seconds: time of the training, or `None` where nothing says it.
        curves: `(env_steps, values)` of each seed, or `None` where there are no metrics.
        num_parameters: trainable parameters of the policy, or `None` where nothing says it.
    """

    path: str
    task: str
    group: str
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    env_steps: int | None = None
    seconds: float | None = None
    curves: list[tuple[Array, Array]] | None = None
    num_parameters: int | None = None


def compare_runs(runs: Sequence[ScoredRun]) -> dict[str, Any]:
    """Compares groups of runs on each task, and on several tasks together.

    Every pair of groups is compared by the probability of improvement. A difference is real where
    its 95 % interval excludes 1/2 and a permutation test gives less than 0.05, after Holm's
    correction for the number of pairs. The test is what few runs need: their intervals are too
    narrow.

    Args:
        runs: list of `ScoredRun`.

    Returns:
        A JSON object: `tasks`, a list of sections, and `overall`, the section of the tasks that all
        groups with runs on several tasks share, `None` where they share fewer than two. A section
        has

        - `tasks`: list of their names;
        - `groups`, best first: `group`, `num_runs`, `iqm`, `iqm_interval`, `mean`,
          `mean_interval`, `num_parameters`, `env_steps` and `seconds` (means of a run, or `None`),
          and `scores`, a list for each task;
        - `comparisons` of each pair: `group`, `other` (of which the first is more often better),
          `probability_of_improvement`, `difference` (of the IQM) and both intervals, `p_value`,
          `smallest_p_value` (what so many runs can reach at best), and `verdict` on the first:
          `"better"`, `"not shown"`, or `"unknown"`, where there are too few runs;
        - `conclusion`: a list of sentences; the last one names the groups of a task whose numbers
          of parameters differ by more than 10 %.

    Example:

    >>> scores = {"s5": [0.9, 1.0, 0.95, 0.97], "gru": [0.1, 0.3, 0.2, 0.4]}
    >>> runs = [
    ...     ScoredRun(f"{group}_{seed}", "RepeatFirstEasy", group, (seed,), (score,))
    ...     for group, of_group in scores.items()
    ...     for seed, score in enumerate(of_group)
    ... ]
    >>> (comparison,) = compare_runs(runs)["tasks"][0]["comparisons"]
    >>> comparison["group"], comparison["other"], comparison["verdict"]
    ('s5', 'gru', 'better')
    """
    tasks = list(dict.fromkeys(run.task for run in runs))
    tasks_of: dict[str, set[str]] = {}
    for run in runs:
        tasks_of.setdefault(run.group, set()).add(run.task)
    broad = {group: of_group for group, of_group in tasks_of.items() if len(of_group) > 1}
    shared = [task for task in tasks if all(task in of_group for of_group in broad.values())]
    on_several = [run for run in runs if run.group in broad]
    return {
        "tasks": [_section([task], runs) for task in tasks],
        "overall": _section(shared, on_several) if broad and len(shared) > 1 else None,
    }


def _section(tasks: list[str], runs: Sequence[ScoredRun]) -> dict[str, Any]:
    runs = [run for run in runs if run.task in tasks]
    rows = [
        _row(group, tasks, [run for run in runs if run.group == group])
        for group in dict.fromkeys(run.group for run in runs)
    ]
    rows.sort(key=lambda row: row["iqm"], reverse=True)
    pairs = [_compare(one, other) for one, other in itertools.combinations(rows, 2)]
    _correct_p_values(pairs)
    for pair in pairs:
        pair["verdict"] = _verdict(pair)
    conclusion = _conclusion(pairs, tasks) + _sizes(rows, tasks)
    return {"tasks": tasks, "groups": rows, "comparisons": pairs, "conclusion": conclusion}


def _row(group: str, tasks: list[str], runs: list[ScoredRun]) -> dict[str, Any]:
    scores = [[score for run in runs if run.task == task for score in run.scores] for task in tasks]
    return {
        "group": group,
        "num_runs": sum(map(len, scores)),
        "iqm": float(iqm(scores)),
        "iqm_interval": _interval(iqm, scores),
        "mean": float(mean(scores)),
        "mean_interval": _interval(mean, scores),
        "num_parameters": _mean_known([run.num_parameters for run in runs]),
        "env_steps": _mean_known([run.env_steps for run in runs]),
        "seconds": _mean_known([run.seconds for run in runs]),
        "scores": scores,
    }


def _compare(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Compares two rows; the one that is more often better goes first."""
    if probability_of_improvement(one["scores"], other["scores"]) < 0.5:
        one, other = other, one
    x, y = one["scores"], other["scores"]
    return {
        "group": one["group"],
        "other": other["group"],
        "probability_of_improvement": float(probability_of_improvement(x, y)),
        "probability_of_improvement_interval": _interval(probability_of_improvement, x, y),
        "difference": float(_difference(x, y)),
        "difference_interval": _interval(_difference, x, y),
        "p_value": permutation_p_value(x, y),
        "smallest_p_value": smallest_p_value(x, y),
    }


def _difference(scores: Scores, others: Scores) -> Array:
    return iqm(scores) - iqm(others)


def _interval(statistic: Any, *scores: Scores) -> list[float]:
    return [float(end) for end in bootstrap_interval(statistic, *scores)]


def _correct_p_values(pairs: list[dict[str, Any]]) -> None:
    """Holm's correction: with twenty comparisons one in two would find a difference by chance."""
    for name in ("p_value", "smallest_p_value"):
        largest = 0.0
        for rank, pair in enumerate(sorted(pairs, key=lambda pair: pair[name])):
            largest = max(largest, min(1.0, pair[name] * (len(pairs) - rank)))
            pair[name] = largest


def _verdict(pair: dict[str, Any]) -> str:
    if pair["p_value"] < _SIGNIFICANCE and pair["probability_of_improvement_interval"][0] > 0.5:
        return "better"
    return "unknown" if pair["smallest_p_value"] >= _SIGNIFICANCE else "not shown"


def _conclusion(pairs: list[dict[str, Any]], tasks: list[str]) -> list[str]:
    """Sentences that say which differences are real, and of which it is not known."""
    where = tasks[0] if len(tasks) == 1 else f"{len(tasks)} tasks"
    better: dict[str, list[str]] = {}
    for pair in pairs:
        if pair["verdict"] == "better":
            better.setdefault(pair["group"], []).append(pair["other"])
    sentences = [
        f"On {where} {group} is better than {', and than '.join(worse)}."
        for group, worse in better.items()
    ]
    if names := _names(pairs, "not shown"):
        sentences.append(f"On {where} it is not shown which is better, of {names}.")
    if names := _names(pairs, "unknown"):
        sentences.append(
            f"On {where} there are too few runs to know which is better, of {names}: it takes "
            f"{_runs_needed(len(tasks), len(pairs))} or more of each on each task."
        )
    return sentences


def _sizes(rows: list[dict[str, Any]], tasks: list[str]) -> list[str]:
    """A sentence if the groups of a task have unequal numbers of parameters, where they are known.

    Tasks together need none: each has its own.
    """
    known = {row["group"]: row["num_parameters"] for row in rows if row["num_parameters"]}
    if len(tasks) > 1 or not known or max(known.values()) <= _ALIKE * min(known.values()):
        return []
    sizes = ", ".join(f"{group} has {number:,.0f}" for group, number in known.items())
    return [f"On {tasks[0]} the numbers of parameters differ by more than 10 %: {sizes}."]


def _names(pairs: list[dict[str, Any]], verdict: str) -> str:
    """The pairs with a verdict, in words."""
    names = [f"{pair['group']} and {pair['other']}" for pair in pairs if pair["verdict"] == verdict]
    return "any two of the groups" if len(names) == len(pairs) > 1 else "; of ".join(names)


def _runs_needed(num_tasks: int, num_pairs: int) -> int:
    """The smallest number of runs of each of two groups, on each task, that can show anything."""
    return next(
        n
        for n in itertools.count(1)
        if num_pairs * 2 / math.comb(2 * n, n) ** num_tasks < _SIGNIFICANCE
    )


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
