"""Several seeds by the commands: one run, whose policies are scored together or one by one."""

import json

import pytest

from keras_s5rl.cli import evaluate, export_policy, plot, report, train
from keras_s5rl.training import PPO
from tests.support.report_pages import Page
from tests.support.small_runs import FLAGS, STEPS, metrics_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("seeds") / "run"
    flags = [*FLAGS, "--env=RepeatPreviousEasy", "--memory=mlp", f"--total_steps={3 * STEPS}"]
    flags += ["--seed=4", "--num_seeds=2", "--eval_every=1", "--eval_episodes=2"]
    assert train.main(["train", *flags, f"--run_dir={run_dir}"]) == 0
    return run_dir


def test_a_run_has_the_policies_metrics_and_scores_of_its_seeds(run_dir, capsys):
    assert sorted(path.name for path in (run_dir / "policies").iterdir()) == [
        "seed_4.keras",
        "seed_5.keras",
    ]
    assert all(len(row["loss_per_seed"]) == 2 for row in metrics_of(run_dir))
    assert (run_dir / "learning_curve.png").exists()
    assert train.main(["train", "--resume", f"--run_dir={run_dir}"]) == 0
    assert "seeds 4 to 5" in capsys.readouterr().out
    scores = json.loads((run_dir / "evaluation.json").read_text())
    assert (scores["seed"], scores["num_seeds"]) == (4, 2)
    assert len(scores["return_mean_per_seed"]) == 2
    output = run_dir / "loss.png"
    assert plot.main(["plot", f"--run_dir={run_dir}", f"--output={output}"]) == 0


def test_all_of_the_policies_are_scored_in_one_table(run_dir, tmp_path, capsys):
    flags = [f"--run_dir={run_dir}", "--num_episodes=4", f"--json={tmp_path / 'all'}"]
    assert evaluate.main(["evaluate", *flags]) == 0
    report = json.loads((tmp_path / "all").read_text())
    alone = [PPO.load(run_dir, seed=seed).evaluate(num_episodes=4) for seed in (4, 5)]
    assert report["returns"] == [one["returns"] for one in alone]
    modes = [
        [f"{score['return_mean']:z.4f}" for score in (one, one["other_mode"])] for one in alone
    ]
    _, head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["seed", "mode", "sampled"]
    assert [row.split() for row in rows[:2]] == [["4", *modes[0]], ["5", *modes[1]]]
    assert rows[2].split() == [
        "IQM",
        f"{report['return_iqm']:z.4f}",
        f"{report['other_mode']['return_iqm']:z.4f}",
    ]
    low, high = report["return_iqm_interval"]
    assert rows[3].startswith("95 % interval") and f"{low:z.4f} to {high:z.4f}" in rows[3]


def test_the_best_policies_of_all_seeds_are_scored_together(run_dir, capsys):
    assert evaluate.main(["evaluate", f"--run_dir={run_dir}", "--policy=best"]) == 0
    report = json.loads((run_dir / "best_evaluation.json").read_text())
    updates = []
    for index, seed in enumerate((4, 5)):
        one = PPO.load(run_dir, seed=seed)
        updates.append(one.scores.best["update"])
        one.policy.set_weights(one.scores.best_weights)
        assert report["returns"][index] == one.evaluate()["returns"]
    assert (report["update"], report["update_per_seed"]) == (max(updates), updates)
    assert report["env_steps"] == max(updates) * STEPS


def test_a_report_has_the_scores_of_all_seeds(run_dir, tmp_path):
    output = tmp_path / "report.html"
    assert report.main(["report", str(run_dir), "--noplay", f"--output={output}"]) == 0
    header, row = Page(output.read_text(encoding="utf-8")).tables["scores"]
    scores = json.loads((run_dir / "evaluation.json").read_text())
    assert row[header.index("seed")] == "4 to 5"
    assert row[header.index("return")].startswith(f"{scores['return_iqm']:.3f} [")
    best = [
        json.loads((run_dir / "best_policies" / f"seed_{seed}.json").read_text())[
            "eval_return_mean"
        ]
        for seed in (4, 5)
    ]
    assert row[header.index("best while training")].startswith(f"{sum(best) / 2:.3f} (updates ")


def test_every_policy_plays_in_another_environment(run_dir, tmp_path, capsys):
    flags = [f"--run_dir={run_dir}", "--env=keras_s5rl:keras_s5rl/RepeatPreviousEasy-v0"]
    flags += ["--num_episodes=3"]
    for name, more in (("both", []), ("second", ["--policy_seed=5"])):
        file = f"--json={tmp_path / name}"
        assert evaluate.main(["evaluate", *flags, *more, file]) == 0
    both, second = (json.loads((tmp_path / name).read_text()) for name in ("both", "second"))
    assert both["returns"][1] == second["returns"] != both["returns"][0]


def test_one_of_the_policies_is_scored_by_its_seed(run_dir, tmp_path, capsys):
    before = (run_dir / "evaluation.json").read_bytes()
    flags = [f"--run_dir={run_dir}", "--num_episodes=4"]
    assert evaluate.main(["evaluate", *flags, "--policy_seed=5", f"--json={tmp_path / 'a'}"]) == 0
    found = json.loads((tmp_path / "a").read_text())
    assert found["returns"] == PPO.load(run_dir, seed=5).evaluate(num_episodes=4)["returns"]
    assert evaluate.main(["evaluate", *flags, "--policy_seed=5"]) == 0
    assert (run_dir / "evaluation.json").read_bytes() == before
    assert evaluate.main(["evaluate", *flags, "--policy_seed=6"]) == 2
    assert "should be one of the run's, 4 to 5" in capsys.readouterr().err


def test_what_takes_one_policy_asks_for_its_seed(run_dir, tmp_path, capsys):
    record = f"--record={tmp_path / 'episodes'}"
    assert evaluate.main(["evaluate", f"--run_dir={run_dir}", record]) == 2
    error = capsys.readouterr().err
    assert "`policy_seed` should be one of the run's seeds, 4 to 5, for `record`" in error
    output = f"--output={tmp_path / 'policy'}"
    assert export_policy.main(["export_policy", f"--run_dir={run_dir}", output]) == 2
    assert "`policy_seed` should be one of the run's seeds, 4 to 5" in capsys.readouterr().err
