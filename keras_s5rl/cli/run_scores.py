"""The scores of runs, read from their evaluations or metrics, for a comparison."""

from collections.abc import Sequence
from typing import Any

from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.run_groups import group_runs, name_tasks
from keras_s5rl.runs import RunDirectory, read_json, read_metrics
from keras_s5rl.runs.comparison import ScoredRun
from keras_s5rl.runs.curves import seed_curves

EVALUATION = "evaluation"
RETURN = "episode_return_mean"
_TOLERANCE = 0.05  # trainings end with a whole update, whose size settings decide


def default_metric(runs: Sequence[RunDirectory]) -> str:
    """Returns what all runs can be compared by: their evaluations, or where one has none the mean
    return at the end of their trainings."""
    return EVALUATION if all(run.evaluation_path.exists() for run in runs) else RETURN


def read_scores(
    runs: Sequence[RunDirectory], configs: Sequence[dict[str, Any]], metric: str
) -> list[ScoredRun]:
    """Returns the runs with their tasks, groups and scores.

    Args:
        runs: List of `keras_s5rl.runs.RunDirectory`.
        configs: List of dicts, the settings of each run.
        metric: String, `"evaluation"` for the mean return in evaluation.json, or a column of
            metrics.jsonl, of which the last value counts.

    Raises:
        UsageError: If a run has no score, a seed is there twice, or runs of one group were scored
            at different numbers of steps or played in different modes.
    """
    tasks = name_tasks(configs)
    groups, _ = group_runs(configs, tasks)
    scored = [
        _read(run, config, task, group, metric)
        for run, config, task, group in zip(runs, configs, tasks, groups, strict=True)
    ]
    _check_seeds(scored)
    _check_steps(scored)
    if metric == EVALUATION:
        _check_modes(runs)
    return scored


def _read(
    run: RunDirectory, config: dict[str, Any], task: str, group: str, metric: str
) -> ScoredRun:
    seeds = tuple(range(config["seed"], config["seed"] + config["num_seeds"]))
    metrics = read_metrics(run.metrics_path) if run.metrics_path.exists() else {}
    column = RETURN if metric == EVALUATION else metric
    curves = seed_curves(str(run.path), metrics, column) if metrics else None
    if metric == EVALUATION:
        report = _read_evaluation(run)
        scores = report.get("return_mean_per_seed", [report.get("return_mean")])
        env_steps = report.get("env_steps", _last(metrics, "env_steps"))
    else:
        if not curves:
            raise UsageError(
                f"`metric` should have a value in the metrics of every run. Received: "
                f"metric={metric} for run_dir={run.path}"
            )
        scores = [float(values[-1]) for _, values in curves]
        env_steps = _last(metrics, "env_steps")
    if len(scores) != len(seeds) or not all(isinstance(score, int | float) for score in scores):
        raise UsageError(
            f"`run_dir` should hold a score ({metric}) of each of its {len(seeds)} seeds; call "
            f"evaluate on it. Received: {len(scores)} scores in run_dir={run.path}"
        )
    seconds = _last(metrics, "wall_time_s")
    return ScoredRun(str(run.path), task, group, seeds, tuple(scores), env_steps, seconds, curves)


def _read_evaluation(run: RunDirectory) -> dict[str, Any]:
    if not run.evaluation_path.exists():
        raise UsageError(
            "`run_dir` should hold evaluation.json: call evaluate on the run, or compare by a "
            f"metric of the training, such as --metric={RETURN}. Received: run_dir={run.path}"
        )
    return read_json(run.evaluation_path)


def _last(metrics: dict[str, Any], name: str) -> Any:
    values = metrics.get(name, [])
    return values[-1].item() if len(values) and hasattr(values, "dtype") else None


def _check_seeds(scored: Sequence[ScoredRun]) -> None:
    """A seed that counts twice makes intervals narrower than they are."""
    found: dict[Any, str] = {}
    for run in scored:
        for seed in run.seeds:
            first = found.setdefault((run.task, run.group, seed), run.path)
            if first is not run.path:
                raise UsageError(
                    f"`run_dir` should name each seed of an experiment once; leave one out of seed "
                    f"{seed} of {run.group} on {run.task}. Received: run_dir={first} and "
                    f"run_dir={run.path}"
                )


def _check_steps(scored: Sequence[ScoredRun]) -> None:
    """A run that was stopped early is no seed of those that were not."""
    for run in scored:
        for other in scored:
            if (run.task, run.group) != (other.task, other.group):
                continue
            if None in (run.env_steps, other.env_steps):
                continue
            if run.env_steps < (1 - _TOLERANCE) * other.env_steps:
                raise UsageError(
                    f"`run_dir` should name runs of {run.group} on {run.task} that were scored "
                    "after as many steps; go on with the shorter one (--resume, then evaluate) or "
                    f"leave it out. Received: {run.env_steps} steps in run_dir={run.path}, "
                    f"{other.env_steps} in run_dir={other.path}"
                )


def _check_modes(runs: Sequence[RunDirectory]) -> None:
    modes = {run: read_json(run.evaluation_path).get("deterministic", True) for run in runs}
    if len(set(modes.values())) > 1:
        one, other = (next(run for run in runs if modes[run] is mode) for mode in (True, False))
        raise UsageError(
            "`run_dir` should name runs whose policies were all played by their mode, or all by "
            "draws from it; call evaluate with the same --deterministic on them. Received: "
            f"deterministic=True in run_dir={one.path}, False in run_dir={other.path}"
        )
