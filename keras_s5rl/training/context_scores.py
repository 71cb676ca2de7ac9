"""Scores of contexts that were played: returns of their trials, rewards of their steps."""

from typing import Any

import numpy as np

from keras_s5rl.typing import Array

_NUM_BINS = 100
_DECIMALS = 6


def score_contexts(
    reward: Array, active: Array, trial: Array, trial_step: Array, num_trials: int, trial_steps: int
) -> dict[str, Any]:
    """Returns means over contexts with 95 % confidence intervals.

    A trial is worth the sum of its rewards over `trial_steps`: 1 at most where rewards are. A trial
    that ended early, or that its context did not come to, has rewards of 0 from there on; with them
    every trial has the same steps, its schedule.

    Args:
        reward: float array of shape `(time, contexts)`, in units of the largest reward of a step.
        active: bool array of that shape, whether the context was still under way.
        trial: int array of that shape, the number of the trial that the step belongs to.
        trial_step: int array of that shape, steps taken in the trial before this one.
        num_trials: Integer `K`, trials of a context.
        trial_steps: Integer `S`, steps of the longest trial.

    Returns:
        Dict of numbers and lists. `*_ci95` are half-widths, over contexts.

        - `return_mean`, `return_ci95`: of the mean return of a context's trials.
        - `trial_return_mean`, `trial_return_ci95`: `K` numbers, of the return of trial `k`.
        - `reward_mean`, `reward_ci95`, `count`: `time` numbers, of the reward at step `t` of the
          contexts that are still under way there, and how many these are. `None` where none is.
        - `first_trial`: dict of `reward_mean`, `reward_ci95`: `S` numbers, of the first trial's
          schedule. Where each step gives the same reward it is the share of contexts whose first
          trial is still under way.
        - `binned`: dict of `step`, `reward_mean`, `reward_ci95`: the schedule of the whole context
          in bins of about a hundredth of it, none of which holds steps of two trials. `step` is the
          middle of a bin.
    """
    num_contexts = reward.shape[1]
    reward = np.where(active, reward, 0.0).astype("float64")
    schedule = np.zeros((num_contexts, num_trials, trial_steps))
    _, context = np.nonzero(active)
    schedule[context, trial[active], trial_step[active]] = reward[active]
    trial_returns = schedule.mean(axis=2)
    reward_mean, reward_ci95, count = _mean_and_ci95(reward.T, active.T)
    step, binned = _in_bins(schedule)
    return {
        **_named("return", trial_returns.mean(axis=1)),
        **_named("trial_return", trial_returns),
        "reward_mean": _plain(reward_mean),
        "reward_ci95": _plain(reward_ci95),
        "count": count.tolist(),
        "first_trial": _named("reward", schedule[:, 0]),
        "binned": {"step": step.tolist(), **_named("reward", binned)},
    }


def _in_bins(schedule: Array) -> tuple[Array, Array]:
    """Returns the middles of the bins and the means in them, `(contexts, bins)`."""
    num_contexts, num_trials, trial_steps = schedule.shape
    num_bins = min(max(round(_NUM_BINS / num_trials), 1), trial_steps)
    edges = np.linspace(0, trial_steps, num_bins + 1).round().astype(int)
    starts = np.arange(num_trials)[:, None] * trial_steps
    means = np.add.reduceat(schedule, edges[:-1], axis=2) / np.diff(edges)
    middles = starts + (edges[:-1] + edges[1:] - 1) / 2
    return middles.reshape(-1), means.reshape(num_contexts, -1)


def _named(name: str, values: Array) -> dict[str, Any]:
    mean, ci95, _ = _mean_and_ci95(values, np.ones(values.shape, "bool"))
    return {f"{name}_mean": _plain(mean), f"{name}_ci95": _plain(ci95)}


def _mean_and_ci95(values: Array, counted: Array) -> tuple[Array, Array, Array]:
    """Mean and half-width over the leading axis of what is counted (NaN for nothing), and how much
    that is."""
    count = counted.sum(axis=0)
    mean = np.where(counted, values, 0.0).sum(axis=0) / np.where(count, count, np.nan)
    squares = np.where(counted, (values - mean) ** 2, 0.0).sum(axis=0)
    variance = squares / np.maximum(count - 1, 1)
    return mean, 1.96 * np.sqrt(variance / np.where(count, count, np.nan)), count


def _plain(values: Array) -> Any:
    """As JSON holds it, short: a float or a list of floats, None for NaN."""
    values = np.round(values, _DECIMALS)
    return np.where(np.isnan(values), None, values).tolist()
