"""The command that scores a run."""

import json
import shutil

import pytest
from PIL import Image

from keras_s5rl import PPO
from keras_s5rl.cli import evaluate


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    return shutil.copytree(trained[0], tmp_path_factory.mktemp("evaluated") / "run")


def call(folder, *flags):
    return evaluate.main(["evaluate.py", f"--run_dir={folder}", *flags])


@pytest.mark.slow
def test_it_writes_the_score_of_the_agent_into_the_run(folder, capsys):
    assert call(folder, "--num_episodes=7", "--overwrite") == 0
    report = json.loads((folder / "evaluation.json").read_text())
    assert report == PPO.load(folder).evaluate(7)
    assert len(report["returns"]) == 7
    out = capsys.readouterr().out
    assert f"return {report['return_mean']:.4f}" in out and out.count("\n") == 1


@pytest.mark.slow
def test_a_minus_prints_json_alone_and_leaves_the_run_alone(folder, run):
    before = (folder / "evaluation.json").read_bytes()
    flags = ["--json=-", "--num_episodes=5", "--deterministic=false"]
    status, stdout, stderr = run("evaluate", f"--run_dir={folder}", *flags)
    assert status == 0, stderr
    report = json.loads(stdout)
    assert report == PPO.load(folder).evaluate(5, deterministic=False)
    assert report["deterministic"] is False and "return" in stderr
    assert (folder / "evaluation.json").read_bytes() == before


def test_a_file_takes_the_report_in_the_place_of_the_run(folder, tmp_path):
    before = (folder / "evaluation.json").read_bytes()
    assert call(folder, "--num_episodes=3", f"--json={tmp_path / 'report.json'}") == 0
    assert json.loads((tmp_path / "report.json").read_text())["num_episodes"] == 3
    assert (folder / "evaluation.json").read_bytes() == before


@pytest.mark.slow
def test_another_environment_of_the_same_sizes_is_scored_but_not_as_the_run(folder, capsys):
    before = (folder / "evaluation.json").read_bytes()
    flags = ["--env=RepeatPreviousMedium", '--env_args={"k": 2}', "--num_episodes=4", "--json=-"]
    assert call(folder, *flags) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["env"] == "RepeatPreviousMedium" and report["length_mean"] > 51
    flags = ['--env_args={"num_decks": 2}', "--num_episodes=4"]
    assert call(folder, *flags) == 0
    assert capsys.readouterr().out.startswith("RepeatPreviousEasy: ")
    assert (folder / "evaluation.json").read_bytes() == before


@pytest.mark.slow
def test_an_id_of_gymnasium_is_played_there(folder, capsys):
    before = (folder / "evaluation.json").read_bytes()
    env = "keras_s5rl:keras_s5rl/RepeatPreviousMedium-v0"
    assert call(folder, f"--env={env}", "--num_episodes=4", "--json=-") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["env"] == env and report["length_mean"] == 103
    assert call(folder, "--env=no_such_module:Env-v0") == 2
    assert "`env` should be the id of a Gymnasium environment" in capsys.readouterr().err
    assert call(folder, f"--env={env}", "--record=clips") == 2
    assert "`record` draws environments of the package" in capsys.readouterr().err
    assert (folder / "evaluation.json").read_bytes() == before


@pytest.mark.slow
def test_record_writes_animations_and_says_where(folder, tmp_path, capsys):
    path = tmp_path / "new" / "clips" / "episode_0.gif"
    flags = ["--num_episodes=3", "--record_episodes=1", '--env_args={"k": 2}']
    assert call(folder, *flags, f"--record={path.parent}") == 0
    score, line = capsys.readouterr().out.splitlines()
    assert score.startswith("RepeatPreviousEasy: ")
    assert line.startswith(f"{path}: return ") and line.endswith(" in 51 steps")
    assert list(path.parent.iterdir()) == [path]
    with Image.open(path) as image:
        assert image.n_frames == 52


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--record_episodes=2", "`record`, the folder"),
        ("--record_episodes=0", "`record_episodes`"),
        ("--record_format=mp4", "`record_format` needs `record`, the folder"),
        ("--record_format=avi", "`record_format`"),
        ("--record=", "`record`"),
        ("--record={file}/clips", "`record` should be a folder"),
        ("--env=PositionOnlyCartPoleEasy", "should have the spaces"),
        ("--env=Nowhere", "Nowhere"),
        ('--env_args={"decks": 1}', "decks"),
        ("--env_args=no", "JSON object"),
        ("--json=no/folder/report.json", "`json`"),
        ("--backend=jaxx", "`backend`"),
    ],
)
def test_a_mistake_is_reported_in_one_line_and_nothing_is_written(flag, expected, folder, capsys):
    before = (folder / "evaluation.json").read_bytes()
    assert call(folder, flag.replace("{file}", str(folder / "config.json"))) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert expected in captured.err and "Received: " in captured.err and not captured.out
    assert (folder / "evaluation.json").read_bytes() == before
