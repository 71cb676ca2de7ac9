"""The commands that score and draw what happens inside contexts."""

import json

import keras
import pytest

from keras_s5rl import PPO
from keras_s5rl.cli import evaluate, plot
from keras_s5rl.training import evaluate_in_context
from tests.support.small_runs import STEPS, small_config

pytestmark = pytest.mark.slow


class StopAtOnce(keras.callbacks.Callback):
    """Leaves a run with its first checkpoint, before anything is compiled."""

    def on_train_begin(self, logs=None):
        self.model.stop_training = True


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in_context") / "run"
    env_args = {"num_trials": 2, "trial_steps": 12}
    agent = PPO("projected_cartpole", env_args, memory="mlp", config=small_config())
    agent.fit(STEPS, run_dir=folder, callbacks=[StopAtOnce()], verbose=False)
    return folder


def score(folder, *flags):
    return evaluate.main(["evaluate.py", f"--run_dir={folder}", "--in_context", *flags])


def draw(*flags):
    return plot.main(["plot.py", "--in_context", *flags])


def test_scores_and_their_picture_are_written_into_the_run_and_drawn_together(
    folder, tmp_path, capsys
):
    output = tmp_path / "scores.png"
    assert draw(f"--run_dir={folder}", f"--output={output}") == 2
    assert "call evaluate with --in_context" in capsys.readouterr().err

    assert score(folder, "--num_episodes=5") == 0
    report = json.loads((folder / "in_context.json").read_text())
    assert report == evaluate_in_context(PPO.load(folder), 5)
    assert (folder / "in_context.png").read_bytes().startswith(b"\x89PNG")
    head, row, foot = capsys.readouterr().out.splitlines()
    trained, fresh = (report["scores"][0][name] for name in ("trained", "fresh"))
    assert 0.5 < trained["return_mean"] <= 1.0  # no pole falls before the seventh of twelve steps
    assert head.split()[:3] == ["tier", "task", "trial"]
    assert row.split() == [
        *("T1", "projected_cartpole"),
        *(f"{value:.4f}" for value in trained["trial_return_mean"]),
        *(f"{trained['return_mean']:.4f}", "+-", f"{trained['return_ci95']:.4f}"),
        *(f"{fresh['return_mean']:.4f}", "+-", f"{fresh['return_ci95']:.4f}"),
    ]
    assert foot == "returns, 1 is a perfect trial (mode, 5 contexts a task)"

    assert draw(f"--run_dir={folder}", f"--run_dir={folder}", f"--output={output}") == 0
    assert output.read_bytes().startswith(b"\x89PNG")


def test_a_file_takes_the_scores_in_the_place_of_the_run(folder, tmp_path, capsys):
    before = {path: path.read_bytes() for path in folder.glob("*.*")}
    flags = ["--num_episodes=3", '--env_args={"num_trials": 4}', "--deterministic=false"]
    assert score(folder, *flags, f"--json={tmp_path / 'report.json'}") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["env_args"] == {"num_trials": 4, "trial_steps": 12}
    assert len(report["scores"][0]["trained"]["trial_return_mean"]) == 4
    assert "(sampled, 3 contexts a task)" in capsys.readouterr().out
    assert score(folder, *flags, "--json=-") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == report and "T1" in captured.err
    assert {path: path.read_bytes() for path in folder.glob("*.*")} == before


def test_a_mistake_is_reported_in_one_line(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def error():
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
        assert "Received: " in captured.err and not captured.out
        return captured.err

    assert score(folder, "--env=projected_cartpole") == 2 and "`env` does not go" in error()
    assert score(folder, "--record=pictures") == 2 and "`record` does not go" in error()
    assert score(folder, '--env_args={"projected_size": 9}') == 2 and "the spaces" in error()
    assert draw(f"--run_dir={folder}", "--metric=entropy") == 2 and "`metric` goes" in error()
    flags = ["plot.py", f"--run_dir={folder}", "--tier=T2"]
    assert plot.main(flags) == 2 and "`tier` goes with `in_context`" in error()
    assert not list(tmp_path.iterdir())
