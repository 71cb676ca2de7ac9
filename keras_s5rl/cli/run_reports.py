"""The scores of a run beside it: a smaller one does not take the place of a larger one."""

from pathlib import Path
from typing import Any

from keras_s5rl.cli import command
from keras_s5rl.runs import RunDirectory, RunError, console, read_json, write_json_atomically

# What decides a score, beside the number of episodes or contexts.
_DECIDES = ("env", "env_args", "deterministic", "seed")
_COUNTS = ("num_episodes", "num_contexts")


def write_evaluation(run: RunDirectory, report: dict[str, Any], overwrite: bool = False) -> bool:
    """Writes evaluation.json of a run; returns whether it did.

    Args:
        run: `keras_s5rl.runs.RunDirectory`.
        report: Dict, as of `PPO.evaluate`.
        overwrite: Whether to replace a score over more episodes, or of another seed or mode.
            Defaults to `False`.
    """
    return write_report(run, run.evaluation_path, report, overwrite)


def write_report(
    run: RunDirectory, path: Path, report: dict[str, Any], overwrite: bool = False
) -> bool:
    """Writes a report in a run unless that would replace one that says more; returns whether it
    did. The score of another checkpoint is out of date: it is always replaced."""
    try:
        run.check_part(path)
        obstacle = None if overwrite else _obstacle(path, report)
    except RunError as error:
        raise command.UsageError(error) from None
    if obstacle is None:
        write_json_atomically(path, report)
        return True
    console.write(
        f"warning: {path} was left as it is: it holds {obstacle}. To replace it give evaluate "
        "--overwrite, to write elsewhere --json=FILE"
    )
    return False


def _obstacle(path: Path, report: dict[str, Any]) -> str | None:
    """Says what there is that the report should not replace unasked, or returns `None`."""
    if not path.exists():
        return None
    try:
        old = read_json(path)
    except RunError:
        return "something that cannot be read"
    if old.get("update", report.get("update")) != report.get("update"):
        return None
    count = next(name for name in _COUNTS if name in report)
    decides = {name: report[name] for name in _DECIDES if name in report}
    different = [name for name, value in decides.items() if old.get(name, value) != value]
    if different:
        return f"a score of another {different[0]}"
    number = old.get(count)
    if type(number) is int and number > report[count]:
        return f"a score with {count}={number}"
    return None
