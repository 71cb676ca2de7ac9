"""The scores inside contexts as a table for people."""

from typing import Any

_HEAD = ("tier", "task", "trial 1", "last trial", "mean", "untrained")


def in_context_table(report: dict[str, Any]) -> str:
    """Returns lines of text, a row for each tier and task: mean returns of trials over contexts.

    Beside the means over all trials are the half-widths of their 95 % confidence intervals.

    Args:
        report: What `keras_s5rl.training.evaluate_in_context` returns.
    """
    rows = [_HEAD] + [_row(score) for score in report["scores"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines += [
        f"{skipped['tier']}  {skipped['task']} is left out: {skipped['reason']}"
        for skipped in report["skipped"]
    ]
    mode = "mode" if report["deterministic"] else "sampled"
    lines.append(
        f"returns, 1 is a perfect trial ({mode}, {report['num_contexts']} contexts a task)"
    )
    return "\n".join(lines)


def _row(score: dict[str, Any]) -> tuple[str, ...]:
    trained, fresh = score["trained"], score["fresh"]
    returns = trained["trial_return_mean"]
    ends = (f"{returns[0]:.4f}", f"{returns[-1]:.4f}")
    return score["tier"], score["task"], *ends, _mean(trained), _mean(fresh)


def _mean(scores: dict[str, Any]) -> str:
    return f"{scores['return_mean']:.4f} +- {scores['return_ci95']:.4f}"
