"""A report of runs as one HTML file that needs nothing else."""

import importlib.resources
import string
from collections.abc import Sequence
from typing import Any

from keras_s5rl.runs import report_html as html
from keras_s5rl.runs.files import replacing
from keras_s5rl.runs.plots import learning_curves_figure
from keras_s5rl.runs.report_figures import SIZE, inline_svg, time_constants_figure
from keras_s5rl.runs.report_html import Html
from keras_s5rl.runs.report_player import as_script_data, player_data
from keras_s5rl.typing import StrPath

_RETURN = "episode_return_mean"


def write_report(report: dict[str, Any], output: StrPath) -> None:
    """Writes a report, whole or not at all. It opens from the disk and loads nothing.

    Args:
        report: dict of

            - `title`: text at the top.
            - `runs`: list of dicts: `label`, and `path`, as texts; `config`, what `read_config`
              returns; `metrics`, what `read_metrics` returns, or `{}`; `evaluation` and
              `best_evaluation`, the contents of these files, or `None`; `best_policies`, a list
              of the contents of `best_policy.json`, or of that of each seed; `command`, which
              makes the run again.
            - `differing`: dict of names of settings to a list with a text for each run.
            - `common`: dict of names of settings to a text.
            - `episodes`: what `keras_s5rl.training.played_episodes.play_episodes` returns, or
              `None`; `played_run`: the place among the runs of the one that played.
        output: the file. Its folder exists.

    Raises:
        RunError: when metrics hold something else than numbers.
    """
    runs, episodes = report["runs"], report["episodes"]
    sections = [
        html.section("Scores", *_scores(runs)),
        html.section("Learning curves", *_curves(runs)),
        html.section("Settings", *_settings(report)),
    ]
    data: dict[str, Any] = {}
    if episodes is not None:
        data = player_data(episodes)
        player = Html(_page_file("player.html"))
        sections.append(html.section("An episode", _of_episodes(report), player))
        sections.append(html.section("What the memory keeps", *_time_constants(episodes)))
    sections.append(html.section("Machine", *_machines(runs)))
    sections.append(html.section("Run it again", *_commands(runs)))
    page = string.Template(_page_file("page.html")).substitute(
        title=html.text(report["title"]),
        style=_page_file("style.css"),
        script=_page_file("script.js") if data else "",
        data=as_script_data(data),
        sections="\n".join(filter(None, sections)),
    )
    with replacing(output) as aside:
        aside.write_text(page, encoding="utf-8")


def _page_file(name: str) -> str:
    folder = importlib.resources.files("keras_s5rl.runs") / "report_page"
    return (folder / name).read_text(encoding="utf-8")


def _scores(runs: Sequence[dict[str, Any]]) -> list[Html]:
    """A row for each run: its scores, and what they cost."""
    header = ["run", "seed", "return", "episodes", "mode", "best while training", "best policy"]
    header += ["last training return", "steps", "seconds"]
    rows = []
    for run in runs:
        evaluation, metrics = run["evaluation"] or {}, run["metrics"]
        scored = run["best_evaluation"] or {}
        mode: Any = evaluation.get("deterministic")
        rows.append(
            [
                run["label"],
                _seeds(run["config"]),
                _score(evaluation),
                html.number(evaluation.get("num_episodes")),
                {True: "mode", False: "sampled"}.get(mode, "–"),
                _best(run["best_policies"]),
                _score(scored),
                html.number(_last(metrics, _RETURN)),
                html.number(_last(metrics, "env_steps")),
                html.number(_last(metrics, "wall_time_s"), 0),
            ]
        )
    # A column in which no run has anything says nothing.
    kept = [i for i in range(len(header)) if any(row[i] != "–" for row in rows)]
    cells = [[row[i] for i in kept] for row in rows]
    note = ""
    if any(run["evaluation"] for run in runs):
        note = "Returns of fresh episodes; ± is the 95 % interval over the episodes of one policy."
    if any("return_iqm" in (run["evaluation"] or {}) for run in runs):
        note += " Of several seeds it is the interquartile mean with its 95 % bootstrap interval."
    return [
        html.table([header[i] for i in kept], cells, "scores"),
        html.paragraph(note) if note else Html(""),
    ]


def _score(evaluation: dict[str, Any]) -> Html:
    """The score of a policy, or of the policies of several seeds."""
    if "return_iqm" not in evaluation:
        return html.score(evaluation.get("return_mean"), evaluation.get("return_ci95"))
    low, high = map(html.number, evaluation["return_iqm_interval"])
    return Html(f"{html.number(evaluation['return_iqm'])} [{low}, {high}]")


