"""The scores of runs, read from their evaluations or metrics, for a comparison."""

from collections.abc import Sequence
from typing import Any

from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.recorded_runs import read_run_metrics
from keras_s5rl.runs import RunDirectory, read_json
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
    runs: Sequence[RunDirectory],
    configs: Sequence[dict[str, Any]],
    tasks: Sequence[str],
    groups: Sequence[str],
    metric: str,
) -> list[ScoredRun]:
    """Returns the runs with their scores.

    Args:
        runs: List of `keras_s5rl.runs.RunDirectory`.
        configs: List of dicts, the settings of each run.
        tasks: List of strings, the task of each run.
        groups: List of strings, the group of each run.
        metric: String, `"evaluation"` for the mean return in evaluation.json, or a column of
            metrics.jsonl, of which the last value counts.

    Raises:
        UsageError: If a run has no score, a seed is there twice, or runs of one group were scored
            at different numbers of steps or played in different modes.
    """
    scored = [
        _read(run, config, task, group, metric)
        for run, config, task, group in zip(runs, configs, tasks, groups, strict=True)
    ]
    _check_seeds(scored)
    # Early stopping ends each run where it ends.
    early = [config.get("early_stop_patience") is not None for config in configs]
    _check_steps([run for run, stops in zip(scored, early, strict=True) if not stops])
    if metric == EVALUATION:
        _check_modes(runs)
    return scored


def _read(
    run: RunDirectory, config: dict[str, Any], task: str, group: str, metric: str
) -> ScoredRun:
    seeds = tuple(range(config["seed"], config["seed"] + config["num_seeds"]))
    report = _read_evaluation(run) if metric == EVALUATION else {}
    metrics = read_run_metrics(run) if run.metrics_path.exists() else {}
    curves = None
    if metric != EVALUATION or RETURN in metrics:  # beside an evaluation curves are but drawn
        curves = _read_curves(run, metrics, RETURN if metric == EVALUATION else metric)
    if metric == EVALUATION:
        scores = report.get("return_mean_per_seed", [report.get("return_mean")])
    else:
        scores = [float(values[-1]) for _, values in curves or ()]
    env_steps = report.get("env_steps", _last(metrics, "env_steps"))
    if len(scores) != len(seeds) or not all(isinstance(score, int | float) for score in scores):
        raise UsageError(
            f"`run_dir` should hold a score ({metric}) of each of its {len(seeds)} seeds; train "
            f"on, or call evaluate on it. Received: scores={scores} in run_dir={run.path}"
        )
    seconds = _last(metrics, "wall_time_s")
    return ScoredRun(
        *(str(run.path), task, group, seeds, tuple(scores), env_steps, seconds, curves),
        num_parameters=config.get("num_parameters"),
    )


def _read_curves(run: RunDirectory, metrics: dict[str, Any], metric: str) -> Any:
    if not metrics:
        raise UsageError(
            f"`run_dir` should hold metrics.jsonl with a line or more, to compare by {metric}. "
            f"Received: run_dir={run.path}"
        )
    return seed_curves(str(run.path), metrics, metric)


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
    longest: dict[Any, tuple[int, str]] = {}
    for run in scored:
        if run.env_steps is not None:
            known = longest.get((run.task, run.group), (0, ""))
            longest[run.task, run.group] = max(known, (run.env_steps, run.path))
    for run in scored:
        steps, path = longest.get((run.task, run.group), (0, ""))
        if run.env_steps is not None and run.env_steps < (1 - _TOLERANCE) * steps:
            raise UsageError(
                f"`run_dir` should name runs of {run.group} on {run.task} that were scored after "
                "as many steps; go on with the shorter one (--resume, then evaluate) or leave it "
                f"out. Received: {run.env_steps} steps in run_dir={run.path}, {steps} in "
                f"run_dir={path}"
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
