import json

import numpy as np
import pytest

from keras_s5rl.runs import RunDirectory, RunError
from keras_s5rl.runs.migrations import FORMAT_VERSION


def test_a_created_run_can_be_opened_and_its_config_read(tmp_path):
    config = {"env": "RepeatFirstEasy", "seed": np.int64(3), "env_args": {"k": None}}
    RunDirectory.create(tmp_path / "deep" / "demo", config)
    run = RunDirectory.open(str(tmp_path / "deep" / "demo"))
    assert run.read_config() == {"env": "RepeatFirstEasy", "seed": 3, "env_args": {"k": None}}
    assert json.loads(run.config_path.read_text())["format_version"] == FORMAT_VERSION


def test_the_files_of_a_run_have_the_documented_names(tmp_path):
    run = RunDirectory(tmp_path)
    paths = [
        run.config_path,
        run.metrics_path,
        run.tensorboard_dir,
        run.checkpoints_dir,
        run.policy_path,
        run.seed_policy_path(7),
        run.learning_curve_path,
        run.evaluation_path,
        run.in_context_path,
        run.in_context_plot_path,
    ]
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "config.json",
        "metrics.jsonl",
        "tensorboard",
        "checkpoints",
        "policy.keras",
        "policies/seed_7.keras",
        "learning_curve.png",
        "evaluation.json",
        "in_context.json",
        "in_context.png",
    ]


def test_a_folder_with_a_run_is_refused_and_left_alone(tmp_path):
    run = RunDirectory.create(tmp_path, {"seed": 1})
    run.release()
    with pytest.raises(RunError, match="`run_dir` already holds a run.*resume.*Received: run_dir="):
        RunDirectory.create(tmp_path, {"seed": 2})
    assert run.read_config() == {"seed": 1}


def test_an_empty_folder_and_one_with_a_foreign_file_are_taken(tmp_path):
    RunDirectory.create(tmp_path, {})
    other = tmp_path / "other"
    other.mkdir()
    (other / "slurm-17.out").write_text("started")
    RunDirectory.create(other, {})
    assert (other / "slurm-17.out").read_text() == "started"


@pytest.mark.parametrize("part", ["metrics.jsonl", "checkpoints", "policies", "in_context.json"])
def test_parts_of_a_run_without_its_config_are_refused(tmp_path, part):
    (tmp_path / part).mkdir()
    with pytest.raises(RunError, match=f"parts of a run.*{part}"):
        RunDirectory.create(tmp_path, {})
    assert not (tmp_path / "config.json").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    path = tmp_path / "demo"
    path.write_text("")
    with pytest.raises(RunError, match="`run_dir` must be a folder"):
        RunDirectory.create(path, {})


def test_a_setting_that_is_not_finite_is_refused_before_a_run_exists(tmp_path):
    with pytest.raises(RunError, match=r"`config\.learning_rate` must be finite"):
        RunDirectory.create(tmp_path / "demo", {"learning_rate": float("inf")})
    with pytest.raises(RunError):
        RunDirectory.open(tmp_path / "demo")


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_config_is_no_run(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="is not a run.*Received: run_dir="):
        RunDirectory.open(tmp_path / name)


@pytest.mark.parametrize("keep_bytes", [0, 1, 20])
def test_a_config_cut_short_is_named(tmp_path, keep_bytes):
    run = RunDirectory.create(tmp_path, {"env": "RepeatFirstEasy"})
    run.config_path.write_bytes(run.config_path.read_bytes()[:keep_bytes])
    with pytest.raises(RunError, match=r"config\.json is not a whole JSON"):
        run.read_config()


@pytest.mark.parametrize("version", [{"format_version": FORMAT_VERSION + 1}, {}])
def test_another_format_version_is_refused(tmp_path, version):
    (tmp_path / "config.json").write_text(json.dumps({"env": "RepeatFirstEasy", **version}))
    message = f"`format_version` from 1 to {FORMAT_VERSION}.*Received: format_version="
    with pytest.raises(RunError, match=message):
        RunDirectory.open(tmp_path).read_config()


def test_a_config_can_be_written_anew_and_keeps_its_format_version(tmp_path):
    run = RunDirectory.create(tmp_path, {"total_steps": 1})
    run.write_config({**run.read_config(), "total_steps": 2})
    assert RunDirectory.open(tmp_path).read_config() == {"total_steps": 2}
    with pytest.raises(RunError, match="`config` must not name `format_version`"):
        run.write_config({"format_version": 7})
    with pytest.raises(RunError, match="`config` must not name `checksum`"):
        run.write_config({"checksum": "0"})


def test_the_evaluation_is_plain_json(tmp_path):
    run = RunDirectory.create(tmp_path, {})
    run.write_evaluation({"return_mean": np.float32(0.5), "returns": np.array([0.25, 0.75])})
    assert json.loads(run.evaluation_path.read_text()) == {
        "return_mean": 0.5,
        "returns": [0.25, 0.75],
    }
