"""The command that compares runs, on made-up run directories."""

import hashlib
import json

import numpy as np
import pytest

from keras_s5rl.cli import compare
from keras_s5rl.runs import Checkpoints, RunDirectory, bootstrap_interval, statistics
from tests.support.small_runs import run_settings

STEPS = [128, 256, 384]


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Makes a run directory with a score and, with `metrics`, three updates."""
    monkeypatch.chdir(tmp_path)

    def make(name, score, metrics=True, evaluation=None, **settings):
        config = {"env": "RepeatFirstEasy", "memory": "s5", "total_steps": 384} | settings
        run = RunDirectory.create(tmp_path / name, run_settings(**config))
        if score is not None:
            report = {"return_mean": score, "deterministic": True, "env_steps": STEPS[-1]}
            run.write_evaluation(report | (evaluation or {}))
        if metrics:
            rows = [
                {
                    **{"update": i + 1, "env_steps": steps, "wall_time_s": 2.0 * (i + 1)},
                    **{"episode_return_mean": None if i == 0 else 0.1 * i, "mmer": 0.2 * i},
                }
                for i, steps in enumerate(STEPS)
            ]
            run.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        run.release()
        return str(run.path)

    return make


@pytest.fixture
def of_two_memories(make_run):
    """Five runs of s5, all better than five of gru, on each of two tasks."""
    return [
        make_run(f"{memory}_{env}_{seed}", base + 0.01 * seed, env=env, memory=memory, seed=seed)
        for env in ("RepeatFirstEasy", "CountRecallEasy")
        for memory, base in (("s5", 0.9), ("gru", 0.1))
        for seed in range(5)
    ]


def run_compare(capsys, *arguments):
    status = compare.main(["compare.py", *arguments])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out


def report_of(capsys, *arguments):
    return json.loads(run_compare(capsys, *arguments, "--json=-"))


def test_metrics_that_changed_since_the_training_are_warned_of(make_run, capsys):
    paths = [make_run(memory, 0.5, memory=memory) for memory in ("s5", "gru")]
    metrics = RunDirectory.open(paths[0]).metrics_path
    lines = metrics.read_bytes()
    written = {"metrics_size": len(lines), "metrics_sha256": hashlib.sha256(lines).hexdigest()}
    Checkpoints(metrics.parent / "checkpoints").save(3, {}, written)
    for altered in (False, True):
        assert compare.main(["compare.py", *paths]) == 0
        warning = f"warning: {metrics} was altered since training wrote it\n"
        assert (warning in capsys.readouterr().err) == altered
        metrics.write_bytes(lines.replace(b"0.2", b"0.9"))


def mistake(capsys, *arguments):
    assert compare.main(["compare.py", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "Received: " in error
    return error


def test_it_prints_scores_and_says_which_difference_is_real(of_two_memories, capsys):
    printed = run_compare(capsys, *of_two_memories)
    assert "On RepeatFirstEasy s5 is better than gru." in printed
    assert "On 2 tasks s5 is better than gru." in printed
    (row,) = {line for line in printed.splitlines() if line.startswith("s5 ") and " 10 " in line}
    low, high = bootstrap_interval(statistics.iqm, [[0.9, 0.91, 0.92, 0.93, 0.94]] * 2)
    interval = [f"{low:.3f}", "to", f"{high:.3f}"]
    assert row.split() == ["s5", "10", "0.920", *interval, "0.920", "-", "384", "6"]


def test_flags_may_stand_before_and_behind_the_folders(of_two_memories, capsys):
    one, two, *_ = of_two_memories
    expected = report_of(capsys, f"--run_dir={one}", f"--run_dir={two}")
    assert report_of(capsys, "--markdown", one, "--metric", "evaluation", two) == expected
    assert report_of(capsys, one, f"--run_dir={two}")["tasks"][0]["groups"][0]["num_runs"] == 2


def test_the_report_holds_the_numbers_of_the_statistics(of_two_memories, tmp_path, capsys):
    run_compare(capsys, *of_two_memories, "--json=report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metric"] == "evaluation"
    assert report["settings"] == {"s5": {"memory": "s5"}, "gru": {"memory": "gru"}}
    (pair,) = report["overall"]["comparisons"]
    assert (pair["group"], pair["other"], pair["verdict"]) == ("s5", "gru", "better")
    assert pair["probability_of_improvement"] == 1.0
    assert pair["difference"] == pytest.approx(0.8)
    assert pair["smallest_p_value"] == pytest.approx(2 / 252**2)
    of_task = report["tasks"][0]["groups"][0]
    assert of_task["scores"] == [pytest.approx([0.9, 0.91, 0.92, 0.93, 0.94])]
    assert (of_task["iqm"], of_task["env_steps"], of_task["seconds"]) == (0.92, 384, 6)


def test_markdown_has_a_table_of_equal_columns(of_two_memories, capsys):
    lines = run_compare(capsys, *of_two_memories, "--markdown").splitlines()
    assert lines[0] == "### RepeatFirstEasy"
    tables = [line.count("|") for line in lines if line.startswith("|")]
    assert tables == ([9] * 4 + [8] * 3) * 3


def test_it_draws_curves_and_intervals(of_two_memories, tmp_path, capsys):
    assert run_compare(capsys, *of_two_memories[3:7], "--output=c.svg").endswith("\nc.svg\n")
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")


def test_too_few_runs_are_reported_as_too_few(make_run, capsys):
    runs = [
        make_run(f"{memory}_{seed}", score + seed / 100, memory=memory, seed=seed)
        for memory, score in (("s5", 0.9), ("gru", 0.1))
        for seed in range(3)
    ]
    report = report_of(capsys, *runs)
    (pair,) = report["tasks"][0]["comparisons"]
    assert pair["probability_of_improvement_interval"] == [1.0, 1.0]
    assert pair["verdict"] == "unknown"
    assert "it takes 4 or more of each" in report["tasks"][0]["conclusion"][0]


def test_equal_groups_are_not_shown_to_differ(make_run, capsys):
    rng = np.random.default_rng(0)
    runs = [
        make_run(f"{memory}_{seed}", float(rng.normal()), memory=memory, seed=seed)
        for memory in ("s5", "gru")
        for seed in range(6)
    ]
    (section,) = report_of(capsys, *runs)["tasks"]
    assert section["comparisons"][0]["verdict"] == "not shown"
    assert "it is not shown which is better" in section["conclusion"][0]


def test_runs_without_an_evaluation_are_compared_by_the_end_of_their_trainings(make_run, capsys):
    runs = [make_run("a", 0.9, seed=0), make_run("b", None, seed=1)]
    report = report_of(capsys, *runs)
    assert report["metric"] == "episode_return_mean"
    assert report["tasks"][0]["groups"][0]["scores"] == [[0.2, 0.2]]
    assert report_of(capsys, *runs, "--metric=mmer")["tasks"][0]["groups"][0]["iqm"] == 0.4


def test_the_seeds_of_one_run_count_as_runs(make_run, capsys):
    evaluation = {"return_mean_per_seed": [0.1, 0.2, 0.3]}
    run = make_run("several", 0.2, num_seeds=3, metrics=False, evaluation=evaluation)
    (row,) = report_of(capsys, run)["tasks"][0]["groups"]
    assert (row["num_runs"], row["scores"], row["seconds"]) == (3, [[0.1, 0.2, 0.3]], None)


def test_parameters_stand_in_the_table_and_unequal_ones_are_pointed_out(make_run, capsys):
    runs = [
        make_run(f"{memory}_{seed}", 0.5 + seed, memory=memory, seed=seed, **given)
        for memory, given in (
            ("s5", {"num_parameters": 1100}),
            ("gru", {"num_parameters": 1000}),
            ("mlp", {"num_parameters": 999}),
            ("lru", {}),
        )
        for seed in range(2)
    ]
    printed = run_compare(capsys, *runs[:4], *runs[6:])
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if "384" in line}
    assert {group: row[-3] for group, row in rows.items()} == {
        **{"s5": "1,100", "gru": "1,000", "lru": "-"},
    }
    assert "numbers of parameters differ" not in printed
    sentence = (
        "On RepeatFirstEasy the numbers of parameters differ by more than 10 %: s5 has 1,100, gru "
        "has 1,000, mlp has 999."
    )
    assert sentence in run_compare(capsys, *runs).splitlines()


def test_a_seed_that_is_there_twice_is_refused(make_run, capsys):
    one, two = make_run("a", 0.9), make_run("b", 0.9)
    for runs in ((one, two), (one, one)):
        assert "each seed of an experiment once" in mistake(capsys, *runs)


def test_a_run_that_was_stopped_early_is_refused(make_run, capsys):
    runs = [make_run("a", 0.9), make_run("b", 0.5, seed=1, evaluation={"env_steps": 128})]
    error = mistake(capsys, *runs)
    assert "after as many steps" in error and "128 steps" in error and "384" in error


def test_runs_that_stopped_by_themselves_may_differ_in_steps(make_run, capsys):
    runs = [
        make_run(f"{seed}", 0.9, seed=seed, evaluation={"env_steps": steps}, early_stop_patience=3)
        for seed, steps in enumerate((384, 128))
    ]
    assert report_of(capsys, *runs)["tasks"][0]["groups"][0]["env_steps"] == 256


def test_policies_that_were_played_in_different_ways_are_refused(make_run, capsys):
    runs = [make_run("a", 0.9), make_run("b", 0.5, seed=1, evaluation={"deterministic": False})]
    assert "all played by their mode" in mistake(capsys, *runs)


def test_a_run_without_a_score_is_refused(make_run, capsys):
    runs = [make_run("a", 0.9), make_run("b", None, metrics=False, seed=1)]
    assert "`run_dir` should hold metrics.jsonl" in mistake(capsys, *runs)
    assert "call evaluate on the run" in mistake(capsys, *runs, "--metric=evaluation")


def test_settings_that_differ_and_are_not_in_the_names_of_groups_are_listed(make_run, capsys):
    different = {"memory": "gru", "learning_rate": 0.5, "encoder_sizes": [8, 8]}
    printed = run_compare(capsys, make_run("a", 0.9), make_run("b", 0.5, **different))
    # The small trainings of the tests have encoder_sizes=[16], which is not the default.
    assert "Other settings that differ:\n- s5: encoder_sizes=[16]\n- gru: " in printed
    assert "learning_rate=0.5" in printed and "encoder_sizes=[8, 8]" in printed
