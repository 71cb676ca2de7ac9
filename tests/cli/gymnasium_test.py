"""The commands with environments of Gymnasium."""

import json

import pytest

from keras_s5rl.cli import evaluate, plot, train
from tests.support.small_runs import FLAGS, STEPS, metrics_of

pytestmark = [pytest.mark.not_on_tensorflow, pytest.mark.usefixtures("unchanged_process")]

ENV = "--env=gymnasium:CartPole-v1"


@pytest.mark.slow
def test_a_run_trains_resumes_is_scored_and_plotted(tmp_path, capsys):
    folder = f"--run_dir={tmp_path / 'run'}"
    limit = ["gymnasium.wrappers:TimeLimit", {"max_episode_steps": 20}]
    flags = [*FLAGS, ENV, "--memory=mlp", "--anneal_learning_rate=false"]
    flags += ["--env_args=" + json.dumps({"wrappers": [limit]})]
    assert train.main(["train.py", *flags, folder, f"--total_steps={STEPS}"]) == 0
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert report["env"] == "gymnasium:CartPole-v1" and max(report["returns"]) <= 20
    assert report["env_args"]["wrappers"] == [limit]
    capsys.readouterr()
    assert train.main(["train.py", "--resume", folder, f"--total_steps={2 * STEPS}"]) == 0
    assert "the run goes on with new episodes" in capsys.readouterr().err
    assert [row["update"] for row in metrics_of(tmp_path / "run")] == [1, 2]
    assert evaluate.main(["evaluate.py", folder, "--num_episodes=4", "--json=-"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["env"] == "gymnasium:CartPole-v1" and max(scores["returns"]) <= 20
    clips = f"--record={tmp_path / 'clips'}"
    assert evaluate.main(["evaluate.py", folder, clips]) == 2
    assert "`record` draws environments of the package" in capsys.readouterr().err
    assert plot.main(["plot.py", folder, f"--output={tmp_path / 'curve.png'}"]) == 0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--env=gymnasium:Nowhere-v0"], "Nowhere"),
        (["--env=no_such_module:Nowhere-v0"], "no_such_module"),
        ([ENV, '--env_args={"wheels": 2}'], "wheels"),
        ([ENV, '--env_args={"wrappers": ["no_such_module:Wrapper"]}'], "`wrappers`"),
        ([ENV, "--stagger_starts"], "`stagger_starts`"),
        ([ENV, "--num_devices=2"], "`num_devices`"),
    ],
)
def test_a_mistake_is_reported_in_one_line_and_nothing_is_written(
    flags, expected, tmp_path, capsys
):
    folder = tmp_path / "run"
    assert train.main(["train.py", *FLAGS, *flags, f"--run_dir={folder}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and expected in error
    assert "Received: " in error and not folder.exists()
