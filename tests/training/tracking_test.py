"""A training in Weights & Biases and MLflow: with stand-ins, and offline with the libraries."""

import math

import keras
import pytest

from keras_s5rl.runs import RunDirectory, read_json
from keras_s5rl.training.tracking import Tracking, TrackingError
from tests.support.fake_trackers import Mlflow, Wandb

CONFIG = {"env": "Own", "width": 16, "head_sizes": [16], "encoder": None}
LOGS = [
    {"env_steps": 64.0, "loss": 0.5, "mmer": math.nan},
    {"env_steps": 128.0, "loss": 0.25, "mmer": 1.0},
]
REPORT = {"return_mean": 0.5, "return_ci95": 0.1, "length_mean": 9.0, "returns": [0.5]}
SCORES = {"evaluation_return_mean": 0.5, "evaluation_return_ci95": 0.1, "evaluation_length_mean": 9}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.create(tmp_path / "demo", CONFIG)
    run.release()
    return run


def train(run, names, error=None):
    """What a training does with its callbacks, and then the command with the scores."""
    with Tracking(names, run.path) as tracking:
        callbacks = keras.callbacks.CallbackList(tracking.callbacks, model=keras.Sequential())
        callbacks.on_train_begin()
        for epoch, logs in enumerate(LOGS):
            callbacks.on_epoch_end(epoch, logs)
        if error is not None:
            raise error
        callbacks.on_train_end()
        tracking.log_scores(REPORT)


def test_a_run_of_wandb_has_name_settings_metrics_and_scores(run, monkeypatch):
    wandb = Wandb().install(monkeypatch)
    train(run, ["wandb"])
    (settings,) = wandb.settings
    assert settings["name"] == "demo" and settings["id"] is None
    assert settings["config"] == run.read_config()
    assert wandb.logged == [{"env_steps": 64.0, "loss": 0.5}, LOGS[1]]
    assert wandb.summary == SCORES and wandb.codes == [0]


def test_a_run_of_mlflow_has_name_settings_metrics_and_scores(run, monkeypatch):
    mlflow = Mlflow().install(monkeypatch)
    train(run, ["mlflow"])
    assert mlflow.started == [{"run_name": "demo"}]
    assert mlflow.params == [run.read_config()]
    assert mlflow.artifacts == {"config.json": run.read_config()}
    assert mlflow.logged[1] == LOGS[1] and len(mlflow.logged) == 2
    assert mlflow.scores == [SCORES] and mlflow.ends == ["FINISHED"]


def test_a_resumed_run_goes_on_with_the_same_tracked_runs(run, monkeypatch):
    wandb, mlflow = Wandb().install(monkeypatch), Mlflow().install(monkeypatch)
    train(run, ["wandb", "mlflow"])
    assert read_json(run.tracking_path) == {"wandb": "made-up", "mlflow": "made-up"}
    train(run, ["mlflow", "wandb"])
    assert [settings["id"] for settings in wandb.settings] == [None, "made-up"]
    assert mlflow.started == [{"run_name": "demo"}, {"run_id": "made-up"}]
    assert len(mlflow.params) == 1  # they cannot be changed


def test_a_training_that_fails_is_a_failed_tracked_run(run, monkeypatch):
    wandb, mlflow = Wandb().install(monkeypatch), Mlflow().install(monkeypatch)
    with pytest.raises(ArithmeticError):
        train(run, ["wandb", "mlflow"], ArithmeticError("diverged"))
    assert wandb.codes == [1] and mlflow.ends == ["FAILED"]


def test_a_tracked_run_that_cannot_start_says_what_to_do(run, monkeypatch):
    Wandb(ConnectionError("No API key configured. Use `wandb login`.")).install(monkeypatch)
    expected = r"`wandb` could not start its run \(No API key .*--resume.*Received: wandb=True"
    with pytest.raises(TrackingError, match=expected):
        train(run, ["wandb"])
    assert not run.tracking_path.exists()


def test_a_library_that_fails_at_the_end_takes_nothing_with_it(run, monkeypatch, capsys):
    wandb = Wandb().install(monkeypatch)
    monkeypatch.setattr(wandb, "finish", lambda exit_code: [][0])
    train(run, ["wandb"])
    assert "warning: wandb does not have all of the run" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.jax_alone
def test_wandb_keeps_a_run_offline(run, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="The extra `wandb` is not installed.")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for _ in range(2):
        train(run, ["wandb"])
    files = sorted(run.path.glob("wandb/offline-run-*/run-*.wandb"))
    kept = read_json(run.tracking_path)["wandb"]
    assert files and {file.stem for file in files} == {f"run-{kept}"}
    assert wandb.run is None


@pytest.mark.slow
@pytest.mark.jax_alone
@pytest.mark.filterwarnings("ignore")  # those of mlflow's own
def test_mlflow_keeps_a_run_in_a_file(run, monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="The extra `mlflow` is not installed.")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    for _ in range(2):
        train(run, ["mlflow"])
    (tracked,) = mlflow.search_runs(output_format="list")
    assert tracked.info.run_name == "demo" and tracked.info.status == "FINISHED"
    assert tracked.data.params["width"] == "16" and tracked.data.params["head_sizes"] == "[16]"
    assert tracked.data.metrics["loss"] == 0.25
    assert tracked.data.metrics["evaluation_return_mean"] == 0.5