def _best(policies: Sequence[dict[str, Any]]) -> Html:
    """The best evaluation while training; of several seeds the mean of theirs."""
    if not policies:
        return html.number(None)
    mean = sum(policy["eval_return_mean"] for policy in policies) / len(policies)
    updates = [policy["update"] for policy in policies]
    first, last = html.number(min(updates)), html.number(max(updates))
    when = f"update {first}" if len(updates) == 1 else f"updates {first} to {last}"
    return Html(f"{html.number(mean)} ({when})")


def _seeds(config: dict[str, Any]) -> str:
    first, number = config["seed"], config["num_seeds"]
    return str(first) if number == 1 else f"{first} to {first + number - 1}"


def _last(metrics: dict[str, Any], name: str) -> Any:
    values = metrics.get(name)
    if values is None or not hasattr(values, "dtype") or values.ndim != 1:
        return None
    known = values[values == values]  # NaN where an update has no value
    return known[-1].item() if len(known) else None


def _curves(runs: Sequence[dict[str, Any]]) -> list[Html]:
    curves = [(run["label"], run["metrics"]) for run in runs if len(run["metrics"])]
    if not curves:
        return []
    figure = learning_curves_figure(curves, size=SIZE)
    return [inline_svg(figure, "curves", "Mean episode return over environment steps")]


def _settings(report: dict[str, Any]) -> list[Html]:
    differing, common = report["differing"], report["common"]
    parts = []
    if differing:
        header = ["setting", *(run["label"] for run in report["runs"])]
        rows = [[name, *values] for name, values in differing.items()]
        parts += [
            html.paragraph("In these the runs differ."),
            html.table(header, rows, "differing"),
        ]
    table = html.table(["setting", "value"], common.items(), "common")
    summary = f"{len(common)} settings" + (
        " that all runs share" if len(report["runs"]) > 1 else ""
    )
    return [*parts, html.details(summary, table)]


def _of_episodes(report: dict[str, Any]) -> Html:
    run, episodes = report["runs"][report["played_run"]], report["episodes"]
    number = int(episodes["episode"][-1]) + 1
    played = "the mode" if episodes["deterministic"] else "draws from the distribution"
    count = "One episode" if number == 1 else f"{number} episodes, one after the other,"
    return html.paragraph(
        f"{count} of {run['config']['env']}, from seed {episodes['seed']}: {played} of the policy "
        f"of {run['label']}, seed {episodes['policy_seed']}."
    )


def _time_constants(episodes: dict[str, Any]) -> list[Html]:
    layers = episodes["time_constants"]
    if not layers:
        return []
    length = int(episodes["step"].max())
    figure = time_constants_figure(layers, [("the episode", length)])
    rows = [
        [name, html.number(len(steps)), *(html.number(q, 1) for q in _quantiles(steps))]
        for name, steps in layers
    ]
    note = (
        "What a state holds falls to 1/e within its time constant, −1 / (Re(λ) Δt) steps. To "
        "remember the start of an episode at its end takes time constants that are about as long."
    )
    header = ["layer", "states", "shortest", "median", "longest"]
    return [
        html.paragraph(note),
        inline_svg(figure, "time_constants", "Time constants of the states of each layer"),
        html.table(header, rows, "time_constants_table"),
    ]


def _quantiles(steps: Any) -> list[float]:
    ordered = sorted(steps.tolist())
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]]


def _machines(runs: Sequence[dict[str, Any]]) -> list[Html]:
    """Each machine with its software once, and which runs are of it."""
    found: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for run in runs:
        config = run["config"]
        described = {**config.get("machine", {}), "device": config.get("device")}
        described |= {"backend": config["backend"], **config.get("versions", {})}
        described.pop("date", None)
        found.setdefault(repr(described), (described, []))[1].append(run["path"])
    names = list(dict.fromkeys(name for machine, _ in found.values() for name in machine))
    header = ["", *(", ".join(paths) for _, paths in found.values())]
    rows = [[name, *(_known(of, name) for of, _ in found.values())] for name in names]
    return [html.table(header, rows, "machine")]


def _known(machine: dict[str, Any], name: str) -> Any:
    value = machine.get(name)
    return "–" if value is None else value


def _commands(runs: Sequence[dict[str, Any]]) -> list[Html]:
    return [part for run in runs for part in _command(run)]


def _command(run: dict[str, Any]) -> tuple[Html, Html]:
    where = html.paragraph(f"{run['label']}, seed {_seeds(run['config'])} ({run['path']})")
    return where, html.code(run["command"], "command")
