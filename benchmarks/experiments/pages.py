"""The page of an experiment: a table in Markdown, and a picture."""

import numpy as np

from benchmarks.experiments.experiment import SCORE
from keras_s5rl.runs.figures import line_look, literal, new_figure, save_figure, set_look

_COLUMNS = (
    *("task", "memory", "parameters", "steps", "seconds", "seeds"),
    *("greedy", "sampled", "MMER", "published"),
)


def table(document):
    """Returns the page of an experiment, in Markdown.

    A cell is the interquartile mean over the seeds of the greedy policy's mean return, its 95 %
    interval of the stratified bootstrap, and the same of the sampled policy's; MMER, POPGym's best
    mean return of the training, is a mean over the seeds.

    Args:
        document: Dict of `results.document`.
    """
    rows = document["rows"]
    episodes = " or ".join(
        f"{number:,}" for number in sorted({row["num_episodes"] for row in rows})
    )
    lines = [
        f"# {document['title']}",
        "",
        document["claim"],
        "",
        f"    {document['command']}",
        "",
        f"Measured on {_places(document['records'])}. Each score is over {episodes} fresh episodes "
        "of the last policy. Greedy and sampled: IQM over seeds with a 95 % stratified bootstrap "
        "interval, of one seed its score. MMER: mean over seeds. Seconds of a training: median "
        "over seeds, with what else ran on the machine.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{' --- |' * len(_COLUMNS)}",
    ]
    for row in rows:
        cells = (
            _task(row),
            row["memory"],
            f"{row['parameters']:,}" if row["parameters"] else "-",
            f"{row['env_steps']:,}",
            f"{row['seconds']:,.0f}",
            ", ".join(map(str, row["seeds"])),
            _with_interval(row, "greedy"),
            _with_interval(row, "sampled"),
            "-" if row["mmer"] is None else f"{row['mmer']:.3f}",
            "-" if row["published"] is None else f"{row['published']:.3g}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    references = [
        f"- {task}: " + ", ".join(f"{name} {score:g}" for name, score in scores.items())
        for task, scores in document["references"].items()
        if any(row["task"] == task for row in rows)
    ]
    if references:
        lines += ["", "Other scores:", "", *references]
    lines += ["", *(f"{note}\n" for note in document["notes"])]
    for name, error in document["failed"].items():
        lines.append(f"Failed: {name}: {error}\n")
    return "\n".join(lines).rstrip() + "\n"


def draw(document, path):
    """Draws the greedy scores of all tasks, memory by memory, with intervals and seeds as dots.

    Args:
        document: Dict of `results.document`.
        path: Path of the picture.
    """
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


def _places(records):
    """Machines, dates and versions of the trainings."""
    machines = sorted({record["cpu"] for record in records})
    days = sorted({record["date"][:10] for record in records})
    commits = sorted({(record["git_commit"] or "unknown")[:7] for record in records})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"{', '.join(machines)}, {when}, version {', '.join(commits)}"


def _task(row):
    return row["task"] if row["score"] == SCORE else f"{row['task']}, {row['score']}"


def _with_interval(row, mode):
    if f"{mode}_iqm" not in row:
        return "-"
    score = f"{row[f'{mode}_iqm']:.3f}"
    if len(row["seeds"]) == 1:  # there is nothing to draw again
        return score
    low, high = row[f"{mode}_interval"]
    return f"{score} [{low:.3f}, {high:.3f}]"
