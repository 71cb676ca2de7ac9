"""A smaller score does not take the place of a larger one unasked."""

import json

import pytest

from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.run_reports import write_evaluation
from keras_s5rl.runs import RunDirectory

REPORT = {"env": "E", "env_args": {}, "num_episodes": 8, "deterministic": True, "seed": 0}
REPORT |= {"update": 5, "return_mean": 0.5}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.create(tmp_path / "run", {})
    run.release()
    assert write_evaluation(run, REPORT)
    return run


@pytest.mark.parametrize(
    "other",
    [{"num_episodes": 7}, {"deterministic": False}, {"seed": 1}, {"env_args": {"k": 2}}],
)
def test_a_smaller_or_another_score_is_written_only_when_asked(other, run, capsys):
    other = {**REPORT, **other}
    assert not write_evaluation(run, other)
    printed = capsys.readouterr().err
    assert printed.startswith("warning: ") and printed.count("\n") == 1
    assert "--overwrite" in printed and "--json=FILE" in printed
    assert json.loads(run.evaluation_path.read_text()) == REPORT
    assert write_evaluation(run, other, overwrite=True)
    assert json.loads(run.evaluation_path.read_text()) == other


@pytest.mark.parametrize("other", [{"num_episodes": 9}, {}, {"update": 6, "num_episodes": 1}])
def test_a_larger_score_or_that_of_another_checkpoint_takes_its_place(other, run):
    assert write_evaluation(run, {**REPORT, **other})
    assert json.loads(run.evaluation_path.read_text()) == {**REPORT, **other}


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_what_cannot_be_read_is_left_alone(text, run):
    run.evaluation_path.write_text(text)
    assert not write_evaluation(run, REPORT)
    assert run.evaluation_path.read_text() == text


def test_a_link_is_not_followed(run, tmp_path):
    run.evaluation_path.unlink()
    (tmp_path / "target").write_text("mine")
    run.evaluation_path.symlink_to(tmp_path / "target")
    with pytest.raises(UsageError, match="symbolic link"):
        write_evaluation(run, REPORT, overwrite=True)
    assert (tmp_path / "target").read_text() == "mine"
